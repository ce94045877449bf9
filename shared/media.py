"""Read and write sound, photos and video; inputs are checked, and outputs are written atomically.

Sound is float32 mono at 16 kHz in [-1, 1], pictures are uint8 RGB [H, W, 3], video has 25 frames per second with frame
i at i / 25 s.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass

import av
import numpy as np
from av.video.reformatter import Interpolation

from shared.audio import FPS, SAMPLE_RATE, read_audio
from shared.audio import frame_count as frame_count  # re-exported, as read_image and VideoWriter
from shared.containers import decoded, open_media, sound_stream, video_stream
from shared.errors import InputError
from shared.images import read_animation
from shared.images import read_image as read_image
from shared.video_writer import VideoWriter as VideoWriter

_SYNC_TOLERANCE = 0.02  # seconds, half a frame: sound and pictures that start less far apart start together


@dataclass(frozen=True)
class VideoInfo:
    """Properties of a video: upright size in pixels, its own frame rate and frame count, duration in seconds."""

    width: int
    height: int
    fps: float
    frames: int | None
    duration: float | None
    has_audio: bool


def video_info(path: str | os.PathLike) -> VideoInfo:
    """Describe a video without decoding more than its first frame; properties that the file does not state are None.

    Raises:
        InputError: no readable file, no video stream, no frame.
    """
    if (animation := read_animation(path)) is not None:
        seconds, (height, width) = [], (0, 0)
        for length, picture in animation:
            seconds.append(length)
            height, width = picture.shape[:2]
        return VideoInfo(width, height, len(seconds) / sum(seconds), len(seconds), sum(seconds), has_audio=False)
    with open_media(path) as container:
        stream = video_stream(container, path)
        first = next(decoded(container, stream, path), None)
        if first is None:
            raise InputError(f"cannot use {path}: its video stream has no frames")
        turned = getattr(first, "rotation", 0) % 180 != 0
        duration: float | None
        if stream.duration is not None and stream.time_base is not None:
            duration = float(stream.duration * stream.time_base)
        else:
            duration = container.duration / av.time_base if container.duration else None
        return VideoInfo(
            width=first.height if turned else first.width,
            height=first.width if turned else first.height,
            fps=float(stream.average_rate or FPS),
            frames=stream.frames or None,
            duration=duration,
            has_audio=len(container.streams.audio) > 0,
        )


def read_video(path: str | os.PathLike, *, exact: bool = False) -> Iterator[np.ndarray]:
    """Yield upright uint8 RGB frames [H, W, 3] at 25 frames per second, counted from the first frame.

    Frames are dropped or repeated by their timestamps, each assigned to the nearest 1/25 s; a video of 25 frames per
    second is returned frame for frame.

    Args:
        path: of the video.
        exact: convert colours without rounding down, for pictures that become a video again: FFmpeg's fast conversion
            makes them one grey level darker each time. Needs PyAV 18, and takes longer.

    Raises:
        InputError: no readable file, no video stream, no frame.
    """
    start: float | None = None
    held, end, yielded = None, 0.0, 0
    for time, seconds, picture in _timed_frames(path, exact):
        start = time if start is None else start
        place = round((time - start) * FPS)
        while held is not None and yielded < place:
            yield held
            yielded += 1
        held, end = picture, time + seconds
    if held is None or start is None:
        raise InputError(f"cannot use {path}: its video stream has no frames")
    for _ in range(max(1 if yielded == 0 else 0, round((end - start) * FPS) - yielded)):
        yield held


def _timed_frames(path: str | os.PathLike, exact: bool) -> Iterator[tuple[float, float, np.ndarray]]:
    """Yield the frames as they are stored: when each is shown and for how long, in seconds, and its upright picture."""
    if (animation := read_animation(path)) is not None:
        time = 0.0
        for seconds, picture in animation:
            yield time, seconds, picture
            time += seconds
        return
    with open_media(path) as container:
        stream = video_stream(container, path)
        step = 1 / float(stream.average_rate or FPS)
        for count, frame in enumerate(decoded(container, stream, path)):
            yield count * step if frame.time is None else frame.time, step, _upright(frame, exact)


def read_video_audio(path: str | os.PathLike) -> np.ndarray:
    """Read the sound of a video as `read_audio` does, with time zero at the first frame.

    A sound track may start later than the pictures, or before them (files cut without transcoding): silence is then
    inserted before it, or its beginning is removed.

    Raises:
        InputError: as `read_audio`, or the sound ends before the first frame.
    """
    audio = read_audio(path)
    shift = round(sound_delay(path) * SAMPLE_RATE)
    if not shift:
        return audio
    audio = np.concatenate([np.zeros(max(shift, 0), np.float32), audio[max(-shift, 0) :]])
    if not audio.size:
        raise InputError(f"cannot use {path}: its sound ends before its pictures begin")
    return audio


def sound_delay(path: str | os.PathLike) -> float:
    """How many seconds behind its first frame the sound of a video begins; 0 for less than half a frame."""
    with open_media(path) as sound, open_media(path) as pictures:
        track = sound_stream(sound, path)
        delay = _start(decoded(sound, track, path)) - _start(decoded(pictures, video_stream(pictures, path), path))
    return delay if abs(delay) >= _SYNC_TOLERANCE else 0.0


def _start(frames: Iterator) -> float:
    """Time in seconds of the first frame that has one; a stream's start time may count frames that are not decoded."""
    return float(next((frame.time for frame in frames if frame.time is not None), 0.0))


def _upright(frame: av.VideoFrame, exact: bool) -> np.ndarray:
    """Apply the camera's rotation (degrees counter-clockwise in the display matrix)."""
    turns = round(getattr(frame, "rotation", 0) / 90) % 4
    rgb = frame.to_ndarray(format="rgb24", interpolation=_exact_conversion() if exact else None)
    return np.ascontiguousarray(np.rot90(rgb, turns))


def _exact_conversion() -> Interpolation:
    """How FFmpeg converts colours most exactly; in older versions of PyAV this cannot be chosen."""
    exact = Interpolation.BILINEAR
    for flag in ("ACCURATE_RND", "FULL_CHR_H_INT"):
        exact |= getattr(Interpolation, flag, exact)
    return exact
