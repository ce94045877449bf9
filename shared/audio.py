"""Sound from any file: mono float32 at 16 kHz for the networks, or decoded frames as they are for the output video."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from typing import Any

import av
import numpy as np

from shared.errors import InputError
from shared.files import check_input

SAMPLE_RATE = 16000
FPS = 25

MAX_HOURS = 4
"""Longer recordings are refused: at 16 kHz four hours are already 0.9 GB of memory."""

MAX_BROKEN_SHARE = 0.01
"""Recordings with a larger share of NaN or infinite samples are refused; fewer of them are set to zero."""


def frame_count(num_samples: int) -> int:
    """Return the number of video frames that cover `num_samples` at 16 kHz: ceil(25 n / 16000), in exact integers."""
    return -(-FPS * int(num_samples) // SAMPLE_RATE)


# Before release 19 PyAV refused files whose tags are not UTF-8, unless it was told.
_LENIENT: dict[str, Any] = {} if int(av.__version__.split(".")[0]) >= 19 else {"metadata_errors": "ignore"}


def open_media(path: str | os.PathLike) -> Any:
    """Open a file for demultiplexing; the caller closes the returned `av` input container.

    Raises:
        InputError: the file is missing, empty, or of a kind that has neither sound nor pictures.
    """
    file = check_input(path)
    try:
        # "file:" keeps a colon in a name from being read as a network address; playlists may refer to files only.
        container = av.open(f"file:{file}", options={"protocol_whitelist": "file"}, **_LENIENT)
    except (av.FFmpegError, UnicodeError) as error:
        raise InputError(f"cannot read {path}: it is not a sound or video file that can be decoded") from error
    if container.format.name == "tty":  # FFmpeg "plays" text files as terminal art
        container.close()
        raise InputError(f"cannot read {path}: it is a text file")
    return container


class AudioTrack:
    """The first sound track of a file, decoded frame by frame with broken samples repaired; a context manager.

    Time zero is the first sample: a late start of the track within a video is not counted.

    Attributes:
        rate: sampling rate in Hz.
        channels: number of channels.

    Raises:
        InputError: there is no sound track; while iterating `frames()`: no samples, too long, too many broken samples.
    """

    def __init__(self, path: str | os.PathLike) -> None:
        self._path = path
        self._container = open_media(path)
        stream = next((s for s in self._container.streams.audio if s.codec_context is not None), None)
        if stream is None:
            self._container.close()
            raise InputError(f"cannot read {path}: it has no sound track")
        self._stream = stream
        self.rate: int = self._stream.codec_context.sample_rate
        self.channels: int = self._stream.codec_context.channels

    def __enter__(self) -> AudioTrack:
        return self

    def __exit__(self, *exception: object) -> None:
        self._container.close()

    def frames(self) -> Iterator[av.AudioFrame]:
        """Yield the decoded frames in order; packets that cannot be decoded are skipped, as in media players."""
        samples = broken = values = 0
        for frame, is_last in _with_last(decoded(self._container, self._stream, self._path)):
            samples += frame.samples
            if samples > MAX_HOURS * 3600 * frame.sample_rate:
                raise InputError(f"cannot use {self._path}: the sound is longer than {MAX_HOURS} hours")
            if frame.format.name.startswith(("flt", "dbl")):
                frame, bad = _repaired(frame)
                broken += bad
            values += frame.samples * len(frame.layout.channels)
            if is_last:
                frame = _shortened(frame, samples - self._stated_samples(frame.sample_rate))
            frame.pts = None
            yield frame
        if samples == 0:
            raise InputError(f"cannot use {self._path}: its sound track has no samples")
        if broken > MAX_BROKEN_SHARE * values:
            share = 100 * broken / values
            raise InputError(f"cannot use {self._path}: {share:.0f} % of its samples are not finite numbers")
        if broken:
            warnings.warn(f"{self._path}: {broken} samples that are not finite numbers became silence", stacklevel=2)

    def resampled(self, rate: int, layout: str | None = None) -> Iterator[np.ndarray]:
        """Yield float32 blocks [channels, n], which add up to the track's duration, rounded to a sample (at least one).

        Args:
            rate: sampling rate of the output, Hz.
            layout: channel layout of the output such as "mono"; that of the file by default.
        """
        setup: Any = None
        resampler: Any = None
        last: Any = None
        received, yielded = 0.0, 0

        def blocks(frame: av.AudioFrame | None, limit: int | None = None) -> Iterator[np.ndarray]:
            nonlocal yielded
            for out in resampler.resample(frame):
                block = out.to_ndarray()[:, : None if limit is None else max(0, limit - yielded)]
                yielded += block.shape[1]
                yield block

        def ending() -> Iterator[np.ndarray]:
            limit = max(1, round(received))
            # Silence after the end, because a resampler drops anything shorter than its filter.
            yield from blocks(_silence_like(last, last.sample_rate // 10), limit)
            yield from blocks(None, limit)

        for frame in self.frames():
            # A stream may change its format midway (radio recordings do); each part is resampled by itself.
            if setup != (frame.format.name, frame.layout.name, frame.sample_rate):
                if resampler is not None:
                    yield from ending()
                setup = (frame.format.name, frame.layout.name, frame.sample_rate)
                resampler = av.AudioResampler(format="fltp", layout=layout or frame.layout.name, rate=rate)
            received += frame.samples * rate / frame.sample_rate
            last = frame
            yield from blocks(frame)
        yield from ending()

    def _stated_samples(self, rate: int) -> float:
        """Length stated by an MP4: its codecs fill the last block with silence that is not part of the sound."""
        if self._container.format.name.startswith("mov") and self._stream.duration and self._stream.time_base:
            return round(self._stream.duration * self._stream.time_base * rate)
        return float("inf")


def decoded(container: av.container.InputContainer, stream: av.stream.Stream, path: str | os.PathLike) -> Iterator:
    """Yield the frames of one stream in order; a damaged packet is skipped, as in media players.

    Raises:
        InputError: the stream cannot be decoded at all; `path` names the file in the message.
    """
    try:
        for packet in container.demux(stream):
            try:
                yield from packet.decode()
            except av.InvalidDataError:
                continue
    except av.FFmpegError as error:
        raise InputError(f"cannot read {path}: it cannot be decoded ({error.strerror})") from error


def read_audio(path: str | os.PathLike) -> np.ndarray:
    """Read the sound of any audio or video file as float32 [n]: mono (channels averaged), 16 kHz, in [-1, 1].

    `n` is the duration of the track times 16000, rounded to the nearest sample and at least 1; time zero is the first
    sample of the track. Up to 1 % of NaN or infinite samples become zeros, with a warning.

    Raises:
        InputError: the file is missing, empty or not decodable, has no sound track or no samples, is longer than
            `MAX_HOURS`, or more than `MAX_BROKEN_SHARE` of its samples are not finite.
    """
    with AudioTrack(path) as track:
        audio = np.concatenate([block.mean(axis=0) for block in track.resampled(SAMPLE_RATE)])
    clipped = np.count_nonzero(np.abs(audio) > 1)
    if clipped > 0.01 * audio.size:
        warnings.warn(f"{path}: {100 * clipped / audio.size:.0f} % of the samples are beyond full scale", stacklevel=2)
    return np.clip(audio, -1, 1, out=audio)


def _with_last(frames: Iterator[av.AudioFrame]) -> Iterator[tuple[av.AudioFrame, bool]]:
    """Pair each frame with whether it is the last."""
    held = next(frames, None)
    for frame in frames:
        if held is not None:
            yield held, False
        held = frame
    if held is not None:
        yield held, True


def _shortened(frame: av.AudioFrame, excess: float) -> av.AudioFrame:
    """Drop `excess` samples from the end if fewer than the whole frame; more cannot be the padding of one block."""
    if not 0 < excess < frame.samples:
        return frame
    per_sample = 1 if frame.format.is_planar else len(frame.layout.channels)
    return _rebuilt(frame, frame.to_ndarray()[:, : (frame.samples - int(excess)) * per_sample])


def _silence_like(frame: av.AudioFrame, samples: int) -> av.AudioFrame:
    template = frame.to_ndarray()
    per_sample = 1 if frame.format.is_planar else len(frame.layout.channels)
    zero = 128 if template.dtype == np.uint8 else 0
    return _rebuilt(frame, np.full((template.shape[0], samples * per_sample), zero, template.dtype))


def _repaired(frame: av.AudioFrame) -> tuple[av.AudioFrame, int]:
    """Set NaN and infinite samples to zero, before a resampler spreads them; also return their number."""
    values = frame.to_ndarray()
    finite = np.isfinite(values)
    if finite.all():
        return frame, 0
    zero = values.dtype.type(0)
    return _rebuilt(frame, np.where(finite, values, zero)), int(values.size - np.count_nonzero(finite))


def _rebuilt(frame: av.AudioFrame, values: np.ndarray) -> av.AudioFrame:
    new = av.AudioFrame.from_ndarray(np.ascontiguousarray(values), frame.format.name, frame.layout.name)
    new.sample_rate = frame.sample_rate
    return new
