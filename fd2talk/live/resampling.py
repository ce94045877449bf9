"""Sound at another sampling rate while it arrives, without drift: exactly as many samples as its duration has."""

from __future__ import annotations

from math import gcd

import numpy as np
from scipy.signal import firwin, upfirdn

from shared.errors import UsageError
from shared.media import FPS, SAMPLE_RATE

_CROSSINGS = 10
"""Zero crossings of the low-pass on each side: a delay of so many samples of the lower rate (at 16 kHz 0.6 ms)"""


class FrameResampler:
    """Sound in whole video frames -> the same at 16 kHz, 640 samples a frame, about half a millisecond later.

    Pieces join without a seam: the result depends on all sound before, not on the sizes in which it comes.

    Args:
        rate: of the sound, Hz; 25 video frames must be a whole number of samples.

    Raises:
        UsageError: another rate.
    """

    def __init__(self, rate: int) -> None:
        check_rate(rate)
        divisor = gcd(rate, SAMPLE_RATE)
        self._up, self._down = SAMPLE_RATE // divisor, rate // divisor
        larger = max(self._up, self._down, 2)  # 2: of nothing that is used, at 16 kHz
        taps = 2 * _CROSSINGS * larger + 1
        self._filter = firwin(taps, 1 / larger, window=("kaiser", 5.0)) * self._up
        # Whole periods of both rates, so that every piece begins at the same phase.
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
    """Refuse sampling rates that are none, or of which a video frame has no whole number of samples.

    Raises:
        UsageError: so it is.
    """
    if isinstance(rate, bool) or not isinstance(rate, int) or not 8000 <= rate <= 192_000 or rate % FPS:
        raise UsageError(f"sound has 8000 to 192000 samples a second, a multiple of {FPS}, not {rate}")
