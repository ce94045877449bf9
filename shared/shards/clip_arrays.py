"""Converts motions and tracks of a prepared folder to arrays of shards, and back."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from shared.errors import Fd2TalkError, InputError
from shared.faces.crop import Crop
from shared.motion import Motion
from shared.shards.format import Part
from shared.shards.reader import Shards
from shared.tracking import Track

CLIPS, TRACKS = "clips", "tracks"
"""Groups of shards."""

# The confidence of a motion that has none.
_UNKNOWN = -1.0
# Scale of 16-bit sound, as in the files of `Motion`.
_LOUDEST = 32767


def motion_parts(num_expression: int, num_identity: int) -> dict[str, Part]:
    """Types of the arrays of `motion_arrays`."""
    return {
        "motion": Part(CLIPS, "<f4", (num_expression + 7,)),  # expression, rotation, translation, confidence
        "identity": Part(CLIPS, "<f4", (num_identity,)),
        "fps": Part(CLIPS, "<f8"),
        "source": Part(CLIPS, "|u1"),
        "audio": Part(CLIPS, "<i2"),
    }


def track_parts() -> dict[str, Part]:
    """Types of the arrays of `track_arrays`."""
    return {
        "landmarks": Part(TRACKS, "<f4", (478, 3)),
        "track_confidence": Part(TRACKS, "<f4"),
        "crop": Part(TRACKS, "<f8", (3,)),
    }


def motion_arrays(motion: Motion) -> Mapping[str, np.ndarray | None]:
    """Arrays of a motion, in the precision of its file."""
    confidence = np.full(len(motion), _UNKNOWN, np.float32) if motion.confidence is None else motion.confidence
    arrays: dict[str, np.ndarray | None] = {
        "motion": np.concatenate([motion.expression, motion.rotation, motion.translation, confidence[:, None]], 1),
        "identity": None if motion.identity is None else motion.identity[None],
        "fps": np.array([motion.fps]),
        "source": np.frombuffer(motion.source.encode(), np.uint8),
        "audio": None,
    }
    if motion.audio is not None:
        arrays["audio"] = np.round(np.clip(motion.audio, -1, 1) * _LOUDEST).astype(np.int16)
    return arrays


def read_sound(shards: Shards, clip: int, start: int = 0, stop: int | None = None) -> np.ndarray:
    """Sound of a clip, float32 [n] at 16 kHz, by default all of it; empty if it has none."""
    return shards.read(clip, "audio", start, stop).astype(np.float32) / _LOUDEST


def read_motion(shards: Shards, clip: int) -> Motion:
    """The motion of a clip, with its sound. Raises InputError: it is damaged."""
    rows, identity = shards.read(clip, "motion"), shards.read(clip, "identity")
    audio, count = read_sound(shards, clip), rows.shape[1] - 7
    confidence, source = rows[:, -1], shards.read(clip, "source")
    try:
        return Motion(
            expression=rows[:, :count],
            rotation=rows[:, count : count + 3],
            translation=rows[:, count + 3 : count + 6],
            face_model=shards.metadata["face_model"],
            fps=float(shards.read(clip, "fps")[0]),
            audio=audio if len(audio) else None,
            identity=identity[0].copy() if len(identity) else None,
            confidence=None if (confidence == _UNKNOWN).all() else confidence,
            source=source.tobytes().decode(),
        )
    except (Fd2TalkError, ValueError) as error:
        raise InputError(f"{shards.path(clip, 'motion')}: the clip {shards.name(clip)} is damaged: {error}") from error


def track_arrays(track: Track | None) -> Mapping[str, np.ndarray | None]:
    """Arrays of a prepared track; empty for None."""
    if track is None:
        return {}
    crop = np.array([[track.crop.center_x, track.crop.center_y, track.crop.side]])
    return {"landmarks": track.landmarks, "track_confidence": track.confidence, "crop": crop}


def read_track(shards: Shards, clip: int) -> Track:
    """The tracked points of a clip, without sound."""
    crop = shards.read(clip, "crop")[0]
    return Track(shards.read(clip, "landmarks"), shards.read(clip, "track_confidence"), Crop(*(float(v) for v in crop)))
