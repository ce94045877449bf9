"""Measures of lips, lids and gaze."""

import numpy as np
import pytest

from shared.face_model.measures import gaze, lid_gap, lip_aperture, lip_gap


def test_measures_follow_the_directions_that_bear_their_names(model):
    zero = np.zeros(model.num_identity)

    def at(direction: np.ndarray, amount: float) -> np.ndarray:
        return model.vertices(zero, direction * amount)

    still = model.vertices(zero, np.zeros(model.num_expression))
    opened = at(model.extra["open"], 8)
    assert lip_gap(opened) - lip_gap(still) == pytest.approx(8, abs=2)
    assert lip_aperture(opened) > lip_aperture(still) + 0.05
    assert lid_gap(at(model.extra["blink"], 4)) - lid_gap(still) == pytest.approx(-4, abs=1.5)
    # It is the upper lid that falls.
    moved = (at(model.extra["blink"], 4) - still)[:, 1]
    assert all(moved[upper] < -4 * abs(moved[lower]) for upper, lower in ((159, 145), (386, 374)))
    looked = gaze(at(model.extra["gaze"][0], 2)) - gaze(still)
    assert looked[0] == pytest.approx(2, abs=0.8) and abs(looked[1]) < 0.5
    # A blink leaves the lips alone.
    lips = model.groups["lips"]
    assert np.abs(at(model.extra["blink"], 4) - still)[lips].max() < 0.5


def test_aperture_has_no_unit_and_no_pose():
    rng = np.random.default_rng(0)
    points = rng.normal(size=(478, 3))
    turn, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    assert lip_aperture(points @ turn * 7.0 + 3.0) == pytest.approx(lip_aperture(points))
