"""Helpers of the layers behind the skin: curves, soft masks, affine motions, blending."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import cv2
import numpy as np

Affine = np.ndarray
"""A planar affine motion, float [2, 3]: p -> A p + b."""

Box = tuple[int, int, int, int]
"""x0, y0, x1, y1 in pixels; the last two are exclusive."""

Layer = tuple[np.ndarray | None, np.ndarray | None, Box]
"""An image float32 [h, w, 3] and its alpha [h, w] over a box of the region; `NOTHING`: nothing is visible."""

NOTHING: Layer = (None, None, (0, 0, 0, 0))

# Masks are drawn at this multiple of the resolution, then averaged.
SUPERSAMPLING = 4
# Fixed-point fraction bits of the rasteriser.
SHIFT = 8
# A blur of fewer pixels than this is not visible.
MIN_FEATHER = 0.2
# Signed distance to a polygon outside the region: far outside.
_FAR = -1e3


def apply_affine(motion: Affine, points: np.ndarray) -> np.ndarray:
    """Move points [..., 2]."""
    return points @ motion[:, :2].T + motion[:, 2]


def invert_affine(motion: Affine) -> Affine:
    """Return the inverse motion, float64 [2, 3]."""
    linear = np.linalg.inv(motion[:, :2].astype(np.float64))
    return np.concatenate([linear, -(linear @ motion[:, 2:])], 1)


def chain(outer: Affine, inner: Affine) -> Affine:
    """Return the motion `inner`, and `outer` after it."""
    return np.concatenate([outer[:, :2] @ inner[:, :2], apply_affine(outer, inner[:, 2:].T).T], 1)


def sample(image: np.ndarray, motion: Affine, box: Box, interpolation: int, border: int = cv2.BORDER_REPLICATE) -> Any:
    """Return the image at the places to which the motion takes the pixels of the box, [y1 - y0, x1 - x0, ...]."""
    x0, y0, x1, y1 = box
    from_box = chain(motion, np.array([[1, 0, x0], [0, 1, y0]], np.float64))
    flags = interpolation | cv2.WARP_INVERSE_MAP
    return cv2.warpAffine(image, from_box, (x1 - x0, y1 - y0), flags=flags, borderMode=border)


def follow(linear: np.ndarray, source: np.ndarray, target: np.ndarray) -> Affine:
    """Return the motion with this linear part [2, 2] that maps the mean of points [n, 2] to the mean of others."""
    offset = target.mean(0) - linear @ source.mean(0)
    return np.concatenate([linear, offset[:, None]], 1)


def smoothstep(value: Any) -> Any:
    """Return 0 below 0, 1 above 1 and a cubic between them."""
    value = np.clip(value, 0, 1)
    return value * value * (3 - 2 * value)


def curve(points: np.ndarray, steps: int = 4) -> np.ndarray:
    """Interpolate an open row of points [n, 2] by a Catmull-Rom curve: [(n - 1) * steps + 1, 2]."""
    return curve_weights(len(points), steps) @ points


@lru_cache(maxsize=16)
def curve_weights(count: int, steps: int) -> np.ndarray:
    """Weight of each of the points in each place of the curve, [(count - 1) * steps + 1, count]."""
    points = np.eye(count)
    padded = np.concatenate([2 * points[:1] - points[1:2], points, 2 * points[-1:] - points[-2:-1]])
    t = np.arange(steps)[:, None, None] / steps
    p0, p1, p2, p3 = (padded[k : len(padded) - 3 + k] for k in range(4))
    along = 0.5 * (2 * p1 + (p2 - p0) * t + (2 * p0 - 5 * p1 + 4 * p2 - p3) * t**2 + (3 * p1 - p0 - 3 * p2 + p3) * t**3)
    return np.concatenate([along.transpose(1, 0, 2).reshape(-1, count), points[-1:]])


def opening(ring: np.ndarray) -> np.ndarray:
    """Return the smooth outline [m, 2] of an opening between two rims.

    Where the lower rim is above the upper one the opening is closed: both are placed half-way.

    Args:
        ring: points [n, 2]: left corner, upper rim, right corner, lower rim.
    """
    half = len(ring) // 2
    upper, lower = ring[: half + 1], np.concatenate([ring[:1], ring[half:][::-1]])
    down = perpendicular(ring[half] - ring[0])
    gap = (lower - upper) @ down
    crossed = np.minimum(gap, 0)[:, None] / 2 * down
    upper, lower = curve(upper + crossed), curve(lower - crossed)
    return np.concatenate([upper, lower[-2:0:-1]])


def perpendicular(across: np.ndarray) -> np.ndarray:
    """Return the unit vector [2] at right angles to a vector, downwards for one to the right."""
    return np.array([-across[1], across[0]]) / max(float(np.linalg.norm(across)), 1e-6)


def bounds(points: np.ndarray, margin: float, size: tuple[int, int]) -> Box:
    """Return the integer box around points [n, 2] with a margin, within (width, height); it may be empty."""
    low, high = np.floor(points.min(0) - margin), np.ceil(points.max(0) + margin) + 1
    x0, y0 = np.clip(low, 0, size).astype(int)
    x1, y1 = np.clip(high, 0, size).astype(int)
    return int(x0), int(y0), int(x1), int(y1)


def is_empty(box: Box, least: int = 1) -> bool:
    """Return whether a side of the box is shorter than `least` pixels."""
    return min(box[2] - box[0], box[3] - box[1]) < least


def soft_mask(outline: np.ndarray, box: Box, feather: float) -> np.ndarray:
    """Return the coverage float32 [y1 - y0, x1 - x0] of a polygon, antialiased and blurred by `feather` pixels."""
    mask = _reduced(_supersampled(outline, box, 255), box).astype(np.float32) / 255
    return cv2.GaussianBlur(mask, (0, 0), feather) if feather > MIN_FEATHER else mask


def signed_distance(outline: np.ndarray, box: Box) -> np.ndarray:
    """Return the distance in pixels of each pixel of the box to a polygon's rim, positive inside, float32 [h, w]."""
    if is_empty(box):
        return np.full((1, 1), _FAR, np.float32)
    inside = _supersampled(outline, box, 1)
    depth = cv2.distanceTransform(inside, cv2.DIST_L2, 5) - cv2.distanceTransform(1 - inside, cv2.DIST_L2, 5)
    return _reduced(depth, box) / SUPERSAMPLING


