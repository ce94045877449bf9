"""Small helpers of what is painted behind the skin: curves, soft masks, affine motions, blending."""

from __future__ import annotations

import cv2
import numpy as np

# A planar affine motion, float [2, 3]: p -> A p + b.
Affine = np.ndarray
# A picture float32 [h, w, 3] and its alpha [h, w] over a box (x0, y0, x1, y1) of the region; None: nothing there.
Layer = tuple[np.ndarray | None, np.ndarray | None, tuple[int, int, int, int]]
# Masks are drawn this many times finer than pixels, then averaged.
_FINE = 4


def fit_affine(source: np.ndarray, target: np.ndarray) -> Affine:
    """The affine motion [2, 3] that takes points [n, 2] to points [n, 2] with the least squared error."""
    design = np.concatenate([source, np.ones((len(source), 1))], 1).astype(np.float64)
    return np.linalg.lstsq(design, target.astype(np.float64), rcond=None)[0].T


def apply_affine(motion: Affine, points: np.ndarray) -> np.ndarray:
    """Points [..., 2] moved."""
    return points @ motion[:, :2].T + motion[:, 2]


def invert_affine(motion: Affine) -> Affine:
    """The motion back."""
    linear = np.linalg.inv(motion[:, :2])
    return np.concatenate([linear, -(linear @ motion[:, 2])[:, None]], 1)


def smoothstep(value):
    """0 below 0, 1 above 1, smooth between."""
    value = np.clip(value, 0, 1)
    return value * value * (3 - 2 * value)


def curve(points: np.ndarray, steps: int = 4) -> np.ndarray:
    """A Catmull-Rom curve through an open row of points [n, 2] -> [(n - 1) * steps + 1, 2]."""
    padded = np.concatenate([2 * points[:1] - points[1:2], points, 2 * points[-1:] - points[-2:-1]])
    t = np.arange(steps)[:, None, None] / steps
    p0, p1, p2, p3 = (padded[k : len(padded) - 3 + k] for k in range(4))
    along = 0.5 * (2 * p1 + (p2 - p0) * t + (2 * p0 - 5 * p1 + 4 * p2 - p3) * t**2 + (3 * p1 - p0 - 3 * p2 + p3) * t**3)
    return np.concatenate([along.transpose(1, 0, 2).reshape(-1, 2), points[-1:]])


def opening(ring: np.ndarray) -> np.ndarray:
    """Smooth outline [m, 2] of an opening given by a ring [n, 2]: left corner, upper rim, right corner, lower rim.

    Where the lower rim lies above the upper one the opening is shut there: both are put half-way.
    """
    half = len(ring) // 2
    upper, lower = ring[: half + 1], np.concatenate([ring[:1], ring[half:][::-1]])
    across = ring[half] - ring[0]
    down = np.array([-across[1], across[0]]) / max(float(np.linalg.norm(across)), 1e-6)
    gap = (lower - upper) @ down
    crossed = np.minimum(gap, 0)[:, None] / 2 * down
    upper, lower = curve(upper + crossed), curve(lower - crossed)
    return np.concatenate([upper, lower[-2:0:-1]])


def bounds(points: np.ndarray, margin: float, size: tuple[int, int]) -> tuple[int, int, int, int]:
    """Integer box (x0, y0, x1, y1) round points with a margin, within (width, height); may be empty."""
    low, high = np.floor(points.min(0) - margin), np.ceil(points.max(0) + margin) + 1
    x0, y0 = np.clip(low, 0, size).astype(int)
    x1, y1 = np.clip(high, 0, size).astype(int)
    return int(x0), int(y0), int(x1), int(y1)


def soft_mask(outline: np.ndarray, box: tuple[int, int, int, int], feather: float) -> np.ndarray:
    """Coverage float32 [y1 - y0, x1 - x0] of a polygon, antialiased and blurred by `feather` pixels."""
    x0, y0, x1, y1 = box
    mask = np.zeros(((y1 - y0) * _FINE, (x1 - x0) * _FINE), np.uint8)
    fine = ((outline - [x0, y0] + 0.5) * _FINE - 0.5) * 256
    cv2.fillPoly(mask, [np.rint(fine).astype(np.int32)], 255, shift=8)
    mask = cv2.resize(mask, (x1 - x0, y1 - y0), interpolation=cv2.INTER_AREA).astype(np.float32) / 255
    return cv2.GaussianBlur(mask, (0, 0), feather) if feather > 0.2 else mask


def signed_distance(outline: np.ndarray, box: tuple[int, int, int, int]) -> np.ndarray:
    """Distance in pixels of each pixel of the box to a polygon's rim, positive inside, float32 [h, w]."""
    x0, y0, x1, y1 = box
    if x1 <= x0 or y1 <= y0:
        return np.full((1, 1), -1e3, np.float32)
    inside = np.zeros(((y1 - y0) * _FINE, (x1 - x0) * _FINE), np.uint8)
    fine = ((outline - [x0, y0] + 0.5) * _FINE - 0.5) * 256
    cv2.fillPoly(inside, [np.rint(fine).astype(np.int32)], 1, shift=8)
    depth = cv2.distanceTransform(inside, cv2.DIST_L2, 5) - cv2.distanceTransform(1 - inside, cv2.DIST_L2, 5)
    return cv2.resize(depth, (x1 - x0, y1 - y0), interpolation=cv2.INTER_AREA) / _FINE


def pixel_grid(box: tuple[int, int, int, int]) -> np.ndarray:
    """float32 [h, w, 2]: x, y of every pixel of the box."""
    x0, y0, x1, y1 = box
    return np.stack(np.meshgrid(np.arange(x0, x1), np.arange(y0, y1)), -1).astype(np.float32)


def seam(
    upper: np.ndarray, lower: np.ndarray, colour: np.ndarray, strength: float, thickness: float, size: tuple[int, int]
) -> Layer:
    """A soft line of one colour between two rims [n, 2] that have met, or nearly: it covers what gap they leave."""
    line = curve((upper + lower) / 2)
    box = bounds(line, 2 + 5 * thickness, size)
    if strength <= 0 or min(box[2] - box[0], box[3] - box[1]) < 2:
        return None, None, box
    across = line[-1] - line[0]
    down = np.array([-across[1], across[0]]) / max(float(np.linalg.norm(across)), 1e-6)
    thick = thickness + 0.5 * np.maximum((lower - upper) @ down, 0)
    # Pointed at the corners, which have always met.
    thick[[0, -1]] *= 0.3
    along = np.linspace(0, len(thick) - 1, len(line))
    thick = np.interp(along, np.arange(len(thick)), thick)[:, None] * down
    band = np.concatenate([line - thick, (line + thick)[::-1]])
    alpha = strength * soft_mask(band, box, 0.8 * thickness)
    return np.broadcast_to(colour.astype(np.float32), (*alpha.shape, 3)), alpha, box


def blend(image: np.ndarray, layer: np.ndarray | None, alpha: np.ndarray | None, box) -> None:
    """Lay a layer float32 [h, w, 3] with alpha [h, w] over the box of a uint8 image, in place."""
    if layer is None or alpha is None:
        return
    x0, y0, x1, y1 = box
    below = image[y0:y1, x0:x1].astype(np.float32)
    mixed = below + alpha[..., None] * (layer - below)
    image[y0:y1, x0:x1] = np.clip(np.rint(mixed), 0, 255).astype(np.uint8)
