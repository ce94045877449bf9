"""Parts of a frame of a face, and what mouth and head did since the photo: opened, closed, moved, turned."""

from __future__ import annotations

import cv2
import numpy as np
from scipy.spatial.transform import Rotation

from shared.errors import InputError
from shared.face_model.measures import lip_aperture
from shared.face_model.mediapipe_mesh import FACE_OVAL, LEFT_EYE, OUTER_LIPS, RIGHT_EYE, groups
from shared.metrics.image import Box

MOUTH_CHANGES = ("opened", "closed", "unchanged")
HEAD_MOVES = {"under_6px": (0, 6), "6_to_15px": (6, 15), "15px_or_more": (15, np.inf)}  # pixels, from and below

TURN = (15.0, 30.0)
"""Degrees from and below which a head counts as turned."""

APERTURE_STEP = 0.05
"""Least difference of lip aperture (a share of the distance of the outer eye corners) that counts as a change."""

_RIGID = groups()["rigid"]

# Width of the part by which its box is larger on every side.
_MARGIN = 0.25


def part_boxes(landmarks: np.ndarray, size: tuple[int, int]) -> dict[str, list[Box]]:
    """Boxes of the parts of a face: {"mouth": [box], "eyes": [the person's right, left]}.

    A box is the bounding box of the outer lips or of the lids' edges, with 25 % of its width as margin on each side,
    within the frame.

    Args:
        landmarks: [478, 2 or 3] in pixels of the real frame.
        size: height and width of the frame.
    """
    rings = {"mouth": (OUTER_LIPS,), "eyes": (RIGHT_EYE, LEFT_EYE)}
    return {name: [_around(landmarks[list(ring), :2], size) for ring in of_part] for name, of_part in rings.items()}


def _around(points: np.ndarray, size: tuple[int, int]) -> Box:
    low, high = points.min(0), points.max(0)
    margin = _MARGIN * (high[0] - low[0])
    height, width = size
    # A head at the very edge still has a box of 8 pixels.
    x0, y0 = (int(np.clip(round(v), 0, n - 8)) for v, n in zip(low - margin, (width, height)))
    x1, y1 = (int(np.clip(round(v), a + 8, n)) for v, a, n in zip(high + margin, (x0, y0), (width, height)))
    return x0, y0, x1, y1


def face_mask(landmarks: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Pixels inside the tracker's face oval, bool [H, W].

    Raises:
        InputError: no pixel of it is in the frame.
    """
    mask = np.zeros(size, np.uint8)
    cv2.fillPoly(mask, [np.round(landmarks[list(FACE_OVAL), :2]).astype(np.int32)], 1)
    if not mask.any():
        raise InputError("the face is outside the frame")
    return mask.astype(bool)


def mouth_change(real: np.ndarray, photo: np.ndarray) -> str:
    """Return whether a mouth `opened` or `closed` against the photo, or is `unchanged`.

    Args:
        real: landmarks [478, 3] of the real frame; its lip aperture counts as changed by more than `APERTURE_STEP`.
        photo: landmarks [478, 3] of the photo.
    """
    return change_of(float(lip_aperture(real) - lip_aperture(photo)))


def change_of(step: float) -> str:
    """Classify a known difference of the apertures as in `mouth_change`."""
    return "opened" if step > APERTURE_STEP else "closed" if step < -APERTURE_STEP else "unchanged"


def head_distance(real: np.ndarray, photo: np.ndarray) -> np.ndarray:
    """Return how far the head has moved in the picture: distance in pixels of the mean of the skull's rigid points.

    Args:
        real: landmarks [..., 478, 2 or 3] of real frames.
        photo: landmarks [478, 2 or 3] of the photo.
    """
    return np.linalg.norm((real - photo)[..., _RIGID, :2].mean(-2), axis=-1)


def head_move(distance: float) -> str:
    """Return the key of `HEAD_MOVES` for a `head_distance`."""
    return next(name for name, (low, high) in HEAD_MOVES.items() if low <= distance < high)


def is_turned(real: np.ndarray, photo: np.ndarray) -> bool:
    """Return whether the head has turned by `TURN` since the photo: the rotation that takes its rigid points there.

    Args:
        real: landmarks [478, 3] of the real frame.
        photo: landmarks [478, 3] of the photo.
    """
    points = [mesh[_RIGID] - mesh[_RIGID].mean(0) for mesh in (real, photo)]
    degrees = float(np.rad2deg(Rotation.align_vectors(*points)[0].magnitude()))
    return TURN[0] <= degrees < TURN[1]
