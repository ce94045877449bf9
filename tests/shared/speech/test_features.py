"""Log-mel spectrogram and normalisation."""

import numpy as np
import pytest
from voice import voice

from shared.speech.features import log_mel, unit_variance


def test_log_mel_is_centred_and_counts_frames():
    for samples in (1, 160, 161, 16000):
        assert log_mel(np.zeros(samples, np.float32)).shape == (-(-samples // 160), 40)
    click = np.zeros(16000, np.float32)
    click[8000] = 1
    assert abs(int(log_mel(click).sum(1).argmax()) - 50) <= 1
    tone = np.sin(2 * np.pi * 1000 * np.arange(16000) / 16000).astype("f4")
    assert log_mel(tone)[50].argmax() in range(12, 18)


def test_unit_variance():
    audio = 0.01 * voice(1.0) + 0.3
    assert abs(unit_variance(audio).mean()) < 1e-3
    assert unit_variance(voice(1.0)).std() == pytest.approx(1, abs=0.01)
    assert np.abs(unit_variance(np.full(100, 1e-5, np.float32))).max() < 0.1
