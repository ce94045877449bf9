"""Reading video: frame rates, rotation, sound that starts early or late, unusable files."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from av.video.reformatter import Interpolation
from media_files import BAD, assert_one_line, bad_file, grey_frames, tone, write_video
from PIL import Image, features
from scipy.io import wavfile

from shared.audio import read_audio
from shared.errors import InputError
from shared.media import read_video, read_video_audio, video_info


@pytest.mark.parametrize(("fps", "count"), [(25, 50), (50, 100), (12.5, 25), (30, 60), (29.97, 60), (10, 20)])
@pytest.mark.situation("Drivers", "a clip of another frame rate", "resampled to 25 frames per second by its timestamps")
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


@pytest.mark.situation("Drivers", "a phone's video, stored sideways", "upright")
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


@pytest.mark.parametrize("suffix", ["webp", "avif", "gif", "png"])
@pytest.mark.situation(
    "Pictures", "an animated WebP, AVIF, GIF or PNG as driver", "a clip, at its own timing; as photo its first frame"
)
def test_animated_pictures_are_clips(suffix, tmp_path):
    if suffix == "avif" and not features.check("avif"):
        pytest.skip("this Pillow has no AVIF")
    path = tmp_path / f"a.{suffix}"
    first, *others = [Image.fromarray(frame) for frame in grey_frames(5, lambda i: 40 * i)]
    first.save(path, save_all=True, append_images=others, duration=80)
    assert [round(f.mean() / 40) for f in read_video(path)] == [i for i in range(5) for _ in range(2)]
    info = video_info(path)
    assert (info.width, info.height, info.has_audio) == (48, 32, False)
    if suffix in ("webp", "avif"):
        assert (info.frames, info.fps, info.duration) == (5, pytest.approx(12.5), pytest.approx(0.4))


@pytest.mark.skipif(not hasattr(Interpolation, "ACCURATE_RND"), reason="needs PyAV 18")
def test_exact_colours_do_not_darken(tmp_path):
    """Grey and coloured areas after three generations of video."""
    squares = np.random.default_rng(0).integers(30, 226, (6, 8, 3))
    first = frames = [np.kron(squares, np.ones((8, 8, 1))).astype(np.uint8)] * 2
    for number in range(3):
        path = write_video(tmp_path / f"{number}.mp4", frames, crf=1)
        frames = list(read_video(path, exact=True))
        assert len(frames) == 2
    assert abs((frames[0].astype(float) - first[0]).mean()) < 0.7  # 3 with the fast conversion
