"""Reading and writing media: every kind of file a user may bring, and what must never remain on the disk."""

import errno
import os
import resource
import signal
import subprocess
import sys
import wave
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image
from scipy.io import wavfile

import shared.audio
import shared.images
from shared.errors import Fd2TalkError, InputError, UsageError
from shared.media import (
    VideoWriter,
    atomic_output,
    check_output,
    frame_count,
    read_audio,
    read_image,
    read_video,
    read_video_audio,
    video_info,
)

ROOT = Path(__file__).parents[2]


def tone(seconds: float, rate: int, hertz: float = 440.0) -> np.ndarray:
    return (0.5 * np.sin(2 * np.pi * hertz * np.arange(round(seconds * rate)) / rate)).astype(np.float32)


def encode(path: Path, samples: np.ndarray, rate: int, codec: str) -> Path:
    """Write float samples [channels, n] with any of FFmpeg's codecs."""
    layout = {1: "mono", 2: "stereo", 6: "5.1"}[samples.shape[0]]
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate, layout=layout)
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples), "fltp", layout)
        frame.sample_rate, frame.pts, frame.time_base = rate, 0, Fraction(1, rate)
        resampler = av.AudioResampler(stream.codec_context.format.name, layout, rate)
        for piece in resampler.resample(frame):
            container.mux(stream.encode(piece))
        container.mux(stream.encode(None))
    return path


def write_video(path: Path, frames: list[np.ndarray], **options) -> Path:
    height, width = frames[0].shape[:2]
    with VideoWriter(path, (width, height), **options) as writer:
        for frame in frames:
            writer.write(frame)
    return path


def grey_frames(count: int, level=lambda i: 128, size=(32, 48)) -> list[np.ndarray]:
    return [np.full((*size, 3), level(i), np.uint8) for i in range(count)]


def leftovers(folder: Path) -> list[str]:
    return sorted(file.name for file in folder.iterdir())


def assert_one_line(error: pytest.ExceptionInfo, path) -> None:
    text = str(error.value)
    assert str(path) in text and "\n" not in text and len(text) < len(str(path)) + 200


# Sound


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


def bad_file(folder: Path, kind: str) -> Path:
    path = folder / f"{kind}.wav"
    if kind == "folder":
        path.mkdir()
    elif kind == "empty":
        path.touch()
    elif kind == "text":
        path.write_text("This is a letter, not a recording.\n" * 50)
    elif kind == "text with its own suffix":
        path = path.with_suffix(".txt")
        path.write_text("This is a letter, not a recording.\n" * 50)
    elif kind == "noise":
        path.write_bytes(np.random.default_rng(0).bytes(5000))
    elif kind == "header only":
        wavfile.write(path, 16000, np.zeros(0, np.int16))
    elif kind == "pipe":
        os.mkfifo(path)
    return path


BAD = ["missing", "folder", "empty", "text", "text with its own suffix", "noise", "pipe"]


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


# Photos


def ramp(mode: str) -> Image.Image:
    """A picture whose grey rises from 0 to 255 over 256 columns."""
    grey = np.tile(np.arange(256, dtype=np.uint8), (64, 1))
    if mode == "I;16":
        return Image.fromarray(grey.astype(np.uint16) * 257)
    if mode == "I":
        return Image.fromarray(grey.astype(np.int32) * 257)
    if mode == "F":
        return Image.fromarray(grey.astype(np.float32) / 255)
    if mode == "P":
        return Image.fromarray(grey).convert("P")
    return Image.fromarray(grey).convert("RGB").convert(mode)


