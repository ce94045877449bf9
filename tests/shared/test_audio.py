"""Reading sound: every rate, format and length, and unusable files."""

import wave

import numpy as np
import pytest
from media_files import BAD, assert_one_line, bad_file, encode, grey_frames, tone, write_video
from PIL import Image
from scipy.io import wavfile

import shared.audio
import shared.images
from shared.audio import frame_count, read_audio
from shared.errors import InputError


@pytest.mark.parametrize(
    ("samples", "frames"),
    [(0, 0), (1, 1), (639, 1), (640, 1), (641, 2), (1600, 3), (16000, 25), (10**12 * 640 + 1, 10**12 + 1)],
)
def test_frame_count_is_exact(samples, frames):
    assert frame_count(samples) == frames


@pytest.mark.parametrize("rate", [8000, 11025, 16000, 22050, 44100, 48000, 96000])
@pytest.mark.parametrize("seconds", [0.1, 1.2345])
def test_any_rate_becomes_16_khz_of_the_same_duration(tmp_path, rate, seconds):
    n = round(seconds * rate)
    wavfile.write(tmp_path / "a.wav", rate, tone(seconds, rate))
    audio = read_audio(tmp_path / "a.wav")
    assert audio.dtype == np.float32 and audio.shape == (round(n * 16000 / rate),)
    inner = slice(200, -200)
    assert np.abs(audio - tone(seconds, 16000)[: audio.size])[inner].max() < 0.01


@pytest.mark.parametrize("kind", ["u8", "s16", "s24", "s32", "f32", "f64"])
def test_wav_sample_formats(tmp_path, kind):
    path, x = tmp_path / "a.wav", tone(0.5, 16000)
    if kind == "s24":
        with wave.open(str(path), "wb") as file:
            file.setparams((1, 3, 16000, 0, "NONE", ""))
            packed = (x.astype(np.float64) * (2**23 - 1)).astype("<i4")
            file.writeframes(packed.view(np.uint8).reshape(-1, 4)[:, :3].tobytes())
    else:
        values = {
            "u8": lambda: (x * 127 + 128).astype(np.uint8),
            "s16": lambda: (x * 32767).astype(np.int16),
            "s32": lambda: (x * (2.0**31 - 1)).astype(np.int32),
            "f32": lambda: x,
            "f64": lambda: x.astype(np.float64),
        }[kind]()
        wavfile.write(path, 16000, values)
    audio = read_audio(path)
    assert audio.shape == x.shape
    assert np.abs(audio - x).max() < (0.02 if kind == "u8" else 1e-4)


