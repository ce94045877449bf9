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
    ones = dict.fromkeys(("score", "r", "spread", "speed", "head_speed", "head_trembling"), 1)
    assert found == pytest.approx({**ones, "level": 0}, abs=1e-5)


def test_size_level_and_sign():
    real, row = moving(0), SPACE.gap_row()
    half = 0.5 * real
    half[:, :D] += 2.0 * row / (row @ row)  # the gap is 2 mm wider
    found = validation_figures(SPACE, [("a", half, real)])
    assert (found["spread"], found["speed"], found["head_speed"]) == pytest.approx((0.5, 0.5, 0.5), rel=1e-3)
    assert found["level"] == pytest.approx(abs(2 - 0.5 * (real[:, :D] @ row).mean()), rel=1e-3)
    assert found["score"] == pytest.approx(found["r"] - 0.25 * np.log(2), rel=1e-3)
    assert validation_figures(SPACE, [("a", -real, real)])["r"] < 0.5


def test_a_trembling_translation_is_seen():
    """One that goes where the real one goes, a little beside it in every other frame; its rotation is right."""
    space = MotionSpace(MODEL, np.ones(D, np.float32), np.array([1, 1, 1, 0.1, 0.2, 0.3], np.float32))
    time = np.arange(60) / 25
    real = moving(0)
    real[:, D + 3 :] = np.stack([np.sin(time), np.sin(2 * time), np.cos(time)], axis=1)
    made = real.copy()
    made[1::2, D + 4] += 0.05
    found = validation_figures(space, [("a", made, real)])

    def shaking(motion):
        steps = motion[2:] - 2 * motion[1:-1] + motion[:-2]
        return np.sqrt(((steps[:, D + 3 :] * (0.1, 0.2, 0.3)) ** 2).sum(1)).mean()

    assert found["head_trembling"] == pytest.approx(shaking(made) / shaking(real), rel=1e-4)
    assert found["head_trembling"] > 10 and found["head_speed"] == pytest.approx(1, abs=1e-5)
    # Movement to and fro that real heads have, too, is none.
    assert validation_figures(space, [("a", 2 * real, real)])["head_trembling"] == pytest.approx(2, rel=1e-4)


def test_people_count_alike_and_a_still_head_has_no_speed():
    real = moving(0)
    clips = [("a", real, real)] * 3 + [("b", 0.25 * real, real)]
    found = validation_figures(SPACE, [(person, made[:, :D], true) for person, made, true in clips])
    assert found["spread"] == pytest.approx((1 + 0.25) / 2, rel=1e-3)
    assert "head_speed" not in found
