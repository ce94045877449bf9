"""Faces that lie on their side or are upside down: the photo and its motion by quarter turns until they are upright."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy.spatial.transform import Rotation

from shared.faces.crop import Crop
from shared.motion import Motion
from shared.photo_fit import PhotoFit


def quarter_turns(photo: PhotoFit) -> int:
    """Return how many quarter turns of the picture, counter-clockwise, make the face as upright as they can: 0 to 3."""
    roll = Rotation.from_rotvec(photo.rotation).as_euler("ZXY")[0]  # counter-clockwise: y is up
    return int(np.rint(-roll / (np.pi / 2))) % 4


def turned(photo: PhotoFit, turns: int) -> PhotoFit:
    """Return the photo with its fit after quarter turns of the picture, counter-clockwise as `numpy.rot90`."""
    for _ in range(turns):
        width = photo.image.shape[1]
        landmarks, crop = photo.landmarks[:, [1, 0, 2]], photo.crop
        landmarks[:, 1] = width - 1 - landmarks[:, 1]
        rotation, translation = _quarter_turn(photo.rotation[None], photo.translation[None])
        photo = replace(
            photo,
            image=np.ascontiguousarray(np.rot90(photo.image)),
            landmarks=landmarks,
            crop=Crop(crop.center_y, width - 1 - crop.center_x, crop.side),
            rotation=rotation[0],
            translation=translation[0],
        )
    return photo


def turned_motion(motion: Motion, turns: int) -> Motion:
    """Return the motion of a photo for the photo that `turned` returns."""
    for _ in range(turns):
        rotation, translation = _quarter_turn(motion.rotation, motion.translation)
        motion = replace(motion, rotation=rotation, translation=translation)
    return motion


def _quarter_turn(rotation: np.ndarray, translation: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A pose [T, 3], [T, 3] after a quarter turn of the picture, counter-clockwise."""
    turn = Rotation.from_rotvec([0, 0, np.pi / 2]) * Rotation.from_rotvec(rotation)
    x, y, log_scale = translation.T
    return turn.as_rotvec().astype(np.float32), np.stack([y, -x, log_scale], axis=1).astype(np.float32)
