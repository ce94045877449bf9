"""Lip sync on curves of lip aperture: correlation, lag, spread, speed, closure on bilabials.

Curves are `shared.face_model.measures.lip_aperture`, [T]: the inner lips' distance over that of the outer eye corners,
at 25 frames a second. The papers do not define these figures; they are this project's own, the same in all its tables.
"""

from __future__ import annotations

import numpy as np

from shared.errors import InputError

_FEWEST = 3  # frames: two always correlate fully
_CONSTANT = 1e-9
_LEAST_OPENING = 0.005  # of the distance of the eye corners, .45 mm; the tracker's noise on a photo's lips is a third


def best_lag_correlation(generated: np.ndarray, real: np.ndarray, max_lag: int = 2) -> tuple[float, int]:
    """Pearson correlation, -1 to 1, higher is better, at the lag in frames where it is highest; 0 is best: (r, lag).

        r(l) = corr over t of (generated[t], real[t - l]),  l = -max_lag .. max_lag over the frames that both have
        lag = argmax r, of equal ones the nearest to 0;  > 0: `generated` is late

    A constant curve correlates 0. A lag that leaves fewer than 3 frames does not count; (nan, 0) if no lag counts or a
    frame is NaN. Protocol: lags of ±2 frames (80 ms), which are imperceptible. Insensitive to the opening itself
    (`spread_and_speed`). Trap: the best of five lags is above 0 for unrelated curves too: .11 for other people's
    speech, .15 for two seconds. Source: this project's own.

    Args:
        generated: [T].
        real: [T]; of curves of different lengths the beginnings are compared.
        max_lag: frames.

    Raises:
        InputError: not [T].
    """
    generated, real = _curves(generated, real)
    length = min(len(generated), len(real))
    generated, real = generated[:length], real[:length]
    if np.isnan(generated).any() or np.isnan(real).any():
        return float("nan"), 0
    lags = [lag for lag in range(-max_lag, max_lag + 1) if length - abs(lag) >= _FEWEST]
    found = []
    for lag in lags:
        late, early = max(lag, 0), max(-lag, 0)
        found.append((_correlation(generated[late : length - early], real[early : length - late]), lag))
    return max(found, key=lambda pair: (pair[0], -abs(pair[1])), default=(float("nan"), 0))


def _correlation(a: np.ndarray, b: np.ndarray) -> float:
    return 0.0 if min(a.std(), b.std()) < _CONSTANT else float(np.corrcoef(a, b)[0, 1])


def spread_and_speed(generated: np.ndarray, real: np.ndarray) -> tuple[float, float]:
    """Range and speed of the lips as shares of the real ones'; without unit, 1 is natural.

        spread = std_t generated / std_t real
        speed = mean_t |generated[t] - generated[t-1]| / mean_t |real[t] - real[t-1]|

    NaN where the real curve is constant, has a single frame, or a frame is NaN.
    Protocol: per clip. Trap: noise and trembling count as speed.
    Source: this project's own.

    Args:
        generated: [T].
        real: [T].

    Raises:
        InputError: not [T].
    """
    generated, real = _curves(generated, real)
    if min(len(generated), len(real)) < 2:
        return float("nan"), float("nan")
    both = [(curve.std(), np.abs(np.diff(curve)).mean()) for curve in (generated, real)]
    spread, speed = (float(a / b) if b > _CONSTANT else float("nan") for a, b in zip(*both))
    return spread, speed


def closure_rate(aperture: np.ndarray, moments: np.ndarray, fps: float = 25.0, within: int = 2) -> float:
    """Share of moments at which the lips close, 0 to 1; higher is better.

        1/K sum_k [min of aperture[f_k - within .. f_k + within] <= its 25th percentile],  f_k = round(moment_k fps)

    Moments outside the curve do not count; NaN without any, or where a frame is NaN. 0 for lips whose quartiles are
    less than .005 apart: a mouth that never opens does not close. Protocol: the threshold is each curve's own, so that
    a face with parted lips at rest is not penalised. Traps: random moments pass too, .44 of them in real speech; in a
    clip that is silent for more than a quarter of its time the threshold is the mouth at rest, which a closure amid
    speech may not reach. Source: this project's own.

    Args:
        aperture: [T].
        moments: [K] seconds, the middles of b, p and m.
        fps: frames per second.
        within: frames to either side of a moment.

    Raises:
        InputError: not [T], or moments that are not finite.
    """
    aperture, moments = _curves(aperture, moments)
    if not np.isfinite(moments).all():
        raise InputError("a moment of a closure must be a number of seconds")
    frames = np.rint(moments * fps).astype(int)
    frames = frames[(frames >= 0) & (frames < len(aperture))]
    if not len(frames) or np.isnan(aperture).any():
        return float("nan")
    threshold, upper = np.percentile(aperture, (25, 75))
    if upper - threshold < _LEAST_OPENING:
        return 0.0
    return float(np.mean([aperture[max(0, f - within) : f + within + 1].min() <= threshold for f in frames]))


