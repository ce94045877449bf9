"""Cepstral coefficients against their definition."""

import math

import numpy as np
import pytest

from shared.metrics.mfcc import int16_range, mfcc


def cepstrum_written_out(samples):
    """python_speech_features.mfcc with its defaults, number by number."""
    raised = [samples[0]] + [samples[t] - 0.97 * samples[t - 1] for t in range(1, len(samples))]
    frames, start = [], 0
    while True:
        frames.append([raised[start + t] if start + t < len(raised) else 0.0 for t in range(400)])
        if start + 400 >= len(raised):
            break
        start += 160
    mel = [k * 2595 * math.log10(1 + 8000 / 700) / 27 for k in range(28)]
    corner = [math.floor(513 * 700 * (10 ** (m / 2595) - 1) / 16000) for m in mel]
    rows = []
    for frame in frames:
        angles = np.exp(-2j * np.pi * np.outer(np.arange(257), np.arange(400)) / 512)
        spectrum = [abs(v) ** 2 / 512 for v in angles @ np.array(frame)]
        bands = []
        for j in range(26):
            total = 0.0
            for k in range(corner[j], corner[j + 1]):
                total += spectrum[k] * (k - corner[j]) / (corner[j + 1] - corner[j])
            for k in range(corner[j + 1], corner[j + 2]):
                total += spectrum[k] * (corner[j + 2] - k) / (corner[j + 2] - corner[j + 1])
            bands.append(math.log(total or 2.0**-52))
        row = [math.log(sum(spectrum) or 2.0**-52)]
        for c in range(1, 13):
            cosine = sum(b * math.cos(math.pi * c * (2 * j + 1) / 52) for j, b in enumerate(bands))
            row.append(cosine * math.sqrt(2 / 26) * (1 + 11 * math.sin(math.pi * c / 22)))
        rows.append(row)
    return rows


@pytest.mark.parametrize("length", [1, 399, 400, 401, 560, 561, 2000])
def test_cepstrum_against_the_definition(length):
    samples = np.round(np.random.default_rng(length).normal(size=length) * 3000)
    assert mfcc(samples) == pytest.approx(np.array(cepstrum_written_out(samples)), abs=1e-4)


def test_cepstrum_of_silence_is_finite():
    assert mfcc(np.zeros(1000)) == pytest.approx(np.array(cepstrum_written_out(np.zeros(1000))), abs=1e-4)


def test_cepstrum_agrees_with_the_package():
    package = pytest.importorskip("python_speech_features", reason="only where that package happens to be installed")
    samples = np.round(np.random.default_rng(5).normal(size=8000) * 3000).astype(np.int16)
    assert mfcc(samples) == pytest.approx(package.mfcc(samples, 16000), abs=1e-4)


def test_sound_is_heard_as_16_bit():
    heard = int16_range(np.array([0.0, 0.5, -1.0, 1.0, 2.0, 1e-5]))
    assert heard.tolist() == [0, 16384, -32768, 32767, 32767, 0]
