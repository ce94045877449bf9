"""The mouth rests where nobody speaks."""

import numpy as np

from shared.face_model import load_bundled
from stage1_motion.motion_space import MotionSpace
from stage1_motion.postprocessing.rest import REST_GAP, rest_coefficients, rest_in_pauses


def test_pauses_rest_and_speech_stays():
    random = np.random.default_rng(0)
    expression, at_rest = random.normal(size=(5, 3)), random.normal(size=3)
    found = rest_in_pauses(expression, at_rest, np.array([1, 0.75, 0.5, 0, 1]))
    assert np.array_equal(found[[0, 4]], expression[[0, 4]]) and np.array_equal(found[3], at_rest)
    assert np.allclose(found[1], 0.75 * expression[1] + 0.25 * at_rest)


def test_rest_is_a_closed_mouth_of_a_typical_person():
    model = load_bundled()
    space = MotionSpace(model, np.full(model.num_expression, 0.7, np.float32), np.ones(6, np.float32))
    at_rest, neutral = rest_coefficients(space, mean_gap=1.2), np.zeros(model.num_identity)
    photo = np.zeros(model.num_expression, np.float32)
    gap = space.lip_gap(neutral, photo)
    decoded = space.decode_expression(at_rest[None], photo, float(gap), lip_std=4.8, mean_gap=1.2)
    assert abs(space.lip_gap(neutral, decoded)[0] - REST_GAP) < 0.02
