"""Data augmentation of speech."""

import numpy as np
import pytest

from shared.speech.training.augment import add_noise, coloured, degrade, telephone


def test_augmentation_keeps_length_and_time():
    generator = np.random.default_rng(0)
    clean = np.zeros(16000, np.float32)
    clean[8000:8400] = np.sin(np.arange(400) * 0.3)
    for _ in range(40):
        changed = degrade(clean, [coloured(16000, 1, generator)] * 2, generator)
        assert changed.shape == clean.shape and changed.dtype == np.float32 and np.isfinite(changed).all()
    noise = coloured(16000, 1.0, generator)
    added = add_noise(clean, noise, 10.0) - clean
    assert 10 * np.log10(np.mean(clean**2) / np.mean(added**2)) == pytest.approx(10, abs=0.1)
    time = np.arange(16000) / 16000
    low, middle = (np.sin(2 * np.pi * f * time).astype("f4") for f in (100, 1000))
    assert telephone(low).std() < 0.05 < 0.6 < telephone(middle).std()