@pytest.mark.parametrize(
    ("name", "codec", "rate"),
    [
        ("a.mp3", "libmp3lame", 44100),
        ("a.opus", "libopus", 48000),
        ("a.ogg", "libopus", 48000),
        ("a.m4a", "aac", 44100),
        ("a.m4a", "aac", 16000),
        ("a.flac", "flac", 22050),
    ],
)
@pytest.mark.situation(
    "Sound", "MP3, AAC, Opus, FLAC with their encoders' delays", "the same length and position as before encoding"
)
def test_compressed_sound_keeps_length_and_position(tmp_path, name, codec, rate):
    x = np.zeros(round(1.5 * rate), np.float32)
    x[rate : rate + rate // 4] = tone(0.25, rate, 1000)
    audio = read_audio(encode(tmp_path / name, np.stack([x, x]), rate, codec))
    assert audio.size == 24000
    onset = np.argmax(np.abs(audio) > 0.1) / 16000
    assert onset == pytest.approx(1.0, abs=0.005)
    assert np.abs(audio[17000:19000]).max() == pytest.approx(0.5, abs=0.1)


def test_stereo_is_averaged(tmp_path):
    left, right = tone(0.5, 16000), tone(0.5, 16000, 1000)
    wavfile.write(tmp_path / "a.wav", 16000, np.stack([left, right], axis=1))
    assert np.abs(read_audio(tmp_path / "a.wav") - (left + right) / 2).max() < 1e-6


def test_six_channels(tmp_path):
    path = encode(tmp_path / "a.wav", np.tile(tone(0.5, 48000), (6, 1)), 48000, "pcm_s16le")
    audio = read_audio(path)
    assert audio.size == 8000
    assert np.abs(audio - tone(0.5, 16000))[200:-200].max() < 0.01


def test_sound_of_a_video(tmp_path):
    path = write_video(tmp_path / "v.mp4", grey_frames(25), audio=tone(1, 16000))
    audio = read_audio(path)
    assert audio.size == 16000
    assert np.corrcoef(audio, tone(1, 16000))[0, 1] > 0.99


@pytest.mark.parametrize("rate", [8000, 16000, 44100, 48000])
@pytest.mark.parametrize("samples", [1, 2, 7, 40, 441])
def test_very_short_sound(tmp_path, rate, samples):
    wavfile.write(tmp_path / "a.wav", rate, np.full(samples, 0.25, np.float32))
    audio = read_audio(tmp_path / "a.wav")
    assert audio.size == max(1, int(samples * 16000 / rate + 0.5))
    assert 0.03 < audio[0] < 0.4, "the sound must not have been swallowed"


def test_silence_is_sound(tmp_path):
    wavfile.write(tmp_path / "a.wav", 44100, np.zeros(4410, np.int16))
    audio = read_audio(tmp_path / "a.wav")
    assert audio.size == 1600 and frame_count(audio.size) == 3 and not audio.any()


def test_few_broken_samples_become_silence(tmp_path):
    x = tone(1, 44100)
    x[[100, 200]] = np.nan, np.inf
    wavfile.write(tmp_path / "a.wav", 44100, x)
    with pytest.warns(UserWarning, match="2 samples that are not finite"):
        audio = read_audio(tmp_path / "a.wav")
    assert np.isfinite(audio).all()
    assert np.abs(audio - tone(1, 16000))[500:-200].max() < 0.01


def test_many_broken_samples_are_refused(tmp_path):
    x = tone(1, 16000)
    x[::50] = np.nan
    wavfile.write(tmp_path / "a.wav", 16000, x)
    with pytest.raises(InputError, match="not finite") as error:
        read_audio(tmp_path / "a.wav")
    assert_one_line(error, tmp_path / "a.wav")


def test_sound_beyond_full_scale_is_clipped_with_a_warning(tmp_path):
    wavfile.write(tmp_path / "a.wav", 16000, 4 * tone(1, 16000))
    with pytest.warns(UserWarning, match="beyond full scale"):
        audio = read_audio(tmp_path / "a.wav")
    assert audio.max() == 1 and audio.min() == -1


def test_too_long_sound(tmp_path, monkeypatch):
    wavfile.write(tmp_path / "a.wav", 16000, tone(1, 16000))
    monkeypatch.setattr(shared.audio, "MAX_HOURS", 0.9 / 3600)
    with pytest.raises(InputError, match="longer than"):
        read_audio(tmp_path / "a.wav")


@pytest.mark.parametrize("kind", [*BAD, "header only"])
def test_unusable_sound(tmp_path, kind):
    path = bad_file(tmp_path, kind)
    with pytest.raises(InputError) as error:
        read_audio(path)
    assert_one_line(error, path)


def test_files_without_sound(tmp_path):
    video = write_video(tmp_path / "v.mp4", grey_frames(3))
    Image.new("RGB", (64, 64)).save(tmp_path / "p.png")
    for path in (video, tmp_path / "p.png"):
        with pytest.raises(InputError, match="no sound track"):
            read_audio(path)


def test_truncated_sound_is_read_as_far_as_it_goes(tmp_path):
    path = encode(tmp_path / "a.mp3", tone(2, 44100)[None], 44100, "libmp3lame")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    assert 8000 < read_audio(path).size < 32000


def stereo(path, left, right, rate=16000):
    wavfile.write(path, rate, np.stack([left, right], axis=1).astype(np.float32))
    return path


@pytest.mark.parametrize("gain", [-1.0, -0.8, -1.25])
@pytest.mark.parametrize("codec", [None, "aac", "libmp3lame"])
@pytest.mark.situation(
    "Sound",
    "a stereo recording with one channel turned over (badly wired)",
    "the louder channel is used alone, and a note says so",
)
def test_channels_that_cancel_give_the_louder_one(gain, codec, tmp_path):
    left = tone(1, 16000) * np.linspace(0.2, 1, 16000, dtype=np.float32)
    if codec is None:
        path = stereo(tmp_path / "a.wav", left, gain * left)
    else:
        path = encode(tmp_path / ("a.m4a" if codec == "aac" else "a.mp3"), np.stack([left, gain * left]), 16000, codec)
    number, louder = (2, gain * left) if gain < -1 else (1, left)
    with pytest.warns(UserWarning, match="cancel each other; number [12] is used alone") as noted:
        audio = read_audio(path)
    if codec is None or gain != -1:
        assert f"number {number}" in str(noted[0].message)
        assert np.corrcoef(audio[:16000], louder[: len(audio)])[0, 1] > 0.99
    assert np.sqrt(np.square(audio).mean()) == pytest.approx(np.sqrt(np.square(louder).mean()), rel=0.1)


def test_one_of_two_speakers_with_a_badly_wired_microphone(tmp_path):
    first, second = tone(1, 16000), tone(1, 16000, 700)
    path = stereo(tmp_path / "a.wav", np.append(first, second), np.append(first, -0.9 * second))
    with pytest.warns(UserWarning, match="cancel"):
        assert np.abs(read_audio(path) - np.append(first, second)).max() < 1e-6


def test_six_channels_of_which_two_cancel(tmp_path):
    speech, nothing = tone(1, 48000), np.zeros(48000, np.float32)
    front = np.stack([speech, -speech, nothing, nothing, nothing, nothing])
    with pytest.warns(UserWarning, match="cancel"):
        audio = read_audio(encode(tmp_path / "a.wav", front, 48000, "pcm_s16le"))
    assert np.abs(audio).max() == pytest.approx(0.5, abs=0.02)


def test_channels_that_do_not_cancel_are_averaged(tmp_path, recwarn):
    speech, other = tone(1, 16000), tone(1, 16000, 700)
    delayed = np.roll(speech, 7)
    for left, right in ((speech, 0 * speech), (speech, other), (speech, delayed), (0 * speech, 0 * speech)):
        audio = read_audio(stereo(tmp_path / "a.wav", left, right))
        assert np.abs(audio - (left + right) / 2).max() < 1e-6
    assert not recwarn.list
