"""phi of L_per (eq. 14): the network in whose features generated and real images are compared."""

from __future__ import annotations

from shared.metrics.lpips import LPIPS
from shared.metrics.metric_networks import find_metric_network
from shared.metrics.perceptual import SqueezeDistance


def perceptual_network(name: str | None) -> SqueezeDistance | LPIPS | None:
    """Load the network that a config names.

    Args:
        name: `lpips_vgg` or `lpips_alex` (the package lpips, its trunk found as for `fd2talk evaluate`), or a file of
            weights of `SqueezeDistance`; None: without L_per.

    Raises:
        InputError: a file is missing or something else, or the package is not installed.
    """
    if name == "lpips_vgg":
        return LPIPS("vgg", find_metric_network("lpips_vgg_trunk"))
    if name == "lpips_alex":
        return LPIPS("alex", find_metric_network("lpips_alex_trunk"))
    return SqueezeDistance(name) if name else None
