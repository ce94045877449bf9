import numpy as np
import pytest

from shared.media import read_audio
from shared.speech.encoder import SpeechEncoder
from shared.weights import bundled
from stage1_motion.speech_frontend import LogMel
from stage1_motion.streaming.encoder import StreamingEncoder


@pytest.fixture(scope="module", params=["bundled", "log-mel"])
def encoder(request):
    return SpeechEncoder.from_pretrained() if request.param == "bundled" else LogMel()


@pytest.fixture(scope="module")
def audio():
    return read_audio(bundled("demo/sense_and_sensibility_01_austen_64kb-0880.wav"))


def hops(encoder, audio, size):
    """Features of the hops of four frames that four follow, each encoded when enough has been heard."""
    stream, found, sound = StreamingEncoder(encoder), [], []
    for start in range(0, len(audio), size):
        stream.push(audio[start : start + size])
        while stream.samples >= stream.required(4 * len(found) + 8):
            first = max(0, 4 * len(found) - 20)
            features, piece = stream.window(first, 4 * len(found) + 8)
            sound.append(stream.sound(4 * len(found), 4 * len(found) + 4))
            found.append(features[4 * len(found) - first :][:4])
            assert len(piece) == 640 * len(features) - 160
    return np.concatenate(found), np.concatenate(sound)


def test_windows_give_nearly_the_features_of_the_whole_in_pieces_of_any_size(encoder, audio):
    features, sound = hops(encoder, audio, 320)
    np.testing.assert_array_equal(features, hops(encoder, audio, 5000)[0])
    np.testing.assert_array_equal(sound, audio[: len(sound)])
    whole = encoder(audio)[: len(features)]
    standard = (features - whole.mean(0)) / whole.std(0), (whole - whole.mean(0)) / whole.std(0)
    assert np.corrcoef(standard[0].ravel(), standard[1].ravel())[0, 1] > 0.75
    for shift in (-2, 2):  # frames are where they belong
        shifted = np.roll(standard[0], shift, axis=0)
        assert np.corrcoef(shifted.ravel(), standard[1].ravel())[0, 1] < 0.65


def test_sound_after_the_look_ahead_changes_nothing(encoder, audio):
    other = audio.copy()
    other[640 * 24 - 160 :] = 0.5
    features, changed = hops(encoder, audio, 16000)[0], hops(encoder, other, 16000)[0]
    np.testing.assert_array_equal(features[:20], changed[:20])
    assert np.abs(features[20:30] - changed[20:30]).max() > 0.01