@pytest.mark.parametrize(
    ("mode", "suffix"),
    [
        *[("RGB", s) for s in ("png", "jpg", "webp", "bmp", "tif", "gif")],
        *[(m, "png") for m in ("L", "LA", "P", "RGBA", "I;16")],
        *[(m, "tif") for m in ("L", "I;16", "I", "F", "CMYK", "RGBA")],
        ("L", "jpg"),
        ("CMYK", "jpg"),
    ],
)
def test_image_modes_become_rgb(tmp_path, mode, suffix):
    path = tmp_path / f"p.{suffix}"
    ramp(mode).save(path, **({"quality": 98} if suffix in ("jpg", "webp") else {}))
    image = read_image(path)
    assert image.shape == (64, 256, 3) and image.dtype == np.uint8 and image.flags.writeable
    assert np.abs(image.astype(int) - np.arange(256)[None, :, None]).max() <= (
        6 if suffix in ("jpg", "webp", "gif") else 1
    )


def test_black_and_white_image(tmp_path):
    ramp("L").point(lambda v: 255 * (v > 127)).convert("1").save(tmp_path / "p.png")
    assert set(np.unique(read_image(tmp_path / "p.png"))) == {0, 255}


def test_transparency_is_laid_over_white(tmp_path):
    Image.new("RGBA", (8, 8), (255, 0, 0, 128)).save(tmp_path / "rgba.png")
    Image.new("LA", (8, 8), (0, 0)).save(tmp_path / "la.png")
    palette = Image.new("RGB", (8, 8), "red").convert("P")
    palette.save(tmp_path / "p.png", transparency=palette.getpixel((0, 0)))
    assert read_image(tmp_path / "rgba.png")[0, 0] == pytest.approx([255, 127, 127], abs=1)
    assert (read_image(tmp_path / "la.png") == 255).all()
    assert (read_image(tmp_path / "p.png") == 255).all()


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation(tmp_path, orientation):
    upright = np.zeros((40, 60, 3), np.uint8)
    upright[:20, :30] = 255  # white in the top left only
    # What a camera stores so that the tag's operation gives the upright picture.
    stored = {
        1: lambda a: a,
        2: lambda a: a[:, ::-1],
        3: lambda a: a[::-1, ::-1],
        4: lambda a: a[::-1],
        5: lambda a: a.transpose(1, 0, 2),
        6: lambda a: np.rot90(a, 1),
        7: lambda a: a[::-1, ::-1].transpose(1, 0, 2),
        8: lambda a: np.rot90(a, -1),
    }[orientation](upright)
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(np.ascontiguousarray(stored)).save(tmp_path / "p.png", exif=exif)
    assert np.array_equal(read_image(tmp_path / "p.png"), upright)


