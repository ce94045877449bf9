"""A rendered frame of a face against the real one: whole, in the mouth's and the eyes' boxes, and by what moved."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import cv2
import numpy as np

from shared.errors import InputError
from shared.face_model.measures import lip_aperture
from shared.face_model.mediapipe_mesh import FACE_OVAL, LEFT_EYE, OUTER_LIPS, RIGHT_EYE
from shared.metrics.image import Box, psnr, ssim
from shared.metrics.perceptual import SqueezeDistance, picture_distance

MOUTH_CHANGES = ("opened", "closed", "unchanged")

APERTURE_STEP = 0.05
"""Lip aperture (a share of the distance of the outer eye corners) more or less than the photo's that is a change."""

# Width of the part by which its box is larger on every side.
_MARGIN = 0.25


def part_boxes(landmarks: np.ndarray, size: tuple[int, int]) -> dict[str, list[Box]]:
    """Where to look closer: {"mouth": [box], "eyes": [the person's right, left]}.

    landmarks: [478, 2 or 3] in pixels of the real frame, size: its height and width. A box is the bounding box of the
    outer lips or of the lids' edges, with 25 % of its width as margin on each side, within the frame.
    """
    rings = {"mouth": (OUTER_LIPS,), "eyes": (RIGHT_EYE, LEFT_EYE)}
    return {name: [_around(landmarks[list(ring), :2], size) for ring in of_part] for name, of_part in rings.items()}


def _around(points: np.ndarray, size: tuple[int, int]) -> Box:
    low, high = points.min(0), points.max(0)
    margin = _MARGIN * (high[0] - low[0])
    height, width = size
    # A head at the very edge still leaves a box of 8 pixels to look at.
    x0, y0 = (int(np.clip(round(v), 0, n - 8)) for v, n in zip(low - margin, (width, height)))
    x1, y1 = (int(np.clip(round(v), a + 8, n)) for v, a, n in zip(high + margin, (x0, y0), (width, height)))
    return x0, y0, x1, y1


def face_mask(landmarks: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """bool [H, W]: inside the tracker's face oval. Raises InputError: no pixel of it is in the frame."""
    mask = np.zeros(size, np.uint8)
    cv2.fillPoly(mask, [np.round(landmarks[list(FACE_OVAL), :2]).astype(np.int32)], 1)
    if not mask.any():
        raise InputError("the face lies outside the frame")
    return mask.astype(bool)


def mouth_change(real: np.ndarray, photo: np.ndarray) -> str:
    """`opened`, `closed` or `unchanged`: is the lip aperture of the real frame's landmarks [478, 3] more than .05 of
    the eye distance above the photo's, below it, or neither?"""
    return change_of(float(lip_aperture(real) - lip_aperture(photo)))


def change_of(step: float) -> str:
    """The same for a known difference of the apertures."""
    return "opened" if step > APERTURE_STEP else "closed" if step < -APERTURE_STEP else "unchanged"


def compare(
    made: np.ndarray,
    real: np.ndarray,
    boxes: Mapping[str, Sequence[Box]],
    network: SqueezeDistance | None = None,
) -> dict[str, float]:
    """Figures of one made frame against the real one, uint8 [H, W, 3].

    boxes: parts to look at apart, as `part_boxes` gives them; a part of several boxes has one PSNR and SSIM over their
    pixels together, and the mean of their distances.
    Returns `psnr` (dB) and `ssim` of the whole frame and, for each part, `<part>_psnr` and `<part>_ssim`; with a
    network also `distance` and `<part>_distance` (`picture_distance`; lower is better).
    """
    figures = {"psnr": psnr(made, real), "ssim": ssim(made, real)}
    for part, of_part in boxes.items():
        figures[f"{part}_psnr"] = psnr(made, real, of_part)
        figures[f"{part}_ssim"] = ssim(made, real, of_part)
    if network is not None:
        figures["distance"] = picture_distance(network, made, real)
        for part, of_part in boxes.items():
            figures[f"{part}_distance"] = float(np.mean([picture_distance(network, made, real, b) for b in of_part]))
    return figures
