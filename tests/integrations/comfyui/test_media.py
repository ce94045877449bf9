import numpy as np
import pytest
import torch
from material import SPEECH, write_wav
from scipy.io import wavfile

from shared.errors import InputError
from shared.media import read_audio


@pytest.fixture
def media(part):
    return part("media")


def audio(samples, rate):
    return {"waveform": torch.from_numpy(np.atleast_2d(samples).astype(np.float32))[None], "sample_rate": rate}


def test_a_picture_keeps_its_bytes(media):
    photo = np.random.default_rng(0).integers(0, 256, (5, 7, 3), dtype=np.uint8)
    image = torch.from_numpy(photo).float()[None] / 255
    np.testing.assert_array_equal(media.picture(image), photo)
    alpha = torch.cat([image, torch.zeros(1, 5, 7, 1)], -1)
    np.testing.assert_array_equal(media.picture(alpha), photo)
    assert media.picture(image[..., :1]).shape == (5, 7, 3)
    assert media.picture(image * 3).max() == 255 and media.picture(image - 5).max() == 0
    with pytest.raises(InputError, match="batch of 2"):
        media.picture(torch.cat([image, image]))


def test_frames_and_back(media):
    frames = np.random.default_rng(0).integers(0, 256, (4, 6, 8, 3), dtype=np.uint8)
    told = []
    images = media.images(iter(frames), 4, lambda done, total: told.append((done, total)))
    assert images.dtype == torch.float32 and tuple(images.shape) == (4, 6, 8, 3)
    assert told == [(1, 4), (2, 4), (3, 4), (4, 4)]
    np.testing.assert_array_equal(np.stack([*media.pictures(images)]), frames)


@pytest.mark.parametrize("rate", [8000, 16000, 22050, 44100, 48000])
def test_speech_is_what_a_file_would_give(media, tmp_path, rate):
    from math import gcd

    from scipy.signal import resample_poly

    speech = read_audio(SPEECH)[:32000]
    common = gcd(rate, 16000)
    left = 0.5 * resample_poly(speech, rate // common, 16000 // common)
    stereo = np.stack([left, 0.5 * left])
    got = media.speech(audio(stereo, rate))
    expected = read_audio(write_wav(tmp_path / "s.wav", stereo.T.copy(), rate))
    assert got.dtype == np.float32 and abs(len(got) - len(expected)) <= 1
    count = min(len(got), len(expected))
    assert np.corrcoef(got[:count], expected[:count])[0, 1] > 0.995
    assert np.std(got) == pytest.approx(np.std(expected), rel=0.03)


def test_what_is_no_recording(media):
    with pytest.raises(InputError, match="batch of 2"):
        media.speech({"waveform": torch.zeros(2, 1, 100), "sample_rate": 16000})
    with pytest.raises(InputError, match="no samples"):
        media.speech({"waveform": torch.zeros(1, 1, 0), "sample_rate": 16000})
    loud = media.speech(audio([[5.0, -9.0] * 100], 16000))
    assert np.abs(loud).max() == 1


def test_sound_for_a_video_keeps_rate_and_channels(media):
    samples = np.random.default_rng(0).uniform(-1, 1, (2, 441)).astype(np.float32)
    with media.sound_file(audio(samples, 44100)) as path:
        rate, read = wavfile.read(path)
        assert rate == 44100
        np.testing.assert_array_equal(read.T, samples)
    assert not path.exists()
    with media.sound_file(None) as path:
        assert path is None


def test_sound_of_a_motion(media):
    samples = np.linspace(-1, 1, 50, dtype=np.float32)
    made = media.sound(samples)
    np.testing.assert_array_equal(made["waveform"][0, 0].numpy(), samples)
    assert not media.sound(None)["waveform"].any() and media.sound(None)["waveform"].numel()


def test_more_channels_than_a_file_of_sound_has(media):
    with media.sound_file(audio(np.zeros((8, 100)), 16000)) as path:
        assert path.stat().st_size > 3200
    with (
        pytest.raises(InputError, match="audio: 9 channels are too many"),
        media.sound_file(audio(np.zeros((9, 9)), 16000)),
    ):
        pass


def test_pixels_that_are_not_finite(media):
    image = torch.zeros(1, 4, 4, 3)
    image[0, 1, 2, 0] = torch.nan
    with pytest.raises(InputError, match="a pixel of the pictures is not finite"):
        media.picture(image)
