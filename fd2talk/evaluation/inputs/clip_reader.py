"""Lazy reading of one clip: frames, tracked landmarks, motion, speech."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TypeVar

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

FIRST_FRAME = 5
"""Earlier frames hardly differ from the photo, the first one: they are not chosen, and belong to no class of motion."""

_Frame = TypeVar("_Frame")
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
        numbers: the frames in which images are compared; None for all.

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
        numbers: np.ndarray | None = None,
    ) -> None:
        self.files, self.numbers, self._model, self._cache = files, numbers, model, cache
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
        """Yield uint8 [H, W, 3]: the chosen frames, or all at 25 per second."""
        if self.files.frames:
            return iter(self._rendered["frames"])
        return read_video(self._video) if self.numbers is None else pick(read_video(self._video), self.numbers)

    @property
    def photo(self) -> np.ndarray:
        """The first frame of the video."""
        with closing(read_video(self._video)) as frames:
            return next(frames)

    @property
    def landmarks(self) -> np.ndarray:
        """Of the frames that `frames` yields [n, 478, 3]."""
        if self.files.frames:
            return self._rendered["landmarks"]
        landmarks = self.track.landmarks
        return landmarks if self.numbers is None else landmarks[np.minimum(self.numbers, len(landmarks) - 1)]

    @cached_property
    def _rendered(self) -> dict[str, np.ndarray]:
        assert self.files.frames is not None  # as the callers have checked
        with np.load(self.files.frames, allow_pickle=False) as file:
            return dict(file)

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
        assert self.files.motion is not None  # a clip without video has one
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


def choose_frames(track: Track, count: int) -> np.ndarray:
    """Return the numbers of `count` evenly spaced frames with a face, from `FIRST_FRAME` on.

    Raises:
        InputError: there are fewer, or the first frame, the photo, shows no face.
    """
    usable = np.flatnonzero(track.confidence > 0)
    usable = usable[usable >= FIRST_FRAME]
    if track.confidence[0] == 0:
        raise InputError("the first frame, the photo, shows no face")
    if len(usable) < count:
        raise InputError(f"only {len(usable)} frames after the first {FIRST_FRAME} show a face, not {count}")
    return usable[np.linspace(0, len(usable) - 1, count).astype(int)]


def pick(frames: Iterable[_Frame], numbers: Collection[int]) -> Iterator[_Frame]:
    """Yield the frames with these numbers, in the order of the video."""
    chosen = {int(number) for number in numbers}
    for number, frame in enumerate(frames):
        if number in chosen:
            yield frame
            chosen.discard(number)
            if not chosen:
                return


def take_frames(motion: Motion, indices: Sequence[int] | np.ndarray) -> Motion:
    """Return the frames with these indices, without sound."""
    curves = {name: getattr(motion, name) for name in ("expression", "rotation", "translation", "confidence")}
    taken = {name: curve[indices] for name, curve in curves.items() if curve is not None}
    return replace(motion, audio=None, **taken)
