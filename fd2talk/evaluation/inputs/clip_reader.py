"""One side of a pair, read when it is asked for: pictures, tracked points, motion, mesh, speech."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path

import numpy as np

from fd2talk.evaluation.inputs.pairs import Item
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


class Footage:
    """A clip and what can be read from it.

    cache: folder for tracks, which take the longest to make; keyed by the file and the tracker's code, so that what
    changes is tracked again. tracked: take the motion from the pictures even where a motion file lies beside them.
    resampled: bring a motion of another frame rate to 25 per second (videos always are).
    Everything raises InputError where the files do not hold it.
    """

    def __init__(
        self, item: Item, model: MorphableModel, cache: Path, *, tracked: bool = False, resampled: bool = False
    ) -> None:
        self.item, self._model, self._cache = item, model, cache
        self._tracked, self._resampled = tracked, resampled

    @cached_property
    def info(self) -> VideoInfo:
        """Size and rate of the video."""
        return video_info(self._video)

    @property
    def fps(self) -> float:
        """The frame rate that its file states, of the video where there is one."""
        return self.info.fps if self.item.video else self._given.fps

    def frames(self) -> Iterator[np.ndarray]:
        """uint8 [H, W, 3] at 25 frames per second."""
        return read_video(self._video)

    @cached_property
    def track(self) -> Track:
        """The tracker's points of the video, gaps filled."""
        stat = self._video.stat()
        facts = (code_digest(*_TRACKING), self._video.resolve(), stat.st_size, stat.st_mtime_ns)
        key = hashlib.sha256(repr(facts).encode()).hexdigest()[:16]
        path = self._cache / f"{self.item.name[:80]}_{key}.npz"
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
        """The motion file's, or else what was tracked."""
        if self.item.motion is None or (self._tracked and self.item.video):
            if self._model.num_vertices != NUM_VERTICES:
                raise InputError(
                    f"{self._video}: the tracker cannot fit face model {self._model.name}; give motions (.npz)"
                )
            return motion_from_track(self._model, self.track, source=str(self._video))
        if self._given.fps != FPS and not self._resampled:
            raise InputError(
                f"{self.item.motion}: {self._given.fps:g} frames a second, not {FPS} (--resample changes it)"
            )
        return self._given.resample(FPS)

    @cached_property
    def _given(self) -> Motion:
        return Motion.load(self.item.motion, face_model=self._model.fingerprint)

    @cached_property
    def speech(self) -> np.ndarray | None:
        """float32 [n], 16 kHz: the sound file's, the video's, or the motion's; None where there is none."""
        if self.item.audio:
            return read_audio(self.item.audio)
        if self.item.video and self.info.has_audio:
            return read_video_audio(self._video)
        return self._given.audio if self.item.motion else None

    @property
    def _video(self) -> Path:
        if self.item.video is None:
            raise InputError(f"{self.item.name}: there is no video, only {self.item.motion}")
        return self.item.video
