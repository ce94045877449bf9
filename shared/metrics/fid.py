"""Frechet distance between two sets of features; with those of Inception, the Frechet Inception distance (FID)."""

from __future__ import annotations

import numpy as np

from shared.errors import InputError


def frechet_distance(features_generated: np.ndarray, features_real: np.ndarray) -> float:
    """Frechet distance of the Gaussians with the two sets' means and covariances; lower is better, 0 for equal sets.

    Heusel et al. 2017, "GANs trained by a two time-scale update rule converge to a local Nash equilibrium", eq. 6:

        d^2 = |m1 - m2|^2 + Tr(C1 + C2 - 2 (C1 C2)^(1/2))      (d^2 is the value commonly called FID)

    with C the unbiased covariances (divided by n - 1). The trace of the root is the sum of the singular values of A1
    A2^T, where A is the centred set over sqrt(n - 1) (C = A^T A), so that no root of a singular matrix is computed.

    Protocol: whole frames, resized to 299 x 299 pixels by the network's own bilinear resizing. Generated and real
    frames should have one size and come from the same instants of the same clips, pooled over all clips: the mean of
    the clips' own distances is another number.

    Trap: the estimate is biased: it falls with n towards the true value, and with n < D both covariances are singular
    and the excess is large. Numbers are comparable only at equal n and m, hence not with papers that used other frames.

    Args:
        features_generated: [n, D]; for FID `shared.metrics.inception.Inception.features` (D 2048).
        features_real: [m, D].

    Raises:
        InputError: fewer than two samples in a set, different D, values that are not finite.
    """
    generated, real = (np.asarray(features, np.float64) for features in (features_generated, features_real))
    if generated.ndim != 2 or real.ndim != 2 or generated.shape[1] != real.shape[1]:
        shapes = f"{list(generated.shape)} and {list(real.shape)}"
        raise InputError(f"sets of features must be [n, D] and [m, D], not {shapes}")
    if min(len(generated), len(real)) < 2:
        raise InputError("a Frechet distance needs at least two images in either set")
    if not (np.isfinite(generated).all() and np.isfinite(real).all()):
        raise InputError("features for a Frechet distance must be finite")
    a, b = _factor(generated), _factor(real)
    root = np.linalg.svd(a @ b.T, compute_uv=False).sum()
    squared = np.square(generated.mean(0) - real.mean(0)).sum() + np.square(a).sum() + np.square(b).sum() - 2 * root
    return max(float(squared), 0.0)


def _factor(features: np.ndarray) -> np.ndarray:
    """Features [n, D] -> A [min(n, D), D] with A^T A the covariance."""
    centred = (features - features.mean(0)) / np.sqrt(len(features) - 1)
    return np.asarray(np.linalg.qr(centred, mode="r")) if len(features) > features.shape[1] else centred
