"""Closing lids in their own colour.

The tracked rim of a lid runs through lashes and liner, which the warp of a closing lid would stretch to a black smear;
and below the lower rim a strip of the white of the eye may stay. Both take what the lid shows elsewhere.
"""

from __future__ import annotations

import cv2
import numpy as np

from stage2_render.warp.compositing import (
    NOTHING,
    Layer,
    bounds,
    curve,
    is_empty,
    perpendicular,
    pixel_grid,
    smoothstep,
    soft_mask,
)

# From the left corner in the image: rims of the lids, and the folds beyond them; of the person's right and left eye.
_UPPER = {
    "right": ((33, 246, 161, 160, 159, 158, 157, 173, 133), (130, 247, 30, 29, 27, 28, 56, 190, 243)),
    "left": ((362, 398, 384, 385, 386, 387, 388, 466, 263), (463, 414, 286, 258, 257, 259, 260, 467, 359)),
}
_LOWER = {
    "right": ((33, 7, 163, 144, 145, 153, 154, 155, 133), (130, 25, 110, 24, 23, 22, 26, 112, 243)),
    "left": ((362, 382, 381, 380, 374, 373, 390, 249, 263), (463, 341, 256, 252, 253, 254, 339, 255, 359)),
}
# Where a lid shows its colour, as shares of the way from rim to fold, and which of these places, from dark to bright:
# long lashes cover most of an upper lid.
_UPPER_HEIGHTS, _UPPER_PLACES = np.linspace(0.3, 1.3, 13), slice(8, 12)
_LOWER_HEIGHTS, _LOWER_PLACES = np.linspace(0.3, 1.0, 9), slice(3, 6)
# Columns along the lid, and over how many the colour is averaged.
COLUMNS, _BLUR = 33, 2.5
# In widths of the eye: blur of the painted area's edge; the part of the upper lid that stays lashes.
FEATHER, LASHES = 0.02, 0.03
# How much darker (upper) or brighter (lower), as a share, than the lid must be what is painted over wholly.
DIFFERENCE = 0.15
# The lid is round: so much darker at rim and fold than in its middle.
SHADE = 0.12


class LidLayer:
    """One lid of the photo.

    Args:
        region: uint8 RGB [h, w, 3].
        source: the photo's mesh, float64 [478, 2] in pixels of the region.
        side: of the person, "right" or "left".
        upper: whether it is the upper lid.
    """

    def __init__(self, region: np.ndarray, source: np.ndarray, side: str, *, upper: bool) -> None:
        rim, fold = (_UPPER if upper else _LOWER)[side]
        self.rim, self.fold, self.upper = list(rim), list(fold), upper
        self._size = (region.shape[1], region.shape[0])
        self.width = float(np.linalg.norm(source[rim[-1]] - source[rim[0]]))
        heights, places = (_UPPER_HEIGHTS, _UPPER_PLACES) if upper else (_LOWER_HEIGHTS, _LOWER_PLACES)
        start, end = _along(source[self.rim]), _along(source[self.fold])
        where = (start + heights[:, None, None] * (end - start)).astype(np.float32)  # [heights, columns, 2]
        soft = cv2.GaussianBlur(region, (0, 0), max(0.02 * self.width, 0.5))
        colours = cv2.remap(soft, where, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE).astype(np.float32)
        order = np.argsort(colours.sum(2), axis=0)[places, :, None]
        own = np.take_along_axis(colours, order, 0).mean(0)
        self.colours = cv2.GaussianBlur(own[:, None], (0, 0), _BLUR, borderType=cv2.BORDER_REPLICATE)[:, 0]

    def render(self, points: np.ndarray, warped: np.ndarray, strength: float) -> Layer:
        """Return the lid in its own colour, where the warped photo does not show it.

        Args:
            points: mesh of the frame, float64 [478, 2] in pixels of the region.
            warped: the region, warped to it, uint8 RGB [h, w, 3].
            strength: opacity, 0..1.
        """
        if strength <= 0:
            return NOTHING
        rim, fold = _along(points[self.rim]), _along(points[self.fold])
        across = rim[-1] - rim[0]
        down = perpendicular(across)
        if self.upper:
            rim = rim - LASHES * self.width * np.sin(np.linspace(0, np.pi, COLUMNS))[:, None] * down
        feather = max(FEATHER * self.width, 0.3)
        band = np.concatenate([fold, rim[::-1]])
        box = bounds(band, 2 + 3 * feather, self._size)
        if is_empty(box, 2):
            return NOTHING
        pixels = pixel_grid(box) - rim[0].astype(np.float32)
        column = pixels @ (across * (COLUMNS - 1) / max(across @ across, 1e-6)).astype(np.float32)

        def over_columns(values: np.ndarray) -> np.ndarray:
            row = values.astype(np.float32)[None]
            return cv2.remap(row, column, 0 * column, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)

        lower, higher = cv2.split(over_columns(np.stack([rim - rim[0], fold - rim[0]], 1) @ down))
        # 0 at the rim, 1 at the fold
        height = (pixels @ down.astype(np.float32) - lower) / np.where(higher == lower, 1, higher - lower)
        shade = 1 - SHADE * np.square(2 * np.clip(height, 0, 1) - 1) * self.upper
        layer = over_columns(self.colours) * shade[..., None]
        below = warped[box[1] : box[3], box[0] : box[2]].astype(np.float32)
        brighter = below.sum(2) / np.maximum(layer.sum(2), 1) - 1
        # Of an upper lid a lash's gloss is painted over, too, but more slowly.
        other = np.maximum(-brighter, brighter / 2) if self.upper else brighter
        alpha = np.float32(strength) * soft_mask(band, box, feather) * smoothstep(other / DIFFERENCE)
        return layer, alpha, box


def _along(rim: np.ndarray) -> np.ndarray:
    """Points of a rim [n, 2] at equal steps across, [COLUMNS, 2]."""
    dense, across = curve(rim), rim[-1] - rim[0]
    at = np.maximum.accumulate(np.clip((dense - rim[0]) @ across / max(across @ across, 1e-6), 0, 1))
    return np.stack([np.interp(np.linspace(0, 1, COLUMNS), at, axis) for axis in dense.T], -1)
