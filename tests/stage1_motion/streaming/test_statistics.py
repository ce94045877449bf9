import numpy as np
import pytest

from shared.errors import InputError
from shared.weights import bundled
from stage1_motion.streaming.statistics import RunningFeatures, RunningLevel, SpeechStatistics


def frames(count, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(3, 2, (count, 5)).astype(np.float32), rng.uniform(0, 1, count)


def test_features_begin_at_the_prior():
    prior = SpeechStatistics(np.full(5, 2.0, np.float32), np.full(5, 0.7, np.float32))
    np.testing.assert_allclose(RunningFeatures(prior).normalise(np.full((3, 5), 4.0)), 2.0, rtol=1e-6)


@pytest.mark.parametrize("hop", [1, 4, 60])
def test_features_are_those_of_the_frames_and_the_prior(hop):
    prior = SpeechStatistics(np.ones(5, np.float32), np.full(5, 3.0, np.float32))
    running, (features, speaks) = RunningFeatures(prior), frames(120)
    for start in range(0, 120, hop):
        running.update(features[start : start + hop], speaks[start : start + hop])
    weights = speaks + 1e-3
    mean = sum(w * x for w, x in zip(weights, features)) / weights.sum()
    squares = sum(w * (x - mean) ** 2 for w, x in zip(weights, features))
    total = 75 + weights.sum()
    wanted_mean, wanted_std = (75 * 1 + weights.sum() * mean) / total, np.sqrt((75 * 9 + squares) / total)
    np.testing.assert_allclose(
        running.normalise(features), (features - wanted_mean) / (wanted_std + 0.3), rtol=1e-4, atol=1e-4
    )


def test_silence_says_nothing_and_another_voice_is_learned():
    running = RunningFeatures(SpeechStatistics.unknown(5))
    features, _ = frames(3000)
    running.update(features, np.ones(3000))
    before = running.normalise(features)
    running.update(features[:100] + 100, np.zeros(100))
    assert np.abs(running.normalise(features) - before).max() < 1.0
    for _ in range(20):
        running.update(features + 100, np.ones(3000))
    np.testing.assert_allclose(running.normalise(features + 100).mean(0), 0, atol=0.1)


def test_level_is_that_of_the_loud_frames_and_falls_slowly():
    rng = np.random.default_rng(0)
    noise, loud, level = rng.normal(0, 0.003, (50, 640)), rng.normal(0, 0.4, (50, 640)), RunningLevel()
    assert level.update(0 * noise, 50) == 0
    assert level.update(noise, 50) == pytest.approx(8 * 0.003, rel=0.1)  # words are to be louder than noise
    silence_before = np.concatenate([0 * noise, rng.normal(0, 3e-5, (5, 640)), noise[:5]])
    assert RunningLevel().update(silence_before, 5) == pytest.approx(8 * 0.003, rel=0.1)
    spoken = level.update(np.concatenate([noise, loud[:5]]), 5)
    assert spoken == pytest.approx(0.4 / 1.93, rel=0.05)
    assert level.update(noise, 25) == pytest.approx(spoken * 10 ** (-1 / 20))
    for _ in range(50):
        last = level.update(noise, 25)
    assert last == pytest.approx(8 * 0.003, rel=0.1)


def test_file(tmp_path):
    bundled_statistics = SpeechStatistics.load(bundled("fd2talk/speech_statistics.safetensors"))
    assert bundled_statistics.mean.shape == (256,) and (bundled_statistics.std > 0).all()
    bundled_statistics.save(tmp_path / "s.safetensors")
    again = SpeechStatistics.load(tmp_path / "s.safetensors")
    assert np.array_equal(again.std, bundled_statistics.std)
    with pytest.raises(InputError, match="speech statistics"):
        SpeechStatistics.load(bundled("fd2talk/speech_events.safetensors"))
