"""Losses on painted pictures (FD2Talk eq. 13-15, and what keeps the warp where it is right)."""

from __future__ import annotations

import torch
from torch import Tensor

from shared.metrics.perceptual import SqueezeDistance

# Pixels by which pictures are moved, at random, before the perceptual network sees them.
_SHIFT = 16


def blended(warped: Tensor, content: Tensor, opacity: Tensor) -> Tensor:
    """The picture laid over the warp: float32 [B, 3, H, W]."""
    warped = warped.float()
    return warped + opacity.float() * (content.float() - warped)


def picture_loss(
    made: Tensor,
    target: Tensor,
    warped: Tensor | None,
    perceptual: SqueezeDistance | None,
    *,
    perceptual_weight: float = 0.2,
    keep_weight: float = 0.5,
    squares: bool = False,
) -> tuple[Tensor, dict[str, Tensor]]:
    """L1 + perceptual distance + what is worse than in the warp. Pictures [B, 3, H, W] in [-1, 1].

    squares: in the place of L1, as eq. 13 has it; L1 keeps edges.
    The last term is the mean over pixels of max(0, |made - target| - |warped - target|): changing what the warp already
    has right costs more than leaving what it has wrong.
    """
    error = (made.float() - target).abs()
    loss = error.square().mean() if squares else error.mean()
    parts = {"squares" if squares else "l1": loss}
    if perceptual is not None:
        # The network looks every few pixels. Always at the same ones, it would leave their grid in what is painted.
        row, column = torch.randint(_SHIFT, (2,)).tolist()
        height, width = (size - _SHIFT for size in made.shape[-2:])
        seen = (one[..., row : row + height, column : column + width] for one in (made.float().clamp(-1, 1), target))
        parts["perceptual"] = perceptual(*((one + 1) / 2 for one in seen)).mean()
        loss = loss + perceptual_weight * parts["perceptual"]
    if warped is not None:
        parts["worse"] = (error - (warped - target).abs()).clamp(min=0).mean()
        loss = loss + keep_weight * parts["worse"]
    return loss, parts
