"""Streaming resampling without drift: the number of samples is exactly that of the duration."""

from __future__ import annotations

from math import gcd

import numpy as np
from scipy.signal import firwin, upfirdn

from shared.errors import UsageError
from shared.media import FPS, SAMPLE_RATE

_CROSSINGS = 10
"""Zero crossings of the low-pass filter on each side, its delay in samples of the lower rate (0.6 ms at 16 kHz)."""


class FrameResampler:
    """Sound in whole video frames -> the same at 16 kHz, 640 samples a frame, about half a millisecond later.

    The result does not depend on the sizes of the blocks.

    Args:
        rate: of the sound, Hz; 25 video frames must be a whole number of samples.

    Raises:
        UsageError: another rate.
    """

    def __init__(self, rate: int) -> None:
        check_rate(rate)
        divisor = gcd(rate, SAMPLE_RATE)
        self._up, self._down = SAMPLE_RATE // divisor, rate // divisor
        larger = max(self._up, self._down, 2)  # 2: a valid filter for equal rates, which is not used
        taps = 2 * _CROSSINGS * larger + 1
        self._filter = firwin(taps, 1 / larger, window=("kaiser", 5.0)) * self._up
        # Whole periods of both rates, so that every block begins at the same phase.
        self._history = np.zeros(-(-taps // (self._up * self._down)) * self._down)

    def __call__(self, samples: np.ndarray) -> np.ndarray:
        """Float32 [n], of whole frames -> float32 [n * 16000 / rate]."""
        if self._up == self._down:
            return samples
        known = np.concatenate([self._history, samples])
        self._history = known[len(known) - len(self._history) :]
        skipped = len(self._history) * self._up // self._down
        count = len(samples) * self._up // self._down
        return upfirdn(self._filter, known, self._up, self._down)[skipped : skipped + count].astype(np.float32)


def check_rate(rate: int) -> None:
    """Check a sampling rate.

    Raises:
        UsageError: it is out of range, or a video frame does not have a whole number of samples.
    """
    if isinstance(rate, bool) or not isinstance(rate, int) or not 8000 <= rate <= 192_000 or rate % FPS:
        raise UsageError(f"sound has 8000 to 192000 samples a second, a multiple of {FPS}, not {rate}")
