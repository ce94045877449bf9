"""Lazy reading of one clip: frames, tracked landmarks, motion, speech."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path

import numpy as np

from fd2talk.evaluation.inputs.pairs import ClipFiles
from fd2talk.evaluation.source_digest import code_digest
from shared.errors import InputError
from shared.face_model.mediapipe_mesh import NUM_VERTICES
from shared.face_model.morphable import MorphableModel
from shared.faces.tracker import track_video
from shared.media import FPS, VideoInfo, read_audio, read_video, read_video_audio, video_info
from shared.motion import Motion
from shared.prepared import load_track, save_track
from shared.tracking import Track, motion_from_track

_TRACKING = ("shared.media", "shared.faces.tracker", "shared.tracking")


class ClipReader:
    """A clip and what can be read from it.

    Args:
        files: the files of the clip.
        model: the face model that motions belong to.
        cache: folder for tracks, which take the longest to compute; keyed by the file and the tracker's code, so that
            a changed file is tracked again.
        tracked: take the motion from the video even where there is a motion file.
        rates: frame rates at which a motion file is measured (videos always at 25 per second).
        resampled: bring a motion of any other frame rate to 25 per second.

    Raises:
        InputError: by every member, where the files do not contain it.
    """

    def __init__(
        self,
        files: ClipFiles,
        model: MorphableModel,
        cache: Path,
        *,
        tracked: bool = False,
        rates: Collection[float] = (FPS,),
        resampled: bool = False,
    ) -> None:
        self.files, self._model, self._cache = files, model, cache
        self._tracked, self._rates, self._resampled = tracked, rates, resampled

    @cached_property
    def info(self) -> VideoInfo:
        """Size and frame rate of the video."""
        return video_info(self._video)

    @property
    def fps(self) -> float:
        """The frame rate stated by the video file, or else by the motion file."""
        return self.info.fps if self.files.video else self._motion_file.fps

    def frames(self) -> Iterator[np.ndarray]:
        """Yield uint8 [H, W, 3] at 25 frames per second."""
        return read_video(self._video)

    @cached_property
    def track(self) -> Track:
        """The tracked landmarks of the video, gaps filled."""
        stat = self._video.stat()
        facts = (code_digest(*_TRACKING), self._video.resolve(), stat.st_size, stat.st_mtime_ns)
        key = hashlib.sha256(repr(facts).encode()).hexdigest()[:16]
        path = self._cache / f"{self.files.name[:80]}_{key}.npz"
        if path.exists():
            return load_track(path)
        try:
            track = Track.from_frames(list(track_video(self.frames())))
        except InputError as error:
            raise InputError(f"{self._video}: {error}") from error
        self._cache.mkdir(parents=True, exist_ok=True)
        save_track(path, track)
        return track

    @cached_property
    def motion(self) -> Motion:
        """The motion file's motion, or else the tracked one."""
        if self.files.motion is None or (self._tracked and self.files.video):
            if self._model.num_vertices != NUM_VERTICES:
                raise InputError(
                    f"{self._video}: the tracker cannot fit face model {self._model.name}; give motions (.npz)"
                )
            return motion_from_track(self._model, self.track, source=str(self._video))
        if self._motion_file.fps in self._rates:
            return self._motion_file
        if not self._resampled:
            rates = " or ".join(f"{rate:g}" for rate in sorted(set(self._rates)))
            rate = f"{self._motion_file.fps:g} frames per second, not {rates}"
            raise InputError(f"{self.files.motion}: {rate} (--resample converts it)")
        return self._motion_file.resample(FPS)

    @cached_property
    def _motion_file(self) -> Motion:
        return Motion.load(self.files.motion, face_model=self._model.fingerprint)

    @cached_property
    def speech(self) -> np.ndarray | None:
        """float32 [n], 16 kHz, of the audio file, the video or the motion file; None where there is none."""
        if self.files.audio:
            return read_audio(self.files.audio)
        if self.files.video and self.info.has_audio:
            return read_video_audio(self._video)
        return self._motion_file.audio if self.files.motion else None

    @property
    def _video(self) -> Path:
        if self.files.video is None:
            raise InputError(f"{self.files.name}: there is no video, only {self.files.motion}")
        return self.files.video


def take_frames(motion: Motion, indices: Sequence[int] | np.ndarray) -> Motion:
    """Return the frames with these indices, without sound."""
    curves = {name: getattr(motion, name) for name in ("expression", "rotation", "translation", "confidence")}
    taken = {name: curve[indices] for name, curve in curves.items() if curve is not None}
    return replace(motion, audio=None, **taken)
