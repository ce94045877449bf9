"""Polygons as masks, without a rasteriser: where its rims cross a row of pixels sums to what the row covers.

A pixel of a polygon is one that `cv2.fillPoly` fills: those between two rims along its row or its column, with the
pixels that the rims go through.
"""

from __future__ import annotations

import cv2
import numpy as np
import torch
from torch import Tensor

from stage2_render.on_device.boxes import Boxes, Size
from stage2_render.on_device.planar import or_one
from stage2_render.warp.compositing import MIN_FEATHER, SHIFT, SUPERSAMPLING


def gaussian(sigma: float) -> np.ndarray:
    """Return the weights float32 [k] of `cv2.GaussianBlur` for float images; a one where the blur is invisible."""
    if sigma <= MIN_FEATHER:
        return np.ones(1, np.float32)
    return cv2.getGaussianKernel(round(8 * sigma + 1) | 1, sigma, cv2.CV_32F)[:, 0]


def soft_mask(outline: Tensor, boxes: Boxes, kernel: Tensor) -> Tensor:
    """Return the coverage of polygons, antialiased and blurred, as `compositing.soft_mask`.

    Args:
        outline: float64 [B, n, 2].
        boxes: of the masks; outside them masks are 0.
        kernel: `gaussian` of the blur.

    Returns:
        float32 [B, 1, h, w], 0 to 1.
    """
    local = (outline - boxes.start[:, None] + 0.5) * SUPERSAMPLING - 0.5
    mask = covered(local, boxes.size, SUPERSAMPLING, SHIFT) * boxes.inside
    return blurred(mask, boxes, kernel) if len(kernel) > 1 else mask


def covered(polygon: Tensor, size: Size, factor: int, shift: int) -> Tensor:
    """Return the share of each cell of `factor` x `factor` pixels that polygons cover: `filled`, `averaged`.

    Args:
        polygon: in pixels, float64 [B, n, 2].
        size: of the result, in cells.
        factor: pixels along one side of a cell.
        shift: fraction bits to which points are rounded.

    Returns:
        float32 [B, 1, h, w].
    """
    return averaged(filled(polygon, (size[0] * factor, size[1] * factor), shift), factor)


def averaged(mask: Tensor, factor: int) -> Tensor:
    """Return the means float32 [B, 1, h, w] of cells of `factor` x `factor` pixels of masks, in steps of 1 / 255."""
    share = mask.unflatten(2, (-1, factor)).unflatten(1, (-1, factor)).float().mean((2, 4))
    return (255 * share).round_()[:, None] / 255


def filled(polygon: Tensor, size: Size, shift: int) -> Tensor:
    """Return the pixels of polygons float64 [B, n, 2], points rounded to `shift` fraction bits: bool [B, h, w]."""
    width, height = size
    x, y = (torch.round(polygon * (1 << shift)) / (1 << shift)).unbind(-1)
    column, row = torch.floor(x + 0.5), torch.floor(y + 0.5)
    turn = (x * y.roll(-1, 1) - y * x.roll(-1, 1)).sum(1)
    # Clockwise on the screen: rims that begin a row go up, those that begin a column go to the right.
    clockwise = 1 - 2 * (turn < 0).to(polygon)
    return _filled(row, x, -clockwise, (width, height)) | _filled(column, row, clockwise, (height, width)).mT


def _filled(line: Tensor, place: Tensor, begins: Tensor, size: Size) -> Tensor:
    """Fill the pixels of each line between the rims that begin and end there.

    Args:
        line: the line on which each corner is, whole numbers float64 [B, n].
        place: its place along the line [B, n].
        begins: the direction, 1 or -1, in which a rim crosses lines where a polygon begins, [B].
        size: pixels in a line, and lines.

    Returns:
        bool [B, lines, pixels].
    """
    length, lines = size
    number = torch.arange(lines, device=line.device, dtype=line.dtype)
    next_line, next_place = line.roll(-1, 1), place.roll(-1, 1)
    slope = (next_place - place) / or_one(next_line - line)
    crossing = torch.floor(place[..., None] + slope[..., None] * (number - line[..., None]) + 0.5)  # [B, n, lines]
    low, high = (rim[..., None] for rim in (torch.minimum(line, next_line), torch.maximum(line, next_line)))
    crosses = (number >= low) & (number < high)
    begin = ((next_line - line) * begins[:, None] > 0)[..., None]
    at = (crossing + ~begin).clamp(0, length).long()
    index = (at + torch.arange(lines, device=line.device) * (length + 1)).flatten(1)
    change = (2 * begin.int() - 1) * crosses
    # Whole numbers: their sum does not depend on the order in which a device adds.
    changes = torch.zeros(len(line), lines * (length + 1), dtype=torch.int32, device=line.device)
    changes.scatter_add_(1, index, change.flatten(1))
    return changes.view(len(line), lines, length + 1).cumsum(2, dtype=torch.int32)[..., :length] != 0


def blurred(mask: Tensor, boxes: Boxes, kernel: Tensor) -> Tensor:
    """Blur masks [B, 1, h, w] that are mirrored at the borders of their boxes, as `cv2.GaussianBlur` of the boxes."""
    low = boxes.low - boxes.start
    count = boxes.high - boxes.low
    mask = _blurred_rows(mask, low[:, 0], count[:, 0], kernel)
    return _blurred_rows(mask.mT, low[:, 1], count[:, 1], kernel).mT * boxes.inside


def _blurred_rows(mask: Tensor, low: Tensor, count: Tensor, kernel: Tensor) -> Tensor:
    """Blur along rows, of which `count` [B] pixels from `low` [B] on belong to the image."""
    width, taps = mask.shape[-1], len(kernel)
    place = torch.arange(width + taps - 1, device=mask.device) - taps // 2 - low[:, None]
    period = (2 * count - 2).clamp_min(1)[:, None]
    place = place.remainder(period)
    place = (torch.minimum(place, period - place) + low[:, None]).clamp(0, width - 1)
    padded = mask.gather(-1, place[:, None, None].expand(-1, 1, mask.shape[2], -1))
    # Convolution as a product with a banded matrix: on a GPU convolutions may be less precise.
    tap = torch.arange(width + taps - 1, device=mask.device)[:, None] - torch.arange(width, device=mask.device)
    band = kernel[tap.clamp(0, taps - 1)] * ((tap >= 0) & (tap < taps))
    return padded @ band
