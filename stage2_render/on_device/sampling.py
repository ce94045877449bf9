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


def averaging(before: Tensor, after: Tensor, rows: int, columns: int) -> Tensor:
    """Return the matrices that reduce a row of pixels by averaging, as `cv2.INTER_AREA` does.

    Args:
        before: number of pixels of each frame's row, float64 [B].
        after: the number that it is reduced to, [B].
        rows: of the matrices; those after the last pixel repeat it.
        columns: of the matrices; those after the last pixel are 0.

    Returns:
        float32 [B, rows, columns].
    """
    step = (before / after)[:, None, None]
    first = torch.minimum(torch.arange(rows, device=before.device), (after - 1)[:, None])[..., None] * step
    cell = torch.arange(columns, device=before.device)
    shared = torch.minimum(first + step, cell + 1) - torch.maximum(first, cell)
    return (shared.clamp(0, 1) / step).float()
