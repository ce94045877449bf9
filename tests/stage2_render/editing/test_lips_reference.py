import cv2
import numpy as np
import pytest

from shared.face_model.measures import lip_gap
from shared.face_model.mediapipe_mesh import OUTER_LIPS
from stage2_render.editing.lips_reference import LipsReference, layered


def lips_of(points, shape, grown=0):
    """Mask of the lips, bool [H, W]."""
    outline = np.rint(points[list(OUTER_LIPS), :2]).astype(np.int32)
    mask = cv2.fillPoly(np.zeros(shape[:2], np.uint8), [outline], 1)
    kernel = np.ones((2 * abs(grown) + 1,) * 2, np.uint8)
    return (cv2.erode if grown < 0 else cv2.dilate)(mask, kernel).astype(bool)


@pytest.fixture
def nearest(footage):
    gaps = lip_gap(footage.model.vertices(footage.identity, footage.motion.expression))
    return int(np.argmin(gaps)), int(np.argmax(gaps))


def test_lips_are_laid_in_the_light_of_the_frame_and_nothing_else_changes(footage, talking, nearest):
    """Blue lips of a closed mouth, over a dimmer frame that is 6 pixels further to the right."""
    closed, wide = nearest
    points = footage.track.landmarks[closed]
    blue = talking[2][closed].copy()
    blue[lips_of(points, blue.shape)] = (60, 60, 220)
    reference = LipsReference(closed, footage.photo(closed, blue), None)
    dim = (0.8 * np.roll(talking[2][wide], 6, axis=1)).astype(np.uint8)
    target = points + np.array([6, 0, 0], np.float32)
    frame = dim.copy()
    reference.lay(frame, target, 1.0)
    inside, around = lips_of(target, frame.shape, -2), lips_of(target, frame.shape, 25)
    red, green, cold = np.median(frame[inside].astype(float), axis=0)
    assert cold > 150 and max(red, green) < 60  # dimmer by what the skin is dimmer, too
    assert cold < 215
    assert (frame[~around] == dim[~around]).all()
    half = dim.copy()
    reference.lay(half, target, 0.5)
    np.testing.assert_allclose(half[inside], (frame[inside].astype(float) + dim[inside]) / 2, atol=1)
    nothing = dim.copy()
    reference.lay(nothing, target, 0.0)
    assert (nothing == dim).all()


def test_laid_over_its_own_frame_it_changes_nothing(footage, talking, nearest):
    closed, _ = nearest
    image = talking[2][closed]
    frame = image.copy()
    reference = LipsReference(closed, footage.photo(closed, image), None)
    reference.lay(frame, footage.track.landmarks[closed], 1.0)
    assert np.abs(frame.astype(int) - image).max() <= 1


@pytest.mark.parametrize("shift", [(-110, 0), (95, 60), (0, 300)])
def test_mouths_at_the_border_of_the_picture_and_outside_it(footage, talking, nearest, shift):
    closed, wide = nearest
    reference = LipsReference(closed, footage.photo(closed, talking[2][closed]), None)
    frame = talking[2][wide].copy()
    reference.lay(frame, footage.track.landmarks[wide] + np.array([*shift, 0], np.float32), 1.0)
    assert frame.shape == talking[2][wide].shape


def test_layers_leave_each_its_weight():
    weights = [0.2, 0.3, 0.4]
    value = np.eye(4)[3]  # what is below has what is left
    for place, opacity in enumerate(layered(weights)):
        value = (1 - opacity) * value + opacity * np.eye(4)[place]
    np.testing.assert_allclose(value, [*weights, 0.1])
    assert layered([1.0]) == [1.0] and layered([]) == [] and layered([0.5, 0.5]) == [1.0, 0.5]
