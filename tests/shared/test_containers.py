"""Which track of a file is used, and which files are refused though FFmpeg would play them."""

import warnings

import numpy as np
import pytest
from material import short_speech
from media_files import assert_one_line, encode, encode_tracks, grey_frames, tone, write_video

from shared.audio import read_audio
from shared.containers import open_media, sound_stream
from shared.errors import InputError

SILENCE, HISS = np.zeros(16000, np.float32), 3e-4 * np.random.default_rng(0).standard_normal(16000)
LOW, HIGH = tone(1, 16000, 300), tone(1, 16000, 2000)


def loudest_hertz(audio):
    return np.abs(np.fft.rfft(audio)).argmax() * 16000 / len(audio)


@pytest.mark.parametrize("suffix", ["mkv", "mp4", "mov"])
@pytest.mark.parametrize(
    ("tracks", "default", "hertz", "number"),
    [
        ((LOW, HIGH), 0, 300, 1),
        ((LOW, HIGH), 1, 2000, 2),
        ((SILENCE, HIGH), 1, 2000, 2),
        ((SILENCE, HIGH), 0, 2000, 2),
        ((LOW, SILENCE), 1, 300, 1),
        ((HISS, SILENCE, 0.3 * HIGH), 0, 2000, 3),
        ((0.1 * LOW, HIGH), 0, 300, 1),  # quieter, but not silent
    ],
)
@pytest.mark.situation(
    "Sound",
    "a file with several sound tracks",
    "the one that is marked default, unless it is silent beside another; a note says which",
)
def test_the_default_track_is_used_unless_it_is_silent(tracks, default, hertz, number, suffix, tmp_path):
    path = encode_tracks(tmp_path / f"t.{suffix}", list(tracks), default)
    with pytest.warns(UserWarning, match=f"{len(tracks)} sound tracks; number {number} is used"):
        audio = read_audio(path)
    assert loudest_hertz(audio) == pytest.approx(hertz, abs=5)


def test_silent_tracks_and_a_single_track(tmp_path):
    with pytest.warns(UserWarning, match="number 2 is used, marked default"):
        assert not read_audio(encode_tracks(tmp_path / "s.mkv", [SILENCE, SILENCE], 1)).any()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        read_audio(encode_tracks(tmp_path / "one.mkv", [LOW]))


def test_a_commentary_is_not_taken_where_no_track_is_default(tmp_path):
    import av

    path = tmp_path / "c.mkv"
    with av.open(str(path), "w") as container:
        marks = av.stream.Disposition
        for mark in (marks.comment, marks(0)):
            stream = container.add_stream("aac", rate=16000, layout="mono")
            stream.disposition = mark
        for stream, samples in zip(container.streams.audio, (LOW, HIGH)):
            frame = av.AudioFrame.from_ndarray(samples[None], "fltp", "mono")
            frame.sample_rate, frame.pts = 16000, 0
            container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
    with open_media(path) as container, pytest.warns(UserWarning, match="number 2"):
        assert sound_stream(container, path).index == 1


def raw(kind):
    speech = short_speech().astype(np.float64)
    return {
        "s16le": (speech * 32767).astype("<i2").tobytes(),
        "s16be stereo": np.repeat((speech * 32767).astype(">i2"), 2).tobytes(),
        "s16le stereo": np.repeat((speech * 32767).astype("<i2"), 2).tobytes(),
        "f32le": speech.astype("<f4").tobytes(),
        "u8": (speech * 127 + 128).astype("u1").tobytes(),
        "s24le": (speech * 8388607).astype("<i4").view(np.uint8).reshape(-1, 4)[:, :3].tobytes(),
        "zeros": bytes(20000),
        "random": np.random.default_rng(1).bytes(30000),
    }[kind]


@pytest.mark.parametrize("kind", ["s16le", "s16be stereo", "s16le stereo", "f32le", "u8", "s24le", "zeros", "random"])
@pytest.mark.situation(
    "Sound", "samples without a header, whatever the file is called", "refused in one line, never played as noise"
)
def test_headerless_sound_is_refused(kind, tmp_path):
    for suffix in ("pcm", "raw", "wav", "mp3", "aac", "m4a", "bin", "dat", "flac", "g722", "al", "sw", "gsm", "txt"):
        path = tmp_path / f"x.{suffix}"
        path.write_bytes(raw(kind))
        with pytest.raises(InputError) as error:
            read_audio(path)
        assert_one_line(error, path)


@pytest.mark.situation("Sound", "an MP3 with other data before it, or a damaged part", "what can be decoded is used")
def test_damaged_mp3_is_still_read(tmp_path):
    path = encode(tmp_path / "a.mp3", tone(2, 44100)[None], 44100, "libmp3lame")
    whole, noise = path.read_bytes(), np.random.default_rng(0).bytes(3000)
    for data in (noise + whole, whole[:9000] + noise + whole[9000:]):
        path.write_bytes(data)
        assert read_audio(path).size == pytest.approx(32000, abs=8000)
        assert loudest_hertz(read_audio(path)) == pytest.approx(440, abs=10)


def test_known_formats_are_known_by_content(tmp_path):
    for suffix, codec in {"wav": "pcm_s16le", "flac": "flac", "ogg": "libopus", "mkv": "pcm_s16le", "aiff": "pcm_s16be",
                          "au": "pcm_s16be", "caf": "pcm_s16le", "w64": "pcm_s16le", "aac": "aac", "ac3": "ac3",
                          "avi": "pcm_s16le", "ts": "aac", "voc": "pcm_u8", "wv": "wavpack", "tta": "tta",
                          "mp2": "mp2"}.items():  # fmt: skip
        path = encode(tmp_path / f"a.{suffix}", tone(1, 48000)[None], 48000, codec)
        renamed = path.rename(tmp_path / f"{suffix}.bin")
        assert read_audio(renamed).size == pytest.approx(16000, abs=1600), suffix
    video = write_video(tmp_path / "v.mp4", grey_frames(3)).rename(tmp_path / "v.jpg")
    with open_media(video) as container:
        assert len(container.streams.video) == 1
