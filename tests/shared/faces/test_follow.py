"""One of two people is followed, wherever the other one is."""

import numpy as np
import pytest
from material import portrait

from shared.errors import InputError
from shared.faces.cuts import CutDetector
from shared.faces.follow import FaceFollower


def frame(left, right, shift=0):
    """Two portraits beside each other, the left one larger; uint8 [240, 480, 3]."""
    canvas = np.full((240, 480, 3), 120, np.uint8)
    canvas[:, :240] = np.roll(np.asarray(portrait(240, left)), shift, axis=1)
    canvas[20:220, 260:460] = np.roll(np.asarray(portrait(200, right)), -shift, axis=1)
    return canvas


def centres(follower, frames):
    return [None if points is None else points[:468, 0].mean() for points in follower.track(frames)]


@pytest.fixture(scope="module")
def clip():
    return [frame("portrait_woman", "portrait_man_2", shift) for shift in range(0, 12, 2)]


@pytest.mark.parametrize(("choice", "side"), [((0, None), 0), ((1, None), 1), ((None, (310.0, 60.0, 410.0, 180.0)), 1)])
def test_the_chosen_face_is_followed(clip, choice, side):
    cuts = CutDetector()
    found = centres(FaceFollower(*choice, cuts), clip)
    assert all((x > 240) == side for x in found)
    moved = found[-1] - found[0]
    assert moved == pytest.approx(-10 if side else 10, abs=3)
    assert len(cuts.changes) == len(clip) - 1 and cuts.changes.max() < 10


def test_behind_a_cut_the_person_is_found_again(clip):
    swapped = [frame("portrait_man_2", "portrait_woman")] * 3
    found = centres(FaceFollower(1, None, CutDetector()), [*clip, *swapped])
    assert all(x > 240 for x in found[: len(clip)]) and all(x < 240 for x in found[len(clip) :])


def test_who_is_covered_is_lost_and_found_again(clip):
    covered = clip[-1].copy()
    covered[:, 240:] = 120
    found = centres(FaceFollower(1, None, CutDetector()), [*clip, *[covered] * 5, *[clip[-1]] * 10])
    assert found[len(clip) : len(clip) + 5] == [None] * 5  # and not the neighbour
    assert found[-1] > 240


def test_a_face_that_is_not_there_is_said(clip):
    follower = FaceFollower(2, None, CutDetector())
    assert centres(follower, clip[:2]) == [None, None]
    with pytest.raises(InputError, match=r"more than 2 face\(s\); there is no face 2"):
        follower.check()
