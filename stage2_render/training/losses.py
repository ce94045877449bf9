"""Losses on decoded images: FD2Talk eq. 13-15, and terms that keep the warp where it is right (not in the paper)."""

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


def blended(warped: Tensor, content: Tensor, opacity: Tensor) -> Tensor:
    """Blend the decoder's images over the warp: float32 [B, 3, H, W]."""
    warped = warped.float()
    return warped + opacity.float() * (content.float() - warped)


def reconstruction_loss(
    predicted: Tensor,
    target: Tensor,
    warped: Tensor | None,
    perceptual: SqueezeDistance | LPIPS | None,
    *,
    squared: bool = False,
    perceptual_weight: float = 0.2,
    keep_weight: float = 0.5,
) -> tuple[Tensor, dict[str, Tensor]]:
    """Compute L_e&d = lambda_rec L_rec + lambda_per L_per (eq. 15), and, with a warp, a term L_keep (not in the paper).

    L_keep is the mean over pixels of max(0, |predicted - target| - |warped - target|): an error where the warp is right
    costs more than one where it is wrong.

    Args:
        predicted: images [B, 3, H, W] in [-1, 1].
        target: real images of that shape.
        warped: warped images of that shape; None: without L_keep.
        perceptual: phi of eq. 14; None: without L_per.
        squared: L_rec is the squared error, as in eq. 13; else the absolute error, which keeps edges sharper.
        perceptual_weight: lambda_per of eq. 15, with lambda_rec = 1.
        keep_weight: of L_keep.

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
    if warped is not None:
        parts["keep"] = (error - (warped - target).abs()).clamp(min=0).mean()
        loss = loss + keep_weight * parts["keep"]
    return loss, parts


ReconstructionWeights = Annotated[
    dict[str, Any], Arguments(reconstruction_loss, ("predicted", "target", "warped", "perceptual"))
]
"""Settings of `reconstruction_loss`, as a section of a config."""


def detail_transfer_loss(
    content: Tensor,
    opacity: Tensor,
    target: Tensor,
    warped: Tensor,
    perceptual: SqueezeDistance | LPIPS | None,
    *,
    content_weight: float,
    opacity_weight: float,
    mask: Tensor | float = 1.0,
    **weights: Any,
) -> tuple[Tensor, dict[str, Tensor]]:
    """Compute eq. 15 on the decoder's images blended over the warp, and regularise both outputs of the decoder.

    Args:
        content: the decoder's images [B, 3, H, W].
        opacity: the decoder's opacities [B, 1, H, W].
        target: real images [B, 3, H, W].
        warped: warped images [B, 3, H, W].
        perceptual: see `reconstruction_loss`.
        content_weight: of the absolute error of `content` itself, also where the opacity is low.
        opacity_weight: of the mean opacity: the warp stays where both are equally good.
        mask: factor of the opacity [B, 1, H, W]: 0 where the frame keeps the warp.
        weights: of `reconstruction_loss`.

    Returns:
        The loss, and its terms without their weights.
    """
    images = blended(warped, content, opacity * mask)
    loss, parts = reconstruction_loss(images, target, warped, perceptual, **weights)
    parts |= {"content": (content.float() - target).abs().mean(), "opacity": opacity.mean()}
    return loss + content_weight * parts["content"] + opacity_weight * parts["opacity"], parts
