"""Synthetic speech."""

import numpy as np


def voice(seconds: float, seed: int = 0) -> np.ndarray:
    """A buzzing, syllable-like sound."""
    generator = np.random.default_rng(seed)
    time = np.arange(round(seconds * 16000)) / 16000
    buzz = sum(np.sin(2 * np.pi * 120 * k * time + k) / k for k in range(1, 30))
    return (0.05 * buzz * (1 + np.sin(2 * np.pi * 4 * time)) + 0.001 * generator.standard_normal(len(time))).astype(
        "f4"
    )
