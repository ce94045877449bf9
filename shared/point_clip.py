"""A talking face without pictures: the 478 points of its mesh at 25 frames a second, and its sound.

`fd2talk prepare` takes such files (.npz) beside videos. They come from data sets of scanned meshes.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from shared.errors import InputError
from shared.faces.crop import Crop
from shared.files import atomic_output
from shared.npz import read_npz
from shared.tracking import Track

SUFFIX = ".npz"

_FORMAT = "fd2talk-points-1"


def save_points(path: str | Path, landmarks: np.ndarray, audio: np.ndarray) -> None:
    """Write a file, replacing an existing one.

    Args:
        path: the file.
        landmarks: float32 [T, 478, 3] in pixels of a virtual camera (x right, y down, z negative towards it).
        audio: float32 [n], mono, 16 kHz, in [-1, 1]; it starts with frame 0. Stored as 16-bit.
    """
    sound = np.round(np.clip(audio, -1, 1) * 32767).astype(np.int16)
    with atomic_output(path, overwrite=True) as temporary, open(temporary, "wb") as file:
        np.savez_compressed(file, format=np.array(_FORMAT), landmarks=landmarks.astype(np.float32), audio=sound)


def load_points(path: str | Path) -> Track:
    """Read a file as a track, with its sound.

    Raises:
        InputError: the file is missing, damaged or of another kind.
    """
    file = read_npz(path, "clip of points", ("format", "landmarks", "audio"))
    points, audio = file["landmarks"], file["audio"]
    if str(file["format"]) != _FORMAT:
        raise InputError(f"{path}: not a clip of points (it lacks the format mark)")
    if points.ndim != 3 or points.shape[1:] != (478, 3) or not len(points) or audio.ndim != 1:
        raise InputError(f"{path}: not a clip of points (its arrays have shapes {points.shape} and {audio.shape})")
    if not np.isfinite(points).all():
        raise InputError(f"{path}: a point is not finite")
    sound = audio.astype(np.float32) / 32767
    return Track(points.astype(np.float32), np.ones(len(points), np.float32), Crop.around(points), sound)
