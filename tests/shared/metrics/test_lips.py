"""Lip-sync figures on curves whose result is known."""

import numpy as np
import pytest
from scipy import stats

from shared.errors import InputError
from shared.metrics.lips import (
    best_lag_correlation,
    closure_rate,
    mean_sample_correlation,
    rounding,
    sample_correlation,
    spread_and_speed,
)


def curve(frames: int = 200, seed: int = 0) -> np.ndarray:
    return np.convolve(np.random.default_rng(seed).normal(size=frames + 4), np.ones(5) / 5, "valid")


def test_identical_curves_correlate_fully_at_lag_zero():
    assert best_lag_correlation(curve(), curve()) == (pytest.approx(1.0), 0)


@pytest.mark.parametrize("lag", [-2, -1, 1, 2])
def test_a_shift_is_found(lag):
    real = curve(220)
    generated = np.roll(real, lag)[10:210]
    assert best_lag_correlation(generated, real[10:210]) == (pytest.approx(1.0), lag)


def test_a_longer_shift_than_allowed_is_not_forgiven():
    real = curve(240)
    assert best_lag_correlation(np.roll(real, 9)[20:220], real[20:220])[0] < 0.5


def test_unrelated_and_constant_curves():
    assert abs(best_lag_correlation(curve(2000, 1), curve(2000, 2))[0]) < 0.2
    assert best_lag_correlation(np.ones(50), curve(50)) == (0.0, 0)


def test_correlation_against_numpy_at_each_lag():
    generated, real = curve(60, 3), curve(60, 4)
    by_hand = [np.corrcoef(generated[2:], real[:-2])[0, 1], np.corrcoef(generated[1:], real[:-1])[0, 1],
               np.corrcoef(generated, real)[0, 1],
               np.corrcoef(generated[:-1], real[1:])[0, 1], np.corrcoef(generated[:-2], real[2:])[0, 1]]  # fmt: skip
    assert best_lag_correlation(generated, real)[0] == pytest.approx(max(by_hand))


def pearson(a, b):
    """The textbook's, number by number."""
    a, b = [x - sum(a) / len(a) for x in a], [x - sum(b) / len(b) for x in b]
    return sum(x * y for x, y in zip(a, b)) / (sum(x * x for x in a) * sum(y * y for y in b)) ** 0.5


@pytest.mark.parametrize("frames", [3, 4, 5, 9, 40])
def test_the_best_of_the_lags_against_a_loop(frames):
    for seed in range(5):
        generated, real = curve(frames, seed), curve(frames, seed + 50)
        by_lag = {}
        for lag in range(-2, 3):
            both = [(generated[t], real[t - lag]) for t in range(frames) if 0 <= t - lag < frames]
            if len(both) >= 3:
                by_lag[lag] = pearson(*zip(*both))
        best = max(by_lag, key=by_lag.get)
        assert best_lag_correlation(generated, real) == (pytest.approx(by_lag[best], abs=1e-4), best)


def test_lips_that_move_against_the_real_ones_are_negative():
    ramp = np.arange(4.0)  # lags of 2 would leave two frames, which say nothing
    assert best_lag_correlation(-ramp, ramp) == (pytest.approx(-1), 0)


def test_curves_that_say_nothing_have_no_figures():
    broken = curve()
    broken[7] = np.nan
    for generated, real in ((broken, curve()), (curve(), broken), (curve()[:2], curve()[:2]), ([], [])):
        r, lag = best_lag_correlation(generated, real)
        assert np.isnan(r) and lag == 0
    for generated, real in ((broken, curve()), (curve(), broken), ([1.0], [1.0]), ([], []), (curve(), np.ones(200))):
        assert np.isnan(spread_and_speed(generated, real)).all()
    assert np.isnan(closure_rate(broken, [1.0])) and np.isnan(closure_rate([], [1.0]))


def test_other_shapes_are_refused():
    for figure in (best_lag_correlation, spread_and_speed, closure_rate):
        with pytest.raises(InputError, match="one dimension"):
            figure(np.ones((5, 2)), np.ones(5))
    with pytest.raises(InputError, match="seconds"):
        closure_rate(curve(), [np.nan])


def test_spread_and_speed_are_ratios():
    assert spread_and_speed(3 * curve(), curve()) == (pytest.approx(3.0), pytest.approx(3.0))
    generated, real = curve(30, 5), curve(30, 6)
    middle = [sum(c) / 30 for c in (generated, real)]
    spread = [(sum((x - m) ** 2 for x in c) / 30) ** 0.5 for c, m in zip((generated, real), middle)]
    speed = [sum(abs(c[t] - c[t - 1]) for t in range(1, 30)) / 29 for c in (generated, real)]
    by_hand = (spread[0] / spread[1], speed[0] / speed[1])
    assert spread_and_speed(generated, real) == pytest.approx(by_hand, abs=1e-4)
    assert spread_and_speed(np.ones(30), real) == pytest.approx((0, 0))


