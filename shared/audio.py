"""Sound from any file: mono float32 at 16 kHz for the networks, or decoded frames as they are for the output video."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from typing import Any

import av
import numpy as np

from shared.containers import decoded, open_media, sound_stream
from shared.errors import InputError

SAMPLE_RATE = 16000
FPS = 25

MAX_HOURS = 4
"""Longer recordings are refused: at 16 kHz four hours are already 0.9 GB of memory."""

MAX_BROKEN_SHARE = 0.01
"""Recordings with a larger share of NaN or infinite samples are refused; fewer of them are set to zero."""


def frame_count(num_samples: int) -> int:
    """Return the number of video frames that cover `num_samples` at 16 kHz: ceil(25 n / 16000), in exact integers."""
    return -(-FPS * int(num_samples) // SAMPLE_RATE)


class AudioTrack:
    """The sound track of a file, decoded frame by frame with broken samples repaired; a context manager.

    Of several tracks `sound_stream` chooses one. Time zero is the first sample: a late start of the track within a
    video is not counted.

    Attributes:
        rate: sampling rate in Hz.
        channels: number of channels.

    Raises:
        InputError: there is no sound track; while iterating `frames()`: no samples, too long, too many broken samples.
    """

    def __init__(self, path: str | os.PathLike) -> None:
        self._path = path
        self._container = open_media(path)
        try:
            self._stream = sound_stream(self._container, path)
        except InputError:
            self._container.close()
            raise
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


def read_audio(path: str | os.PathLike) -> np.ndarray:
    """Read the sound of any audio or video file as float32 [n]: mono (channels averaged), 16 kHz, in [-1, 1].

    `n` is the duration of the track times 16000, rounded to the nearest sample and at least 1; time zero is the first
    sample of the track. Up to 1 % of NaN or infinite samples become zeros, with a warning. Where channels cancel each
    other (a badly wired cable turns one over) the louder one is read alone, with a warning.

    Raises:
        InputError: the file is missing, empty or not decodable, has no sound track or no samples, is longer than
            `MAX_HOURS`, or more than `MAX_BROKEN_SHARE` of its samples are not finite.
    """
    with AudioTrack(path) as track:
        mix = _Mix()
        audio = np.concatenate([mix(block) for block in track.resampled(SAMPLE_RATE)])
    if mix.cancels:
        channel = mix.louder
        warnings.warn(f"{path}: its channels cancel each other; number {channel + 1} is used alone", stacklevel=2)
        with AudioTrack(path) as track:  # again, so that the channels of hours of sound are not kept in memory
            audio = np.concatenate([block[min(channel, len(block) - 1)] for block in track.resampled(SAMPLE_RATE)])
    clipped = np.count_nonzero(np.abs(audio) > 1)
    if clipped > 0.01 * audio.size:
        warnings.warn(f"{path}: {100 * clipped / audio.size:.0f} % of the samples are beyond full scale", stacklevel=2)
    return np.clip(audio, -1, 1, out=audio)


class _Mix:
    """The mean of channels, block by block, and whether the mean loses the sound.

    Channels that have nothing to do with each other leave a mean with the energy sum(E_c) / C^2; equal ones more, and
    opposite ones less. A block where three quarters of that are missing cancels.
    """

    def __init__(self) -> None:
        self._energy: np.ndarray = np.zeros(0)
        self._cancelling = 0.0

    def __call__(self, block: np.ndarray) -> np.ndarray:
        """Block [channels, n] -> its mean [n]."""
        mean, energy = block.mean(axis=0), np.square(block, dtype=np.float64).sum(axis=1)
        if np.square(mean, dtype=np.float64).sum() < 0.25 * energy.sum() / len(block) ** 2:
            self._cancelling += energy.sum()
        if len(energy) > len(self._energy):
            self._energy = np.pad(self._energy, (0, len(energy) - len(self._energy)))
        self._energy[: len(energy)] += energy
        return mean

    @property
    def cancels(self) -> bool:
        """Whether a tenth of the sound cancels: one of two speakers may have a badly wired microphone."""
        return self._cancelling > 0.1 * self._energy.sum()

    @property
    def louder(self) -> int:
        """The channel with the most energy."""
        return int(self._energy.argmax())


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
