"""The thirteen cepstral coefficients of SyncNet's audio input."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from scipy.fft import dct

COEFFICIENTS = 13
FRAME_STEP = 160
"""Samples between two frames: 100 a second, four to a video frame of 25 a second."""

_RATE, _FRAME, _FFT, _FILTERS = 16000, 400, 512, 26
_EMPHASIS, _LIFTER = 0.97, 22


def int16_range(audio: np.ndarray) -> np.ndarray:
    """Convert sound in -1..1 to the values of 16-bit PCM, float64."""
    return np.clip(np.rint(np.asarray(audio, np.float64) * 32768), -32768, 32767)


def mfcc(samples: np.ndarray) -> np.ndarray:
    """Cepstral coefficients of sound, float64 [F, 13], F = 1 + ceil((n - 400) / 160), 1 for n <= 400.

    The conventions of the package that SyncNet's authors used, python_speech_features 0.6 with its defaults: emphasis
    x[t] - 0.97 x[t-1] over the whole recording, frames of 25 ms every 10 ms without a window function, the last one
    filled up with zeros; |FFT|^2 / 512 of 512 points; 26 triangles evenly spaced in mel = 2595 log10(1 + f / 700) from
    0 to 8 kHz, corners rounded down to bins of 16000 / 513 Hz; natural logarithm; orthonormal DCT-II; lifter
    1 + 11 sin(pi k / 22); coefficient 0 replaced by the logarithm of the frame's energy. Powers of zero count as 2^-52.

    Args:
        samples: [n], n >= 1, at 16 kHz, in the range of int16 (the logarithms are not shifted to any other range).
    """
    samples = np.asarray(samples, np.float64)
    samples = np.append(samples[0], samples[1:] - _EMPHASIS * samples[:-1])
    count = 1 + max(0, -(-(len(samples) - _FRAME) // FRAME_STEP))
    samples = np.pad(samples, (0, (count - 1) * FRAME_STEP + _FRAME - len(samples)))
    frames = np.lib.stride_tricks.sliding_window_view(samples, _FRAME)[::FRAME_STEP]
    power = np.square(np.abs(np.fft.rfft(frames, _FFT))) / _FFT  # [F, 257]
    cepstrum = dct(_log(power @ _mel_filters().T), type=2, axis=1, norm="ortho")[:, :COEFFICIENTS]
    cepstrum *= 1 + _LIFTER / 2 * np.sin(np.pi * np.arange(COEFFICIENTS) / _LIFTER)
    cepstrum[:, 0] = _log(power.sum(1))
    return cepstrum


def _log(power: np.ndarray) -> np.ndarray:
    return np.log(np.where(power == 0, np.finfo(float).eps, power))


@lru_cache(maxsize=1)
def _mel_filters() -> np.ndarray:
    """float64 [26, 257]: each rises from 0 at one corner to 1 at the next and falls to 0 at the one after."""
    mels = np.linspace(0, 2595 * np.log10(1 + _RATE / 2 / 700), _FILTERS + 2)
    corners = np.floor((_FFT + 1) * 700 * (10 ** (mels / 2595) - 1) / _RATE)
    bins = np.arange(_FFT // 2 + 1)
    return np.stack([np.interp(bins, corners[j : j + 3], [0, 1, 0]) for j in range(_FILTERS)])
