"""Lip-sync figures on curves whose answer is known."""

import numpy as np
import pytest

from shared.face_model.measures import lip_aperture
from shared.metrics.lips import best_lag_correlation, closure_rate, spread_and_speed


def curve(frames: int = 200, seed: int = 0) -> np.ndarray:
    return np.convolve(np.random.default_rng(seed).normal(size=frames + 4), np.ones(5) / 5, "valid")


def test_identical_curves_correlate_fully_at_lag_zero():
    assert best_lag_correlation(curve(), curve()) == (pytest.approx(1.0), 0)


@pytest.mark.parametrize("lag", [-2, -1, 1, 2])
def test_a_shift_is_found(lag):
    real = curve(220)
    made = np.roll(real, lag)[10:210]
    assert best_lag_correlation(made, real[10:210]) == (pytest.approx(1.0), lag)


def test_a_longer_shift_than_allowed_is_not_forgiven():
    real = curve(240)
    assert best_lag_correlation(np.roll(real, 9)[20:220], real[20:220])[0] < 0.5


def test_unrelated_and_constant_curves():
    assert abs(best_lag_correlation(curve(2000, 1), curve(2000, 2))[0]) < 0.2
    assert best_lag_correlation(np.ones(50), curve(50)) == (0.0, 0)


def test_correlation_against_numpy_at_each_lag():
    made, real = curve(60, 3), curve(60, 4)
    by_hand = [np.corrcoef(made[2:], real[:-2])[0, 1], np.corrcoef(made[1:], real[:-1])[0, 1],
               np.corrcoef(made, real)[0, 1],
               np.corrcoef(made[:-1], real[1:])[0, 1], np.corrcoef(made[:-2], real[2:])[0, 1]]  # fmt: skip
    assert best_lag_correlation(made, real)[0] == pytest.approx(max(by_hand))


def test_spread_and_speed_are_ratios():
    assert spread_and_speed(3 * curve(), curve()) == (pytest.approx(3.0), pytest.approx(3.0))


def test_closure_counts_moments_near_the_lowest_quarter():
    aperture = np.ones(100)
    aperture[[20, 50]] = 0.0
    aperture[72:] = 0.2  # with these the lowest quarter reaches up to 0.2
    moments = np.array([20, 48, 53, 30, 99]) / 25
    assert closure_rate(aperture, moments) == pytest.approx(3 / 5)
    assert np.isnan(closure_rate(aperture, np.array([])))


def test_aperture_has_no_unit_and_no_pose():
    rng = np.random.default_rng(0)
    points = rng.normal(size=(478, 3))
    turn, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    assert lip_aperture(points @ turn * 7.0 + 3.0) == pytest.approx(lip_aperture(points))
