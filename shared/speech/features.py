"""Fixed features: log-mel spectrogram (the baseline) and normalisation of the encoder's input."""

from __future__ import annotations

import numpy as np

from shared.media import SAMPLE_RATE


def log_mel(audio: np.ndarray, bands: int = 40, hop: int = SAMPLE_RATE // 100, width: int = 400) -> np.ndarray:
    """Log-mel spectrogram, frame i centred on sample i * hop; beyond the ends there is silence.

    Args:
        audio: float32 [n] at 16 kHz.
        bands: number of mel bands.
        hop: samples between frames.
        width: samples of a window.

    Returns:
        float32 [ceil(n / hop), bands], natural logarithm of the band's power.
    """
    frames = -(-len(audio) // hop)
    padded = np.pad(audio.astype(np.float32), (width // 2, width + hop))
    windows = np.lib.stride_tricks.sliding_window_view(padded, width)[::hop][:frames]
    power = np.abs(np.fft.rfft(windows * np.hanning(width).astype(np.float32), 512)) ** 2
    return np.log(power @ mel_filters(bands, 512).T + 1e-6).astype(np.float32)


def mel_filters(bands: int, size: int) -> np.ndarray:
    """Triangular filters, equally spaced in mel from 60 Hz to 7600 Hz; float32 [bands, size // 2 + 1]."""
    low, high = (2595 * np.log10(1 + f / 700) for f in (60, 7600))
    corners = 700 * (10 ** (np.linspace(low, high, bands + 2) / 2595) - 1)
    frequencies = np.arange(size // 2 + 1) * SAMPLE_RATE / size
    left, middle, right = corners[:-2, None], corners[1:-1, None], corners[2:, None]
    rising, falling = (frequencies - left) / (middle - left), (right - frequencies) / (right - middle)
    return np.maximum(0, np.minimum(rising, falling)).astype(np.float32)


def unit_variance(audio: np.ndarray) -> np.ndarray:
    """Scale to zero mean and unit variance, as the wav2vec2 family requires.

    The floor of 1e-3 (-60 dB) keeps silence silent: its faint noise is not amplified to the loudness of speech.
    """
    scaled = audio.astype(np.float32)
    mean, deviation = mean_and_deviation(scaled)
    scaled -= mean
    scaled /= deviation
    return scaled


def mean_and_deviation(audio: np.ndarray) -> tuple[np.float32, np.float32]:
    """Return what `unit_variance` subtracts from sound float32 [n], and what it then divides by."""
    mean = audio.mean()
    minutes = np.array_split(audio, len(audio) // 960_000 + 1)  # squares of an hour at once would be large
    variance = sum(float(np.square(minute - mean).sum(dtype=np.float64)) for minute in minutes) / len(audio)
    return mean, np.float32(np.sqrt(variance + 1e-6))