def test_wide_gamut_profile_is_converted_and_a_broken_one_ignored(tmp_path):
    from PIL import ImageCms

    lab_free = Image.new("RGB", (8, 8), (200, 100, 50))
    lab_free.save(tmp_path / "broken.png", icc_profile=b"no profile")
    lab_free.save(tmp_path / "srgb.png", icc_profile=ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    for name in ("broken.png", "srgb.png"):
        assert read_image(tmp_path / name)[0, 0] == pytest.approx([200, 100, 50], abs=1)


@pytest.mark.parametrize("suffix", ["jpg", "png"])
def test_huge_photo_is_reduced(tmp_path, suffix):
    Image.new("RGB", (6000, 3000), (10, 200, 30)).save(tmp_path / f"p.{suffix}")
    assert read_image(tmp_path / f"p.{suffix}").shape == (2048, 4096, 3)
    small = read_image(tmp_path / f"p.{suffix}", max_side=500)
    assert small.shape == (250, 500, 3)
    assert small[100, 100] == pytest.approx([10, 200, 30], abs=3)


def test_more_pixels_than_the_limit(tmp_path, monkeypatch):
    Image.new("L", (400, 300)).save(tmp_path / "p.png")
    monkeypatch.setattr(shared.images, "MAX_PIXELS", 100_000)
    with pytest.raises(InputError, match="million pixels"):
        read_image(tmp_path / "p.png")


def test_decompression_bomb(tmp_path):
    Image.new("1", (20000, 20000)).save(tmp_path / "p.png")
    with pytest.raises(InputError, match="more than 120 million pixels"):
        read_image(tmp_path / "p.png")


def test_animation_gives_its_first_frame(tmp_path):
    first, second = Image.new("RGB", (32, 32), "red"), Image.new("RGB", (32, 32), "blue")
    for name in ("a.gif", "a.webp", "a.png"):
        first.save(tmp_path / name, save_all=True, append_images=[second])
        assert read_image(tmp_path / name)[16, 16] == pytest.approx([255, 0, 0], abs=3)


def test_tiny_photo_is_returned(tmp_path):
    Image.new("RGB", (1, 3), "red").save(tmp_path / "p.png")
    assert read_image(tmp_path / "p.png").shape == (3, 1, 3)


@pytest.mark.parametrize("kind", BAD)
def test_unusable_photo(tmp_path, kind):
    path = bad_file(tmp_path, kind)
    with pytest.raises(InputError) as error:
        read_image(path)
    assert_one_line(error, path)


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "tif"])
def test_truncated_photo(tmp_path, suffix):
    noise = np.random.default_rng(0).integers(0, 255, (100, 100, 3), np.uint8)
    path = tmp_path / f"p.{suffix}"
    Image.fromarray(noise).save(path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(InputError) as error:
        read_image(path)
    assert_one_line(error, path)


# Reading video


@pytest.mark.parametrize(("fps", "count"), [(25, 50), (50, 100), (12.5, 25), (30, 60), (29.97, 60), (10, 20)])
def test_video_is_resampled_to_25_fps(tmp_path, fps, count):
    path = write_video(tmp_path / "v.mp4", grey_frames(count, lambda i: 10 + 230 * i // count), fps=fps)
    levels = np.array([frame.mean() for frame in read_video(path)])
    assert len(levels) == round(count / fps * 25)
    shown = (levels - 10) * count / 230 / fps  # the time of the source frame that it is
    wanted = np.arange(len(levels)) / 25
    # A frame stays until the next one is nearer than half an output step; 0.02 s is what the grey levels tell.
    assert (shown - wanted).max() <= 0.5 / 25 + 0.02 and (wanted - shown).max() <= 1 / fps + 0.02


def turn_track_header(path: Path, matrix: tuple[int, int, int, int]) -> None:
    """Set the display matrix of an MP4's first track, as a phone held upright does."""
    data = bytearray(path.read_bytes())
    start = data.index(b"tkhd") + 4 + 40  # version, flags, times, id, duration, layer, group, volume
    a, b, c, d = (value << 16 for value in matrix)
    for offset, value in zip((0, 4, 12, 16), (a, b, c, d)):
        data[start + offset : start + offset + 4] = value.to_bytes(4, "big", signed=True)
    path.write_bytes(data)


def test_rotation_of_phone_videos(tmp_path):
    frame = np.zeros((32, 64, 3), np.uint8)
    frame[:16, :32] = 255  # white in the top left as stored
    path = write_video(tmp_path / "v.mp4", [frame] * 3)
    turn_track_header(path, (0, 1, -1, 0))  # to be shown turned 90 degrees clockwise
    (first, *_) = read_video(path)
    assert first.shape == (64, 32, 3)
    assert first[:28, 20:].mean() > 240 and first[36:].mean() < 15  # white is now at the top right
    info = video_info(path)
    assert (info.width, info.height) == (32, 64)


@pytest.mark.parametrize("ending, codec", [("mp4", "aac"), ("mkv", "pcm_s16le"), ("mov", "pcm_s16le")])
@pytest.mark.parametrize("late", [0.0, 0.4, -0.4])
def test_the_sound_of_a_video_begins_with_its_first_frame(tmp_path, ending, codec, late):
    path, sound = tmp_path / f"v.{ending}", np.zeros(32000, np.int16)
    sound[16000:16200] = 20000  # a second after the sound's own beginning
    with av.open(str(path), "w") as container:
        pictures, heard = container.add_stream("libx264", rate=25), container.add_stream(codec, rate=16000)
        pictures.width, pictures.height, pictures.pix_fmt, heard.layout = 32, 32, "yuv420p", "mono"
        for index in range(50):
            frame = av.VideoFrame.from_ndarray(np.full((32, 32, 3), index, np.uint8))
            frame.pts = index + round(25 * max(-late, 0))
            container.mux(pictures.encode(frame))
        container.mux(pictures.encode(None))
        for start in range(0, 32000, 1000):
            frame = av.AudioFrame.from_ndarray(sound[None, start : start + 1000], format="s16", layout="mono")
            frame.sample_rate, frame.time_base = 16000, Fraction(1, 16000)
            frame.pts = start + round(16000 * max(late, 0))
            container.mux(heard.encode(frame))
        container.mux(heard.encode(None))
    bang = np.abs(read_video_audio(path)).argmax() / 16000
    assert bang == pytest.approx(1 + late, abs=0.03)


def test_video_info(tmp_path):
    path = write_video(tmp_path / "v.mp4", grey_frames(50), audio=tone(2, 16000))
    info = video_info(path)
    assert (info.width, info.height, info.fps, info.frames, info.has_audio) == (48, 32, 25, 50, True)
    assert info.duration == pytest.approx(2, abs=0.01)
    assert not video_info(write_video(tmp_path / "silent.mp4", grey_frames(5))).has_audio


@pytest.mark.parametrize("kind", BAD)
def test_unusable_video(tmp_path, kind):
    path = bad_file(tmp_path, kind)
    for read in (video_info, lambda p: list(read_video(p))):
        with pytest.raises(InputError) as error:
            read(path)
        assert_one_line(error, path)


def test_sound_is_not_a_video(tmp_path):
    wavfile.write(tmp_path / "a.wav", 16000, tone(1, 16000))
    with pytest.raises(InputError, match="no video stream"):
        next(read_video(tmp_path / "a.wav"))


def test_an_album_cover_is_not_a_video(tmp_path):
    path = tmp_path / "a.mp3"
    with av.open(str(path), "w") as container:
        sound = container.add_stream("libmp3lame", rate=44100)
        cover = container.add_stream("png", rate=1)
        cover.width, cover.height, cover.pix_fmt = 64, 64, "rgb24"
        container.mux(cover.encode(av.VideoFrame.from_ndarray(np.zeros((64, 64, 3), np.uint8))))
        container.mux(cover.encode(None))
        frame = av.AudioFrame.from_ndarray(tone(1, 44100)[None], "fltp", "mono")
        frame.sample_rate = 44100
        container.mux(sound.encode(frame))
        container.mux(sound.encode(None))
    assert read_audio(path).size == 16000
    with pytest.raises(InputError, match="no video stream"):
        video_info(path)


# Writing video


@pytest.mark.parametrize("source", ["array", "wav 16000", "wav 44100", "wav 48000", "mp3 44100", "m4a 48000"])
def test_click_and_flash_stay_together(tmp_path, source):
    kind, _, rate = source.partition(" ")
    rate = int(rate or 16000)
    times = (0.0, 0.48, 1.7, 2.9)
    sound = np.zeros(round(3.3 * rate), np.float32)
    for t in times:
        start = round(t * rate)
        sound[start : start + rate // 200] = tone(1 / 200, rate, 2000)
    path = tmp_path / f"sound.{kind}"
    if kind == "array":
        audio = sound
    elif kind == "wav":
        wavfile.write(path, rate, np.stack([sound, sound], axis=1))
        audio = path
    else:
        audio = encode(path, np.stack([sound, sound]), rate, {"mp3": "libmp3lame", "m4a": "aac"}[kind])
    flashes = [round(25 * t) for t in times]
    video = write_video(
        tmp_path / "v.mp4", grey_frames(frame_count(round(3.3 * 16000)), lambda i: 255 * (i in flashes)), audio=audio
    )

    heard = np.abs(read_audio(video))
    assert heard.size == pytest.approx(3.3 * 16000, abs=1)
    shown = [i for i, frame in enumerate(read_video(video)) if frame.mean() > 128]
    assert shown == flashes
    for t in times:
        start = max(0, round((t - 0.1) * 16000))
        click = (start + np.argmax(heard[start : start + 3200] > 0.15)) / 16000
        assert abs(click - t) < 0.005, "beyond a tenth of a frame"
    with av.open(str(video)) as container:
        stream = container.streams.audio[0]
        assert stream.codec_context.name == "aac"
        assert (stream.rate, stream.channels) == (rate, 1 if kind == "array" else 2)
        assert container.streams.video[0].start_time == 0


@pytest.mark.parametrize(("rate", "written"), [(8000, 8000), (37800, 44100), (192000, 48000)])
def test_rates_that_aac_lacks_are_resampled(tmp_path, rate, written):
    wavfile.write(tmp_path / "a.wav", rate, tone(1, rate))
    path = write_video(tmp_path / "v.mp4", grey_frames(25), audio=tmp_path / "a.wav")
    with av.open(str(path)) as container:
        assert container.streams.audio[0].rate == written
    audio = read_audio(path)
    assert audio.size == 16000
    assert np.corrcoef(audio[500:-500], tone(1, 16000)[500:-500])[0, 1] > 0.99


def test_surround_sound_becomes_stereo(tmp_path):
    sound = encode(tmp_path / "a.wav", np.tile(tone(1, 48000), (6, 1)) / 4, 48000, "pcm_s16le")
    path = write_video(tmp_path / "v.mp4", grey_frames(25), audio=sound)
    with av.open(str(path)) as container:
        assert container.streams.audio[0].channels == 2
    assert read_audio(path).size == 16000


def test_sound_is_whole_when_it_is_longer_or_shorter_than_the_pictures(tmp_path):
    for seconds in (0.02, 20.0):
        path = write_video(
            tmp_path / "v.mp4", grey_frames(25), audio=tone(seconds, 16000), overwrite=(tmp_path / "v.mp4").exists()
        )
        assert read_audio(path).size == round(seconds * 16000)
        assert len(list(read_video(path))) == 25


def test_what_is_in_the_file(tmp_path):
    path = write_video(tmp_path / "v.mp4", grey_frames(31), audio=tone(1.24, 16000), metadata={"title": "Anna"})
    with av.open(str(path)) as container:
        video = container.streams.video[0]
        assert (video.codec_context.name, video.codec_context.pix_fmt) == ("h264", "yuv420p")
        assert video.frames == 31 and sum(1 for _ in container.decode(video)) == 31
        assert video.duration * video.time_base == Fraction(31, 25)
        assert container.metadata["title"] == "Anna"
        assert container.metadata["comment"] == "Synthetic media: generated by fd2talk"
        assert container.metadata["synthetic_media"] == "fd2talk"
    data = path.read_bytes()
    assert data.index(b"moov") < data.index(b"mdat"), "a browser must be able to start at once"


def test_synthetic_tag_cannot_be_taken_away(tmp_path):
    path = write_video(tmp_path / "v.mp4", grey_frames(1), metadata={"synthetic_media": "no"})
    with av.open(str(path)) as container:
        assert container.metadata["synthetic_media"] == "fd2talk"


def test_colours_survive(tmp_path):
    colours = [(255, 0, 0), (0, 255, 0), (0, 0, 255), (224, 172, 140), (90, 60, 50), (128, 128, 128), (0, 0, 0)]
    frame = np.repeat(np.repeat(np.array(colours + [(255, 255, 255)], np.uint8)[None], 32, 1), 64, 0)
    for decoded in read_video(write_video(tmp_path / "v.mp4", [frame] * 3)):
        blocks = decoded[8:-8].reshape(48, 8, 32, 3)[:, :, 8:-8].mean(axis=(0, 2))
        assert np.abs(blocks - frame[0, ::32]).max() < 4


def test_names_with_spaces_and_other_letters(tmp_path):
    folder = tmp_path / "Фото und ö: 100%d [1]"
    folder.mkdir()
    wavfile.write(folder / "голос 声.wav", 16000, tone(0.2, 16000))
    Image.new("RGB", (8, 8)).save(folder / "лицо.png")
    path = write_video(folder / "видео 1.mp4", grey_frames(5), audio=folder / "голос 声.wav")
    assert read_audio(path).size == 3200 and len(list(read_video(str(path)))) == 5
    assert read_image(str(folder / "лицо.png")).shape == (8, 8, 3)
    assert leftovers(folder) == ["видео 1.mp4", "голос 声.wav", "лицо.png"]


def test_wrong_calls(tmp_path):
    for size in ((31, 32), (32, 31), (0, 32)):
        with pytest.raises(ValueError, match="even"):
            VideoWriter(tmp_path / "v.mp4", size)
    for audio in (np.zeros(0, np.float32), np.zeros((2, 5), np.float32), np.zeros(5, np.int16)):
        with pytest.raises(ValueError, match="float32"):
            VideoWriter(tmp_path / "v.mp4", (32, 32), audio=audio)
    for frame in (np.zeros((32, 30, 3), np.uint8), np.zeros((32, 32, 3), np.float32)):
        with pytest.raises(ValueError, match="expected a uint8 frame"), VideoWriter(tmp_path / "v.mp4", (32, 32)) as w:
            w.write(frame)
    with pytest.raises(ValueError, match="no frame"), VideoWriter(tmp_path / "v.mp4", (32, 32)):
        pass
    assert leftovers(tmp_path) == []


def test_unusable_sound_leaves_no_video(tmp_path):
    (tmp_path / "a.wav").write_text("no sound")
    with pytest.raises(InputError):
        write_video(tmp_path / "v.mp4", grey_frames(3), audio=tmp_path / "a.wav")
    assert leftovers(tmp_path) == ["a.wav"]


def test_memory_does_not_grow_with_the_sound(tmp_path):
    with wave.open(str(tmp_path / "a.wav"), "wb") as file:
        file.setparams((2, 2, 48000, 0, "NONE", ""))
        for _ in range(300):
            file.writeframes(bytes(4 * 48000))
    # In a process of its own: the peak of this one may long have been higher.
    script = f"""
import resource, numpy as np
from shared.media import VideoWriter
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
before = peak()
with VideoWriter({str(tmp_path / "v.mp4")!r}, (64, 64), audio={str(tmp_path / "a.wav")!r}) as writer:
    writer.write(np.zeros((64, 64, 3), np.uint8))
print(peak() - before)
"""
    grown = int(subprocess.run([sys.executable, "-c", script], cwd=ROOT, check=True, capture_output=True).stdout)
    assert grown < (45_000 if sys.platform == "linux" else 45_000_000)  # kB on Linux; the sound is 58 MB in the file
    assert read_audio(tmp_path / "v.mp4").size == 300 * 16000


# Nothing half-written remains


@pytest.mark.parametrize("failure", [RuntimeError, KeyboardInterrupt, SystemExit])
@pytest.mark.parametrize("exists", [False, True])
def test_an_interrupted_video_leaves_no_trace(tmp_path, failure, exists):
    path = tmp_path / "v.mp4"
    if exists:
        path.write_bytes(b"precious")
    with (
        pytest.raises(failure),
        VideoWriter(path, (48, 32), audio=tone(2, 16000), overwrite=exists) as writer,
    ):
        for frame in grey_frames(30):
            writer.write(frame)
        raise failure
    assert leftovers(tmp_path) == (["v.mp4"] if exists else [])
    assert not exists or path.read_bytes() == b"precious"


def test_termination_leaves_no_trace(tmp_path):
    script = f"""
import sys
import numpy as np
from fd2talk.terminal import Stopped, signals
from shared.media import VideoWriter
try:
    with signals(), VideoWriter({str(tmp_path / "v.mp4")!r}, (64, 64)) as writer:
        for i in range(10**6):
            writer.write(np.full((64, 64, 3), i % 256, np.uint8))
            if i == 100:
                print("running", flush=True)
except Stopped as stopped:
    sys.exit(stopped.exit_code)
"""
    process = subprocess.Popen(
        [sys.executable, "-c", script], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "running\n"
    assert len(leftovers(tmp_path)) == 1
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=20)
    assert (process.returncode, errors) == (143, "")
    assert leftovers(tmp_path) == []


@pytest.mark.parametrize("frames", [1, 40, 400])
def test_storage_that_ends(tmp_path, frames):
    """A limit on the size of files stands for a full disk: writing fails at the header, on the way or at the end."""
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2000, hard))
    try:
        with pytest.raises(Fd2TalkError) as error:
            write_video(tmp_path / "v.mp4", [np.roll(noise, i) for i in range(frames)])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert str(error.value) == f"cannot write {tmp_path / 'v.mp4'}: File too large"
    assert leftovers(tmp_path) == []


def test_full_disk_in_any_other_file(tmp_path):
    with pytest.raises(Fd2TalkError) as error, atomic_output(tmp_path / "a.npz"):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    assert str(error.value) == f"cannot write {tmp_path / 'a.npz'}: No space left on device"
    assert error.value.exit_code == 1 and leftovers(tmp_path) == []


def test_atomic_output(tmp_path):
    path = tmp_path / "a.npz"
    with atomic_output(path) as temporary:
        assert temporary.suffix == ".npz" and temporary.parent == tmp_path and not path.exists()
        np.savez(temporary, x=np.arange(3))
    assert leftovers(tmp_path) == ["a.npz"] and np.load(path)["x"].tolist() == [0, 1, 2]
    with pytest.raises(UsageError, match="already exists"), atomic_output(path):
        raise AssertionError("must not get here")
    with atomic_output(path, overwrite=True) as temporary:
        temporary.write_bytes(b"new")
    assert path.read_bytes() == b"new" and leftovers(tmp_path) == ["a.npz"]


def test_output_has_ordinary_permissions(tmp_path):
    mask = os.umask(0o027)
    try:
        with atomic_output(tmp_path / "a") as temporary:
            temporary.write_bytes(b"x")
    finally:
        os.umask(mask)
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o640


def test_an_error_that_is_not_of_the_disk_passes_unchanged(tmp_path):
    with pytest.raises(FileNotFoundError), atomic_output(tmp_path / "a"):
        open(tmp_path / "another", "rb")
    assert leftovers(tmp_path) == []


def test_a_file_that_appears_meanwhile_is_kept(tmp_path):
    with pytest.raises(UsageError, match="already exists"), atomic_output(tmp_path / "a"):
        (tmp_path / "a").write_bytes(b"theirs")
    assert leftovers(tmp_path) == ["a"] and (tmp_path / "a").read_bytes() == b"theirs"


def test_outputs_that_are_refused_before_any_work(tmp_path, monkeypatch):
    (tmp_path / "old.mp4").write_bytes(b"old")
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    refused = {
        tmp_path / "old.mp4": "already exists",
        tmp_path / "folder": "is a folder",
        tmp_path / "pipe": "not a plain file",
        tmp_path / "none" / "v.mp4": "does not exist",
        tmp_path / "old.mp4" / "v.mp4": "does not exist",
        tmp_path / ("n" * 300 + ".mp4"): "too long",
        "": "is a folder",
        "v\0.mp4": "null",
    }
    for path, reason in refused.items():
        with pytest.raises(UsageError, match=reason) as error:
            check_output(path)
        assert "\n" not in str(error.value) and error.value.exit_code == 2
    with pytest.raises(UsageError, match="already exists"):
        VideoWriter(tmp_path / "old.mp4", (32, 32))
    for path in ("folder", "pipe"):  # overwriting does not help there
        with pytest.raises(UsageError):
            check_output(tmp_path / path, overwrite=True)
    assert check_output(str(tmp_path / "new.mp4")) == tmp_path / "new.mp4"
    assert check_output(tmp_path / "old.mp4", overwrite=True) == tmp_path / "old.mp4"
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(UsageError, match="not writable"):
        check_output(tmp_path / "new.mp4")