def test_closure_counts_moments_near_the_lowest_quarter():
    aperture = np.ones(100)
    aperture[[20, 50]] = 0.0
    aperture[72:] = 0.2  # with these the lowest quarter reaches up to 0.2
    moments = np.array([20, 48, 53, 30, 99]) / 25
    assert closure_rate(aperture, moments) == pytest.approx(3 / 5)
    assert np.isnan(closure_rate(aperture, np.array([])))


def test_closure_against_a_loop():
    aperture, moments = np.abs(curve(150, 7)), np.random.default_rng(8).uniform(-0.5, 6.5, 40)
    lowest_quarter = sorted(aperture)[37] + 0.25 * (sorted(aperture)[38] - sorted(aperture)[37])  # at 149 / 4 = 37.25
    passed = []
    for moment in moments:
        frame = round(moment * 25)
        if 0 <= frame < 150:
            near = [aperture[f] for f in range(frame - 2, frame + 3) if 0 <= f < 150]
            passed.append(min(near) <= lowest_quarter)
    assert 0 < sum(passed) < len(passed) < 40
    assert closure_rate(aperture, moments) == pytest.approx(sum(passed) / len(passed), abs=1e-4)


def test_lips_that_never_open_do_not_close():
    trembling = 0.05 + 0.0005 * curve(100)  # a photo in every frame, tracked
    for lips in (np.zeros(100), np.full(100, 0.1), trembling):
        assert closure_rate(lips, np.array([1.0, 2.0])) == 0.0
    assert closure_rate(np.where(np.arange(100) % 10 < 5, 0.0, 0.02), np.array([1.0, 2.0])) == 1.0


def test_samples_that_move_alike_correlate():
    a, b, c = curve(seed=0), curve(seed=1), curve(seed=2)
    pairs = [stats.pearsonr(one, other)[0] for one, other in ((a, b), (a, c), (b, c))]
    assert sample_correlation(np.stack([a, b, c])) == pytest.approx(np.mean(pairs))
    assert sample_correlation(np.stack([a, 2 * a + 1])) == pytest.approx(1)
    assert sample_correlation(np.stack([a, -a])) == pytest.approx(-1)
    for wrong in (a, a[None], np.stack([a, b])[..., None]):
        with pytest.raises(InputError, match="at least two samples"):
            sample_correlation(wrong)


def test_the_mean_of_samples_is_compared_with_the_real_lips():
    """What samples have in common stays, what one invents cancels out; the lag is of the mean."""
    real, noise = curve(220), curve(220, seed=1)
    pair = np.stack([real + noise, real - noise])
    assert best_lag_correlation(pair[0], real)[0] < 0.85 < 0.999 < mean_sample_correlation(pair, real)
    samples = np.stack([real, 3 * noise, curve(220, seed=2)])
    mean = [sum(sample[t] for sample in samples) / 3 for t in range(220)]
    lags = [stats.pearsonr(mean[2:], real[:-2])[0], stats.pearsonr(mean[1:], real[:-1])[0],
            stats.pearsonr(mean, real)[0],
            stats.pearsonr(mean[:-1], real[1:])[0], stats.pearsonr(mean[:-2], real[2:])[0]]  # fmt: skip
    assert mean_sample_correlation(samples, real) == pytest.approx(max(lags))
    assert mean_sample_correlation(np.roll(pair, 2, axis=1)[:, 10:210], real[10:210]) == pytest.approx(1, abs=1e-3)
    with pytest.raises(InputError, match="at least two samples"):
        mean_sample_correlation(real[None], real)


def test_rounding_is_the_difference_of_mean_widths_in_standard_deviations():
    width = np.array([3, 3, 5, 6, 7, 3, 3, 3, 1, 0, 2, 3, 3], float)
    wide, rounded = np.array([3 / 25]), np.array([9.2 / 25, 20.0])  # the last one is outside the curve
    expected = ((5 + 6 + 7) / 3 - (1 + 0 + 2) / 3) / np.sqrt(np.mean((width - width.mean()) ** 2))
    assert rounding(width, wide, rounded) == pytest.approx(expected) and expected > 0
    assert rounding(width, rounded[:1], wide) == pytest.approx(-expected)
    assert np.isnan(rounding(width, wide, [])) and np.isnan(rounding(np.ones(9), [0.1], [0.2]))
    with pytest.raises(InputError, match="number of seconds"):
        rounding(width, [np.nan], wide)