def rounding(width: np.ndarray, wide: np.ndarray, rounded: np.ndarray, fps: float = 25.0, within: int = 1) -> float:
    """How much narrower the mouth is on rounded sounds (o, u, w) than on wide ones (e, i); higher is better.

        (mean_k width at wide_k - mean_k width at rounded_k) / std_t width,  each the mean of ±`within` frames

    1.9 in the one talker of whom it was measured (docs/results.md); 0 without rounding; NaN where a kind has no moment
    inside the curve, or the width is constant. Trap: the difference is in units of the curve's own spread, so a mouth
    that moves little but rightly scores high. Source: this project's own.

    Args:
        width: [T], the distance of the mouth's corners.
        wide: [K] seconds, the middles of e and i.
        rounded: [L] seconds, the middles of o, u and w.
        fps: frames per second.
        within: frames to either side of a moment.

    Raises:
        InputError: not [T], or moments that are not finite.
    """
    width, wide, rounded = _curves(width, wide, rounded)
    if not (np.isfinite(wide).all() and np.isfinite(rounded).all()):
        raise InputError("a moment of a phone must be a number of seconds")
    means = []
    for moments in (wide, rounded):
        frames = np.rint(moments * fps).astype(int)
        inside = frames[(frames >= 0) & (frames < len(width))]
        means.append(
            np.mean([width[max(0, f - within) : f + within + 1].mean() for f in inside]) if len(inside) else np.nan
        )
    spread = width.std()
    return float((means[0] - means[1]) / spread) if spread > _CONSTANT else float("nan")


def sample_correlation(samples: np.ndarray) -> float:
    """Pearson correlation of the lips of two samples of one recording, mean over pairs of samples: -1 to 1.

    1 where every seed moves the lips alike, lower the more the samples vary; a constant curve correlates 0. Trap: lips
    that do not follow the speech vary too, so read it beside the correlation with the real lips. Source: this
    project's own.

    Args:
        samples: [S, T], the curves of S samples.

    Raises:
        InputError: fewer than two samples, or another shape.
    """
    samples = _samples(samples)
    return float(np.mean([_correlation(a, b) for i, a in enumerate(samples) for b in samples[i + 1 :]]))


def mean_sample_correlation(samples: np.ndarray, real: np.ndarray, max_lag: int = 2) -> float:
    """Correlation of the real lips with the mean of several samples of one recording; -1 to 1, higher is better.

        best_lag_correlation(1/S sum_s samples[s], real)

    What a model knows of the lips, without what a single sample invents beside it; with few samples the two are not
    told apart, so compare figures of equally many. Trap: a model whose seeds all agree gains nothing by the mean.
    Source: this project's own.

    Args:
        samples: [S, T], the curves of S samples.
        real: [T].
        max_lag: frames.

    Raises:
        InputError: fewer than two samples, or another shape.
    """
    samples = _samples(samples)
    return best_lag_correlation(samples.mean(0), real, max_lag)[0]


def _samples(samples: np.ndarray) -> np.ndarray:
    samples = np.asarray(samples, float)
    if samples.ndim != 2 or len(samples) < 2:
        raise InputError(f"samples have shape {list(samples.shape)}, expected [S, T] with at least two samples")
    return samples


def _curves(*curves: np.ndarray) -> list[np.ndarray]:
    arrays = [np.asarray(curve, float) for curve in curves]
    for curve in arrays:
        if curve.ndim != 1:
            raise InputError(f"a curve over time has shape {list(curve.shape)}, expected one dimension")
    return arrays
