import covered
import numpy as np
import pytest
from portraits import portrait

from shared.faces.occlusion import eyes_are_hidden, mouth_is_covered

NAMES = ("portrait_woman", "portrait_man", "portrait_woman_2", "portrait_man_2")


@pytest.mark.parametrize("name", NAMES)
def test_what_covers_a_mouth_is_seen_and_bare_mouths_are_left_alone(name):
    photo, points = portrait(name)
    assert not mouth_is_covered(photo, points)
    for cover in (covered.microphone, covered.fingers):
        assert mouth_is_covered(cover(photo, points), points), cover.__name__
    for colour in ((170, 205, 225), (240, 240, 240), (25, 25, 30), (200, 60, 90)):
        assert mouth_is_covered(covered.mask(photo, points, colour), points), colour
    assert not mouth_is_covered(covered.dark_glasses(photo, points), points)


@pytest.mark.parametrize("name", NAMES)
def test_a_bare_mouth_in_a_faded_grey_print_is_not_covered(name):
    photo, points = portrait(name)

    def faded(picture):
        grey = 90 + picture.mean(-1, keepdims=True) * 130 / 255
        return np.repeat(grey, 3, axis=-1).astype(np.uint8)

    assert not mouth_is_covered(faded(photo), points)
    assert mouth_is_covered(faded(covered.mask(photo, points)), points)


@pytest.mark.parametrize("name", NAMES)
def test_dark_glasses_hide_eyes_and_make_up_does_not(name):
    photo, points = portrait(name)
    assert not eyes_are_hidden(photo, points)
    assert not eyes_are_hidden(covered.eye_make_up(photo, points), points)
    assert not eyes_are_hidden(covered.mask(photo, points), points)
    for colour in ((20, 20, 24), (45, 32, 25), (15, 25, 60)):
        assert eyes_are_hidden(covered.dark_glasses(photo, points, colour), points), colour
