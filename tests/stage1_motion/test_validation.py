"""Figures of generated against real motion, of curves whose answers are known."""

import numpy as np
import pytest

from shared.face_model import load_bundled
from stage1_motion.motion_space import MotionSpace
from stage1_motion.validation import validation_figures

MODEL = load_bundled()
D = MODEL.num_expression
SPACE = MotionSpace(MODEL, np.ones(D, np.float32), np.ones(6, np.float32))


def moving(seed, frames=60):
    random = np.random.default_rng(seed)
    return random.normal(size=(frames, D + 6)).cumsum(0).astype(np.float32)


def test_real_motion_is_perfect():
    found = validation_figures(SPACE, [("a", moving(0), moving(0)), ("b", moving(1), moving(1))])
    assert found == pytest.approx({"score": 1, "r": 1, "spread": 1, "speed": 1, "level": 0, "head_speed": 1}, abs=1e-5)


def test_size_level_and_sign():
    real, row = moving(0), SPACE.gap_row()
    half = 0.5 * real
    half[:, :D] += 2.0 * row / (row @ row)  # the gap is 2 mm wider
    found = validation_figures(SPACE, [("a", half, real)])
    assert (found["spread"], found["speed"], found["head_speed"]) == pytest.approx((0.5, 0.5, 0.5), rel=1e-3)
    assert found["level"] == pytest.approx(abs(2 - 0.5 * (real[:, :D] @ row).mean()), rel=1e-3)
    assert found["score"] == pytest.approx(found["r"] - 0.25 * np.log(2), rel=1e-3)
    assert validation_figures(SPACE, [("a", -real, real)])["r"] < 0.5


def test_people_count_alike_and_a_still_head_has_no_speed():
    real = moving(0)
    clips = [("a", real, real)] * 3 + [("b", 0.25 * real, real)]
    found = validation_figures(SPACE, [(person, made[:, :D], true) for person, made, true in clips])
    assert found["spread"] == pytest.approx((1 + 0.25) / 2, rel=1e-3)
    assert "head_speed" not in found
