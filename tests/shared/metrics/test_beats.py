"""Onsets of synthetic sounds, and alignment of beats."""

import math

import numpy as np
import pytest

from shared.errors import InputError
from shared.metrics.beats import BEAT_SIGMA, audio_beats, beat_align, onset_strength
from shared.metrics.head import motion_beats

RATE, FRAME = 16000, 1 / 25
TIMES = np.array([0.35, 0.71, 1.20, 1.62, 2.3, 2.55])


def sound(kind: str, times=TIMES, seconds: float = 3.0, noise: float = 0.0) -> np.ndarray:
    rng = np.random.default_rng(0)
    audio = rng.normal(0, 1, round(seconds * RATE)) * noise
    for time in times:
        at = round(time * RATE)
        if kind == "click":
            audio[at : at + 16] += 0.5
        elif kind == "tone":
            audio[at : at + 2400] += 0.3 * np.sin(np.arange(2400) * 2 * np.pi * 220 / RATE) * np.hanning(4800)[2400:]
        else:
            audio[at : at + 1600] += rng.normal(0, 0.1, 1600) * np.hanning(3200)[1600:]
    return audio.astype(np.float32)


@pytest.mark.parametrize("noise", [0.0, 1e-3])
@pytest.mark.parametrize("kind", ["click", "tone", "hiss"])
def test_onsets_are_found_within_half_a_frame(kind, noise):
    beats = audio_beats(sound(kind, noise=noise))
    assert beats == pytest.approx(TIMES, abs=FRAME / 2)


def test_beats_move_with_the_sound_and_not_with_its_loudness():
    audio = sound("tone", noise=1e-3)
    beats = audio_beats(audio)
    late = audio_beats(np.concatenate([audio[:1600], audio]))
    assert late[-len(beats) :] == pytest.approx(beats + 0.1, abs=0.011)
    assert audio_beats(audio / 4) == pytest.approx(beats, abs=0.011)


def test_steady_sounds_have_no_beats():
    count = 3 * RATE
    hiss = np.random.default_rng(1).normal(0, 0.1, count)
    for audio in (np.zeros(count), hiss, 0.3 * np.sin(np.arange(count) * 0.1), np.zeros(0), [0.5]):
        assert audio_beats(np.asarray(audio, np.float32)).shape == (0,)


def test_strength_has_a_value_every_ten_milliseconds():
    for samples in (1, 160, 161, 16000):
        strength = onset_strength(np.ones(samples, np.float32))
        assert strength.shape == (math.ceil(samples / 160),) and (strength >= 0).all()


def test_beat_align_against_its_formula():
    rng = np.random.default_rng(2)
    beats, others = np.sort(rng.uniform(0, 5, 7)), np.sort(rng.uniform(0, 5, 9))
    by_hand = [math.exp(-(min(abs(t - r) for r in others) ** 2) / (2 * 0.1**2)) for t in beats]
    assert beat_align(beats, others, 0.1) == pytest.approx(sum(by_hand) / 7, abs=1e-4)
    assert beat_align(beats[::-1], others[::-1], 0.1) == pytest.approx(sum(by_hand) / 7)  # order is nothing


def test_the_mean_runs_over_the_first_beats_alone():
    assert beat_align(TIMES, TIMES) == 1
    assert beat_align(TIMES[:2], TIMES) == 1 > beat_align(TIMES, TIMES[:2])
    assert np.isnan(beat_align([], TIMES)) and np.isnan(beat_align([], [])) and beat_align(TIMES, []) == 0


def test_shifted_beats_score_as_the_formula_says():
    assert beat_align(TIMES + 0.03, TIMES) == pytest.approx(math.exp(-(0.03**2) / (2 * BEAT_SIGMA**2)))
    scores = [beat_align(TIMES + shift, TIMES) for shift in (0, 0.02, 0.05, 0.1)]
    assert scores == sorted(scores, reverse=True)
    assert beat_align(TIMES + 9, TIMES + 9) == 1


def test_random_beats_score_what_the_docstring_says():
    beats, others = np.random.default_rng(3).uniform(0, 1000, (2, 1000))
    assert beat_align(beats, others, 0.05) == pytest.approx(math.sqrt(2 * math.pi) * 0.05, abs=0.02)
    assert beat_align(beats, others) < math.sqrt(2 * math.pi) * BEAT_SIGMA


def test_a_head_that_nods_to_the_clicks():
    time = np.arange(0, 6, FRAME)
    nodding = np.outer(0.1 * np.cos(np.pi * time / 0.6), [1, 0, 0])  # turns back every 0.6 s
    clicks = audio_beats(sound("click", np.arange(0.6, 5.5, 0.6), 6.0))
    between = audio_beats(sound("click", np.arange(0.9, 5.2, 0.6), 6.0))
    assert beat_align(clicks, motion_beats(nodding, 25)) > 0.9
    assert beat_align(between, motion_beats(nodding, 25)) < 0.1
    assert beat_align(clicks, motion_beats(np.zeros((150, 3)), 25)) == 0  # a still head meets nothing


def test_unusable_input_is_refused():
    with pytest.raises(InputError, match="one dimension"):
        audio_beats(np.zeros((2, 100), np.float32))
    with pytest.raises(InputError, match="not finite"):
        audio_beats(np.array([0, np.nan, 0], np.float32))
    with pytest.raises(InputError, match="lists"):
        beat_align(np.zeros((2, 2)), TIMES)
    for sigma in (0, -1, np.nan):
        with pytest.raises(InputError, match="sigma"):
            beat_align(TIMES, TIMES, sigma)
