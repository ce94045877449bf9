"""A clip of the training set: its frames, tracked points and motion, in uninterrupted takes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from shared.face_model.measures import lid_gap, lip_aperture
from shared.faces.crop import Crop
from shared.motion import Motion
from shared.prepared import clip_frames, load_motion, track_of

HEAD_SIDE = 256
"""Distances are in pixels of a head crop of this side."""

# Between neighbouring frames: mean motion of the points, and mean change of the thumbnails in grey levels. More is a
# cut or a cross-fade. Filtered motion is wrong within so many frames around a cut.
_MAX_STEP, _MAX_CHANGE, _NEAR_CUT = 8.0, 14.0, 8
# Radians per unit of translation in the distance of two poses.
_SHIFT_WEIGHT = 0.5
# Side of a thumbnail in pixels.
_THUMBNAIL = 32


@dataclass
class Clip:
    """A clip with its motion.

    Attributes:
        frames: T images uint8 [H, W, 3].
        landmarks: [T, 478, 3] in pixels.
        motion: of at least T frames.
        crop: the head crop.
        aperture: of the lips [T].
        lids: opening of the eyes [T].
        shot: which uninterrupted take a frame belongs to, int [T], -1 for none.
        face: height of the face in the source, in pixels.
    """

    frames: list[np.ndarray]
    landmarks: np.ndarray
    motion: Motion
    crop: Crop
    aperture: np.ndarray
    lids: np.ndarray
    shot: np.ndarray
    face: float

    @classmethod
    def load(cls, prepared: Path, clips: Path, row: dict) -> Clip:
        """Read a row of the index. Raises InputError: a file is missing or damaged."""
        motion, track = load_motion(prepared, row["name"]), track_of(prepared, row["name"])
        frames = list(clip_frames(clips, row))
        count = min(len(frames), len(motion))
        landmarks = track.landmarks[:count]
        unit = max(frames[0].shape[:2]) / HEAD_SIDE
        step = np.linalg.norm(np.diff(landmarks[:, :468, :2], axis=0), axis=-1).mean(-1) / unit
        small = [thumbnail(frame) for frame in frames]
        change = np.array([np.abs(a - b).mean() for a, b in zip(small[:-1], small[1:])])[: count - 1]
        cut = (step > _MAX_STEP) | (change > _MAX_CHANGE)
        shot = np.concatenate([[0], np.cumsum(cut)])
        near = np.convolve(np.concatenate([[0], cut, [0]]), np.ones(_NEAR_CUT), "same")
        shot[(near[:count] > 0.5) | (track.confidence[:count] == 0)] = -1
        apertures = lip_aperture(landmarks), -lid_gap(landmarks)
        return cls(frames, landmarks, motion, track.crop, *apertures, shot, float(row["face_px"]))

    def pose_distance(self, index: int) -> np.ndarray:
        """Distance in pose of every frame from one of them, [T]."""
        turn = np.linalg.norm(self.motion.rotation - self.motion.rotation[index], axis=1)
        shift = np.linalg.norm(self.motion.translation - self.motion.translation[index], axis=1)
        return (turn + _SHIFT_WEIGHT * shift)[: len(self.shot)]


def thumbnail(image: np.ndarray) -> np.ndarray:
    """Reduce an image uint8 [H, W, 3] to float32 [32, 32, 3]."""
    return cv2.resize(image, (_THUMBNAIL, _THUMBNAIL), interpolation=cv2.INTER_AREA).astype(np.float32)
