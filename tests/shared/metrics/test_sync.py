"""Offset, confidence and distance of embeddings whose result is known."""

import numpy as np
import pytest

from shared.errors import InputError
from shared.metrics.sync import check_audible, sync_scores


def embeddings(frames: int = 80, width: int = 12, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(frames, width)).astype(np.float32)


def published(video, audio, shift=15):
    """The published definition, one number at a time: index j compares window i with sound i + j - shift, the printed
    offset is shift - j."""
    frames = len(video)
    table = np.zeros((frames, 2 * shift + 1))
    for i in range(frames):
        for j in range(2 * shift + 1):
            k = i + j - shift
            other = audio[k] if 0 <= k < frames else np.zeros(video.shape[1])
            table[i, j] = np.sqrt(sum((float(a) - float(b)) ** 2 for a, b in zip(video[i], other)))
    mean = [sum(table[:, j]) / frames for j in range(2 * shift + 1)]
    best = min(range(2 * shift + 1), key=lambda j: mean[j])
    median = sorted(mean)[shift]
    return shift - best, median - mean[best], mean[best], mean


def test_equal_embeddings_are_in_time():
    scores = sync_scores(embeddings(), embeddings())
    assert (scores.offset, scores.distance) == (0, 0.0)
    assert scores.curve.shape == (31,) and scores.curve[15] == 0.0
    assert scores.confidence == pytest.approx(np.median(scores.curve))


@pytest.mark.parametrize("late", range(-10, 11))
def test_a_late_picture_has_a_positive_offset(late):
    sound = embeddings(120)
    picture = sound[20 - late : 100 - late]  # at frame i it shows what is heard at frame i - late
    scores = sync_scores(picture, sound[20:100])
    assert scores.offset == late
    assert scores.curve[15 + late] == scores.distance == scores.curve.min()


@pytest.mark.parametrize("frames, shift", [(16, 15), (40, 15), (25, 3)])
def test_against_the_definition_written_out(frames, shift):
    sound = embeddings(frames + 2, seed=1)
    picture, sound = sound[:-2] + 0.3 * embeddings(frames, seed=2), sound[2:]
    offset, confidence, distance, mean = published(picture, sound, shift)
    scores = sync_scores(picture, sound, shift)
    assert offset == scores.offset == 2
    assert scores.confidence == pytest.approx(confidence, abs=1e-5)
    assert scores.distance == pytest.approx(distance, abs=1e-5)
    assert scores.curve[::-1] == pytest.approx(mean, abs=1e-5)


def test_confidence_falls_with_what_does_not_fit():
    sound = embeddings(200)
    clean, noisy, alien = (sync_scores(sound + s * embeddings(200, seed=3), sound).confidence for s in (0.1, 1.0, 1e3))
    assert clean > noisy > alien / 1e3
    assert sync_scores(embeddings(400, seed=4), embeddings(400, seed=5)).confidence < 0.1 * clean


@pytest.mark.parametrize(
    "video, audio",
    [(embeddings(15), embeddings(15)), (embeddings(30), embeddings(31)), (embeddings(30)[:, 0], embeddings(30)[:, 0]),
     (embeddings(30) * np.nan, embeddings(30)), (embeddings(0), embeddings(0))],
)  # fmt: skip
def test_what_cannot_be_compared_is_refused(video, audio):
    with pytest.raises(InputError) as caught:
        sync_scores(video, audio)
    assert "\n" not in str(caught.value)


def test_silence_cannot_be_scored():
    tone = np.sin(np.arange(1000) * 0.1)
    check_audible(0.01 * tone, "nobody")
    for silent in (np.zeros(1000), 5e-4 * tone, np.zeros(0)):
        with pytest.raises(InputError, match="the lip expert needs speech"):
            check_audible(silent, "the lip expert")
