"""Losses on decoded images: FD2Talk eq. 13-15."""

from __future__ import annotations

from typing import Annotated, Any

import torch
from torch import Tensor

from shared.metrics.lpips import LPIPS
from shared.metrics.perceptual import SqueezeDistance
from shared.processes import same
from shared.schema import Arguments

# Images are shifted by up to this many pixels, at random, before the perceptual network. It samples them every few
# pixels; always at the same ones, it would leave a grid artefact in the decoder's output.
_SHIFT = 16


def reconstruction_loss(
    predicted: Tensor,
    target: Tensor,
    perceptual: SqueezeDistance | LPIPS | None,
    *,
    squared: bool = False,
    perceptual_weight: float = 0.2,
) -> tuple[Tensor, dict[str, Tensor]]:
    """Compute L_e&d = lambda_rec L_rec + lambda_per L_per (eq. 15).

    Args:
        predicted: images [B, 3, H, W] in [-1, 1].
        target: real images of that shape.
        perceptual: phi of eq. 14; None: without L_per.
        squared: L_rec is the squared error, as in eq. 13; else the absolute error, which keeps edges sharper.
        perceptual_weight: lambda_per of eq. 15, with lambda_rec = 1.

    Returns:
        The loss, and its terms without their weights.
    """
    error = (predicted.float() - target).abs()
    loss = error.square().mean() if squared else error.mean()  # L_rec, eq. 13
    parts = {"l2" if squared else "l1": loss}
    if perceptual is not None:
        row, column = same(torch.randint(_SHIFT, (2,)), predicted.device).tolist()
        height, width = (size - _SHIFT for size in predicted.shape[-2:])
        images = (predicted.float().clamp(-1, 1), target)
        shifted = (one[..., row : row + height, column : column + width] for one in images)  # [B, 3, H - 16, W - 16]
        parts["perceptual"] = perceptual(*((one + 1) / 2 for one in shifted)).mean()  # L_per, eq. 14
        loss = loss + perceptual_weight * parts["perceptual"]
    return loss, parts


ReconstructionWeights = Annotated[dict[str, Any], Arguments(reconstruction_loss, ("predicted", "target", "perceptual"))]
"""Settings of `reconstruction_loss`, as a section of a config."""
