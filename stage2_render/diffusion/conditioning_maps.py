"""Geometry conditioning: maps of a frame's mesh and warp as input of the diffusion renderer.

All maps cover the face crop, 64 x 64: cell i covers the crop's pixels 4 i to 4 i + 3.
"""

from __future__ import annotations

import cv2
import numpy as np

from shared.face_model.mediapipe_mesh import INNER_LIPS, LEFT_EYE, LEFT_IRIS, OUTER_LIPS, RIGHT_EYE, RIGHT_IRIS
from stage2_render.diffusion.face_crop import SIZE, FaceCrop
from stage2_render.warp.compositing import opening
from stage2_render.warp.mesh_warp import Warped

MAP_SIZE = 64
MAPS = ("mouth", "lips", "eyes", "irises", "valid", "moved_x", "moved_y", "mouth_before", "lips_before")
_MOVED = slice(5, 7)
# Displacements are in units of this many crop pixels, clipped to plus and minus the limit.
_MOVED_UNIT, _MOVED_LIMIT = 32.0, 2.0
# Rings from the left corner in the image along the upper rim: the left eye's starts at the right one.
_EYES = (RIGHT_EYE, (*LEFT_EYE[8::-1], *LEFT_EYE[:8:-1]))
# Fixed-point fraction bits of the rasteriser.
_SHIFT = 6
# Points outside the crop are clipped to this many crop sizes: more would overflow the rasteriser's coordinates.
_CLIP_SIZES = 4
# Where less than this share of a cell is valid its displacement is not divided by the share.
_MIN_VALID = 1e-3


def conditioning_maps(
    warped: Warped, target: np.ndarray, source: np.ndarray, target_crop: FaceCrop, source_crop: FaceCrop
) -> np.ndarray:
    """Draw the maps of one frame.

    Args:
        warped: the frame's warp.
        target: mesh of the frame, float32 [478, 3] in photo pixels.
        source: mesh of the photo, float32 [478, 3].
        target_crop: the frame's face crop.
        source_crop: the photo's face crop.

    Returns:
        float32 [9, 64, 64] in the order of `MAPS`, in `target_crop` (the last two in `source_crop`).

        * mouth: the opening between the lips.
        * lips: the red of the lips.
        * eyes: the openings between the lids.
        * irises: the discs of the irises in them.
        * valid: where the photo shows what belongs there (0..1, 1 outside the photo).
        * moved_x, moved_y: displacement from here to where the photo shows it, in the face crop, in units of 32 crop
          pixels, from -2 to 2, and 0 where it does not show it.
        * mouth_before, lips_before: those of the photo.
    """
    maps = np.empty((len(MAPS), MAP_SIZE, MAP_SIZE), np.float32)
    points = target_crop.points(target)
    maps[0], maps[1] = _lips(points)
    maps[2], maps[3] = _eyes(points)
    maps[4], maps[5], maps[6] = _movement(warped, target_crop, source_crop)
    maps[7], maps[8] = _lips(source_crop.points(source))
    return maps


def encode_maps(maps: np.ndarray) -> np.ndarray:
    """Quantise maps float32 [..., 9, 64, 64] to uint8: 0..1 as 0..255, moved_x and moved_y -2..2 as 1..255."""
    out = maps * np.float32(255)
    out[..., _MOVED, :, :] = 128 + maps[..., _MOVED, :, :] * np.float32(127 / _MOVED_LIMIT)
    return np.clip(np.rint(out), 0, 255).astype(np.uint8)


def decode_maps(stored: np.ndarray) -> np.ndarray:
    """Invert `encode_maps` up to rounding: uint8 [..., 9, 64, 64] to float32."""
    out = stored.astype(np.float32) / 255
    out[..., _MOVED, :, :] = (stored[..., _MOVED, :, :].astype(np.float32) - 128) * (_MOVED_LIMIT / 127)
    return out


def _lips(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Maps of the opening and the red of the lips, from a mesh in crop pixels."""
    inner, outer = (_filled(opening(points[list(ring)])) for ring in (INNER_LIPS, OUTER_LIPS))
    return _area(inner), _area(cv2.subtract(outer, inner))


def _eyes(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Maps of the lids' openings and of the irises in them, from a mesh in crop pixels."""
    openings = _filled(*(opening(points[list(ring)]) for ring in _EYES))
    discs = np.zeros_like(openings)
    for iris in (RIGHT_IRIS, LEFT_IRIS):
        centre, ring = points[iris[0]], points[list(iris[1:])]
        radius = float(np.linalg.norm(ring - centre, axis=1).mean())
        x, y, r = np.rint(np.array([*centre, radius]) * (1 << _SHIFT)).astype(int).tolist()
        cv2.circle(discs, (x, y), r, 255, cv2.FILLED, shift=_SHIFT)
    return _area(openings), _area(cv2.min(discs, openings))


def _movement(warped: Warped, target_crop: FaceCrop, source_crop: FaceCrop) -> tuple[np.ndarray, ...]:
    """The maps valid, moved_x and moved_y."""
    # Sampled at twice the maps' resolution, because the warp's grid is finer than the maps.
    fine = 2 * MAP_SIZE
    step = SIZE / fine
    to_crop = np.array([[step, 0, step / 2 - 0.5], [0, step, step / 2 - 0.5], [0, 0, 1]])
    to_picture = np.linalg.inv(np.vstack([target_crop.matrix, [0, 0, 1]]).astype(np.float64))
    to_cells = (np.vstack([warped.to_grid, [0, 0, 1]]) @ to_picture @ to_crop)[:2]

    def sampled(field: np.ndarray, outside: float) -> np.ndarray:
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        return cv2.warpAffine(field, to_cells, (fine, fine), flags=flags, borderValue=outside)

    validity = np.asarray(warped.validity, np.float32)
    valid = sampled(validity, 1.0)
    # Weighted by validity, so that neither the grid's edge nor invalid cells affect the valid ones.
    weight = sampled(validity, 0.0)
    origin = sampled(warped.origin * validity[..., None], 0.0) / np.maximum(weight, _MIN_VALID)[..., None]
    here = np.arange(fine, dtype=np.float32) * step + (step / 2 - 0.5)
    moved = (source_crop.points(origin) - np.stack(np.meshgrid(here, here), -1)) / _MOVED_UNIT
    moved = np.clip(moved, -_MOVED_LIMIT, _MOVED_LIMIT) * weight[..., None]
    valid, moved = (cv2.resize(field, (MAP_SIZE, MAP_SIZE), interpolation=cv2.INTER_AREA) for field in (valid, moved))
    return valid, moved[..., 0], moved[..., 1]


def _filled(*outlines: np.ndarray) -> np.ndarray:
    """A mask uint8 [256, 256] that is 255 in polygons [n, 2] in crop pixels."""
    mask = np.zeros((SIZE, SIZE), np.uint8)
    limit = _CLIP_SIZES * SIZE
    polygons = [np.rint(np.clip(o, -limit, limit) * (1 << _SHIFT)).astype(np.int32) for o in outlines]
    return cv2.fillPoly(mask, polygons, 255, shift=_SHIFT)


def _area(mask: np.ndarray) -> np.ndarray:
    """Share of each map cell that a mask covers, float32 [64, 64]."""
    return cv2.resize(mask, (MAP_SIZE, MAP_SIZE), interpolation=cv2.INTER_AREA).astype(np.float32) / 255
