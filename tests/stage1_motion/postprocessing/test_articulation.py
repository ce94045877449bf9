"""Articulation scales what is fast and leaves what is slow."""

import numpy as np
import pytest

from stage1_motion.postprocessing.articulation import articulated

TIME = np.arange(200) / 25
MIDDLE = slice(25, 175)


@pytest.mark.parametrize(("articulation", "factor"), [(0.0, 0.0), (0.5, 0.5), (1.0, 1.0), (1.5, 1.5)])
def test_movements_of_five_hertz_are_scaled_and_slow_ones_stay(articulation, factor):
    fast, slow = np.sin(2 * np.pi * 5 * TIME)[:, None], np.sin(2 * np.pi * 0.3 * TIME)[:, None]
    made = articulated(fast, articulation, 25)
    assert made[MIDDLE].std() / fast[MIDDLE].std() == pytest.approx(factor, abs=0.05)
    assert articulated(slow, articulation, 25)[MIDDLE] == pytest.approx(slow[MIDDLE], abs=0.08)


def test_frequencies_are_those_of_time_not_of_frames():
    def loudest(fps):
        curve = np.sin(2 * np.pi * 1.5 * np.arange(8 * fps) / fps)[:, None]
        return articulated(curve, 2.0, fps)[2 * fps : 6 * fps].std()

    assert loudest(25) == pytest.approx(loudest(50), rel=0.02)


def test_one_changes_nothing_and_a_constant_face_has_nothing_to_scale():
    curve = np.random.default_rng(0).normal(size=(50, 4)).astype(np.float32)
    assert articulated(curve, 1.0, 25) == pytest.approx(curve, abs=1e-6)
    assert articulated(np.ones((9, 2), np.float32), 3.0, 25) == pytest.approx(np.ones((9, 2)), abs=1e-6)
