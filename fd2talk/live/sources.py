"""Sound that arrives as PCM over a WebSocket, for the portrait's speech or for what it listens to."""

from __future__ import annotations

from collections.abc import Callable

import av
import numpy as np

from shared.errors import InputError

RATES = 8000, 96_000
"""Samples a second at least and at most."""

_BEHIND, _FAR_BEHIND = 0.25, 1.0
"""Seconds of a microphone's sound that wait: above the first quiet pieces are skipped, above the second any."""

_QUIET = 0.1
"""Of the loudness of the last seconds; quieter pieces are pauses."""


def parsed_rate(text: str) -> int:
    """Samples a second. Raises InputError: no number, or one that no sound has."""
    rate = int(text) if text.isascii() and text.isdecimal() and len(text) < 9 else 0
    if not RATES[0] <= rate <= RATES[1]:
        raise InputError(f"sound has {RATES[0]} to {RATES[1]} samples a second, not {text[:40] or 'nothing'}")
    return rate


class PcmReader:
    """Signed 16-bit little-endian mono at some rate -> float32 at another, in pieces of any size.

    Args:
        rate: of what arrives, Hz.
        target: of what is returned.

    Raises:
        InputError: a rate that no sound has.
    """

    def __init__(self, rate: int, target: int) -> None:
        self._rate, self._target = parsed_rate(str(rate)), target
        self._resampler = self._new()

    def _new(self) -> av.AudioResampler | None:
        if self._rate == self._target:
            return None
        return av.AudioResampler(format="flt", layout="mono", rate=self._target)

    def __call__(self, data: bytes) -> np.ndarray:
        """Float32 [n]. Raises InputError: half a sample."""
        if len(data) % 2:
            raise InputError(f"{len(data)} bytes are no sound: each sample is two bytes (signed 16 bit, little-endian)")
        samples = np.frombuffer(data, "<i2").astype(np.float32) / 32768
        if self._resampler is None or not len(samples):
            return samples
        frame = av.AudioFrame.from_ndarray(samples[None], format="flt", layout="mono")
        frame.sample_rate = self._rate
        return _joined(self._resampler.resample(frame))

    def flush(self) -> np.ndarray:
        """What the filter holds back, at the end of an utterance: float32 [n]."""
        if self._resampler is None:
            return np.zeros(0, np.float32)
        rest, self._resampler = _joined(self._resampler.resample(None)), self._new()
        return rest


class Microphone:
    """Keeps a microphone's sound near real time: clocks differ, and what once waited would wait for ever.

    Args:
        queued: seconds that wait now.
    """

    def __init__(self, queued: Callable[[], float]) -> None:
        self._queued, self._loud = queued, 0.0

    def admits(self, samples: np.ndarray) -> bool:
        """Whether this piece is to be said; a few pauses are not when too much waits."""
        level = float(np.sqrt(np.mean(np.square(samples)))) if len(samples) else 0.0
        self._loud = max(level, 0.995 * self._loud)
        waits = self._queued()
        return waits < _BEHIND or waits < _FAR_BEHIND and level > _QUIET * self._loud


def _joined(frames: list[av.AudioFrame]) -> np.ndarray:
    return np.concatenate([np.zeros(0, np.float32), *(frame.to_ndarray()[0] for frame in frames)])
