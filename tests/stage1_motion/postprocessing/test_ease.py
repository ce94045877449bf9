"""Motion begins where the photo is and returns there in the silence at the end."""

import numpy as np
from scipy.spatial.transform import Rotation

from stage1_motion.postprocessing.ease import ease_weights, eased, eased_rotation


def speech(*runs):
    """Frames of (length, whether somebody speaks)."""
    return np.concatenate([np.full(length, float(speaks)) for length, speaks in runs])


def test_from_the_photo_within_a_third_of_a_second_and_back_in_the_silence():
    weights = ease_weights(speech((60, True), (40, False)))
    assert weights[0] == 0 and (np.diff(weights[:9]) > 0).all()
    assert (weights[8:75] == 1).all()  # all that is said, and the silence before its last second
    assert weights[-1] == 0 and (np.diff(weights[75:]) < 0).all()
    assert np.abs(np.diff(weights)).max() < 0.2  # no jump


def test_speech_to_the_end_keeps_its_motion():
    weights = ease_weights(speech((50, True)))
    assert (weights[8:] == 1).all()


def test_a_short_silence_is_not_enough_to_return():
    weights = ease_weights(speech((50, True), (4, False)))
    assert (weights[8:50] == 1).all()
    assert 0.4 < weights[-1] < 0.6


def test_silence_alone_and_a_single_frame():
    assert ease_weights(speech((1, False)))[0] == 0 and ease_weights(speech((1, True)))[0] == 0
    weights = ease_weights(speech((80, False)))
    assert weights[0] == weights[-1] == 0 and weights[40] == 1


def test_values_and_rotations_between_photo_and_motion():
    weights = np.array([0, 0.25, 1])
    found = eased(np.full((3, 2), 8.0), np.array([4.0, 0.0]), weights)
    assert np.allclose(found, [[4, 0], [5, 2], [8, 8]])
    photo, motion = Rotation.from_euler("y", 10, degrees=True), Rotation.from_euler("y", 50, degrees=True)
    turned = eased_rotation(np.stack([motion.as_rotvec()] * 3), photo.as_rotvec(), weights)
    assert np.allclose(Rotation.from_rotvec(turned).as_euler("yxz", degrees=True)[:, 0], [10, 20, 50], atol=1e-3)
