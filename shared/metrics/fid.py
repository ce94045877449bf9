"""The Frechet distance between two sets of features; with those of Inception, the Frechet Inception distance (FID)."""

from __future__ import annotations

import numpy as np

from shared.errors import InputError


def frechet_distance(features_made: np.ndarray, features_real: np.ndarray) -> float:
    """Frechet distance of the Gaussians with the two sets' means and covariances; lower is better, 0 for equal sets.

    Heusel et al. 2017, "GANs trained by a two time-scale update rule converge to a local Nash equilibrium", eq. 6:

        d^2 = |m1 - m2|^2 + Tr(C1 + C2 - 2 (C1 C2)^(1/2))      (d^2 is what everybody calls FID)

    with C the unbiased covariances (divided by n - 1). Features: [n, D] and [m, D], for FID those of
    `shared.metrics.inception.Inception.features` (D 2048): whole frames, squeezed to 299 x 299 pixels by the network's
    own bilinear resizing. Made and real frames shall come at one size and at the same instants of the same clips, and
    be pooled over all clips: the mean of the clips' own distances is another number.

    The estimate is biased: it falls with n towards the true value, and with n < D both covariances are singular and
    the excess is large. Numbers are comparable only at equal n and m, hence not with papers that took other frames.

    The trace of the root is the sum of the singular values of A1 A2^T, where A is the centred set over sqrt(n - 1)
    (C = A^T A), so no root of a singular matrix is taken.

    Raises InputError: fewer than two samples in a set, other dimensions, values that are not finite.
    """
    made, real = (np.asarray(features, np.float64) for features in (features_made, features_real))
    if made.ndim != 2 or real.ndim != 2 or made.shape[1] != real.shape[1]:
        raise InputError(f"sets of features must be [n, D] and [m, D], not {list(made.shape)} and {list(real.shape)}")
    if min(len(made), len(real)) < 2:
        raise InputError("a Frechet distance needs at least two pictures on either side")
    if not (np.isfinite(made).all() and np.isfinite(real).all()):
        raise InputError("features for a Frechet distance must be finite")
    a, b = _factor(made), _factor(real)
    root = np.linalg.svd(a @ b.T, compute_uv=False).sum()
    squared = np.square(made.mean(0) - real.mean(0)).sum() + np.square(a).sum() + np.square(b).sum() - 2 * root
    return max(float(squared), 0.0)


def _factor(features: np.ndarray) -> np.ndarray:
    """[n, D] -> A [min(n, D), D] with A^T A the covariance."""
    centred = (features - features.mean(0)) / np.sqrt(len(features) - 1)
    return np.linalg.qr(centred, mode="r") if len(features) > features.shape[1] else centred
