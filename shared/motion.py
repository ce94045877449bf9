"""Motion, the only data that the two stages exchange: expression and pose of a 3D face over time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from scipy.spatial.transform import Rotation, Slerp

from shared.audio import SAMPLE_RATE
from shared.errors import InputError, UsageError
from shared.files import atomic_output
from shared.npz import read_npz

_FORMAT = "fd2talk-motion-1"
_REQUIRED = {"format", "expression", "rotation", "translation", "fps", "face_model"}
_PER_FRAME = ("expression", "rotation", "translation", "confidence")


@dataclass
class Motion:
    """Coefficients of a 3D face over T frames (FD2Talk §3.1.1: expression beta and pose p = [r, t]).

    Args:
        expression: float32 [T, D], coefficients of the face model's expression basis (1 = one standard deviation).
        rotation: float32 [T, 3], axis-angle in radians.
        translation: float32 [T, 3]: x and y in face-crop units (the crop spans [-1, 1]), and the natural logarithm of
            the scale (crop units per 100 mm); see `shared.face_model.camera`.
        face_model: fingerprint (``name:sha256``) of the model that the coefficients belong to.
        fps: frames per second; frame i is at i / fps seconds.
        audio: float32 [n], mono, 16 kHz, in [-1, 1], or None. Stored as 16-bit.
        identity: float32 [D_id] or None.
        confidence: float32 [T] in [0, 1] or None.
        source: free text.

    Raises:
        InputError: shapes disagree or a number is not finite.
    """

    expression: np.ndarray
    rotation: np.ndarray
    translation: np.ndarray
    face_model: str
    fps: float = 25.0
    audio: np.ndarray | None = None
    identity: np.ndarray | None = None
    confidence: np.ndarray | None = None
    source: str = field(default="")

    def __post_init__(self) -> None:
        count = len(self.expression)
        shapes: dict[str, tuple[int | str, ...]]
        shapes = {"expression": (count, "D"), "rotation": (count, 3), "translation": (count, 3)}
        shapes |= {"audio": ("n",), "identity": ("D_id",), "confidence": (count,)}  # a letter stands for any size
        for name, wanted in shapes.items():
            if getattr(self, name) is None and name in ("audio", "identity", "confidence"):
                continue
            value = np.ascontiguousarray(getattr(self, name), dtype=np.float32)
            setattr(self, name, value)
            if value.ndim != len(wanted) or any(w not in (size, str(w)) for w, size in zip(wanted, value.shape)):
                expected = ", ".join(map(str, wanted))
                raise InputError(f"motion: {name} has shape {list(value.shape)}, expected [{expected}]")
            if not np.isfinite(value).all():
                raise InputError(f"motion: {name} has a number that is not finite")
        self.fps = float(self.fps)
        if not (np.isfinite(self.fps) and self.fps > 0):
            raise InputError(f"motion: {self.fps} frames per second is not a frame rate")

    def __len__(self) -> int:
        return len(self.expression)

    # -- files ----------------------------------------------------------------------------------------------------

    def save(self, path: str | Path, *, overwrite: bool = False) -> None:
        """Write an .npz file (no pickle) atomically.

        Raises:
            UsageError: the file exists and `overwrite` is false, or cannot be written.
        """
        arrays = {
            "format": np.array(_FORMAT),
            "expression": self.expression,
            "rotation": self.rotation,
            "translation": self.translation,
            "fps": np.array(self.fps),
            "face_model": np.array(self.face_model),
            "source": np.array(self.source),
        }
        for name in ("identity", "confidence"):
            if getattr(self, name) is not None:
                arrays[name] = getattr(self, name)
        if self.audio is not None:
            arrays["audio"] = np.round(np.clip(self.audio, -1, 1) * 32767).astype(np.int16)
        with atomic_output(path, overwrite) as temporary, open(temporary, "wb") as file:
            np.savez_compressed(file, **arrays)

    @classmethod
    def load(cls, path: str | Path, *, face_model: str | None = None) -> Motion:
        """Read a file written by `save`.

        Args:
            path: the file.
            face_model: fingerprint of the face model that the motion must belong to; None accepts any.

        Raises:
            InputError: another kind of file, wrong shapes, numbers that are not finite, or another face model.
        """
        data = read_npz(path, "motion file")
        if not _REQUIRED <= data.keys() or str(data["format"]) != _FORMAT:
            lacking = ", ".join(sorted(_REQUIRED - data.keys())) or "the format mark"
            raise InputError(f"{path}: not a motion file (it lacks {lacking})")
        if face_model is not None and str(data["face_model"]) != face_model:
            raise InputError(f"{path}: the motion belongs to face model {data['face_model']}, not {face_model}")
        try:
            if "audio" in data:
                data["audio"] = data["audio"].astype(np.float32) / 32767
            arrays: dict[str, Any] = {name: data.get(name) for name in (*_PER_FRAME, "identity", "audio")}
            return cls(
                **arrays,
                fps=float(data["fps"]),
                face_model=str(data["face_model"]),
                source=str(data.get("source", "")),
            )
        except (TypeError, ValueError, InputError) as error:
            raise InputError(f"{path}: {error}") from None

    # -- edits: each returns a new Motion ---------------------------------------------------------------------------

    def at(self, index: int) -> Motion:
        """Return frame `index` alone, without sound."""
        if not -len(self) <= index < len(self):
            raise UsageError(f"motion has {len(self)} frames, no frame {index}")
        index %= len(self)
        return replace(self._edited(lambda values: values[index : index + 1]), audio=None)

    def slice(self, start: int, stop: int) -> Motion:
        """Return frames start..stop-1 with their part of the sound."""
        start, stop, _ = slice(start, stop).indices(len(self))
        if stop <= start:
            raise UsageError(f"no frames between {start} and {stop}")
        motion = self._edited(lambda values: values[start:stop])
        if self.audio is not None:
            edges = [round(i * SAMPLE_RATE / self.fps) for i in (start, stop)]
            motion.audio = self.audio[edges[0] : edges[1]]
        return motion

    def seen(self) -> Motion:
        """Return the frames that show a face (`confidence` above 0), joined; without sound where some are left out."""
        if self.confidence is None or (self.confidence > 0).all():
            return self
        found = self.confidence > 0
        return replace(self._edited(lambda values: values[found]), audio=None)

    def _edited(self, edit: Callable[[np.ndarray], np.ndarray]) -> Motion:
        """The motion with every array of one row per frame replaced by `edit` of it."""
        arrays = {name: getattr(self, name) for name in _PER_FRAME}
        edited: dict[str, Any] = {name: edit(value) for name, value in arrays.items() if value is not None}
        return replace(self, **edited)

    def resample(self, fps: float) -> Motion:
        """Return the motion at another frame rate (linear interpolation; rotations along the shortest arc)."""
        if not fps > 0:
            raise UsageError(f"{fps} frames per second is not a frame rate")
        if fps == self.fps or len(self) == 1:
            return replace(self, fps=fps)
        count = max(1, round(len(self) * fps / self.fps))
        at = np.minimum(np.arange(count) * self.fps / fps, len(self) - 1)
        known = np.arange(len(self))

        def linear(values: np.ndarray) -> np.ndarray:
            low = np.minimum(at.astype(int), len(self) - 2)
            weight = (at - low).reshape(-1, *[1] * (values.ndim - 1))
            return values[low] * (1 - weight) + values[low + 1] * weight

        rotation = Slerp(known, Rotation.from_rotvec(self.rotation))(at).as_rotvec()
        return replace(self._edited(linear), rotation=rotation, fps=fps)

    def concat(self, other: Motion) -> Motion:
        """Return this motion followed by `other`; sound is kept when both have it.

        Raises:
            UsageError: frame rates or face models differ.
        """
        if (self.fps, self.face_model) != (other.fps, other.face_model):
            raise UsageError("only motions of one frame rate and one face model can be joined")
        joined: dict[str, Any] = {}
        for name in _PER_FRAME:
            parts = [getattr(self, name), getattr(other, name)]
            joined[name] = None if any(part is None for part in parts) else np.concatenate(parts)
        if self.audio is None or other.audio is None:
            return replace(self, **joined, audio=None)
        # The first part's sound is cut or padded to its frames, so that the second part stays in sync.
        length = round(len(self) * SAMPLE_RATE / self.fps)
        head = self.audio[:length]
        audio = np.concatenate([head, np.zeros(length - len(head), np.float32), other.audio])
        return replace(self, **joined, audio=audio)

    def scaled(self, *, expression: float = 1.0, pose: float = 1.0) -> Motion:
        """Return the motion with expression scaled about the neutral face and head motion about its first frame."""
        first = Rotation.from_rotvec(self.rotation[0])
        turn = (Rotation.from_rotvec(self.rotation) * first.inv()).as_rotvec() * pose
        return replace(
            self,
            expression=self.expression * expression,
            rotation=(Rotation.from_rotvec(turn) * first).as_rotvec(),
            translation=self.translation[:1] + (self.translation - self.translation[:1]) * pose,
        )

    def still(self) -> Motion:
        """Return the motion with the head in the pose of the first frame."""
        return replace(
            self,
            rotation=np.repeat(self.rotation[:1], len(self), axis=0),
            translation=np.repeat(self.translation[:1], len(self), axis=0),
        )
