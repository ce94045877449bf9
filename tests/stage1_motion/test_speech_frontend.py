"""Features have a frame for each frame of video."""

import numpy as np
import pytest

from shared.media import frame_count
from stage1_motion.speech_frontend import LogMel, NoFeatures, SpeechFrontend


@pytest.mark.parametrize("samples", [1, 639, 640, 641, 16000])
def test_features_have_a_frame_for_each_frame(samples):
    features = LogMel()(np.zeros(samples, np.float32))
    assert features.shape == (frame_count(samples), LogMel.size) and features.dtype == np.float32


def test_features_are_where_the_sound_is():
    audio = np.zeros(16000, np.float32)
    audio[8000:8160] = np.sin(np.arange(160))  # 0.5 s to 0.51 s: frame 12.5
    assert LogMel()(audio).max(1).argmax() in (12, 13)


def test_speech_at_another_frame_rate():
    speech = SpeechFrontend(LogMel())(np.random.default_rng(0).normal(0, 0.1, 16000).astype(np.float32))
    fast = speech.at(30)
    assert len(speech) == 25 and len(fast) == 30 and fast.fps == 30
    assert np.allclose(fast.features[6], speech.features[5], atol=1e-5)  # both at 0.2 s
    assert np.allclose(fast.features[3], (speech.features[2] + speech.features[3]) / 2, atol=1e-5)
    assert fast.events.speaks.shape == (30,) and speech.at(25) is speech


def test_models_that_ignore_speech_have_frames_all_the_same():
    speech = SpeechFrontend(NoFeatures())(np.zeros(6401, np.float32))
    assert speech.features.shape == (11, 0) and speech.at(30).features.shape[1] == 0
