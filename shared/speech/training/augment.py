"""Data augmentation of clean speech: noise, rooms, telephones, microphones, dropouts; numpy, seeded."""

from __future__ import annotations

import numpy as np
from scipy.fft import irfft, next_fast_len, rfft

from shared.media import SAMPLE_RATE


def degrade(clean: np.ndarray, babble: list[np.ndarray], generator: np.random.Generator) -> np.ndarray:
    """Degrade a clean excerpt without moving it in time.

    Args:
        clean: float32 [n].
        babble: excerpts [n] of other voices, for babble noise.
        generator: source of randomness.

    Returns:
        float32 [n]; a third of the excerpts is returned unchanged.
    """
    if generator.random() < 0.35:
        return clean
    size = next_fast_len(2 * len(clean))
    spectrum = rfft(clean, size)
    frequencies = np.linspace(0, SAMPLE_RATE / 2, len(spectrum), dtype=np.float32)
    if generator.random() < 0.35:
        spectrum = spectrum * rfft(room(generator), size)
    if generator.random() < 0.7:
        noisy = irfft(spectrum, size)[: len(clean)].astype(np.float32)
        snr = generator.uniform(0, 25)
        spectrum = rfft(add_noise(noisy, noise(len(clean), babble, generator), snr), size)
    if generator.random() < 0.4:
        spectrum = spectrum * _microphone(frequencies, generator)
    if generator.random() < 0.25:
        low, high = generator.uniform(150, 400), generator.uniform(2800, 4000)
        spectrum = spectrum * band(frequencies, low, high)
    degraded = irfft(spectrum, size)[: len(clean)].astype(np.float32)
    if generator.random() < 0.2:
        for _ in range(generator.integers(1, 4)):
            start, length = generator.integers(0, len(clean)), generator.integers(640, 2400)
            degraded[start : start + length] = 0
    return degraded


def add_noise(clean: np.ndarray, noise: np.ndarray, snr: float) -> np.ndarray:
    """Add noise at a signal-to-noise ratio in decibels, measured over the whole excerpt."""
    level = np.sqrt(np.mean(clean**2) / (np.mean(noise**2) + 1e-12) / 10 ** (snr / 10))
    return (clean + level * noise).astype(np.float32)


def noise(length: int, babble: list[np.ndarray], generator: np.random.Generator) -> np.ndarray:
    """White, pink or brown noise, other voices, or chords; float32 [length], any level."""
    kind = generator.choice(["coloured", "babble", "music"], p=[0.45, 0.35, 0.2])
    if kind == "babble" and babble:
        return np.sum(babble, axis=0)
    if kind == "music":
        return _chords(length, generator)
    return coloured(length, generator.uniform(0, 2), generator)


def coloured(length: int, exponent: float, generator: np.random.Generator) -> np.ndarray:
    """Gaussian noise with a power spectrum of 1 / f ** exponent: 0 white, 1 pink, 2 brown."""
    spectrum = rfft(generator.standard_normal(length).astype(np.float32))
    frequencies = np.maximum(np.arange(len(spectrum)) * SAMPLE_RATE / length, 40.0)
    return irfft(spectrum * frequencies ** (-exponent / 2), length).astype(np.float32)


def room(generator: np.random.Generator) -> np.ndarray:
    """Impulse response of a room: the direct sound, then exponentially decaying noise (T60 of 0.1 to 0.7 s)."""
    decay = generator.uniform(0.1, 0.7)
    time = np.arange(int(decay * SAMPLE_RATE)) / SAMPLE_RATE
    tail = generator.standard_normal(len(time)) * np.exp(-6.9 * time / decay)
    tail[: generator.integers(16, 160)] = 0  # the first reflection arrives later than the direct sound
    tail *= generator.uniform(0.2, 1.0) / np.sqrt(np.sum(tail**2) + 1e-9)
    tail[0] = 1.0
    return tail.astype(np.float32)


def band(frequencies: np.ndarray, low: float, high: float) -> np.ndarray:
    """Gain of a band-pass with slopes of a telephone line (sixth order)."""
    return 1 / np.sqrt(1 + (low / np.maximum(frequencies, 1.0)) ** 12) / np.sqrt(1 + (frequencies / high) ** 12)


def telephone(audio: np.ndarray) -> np.ndarray:
    """Filter to the telephone band, 300 to 3400 Hz; float32 [n] -> [n]."""
    spectrum = rfft(audio)
    frequencies = np.linspace(0, SAMPLE_RATE / 2, len(spectrum), dtype=np.float32)
    return irfft(spectrum * band(frequencies, 300, 3400), len(audio)).astype(np.float32)


def _microphone(frequencies: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """A smooth frequency response, up to 10 dB up or down."""
    knots = generator.uniform(-10, 10, 6)
    positions = np.linspace(0, np.log1p(SAMPLE_RATE / 2 / 200), 6)
    return 10 ** (np.interp(np.log1p(frequencies / 200), positions, knots) / 20)


def _chords(length: int, generator: np.random.Generator) -> np.ndarray:
    """A bar of chords with harmonics and a beat, as music under a voice."""
    time = np.arange(length, dtype=np.float32) / SAMPLE_RATE
    music = np.zeros(length, np.float32)
    start = 0
    while start < length:
        stop = min(length, start + int(generator.uniform(0.2, 0.8) * SAMPLE_RATE))
        local = time[start:stop]
        for note in generator.integers(36, 84, 3):
            pitch = 440 * 2 ** ((note - 69) / 12)
            for harmonic in range(1, 5):
                music[start:stop] += np.sin(2 * np.pi * pitch * harmonic * local + note) / harmonic
        music[start:stop] *= np.exp(-(local - local[0]) * generator.uniform(0, 5))
        start = stop
    return music
