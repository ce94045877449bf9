"""Description of a mouth from tracked landmarks: a training target of the speech encoder."""

from __future__ import annotations

import numpy as np

from shared.face_model.measures import lip_aperture
from shared.face_model.mediapipe_mesh import OUTER_EYE_CORNERS

# fmt: off
LIPS = (61, 146, 91, 181, 84, 17, 314, 405, 321, 375, 291, 185, 40, 39, 37, 0, 267, 269, 270, 409,
        78, 95, 88, 178, 87, 14, 317, 402, 318, 324, 308, 191, 80, 81, 82, 13, 312, 311, 310, 415)
# fmt: on
# Points of forehead, eye corners and nose that speech does not move.
RIGID = (10, 33, 133, 168, 197, 195, 6, 362, 263, 151, 9, 8, 107, 336)


def fill_gaps(values: np.ndarray) -> np.ndarray | None:
    """Interpolate frames [T, ...] that hold NaN (no face found); return None when no frame is valid."""
    flat = values.reshape(len(values), -1).astype(np.float64)
    good = np.isfinite(flat).all(1)
    if not good.any():
        return None
    time = np.arange(len(flat))
    if not good.all():
        flat = np.stack([np.interp(time, time[good], column[good]) for column in flat.T], 1)
    return flat.reshape(values.shape)


def lips_without_head(landmarks: np.ndarray) -> np.ndarray:
    """Lip points after each frame's rigid points are aligned with the clip's mean by a similarity (Umeyama 1991).

    Args:
        landmarks: [T, 478, 3].

    Returns:
        [T, 40 * 3] in units of the outer eye corner distance.
    """
    rigid = landmarks[:, RIGID]
    target = rigid[0]
    for _ in range(3):
        scale, rotation, shift = _similarity(rigid, target)
        target = (scale[:, None, None] * rigid @ rotation + shift[:, None]).mean(0)
    lips = scale[:, None, None] * landmarks[:, LIPS] @ rotation + shift[:, None]
    right, left = (target[RIGID.index(i)] for i in OUTER_EYE_CORNERS)
    return (lips / np.linalg.norm(right - left)).reshape(len(lips), -1)


def _similarity(points: np.ndarray, target: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Scale [T], rotation [T, 3, 3] (from the right), shift [T, 3] that align points [T, N, 3] with a target [N, 3]."""
    middle, target_middle = points.mean(1, keepdims=True), target.mean(0)
    centred, target_centred = points - middle, target - target_middle
    u, spread, vt = np.linalg.svd(np.swapaxes(centred, 1, 2) @ target_centred)
    sign = np.ones((len(points), 3))
    sign[:, 2] = np.sign(np.linalg.det(u @ vt))
    rotation = u * sign[:, None] @ vt
    scale = (spread * sign).sum(1) / (centred**2).sum((1, 2))
    return scale, rotation, target_middle - scale[:, None] * (middle @ rotation)[:, 0]


class MouthShape:
    """Description of a moving mouth: aperture, then principal components of the lips, each of about unit size."""

    def __init__(self, clips: list[np.ndarray], components: int = 12) -> None:
        """Compute the components from clips of landmarks [T, 478, 3] without gaps."""
        moving = np.concatenate([lips - lips.mean(0) for lips in map(lips_without_head, clips)])
        values, vectors = np.linalg.eigh(moving.T @ moving / len(moving))
        self.basis = vectors[:, ::-1][:, :components] / np.sqrt(values[::-1][:components])
        self.size = components + 1

    def __call__(self, landmarks: np.ndarray) -> np.ndarray:
        """Describe [T, 478, 3] as float32 [T, 1 + components], relative to the clip's mean and spread."""
        aperture = lip_aperture(landmarks)
        aperture = (aperture - aperture.mean()) / (aperture.std() + 0.01)
        lips = lips_without_head(landmarks)
        shape = (lips - lips.mean(0)) @ self.basis
        shape /= np.sqrt((shape**2).mean()) + 0.3  # the range of a mouth differs from person to person
        return np.concatenate([aperture[:, None], shape], 1).astype(np.float32)
