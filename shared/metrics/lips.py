"""Lip sync on curves of lip aperture: correlation, lag, closure on bilabials."""

from __future__ import annotations

import numpy as np


def best_lag_correlation(made: np.ndarray, real: np.ndarray, max_lag: int = 2) -> tuple[float, int]:
    """Pearson correlation of two curves [T] at the lag within +-max_lag frames where it is highest.

    Returns (r, lag): lag > 0 when `made` comes late. Higher is better; a constant curve correlates 0.
    Protocol of docs/results.md: curves of `shared.face_model.measures.lip_aperture` at 25 fps.
    """
    length = min(len(made), len(real))
    made, real = np.asarray(made[:length], float), np.asarray(real[:length], float)
    best = (-np.inf, 0)
    for lag in range(-max_lag, max_lag + 1):
        a = made[max(lag, 0) : length + min(lag, 0)]
        b = real[max(-lag, 0) : length + min(-lag, 0)]
        if len(a) < 3 or a.std() < 1e-9 or b.std() < 1e-9:
            r = 0.0
        else:
            r = float(np.corrcoef(a, b)[0, 1])
        best = max(best, (r, lag), key=lambda pair: (pair[0], -abs(pair[1])))
    return best


def spread_and_speed(made: np.ndarray, real: np.ndarray) -> tuple[float, float]:
    """Standard deviation, and mean absolute frame-to-frame step, of `made` over those of `real`; 1 is natural."""
    return (
        float(np.std(made) / max(np.std(real), 1e-9)),
        float(np.abs(np.diff(made)).mean() / max(np.abs(np.diff(real)).mean(), 1e-9)),
    )


def closure_rate(aperture: np.ndarray, moments: np.ndarray, fps: float = 25.0, within: int = 2) -> float:
    """Share of moments (seconds: middles of b, p, m) at which the aperture [T] falls to its lowest quarter within
    +-`within` frames. Higher is better; nan without moments inside the curve."""
    threshold = np.percentile(aperture, 25)
    closed = []
    for moment in moments:
        frame = int(round(moment * fps))
        if 0 <= frame < len(aperture):
            closed.append(aperture[max(0, frame - within) : frame + within + 1].min() <= threshold)
    return float(np.mean(closed)) if closed else float("nan")