def _supersampled(outline: np.ndarray, box: Box, value: int) -> np.ndarray:
    """A filled polygon over the box at `SUPERSAMPLING` times the resolution, uint8."""
    x0, y0, x1, y1 = box
    mask = np.zeros(((y1 - y0) * SUPERSAMPLING, (x1 - x0) * SUPERSAMPLING), np.uint8)
    fine = ((outline - [x0, y0] + 0.5) * SUPERSAMPLING - 0.5) * (1 << SHIFT)
    return cv2.fillPoly(mask, [np.rint(fine).astype(np.int32)], value, shift=SHIFT)


def _reduced(image: np.ndarray, box: Box) -> np.ndarray:
    return cv2.resize(image, (box[2] - box[0], box[3] - box[1]), interpolation=cv2.INTER_AREA)


def pixel_grid(box: Box) -> np.ndarray:
    """Return x, y of every pixel of the box, float32 [h, w, 2]."""
    x0, y0, x1, y1 = box
    grid = np.empty((y1 - y0, x1 - x0, 2), np.float32)
    grid[..., 0], grid[..., 1] = np.arange(x0, x1), np.arange(y0, y1)[:, None]
    return grid


def seam(
    upper: np.ndarray, lower: np.ndarray, colour: np.ndarray, strength: float, thickness: float, size: tuple[int, int]
) -> Layer:
    """Return a soft line of one colour along two rims that have met, or nearly: it covers the gap between them.

    Args:
        upper: the upper rim [n, 2].
        lower: the lower rim [n, 2].
        colour: [3] in 0..255.
        strength: opacity, 0..1.
        thickness: half of the line's width in pixels.
        size: (width, height) of the region.
    """
    if strength <= 0:
        return NOTHING
    line = curve((upper + lower) / 2)
    box = bounds(line, 2 + 5 * thickness, size)
    if is_empty(box, 2):
        return NOTHING
    down = perpendicular(line[-1] - line[0])
    thick = thickness + 0.5 * np.maximum((lower - upper) @ down, 0)
    # Thin at the corners, where the rims always meet.
    thick[[0, -1]] *= 0.3
    along = np.linspace(0, len(thick) - 1, len(line))
    thick = np.interp(along, np.arange(len(thick)), thick)[:, None] * down
    band = np.concatenate([line - thick, (line + thick)[::-1]])
    alpha = strength * soft_mask(band, box, 0.8 * thickness)
    return np.broadcast_to(colour.astype(np.float32), (*alpha.shape, 3)), alpha, box


def blend(image: np.ndarray, layer: np.ndarray | None, alpha: np.ndarray | None, box: Box) -> None:
    """Blend a layer float32 [h, w, 3] with alpha [h, w] over the box of a uint8 image, in place."""
    if layer is None or alpha is None:
        return
    x0, y0, x1, y1 = box
    below = image[y0:y1, x0:x1].astype(np.float32)
    mixed = below + alpha[..., None] * (layer - below)
    image[y0:y1, x0:x1] = np.clip(np.rint(mixed), 0, 255).astype(np.uint8)
