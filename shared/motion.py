"""Motion: the one thing that the two stages exchange (expression and pose of a 3D face over time)."""

from __future__ import annotations

import zipfile
import zlib
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from scipy.spatial.transform import Rotation, Slerp

from shared.audio import SAMPLE_RATE
from shared.errors import InputError, UsageError
from shared.files import atomic_output

_FORMAT = "fd2talk-motion-1"


@dataclass
class Motion:
    """Coefficients of a 3D face over T frames (FD2Talk §3.1.1: expression beta and pose p = [r, t]).

    expression: float32 [T, D], coefficients of the face model's expression basis (1 = one standard deviation).
    rotation: float32 [T, 3], axis-angle in radians.
    translation: float32 [T, 3]: x and y in face-crop units (the crop spans [-1, 1]), and the natural logarithm of
        the scale (crop units per 100 mm); see `shared.face_model.camera`.
    fps: frames per second; frame i is at i / fps seconds.
    face_model: the fingerprint (``name:sha256``) of the model that the coefficients belong to.
    audio: float32 [n], mono, 16 kHz, in [-1, 1], or None. Stored as 16-bit.
    identity: float32 [D_id] or None. confidence: float32 [T] in [0, 1] or None. source: free text.

    Raises InputError when shapes disagree or a number is not finite.
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
        for name in ("expression", "rotation", "translation", "audio", "identity", "confidence"):
            value = getattr(self, name)
            if value is not None:
                setattr(self, name, np.ascontiguousarray(value, dtype=np.float32))
        self.fps = float(self.fps)
        self._check()

    def _check(self) -> None:
        frames = len(self.expression)
        shapes = {"expression": (2, None), "rotation": (2, 3), "translation": (2, 3)}
        for name, (ndim, width) in shapes.items():
            value = getattr(self, name)
            if value.ndim != ndim or (width and value.shape[1] != width) or len(value) != frames:
                raise InputError(f"motion: {name} has shape {list(value.shape)}, expected [{frames}, {width or 'D'}]")
        if self.confidence is not None and self.confidence.shape != (frames,):
            raise InputError(f"motion: confidence has shape {list(self.confidence.shape)}, expected [{frames}]")
        for name in ("audio", "identity"):
            value = getattr(self, name)
            if value is not None and value.ndim != 1:
                raise InputError(f"motion: {name} has shape {list(value.shape)}, expected one dimension")
        for name in ("expression", "rotation", "translation", "audio", "identity", "confidence"):
            value = getattr(self, name)
            if value is not None and not np.isfinite(value).all():
                raise InputError(f"motion: {name} has a number that is not finite")
        if not (np.isfinite(self.fps) and self.fps > 0):
            raise InputError(f"motion: {self.fps} frames per second is not a frame rate")

    def __len__(self) -> int:
        return len(self.expression)

    # -- files ----------------------------------------------------------------------------------------------------

    def save(self, path: str | Path, *, overwrite: bool = False) -> None:
        """Write an .npz file (no pickle), atomically; refuses an existing file unless `overwrite`."""
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
        """Read what `save` wrote. `face_model`: the fingerprint that it must belong to, if given.

        Raises InputError: not such a file, wrong shapes, numbers that are not finite, another face model.
        """
        try:
            with np.load(path, allow_pickle=False) as file:
                data = {name: file[name] for name in file.files}
        except FileNotFoundError:
            raise InputError(f"{path}: no such file") from None
        except (AttributeError, TypeError):  # a lone array is no archive
            raise InputError(f"{path}: not a motion file (it holds a single array)") from None
        except (OSError, ValueError, EOFError, NotImplementedError, zipfile.BadZipFile, zlib.error) as error:
            raise InputError(f"{path}: not a motion file ({error})") from None
        required = {"format", "expression", "rotation", "translation", "fps", "face_model"}
        if not required <= data.keys() or str(data["format"]) != _FORMAT:
            raise InputError(
                f"{path}: not a motion file (it lacks {', '.join(sorted(required - data.keys())) or 'the format mark'})"
            )
        if face_model is not None and str(data["face_model"]) != face_model:
            raise InputError(f"{path}: made for face model {data['face_model']}, not {face_model}")
        audio = data.get("audio")
        try:
            return cls(
                expression=data["expression"],
                rotation=data["rotation"],
                translation=data["translation"],
                fps=float(data["fps"]),
                face_model=str(data["face_model"]),
                audio=None if audio is None else audio.astype(np.float32) / 32767,
                identity=data.get("identity"),
                confidence=data.get("confidence"),
                source=str(data.get("source", "")),
            )
        except (TypeError, ValueError, InputError) as error:
            raise InputError(f"{path}: {error}") from None

    # -- edits: each returns a new Motion ---------------------------------------------------------------------------

    def at(self, index: int) -> Motion:
        """Frame `index` alone, without sound."""
        if not -len(self) <= index < len(self):
            raise UsageError(f"motion has {len(self)} frames, no frame {index}")
        index %= len(self)
        return replace(self._frames(slice(index, index + 1)), audio=None)

    def slice(self, start: int, stop: int) -> Motion:
        """Frames start..stop-1 with their share of the sound."""
        start, stop, _ = slice(start, stop).indices(len(self))
        if stop <= start:
            raise UsageError(f"no frames between {start} and {stop}")
        motion = self._frames(slice(start, stop))
        if self.audio is not None:
            edges = [round(i * SAMPLE_RATE / self.fps) for i in (start, stop)]
            motion.audio = self.audio[edges[0] : edges[1]]
        return motion

    def _frames(self, frames: slice) -> Motion:
        return replace(
            self,
            expression=self.expression[frames],
            rotation=self.rotation[frames],
            translation=self.translation[frames],
            confidence=None if self.confidence is None else self.confidence[frames],
        )

    def resample(self, fps: float) -> Motion:
        """The same motion at another frame rate (linear interpolation; rotations along the shortest arc)."""
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

        return replace(
            self,
            expression=linear(self.expression),
            rotation=Slerp(known, Rotation.from_rotvec(self.rotation))(at).as_rotvec(),
            translation=linear(self.translation),
            confidence=None if self.confidence is None else linear(self.confidence),
            fps=fps,
        )

    def concat(self, other: Motion) -> Motion:
        """This motion, then `other`. Sound is kept when both have it. Raises UsageError for unlike motions."""
        if (self.fps, self.face_model) != (other.fps, other.face_model):
            raise UsageError("only motions of one frame rate and one face model can be joined")
        both = self.audio is not None and other.audio is not None
        confident = self.confidence is not None and other.confidence is not None
        audio = None
        if both:  # the first part's sound is cut or padded to its frames, so that the second stays in sync
            length = round(len(self) * SAMPLE_RATE / self.fps)
            head = self.audio[:length]
            audio = np.concatenate([head, np.zeros(length - len(head), np.float32), other.audio])
        return replace(
            self,
            expression=np.concatenate([self.expression, other.expression]),
            rotation=np.concatenate([self.rotation, other.rotation]),
            translation=np.concatenate([self.translation, other.translation]),
            confidence=np.concatenate([self.confidence, other.confidence]) if confident else None,
            audio=audio,
        )

    def scaled(self, *, expression: float = 1.0, pose: float = 1.0) -> Motion:
        """Expression scaled about the neutral face, head motion about its first frame."""
        first = Rotation.from_rotvec(self.rotation[0])
        turn = (Rotation.from_rotvec(self.rotation) * first.inv()).as_rotvec() * pose
        return replace(
            self,
            expression=self.expression * expression,
            rotation=(Rotation.from_rotvec(turn) * first).as_rotvec(),
            translation=self.translation[:1] + (self.translation - self.translation[:1]) * pose,
        )

    def still(self) -> Motion:
        """The same expressions on a head that keeps the pose of the first frame."""
        return replace(
            self,
            rotation=np.repeat(self.rotation[:1], len(self), axis=0),
            translation=np.repeat(self.translation[:1], len(self), axis=0),
        )
