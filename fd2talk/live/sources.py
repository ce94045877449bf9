"""PCM sound that arrives over a WebSocket, to be spoken or listened to."""

from __future__ import annotations

from collections.abc import Callable

import av
import numpy as np

from shared.errors import InputError

RATES = 8000, 96_000
"""Lowest and highest sampling rate in Hz."""

_SKIP_PAUSES, _SKIP_ALL = 0.25, 1.0
"""Seconds of queued microphone sound above which blocks in pauses are dropped, or all blocks."""

_QUIET = 0.1
"""Of the loudness of the last seconds; quieter blocks are pauses."""


def parsed_rate(text: str) -> int:
    """Parse a sampling rate in Hz. Raises InputError: no integer, or out of range."""
    rate = int(text) if text.isascii() and text.isdecimal() and len(text) < 9 else 0
    if not RATES[0] <= rate <= RATES[1]:
        raise InputError(f"sound has {RATES[0]} to {RATES[1]} samples a second, not {text[:40] or 'nothing'}")
    return rate


class PcmReader:
    """Signed 16-bit little-endian mono at some rate -> float32 at another, in blocks of any size.

    Args:
        rate: of the input, Hz.
        target: of the output, Hz.

    Raises:
        InputError: a rate out of range.
    """

    def __init__(self, rate: int, target: int) -> None:
        self._rate, self._target = parsed_rate(str(rate)), target
        self._resampler = self._new()

    def _new(self) -> av.AudioResampler | None:
        if self._rate == self._target:
            return None
        return av.AudioResampler(format="flt", layout="mono", rate=self._target)

    def __call__(self, data: bytes) -> np.ndarray:
        """Convert a block to float32 [n]. Raises InputError: an odd number of bytes."""
        if len(data) % 2:
            raise InputError(f"{len(data)} bytes are no sound: each sample is two bytes (signed 16 bit, little-endian)")
        samples = np.frombuffer(data, "<i2").astype(np.float32) / 32768
        if self._resampler is None or not len(samples):
            return samples
        frame = av.AudioFrame.from_ndarray(samples[None], format="flt", layout="mono")
        frame.sample_rate = self._rate
        return _joined(self._resampler.resample(frame))

    def flush(self) -> np.ndarray:
        """The rest that the filter has buffered, float32 [n]; call it at the end of an utterance."""
        if self._resampler is None:
            return np.zeros(0, np.float32)
        rest, self._resampler = _joined(self._resampler.resample(None)), self._new()
        return rest


class Microphone:
    """Keeps a microphone's sound near real time by dropping blocks, as clocks differ and a backlog would never shrink.

    Args:
        queued: returns the seconds of sound in the queue.
    """

    def __init__(self, queued: Callable[[], float]) -> None:
        self._queued, self._loud = queued, 0.0

    def admits(self, samples: np.ndarray) -> bool:
        """Whether this block is spoken; blocks in pauses are dropped first when too much is queued."""
        level = float(np.sqrt(np.mean(np.square(samples)))) if len(samples) else 0.0
        self._loud = max(level, 0.995 * self._loud)
        waits = self._queued()
        return waits < _SKIP_PAUSES or waits < _SKIP_ALL and level > _QUIET * self._loud


def _joined(frames: list[av.AudioFrame]) -> np.ndarray:
    return np.concatenate([np.zeros(0, np.float32), *(frame.to_ndarray()[0] for frame in frames)])
