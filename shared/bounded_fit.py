"""Least squares with every weight in [0, 1], for all frames at once."""

from __future__ import annotations

import numpy as np

_STEPS = 400


def bounded_fit(shapes: np.ndarray, targets: np.ndarray, prior: np.ndarray, strength: float) -> np.ndarray:
    """Minimise |w shapes - targets|^2 + strength |w - prior|^2 over 0 <= w <= 1.

    By projected gradient steps with momentum (Beck and Teboulle, FISTA, 2009).

    Args:
        shapes: [K, F], features of a shape at weight 1.
        targets: [T, F].
        prior: [T, K], where the solution is drawn to.
        strength: of the prior; positive.

    Returns:
        float64 [T, K].
    """
    gram = shapes @ shapes.T + strength * np.eye(len(shapes))
    aim = targets @ shapes.T + strength * prior
    step = 1 / np.linalg.eigvalsh(gram)[-1]
    weights = ahead = np.clip(prior, 0, 1)
    momentum = 1.0
    for _ in range(_STEPS):
        moved = np.clip(ahead - step * (ahead @ gram - aim), 0, 1)
        following = (1 + np.sqrt(1 + 4 * momentum**2)) / 2
        ahead = moved + (momentum - 1) / following * (moved - weights)
        weights, momentum = moved, following
    return weights
