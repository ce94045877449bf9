"""Images at any places, by `grid_sample`; pixel centres are at integers."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def sample(image: Tensor, places: tuple[Tensor, Tensor], *, mode: str = "bilinear", border: str = "border") -> Tensor:
    """Return an image at places.

    Args:
        image: float32 [1 or B, C, H, W].
        places: x and y in its pixels, float32 [B, h, w].
        mode: `bilinear` or `bicubic`.
        border: what is outside the image: `border` repeats its edge, `zeros` is 0.

    Returns:
        float32 [B, C, h, w].
    """
    height, width = image.shape[2:]
    x, y = places
    grid = torch.stack([(2 * x + 1) / width - 1, (2 * y + 1) / height - 1], -1)
    return F.grid_sample(image.expand(len(x), -1, -1, -1), grid, mode, border, align_corners=False)


def sample_pixels(image: Tensor, places: tuple[Tensor, Tensor]) -> Tensor:
    """Return an image of whole numbers at places, by cubic interpolation, rounded to whole numbers of 0 to 255."""
    return sample(image, places, mode="bicubic").round_().clamp_(0, 255)


def averaging(before: Tensor, after: Tensor, shape: tuple[int, int], offset: Tensor | int = 0) -> Tensor:
    """Return the matrices that reduce rows of pixels by averaging, as `cv2.INTER_AREA` does.

    Args:
        before: number of pixels of each frame's row, float64 [B].
        after: the number that it is reduced to, [B].
        shape: rows and columns of the matrices; rows after the last pixel repeat it.
        offset: column of the first pixel, [B]; other columns are 0.

    Returns:
        float32 [B, rows, columns].
    """
    step = (before / after)[:, None, None]
    row, column = (torch.arange(n, device=before.device) for n in shape)
    first = torch.minimum(row, (after - 1)[:, None])[..., None] * step
    pixel = column - (offset[:, None, None] if isinstance(offset, Tensor) else offset)
    shared = torch.minimum(first + step, pixel + 1) - torch.maximum(first, pixel)
    return (shared.clamp(0, 1) / step).float()
