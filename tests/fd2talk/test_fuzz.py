"""Files damaged at random, with a fixed seed, and commands stopped at any moment: a result or one line, and no remains.

About 340 bad inputs and 24 kills; the other tests of bad input are next door in `test_bad_input.py`.
"""

import io
import os
import signal
import threading
import time
import warnings

import numpy as np
import pytest
from material import fitted_portrait, portrait, short_speech, sine_motion
from media_files import encode, grey_frames, write_video

from fd2talk.commands.train import check_training
from shared.audio import read_audio
from shared.config import Config
from shared.errors import Fd2TalkError
from shared.images import is_photo, read_animation, read_image
from shared.media import read_video, video_info
from shared.motion import Motion
from shared.weights import bundled_config

pytestmark = pytest.mark.usefixtures("sine")


def damaged(data: bytes, random: np.random.Generator) -> bytes:
    """Cut, overwrite, exchange, insert or flip bytes, more often near the beginning, where headers are."""
    values, size = bytearray(data), len(data)
    at = int(random.integers(size) ** 2 / size) if random.random() < 0.7 else int(random.integers(size))
    length = int(random.integers(1, 64))
    kind = random.integers(6)
    if kind == 0:
        del values[at:]
    elif kind == 1:
        values[at : at + length] = random.bytes(length)
    elif kind == 2:
        values[at : at + length] = bytes(length)
    elif kind == 3:
        del values[at : at + length]
    elif kind == 4:
        values[at:at] = random.bytes(length)
    else:
        for place in random.integers(0, size, 8):
            values[place] ^= 1 << int(random.integers(8))
    return bytes(values) or b"\0"


def refusals(path, data, count, seed, *uses):
    """Write `count` damaged files, one after the other, use each, and return those that were refused."""
    random, refused = np.random.default_rng(seed), []
    for _ in range(count):
        bad = damaged(data, random)
        path.write_bytes(bad)
        for use in uses:
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore", UserWarning)
                    use(path)
            except Fd2TalkError as error:
                text = " ".join(str(error).split())
                assert error.exit_code == 2 and path.name in text and len(text) < len(str(path)) + 400, text
                refused.append(bad)
    return refused


def one_line(run, path, bad, *command, folder):
    """The command line refuses the file in one line, and leaves nothing."""
    path.write_bytes(bad)
    before = sorted(folder.rglob("*"))
    code, out, err = run(*command)
    last = err.strip().splitlines()[-1]
    assert (code, out) == (2, "") and last.startswith("fd2talk: ") and "Traceback" not in err, err
    assert all(line.startswith("fd2talk: note: ") for line in err.strip().splitlines()[:-1])
    assert sorted(folder.rglob("*")) == before


def picture(kind):
    file, image = io.BytesIO(), portrait(48)
    options = {"save_all": True, "append_images": [image.rotate(9)]} if kind in ("GIF", "MPO", "TIFF", "WEBP") else {}
    image.save(file, format=kind, **options)
    return file.getvalue()


@pytest.mark.parametrize("seed, kind", enumerate(["PNG", "JPEG", "WEBP", "GIF", "TIFF", "BMP", "MPO"]))
def test_damaged_pictures(seed, kind, tmp_path, run, audio):
    path = tmp_path / "bad.img"
    animation = lambda file: list(read_animation(file) or ())  # noqa: E731
    refused = refusals(path, picture(kind), 14, seed, read_image, is_photo, animation)
    for bad in refused[:2]:
        one_line(run, path, bad, "generate", path, audio, "-o", tmp_path / "o.mp4", folder=tmp_path)
        if kind != "WEBP":  # of which the first picture may be whole
            one_line(run, path, bad, "track", path, "-o", tmp_path / "m.npz", folder=tmp_path)


@pytest.mark.parametrize(
    "seed, name, codec",
    [
        (0, "a.wav", "pcm_s16le"),
        (1, "a.mp3", "libmp3lame"),
        (2, "a.m4a", "aac"),
        (3, "a.ogg", "libopus"),
        (4, "a.flac", "flac"),
        (5, "a.mkv", "aac"),
    ],
)
def test_damaged_sound(seed, name, codec, tmp_path, run):
    rate = 48000 if codec == "libopus" else 16000
    path = encode(tmp_path / name, short_speech()[None], rate, codec)
    for bad in refusals(path, path.read_bytes(), 14, seed, read_audio)[:2]:
        one_line(run, path, bad, "motion", path, "-o", tmp_path / "m.npz", folder=tmp_path)


def test_damaged_videos(tmp_path, run):
    path = write_video(tmp_path / "v.mp4", grey_frames(6, lambda i: 40 * i), audio=short_speech())
    refused = refusals(path, path.read_bytes(), 24, 0, video_info, lambda file: list(read_video(file)))
    for bad in refused[:3]:
        one_line(run, path, bad, "track", path, "-o", tmp_path / "m.npz", folder=tmp_path)


def test_damaged_motions(tmp_path, run, photo):
    path = tmp_path / "m.npz"
    sine_motion(short_speech()).save(path)
    for bad in refusals(path, path.read_bytes(), 40, 0, Motion.load)[:4]:
        one_line(run, path, bad, "export", path, "-o", tmp_path / "c.csv", folder=tmp_path)
        one_line(run, path, bad, "render", photo, path, "-o", tmp_path / "o.mp4", folder=tmp_path)


def test_motions_with_wrong_contents(tmp_path):
    """Archives that can be read, whose arrays are of another shape, type or kind."""
    path, random = tmp_path / "m.npz", np.random.default_rng(0)
    sine_motion(short_speech()).save(path)
    with np.load(path) as file:
        good = {name: file[name] for name in file.files}
    changes = [
        lambda value: np.zeros(0),
        lambda value: np.zeros((3, 2, 1)),
        lambda value: np.array("text"),
        lambda value: np.full(np.shape(value), np.nan),
        lambda value: value[..., None],
        lambda value: np.array([b"a", b"b"]),
    ]
    refused = 0
    for name in good:
        for change in changes:
            np.savez(path, **(good | {name: change(good[name])}))
            try:
                Motion.load(path)
            except Fd2TalkError as error:
                assert error.exit_code == 2 and str(path) in str(error)
                refused += 1
    for name in random.permutation(list(good)):
        np.savez(path, **{key: value for key, value in good.items() if key != name})
        try:
            Motion.load(path)
        except Fd2TalkError as error:
            assert error.exit_code == 2 and str(path) in str(error)
            refused += 1
    assert refused >= 30


def test_damaged_option_files(tmp_path, run, photo):
    """Whatever the file says, the sound is missing: the exit code is 2, and the line is about one of the two."""
    path, random = tmp_path / "c.yaml", np.random.default_rng(0)
    good = b"seed: 3\nsteps: 2\nguidance: 1.5\nstill: true\ncrop: true\nmax-size: 300\nface-box: 1,2,3,4\n"
    for _ in range(50):
        bad = damaged(good, random)
        command = ("generate", photo, tmp_path / "none.wav", "-o", tmp_path / "o.mp4", "--config", path)
        path.write_bytes(bad)
        one_line(run, path, bad, *command, folder=tmp_path)


@pytest.mark.parametrize(
    "seed, name", enumerate(["stage1_motion/fd2talk/expression", "stage2_render/unet", "shared/speech_encoder"])
)
def test_damaged_training_configs(seed, name, tmp_path):
    path = tmp_path / "c.yaml"
    good = bundled_config(f"train/bundled/{name}.yaml").read_bytes()
    refused = refusals(path, good, 20, seed, lambda file: check_training(Config.load(file)))
    assert len(refused) >= 5


# -- kills -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def harmless_signals():
    """A signal that comes when the command has ended must not end the tests."""
    before = {number: signal.signal(number, lambda *_: None) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.situation(
    "Surroundings", "stopped at any moment (Ctrl-C, SIGTERM)", "one word, exit code 130 or 143, no partial file"
)
@pytest.mark.usefixtures("harmless_signals")
def test_kills_at_any_moment(tmp_path, run, monkeypatch, photo, audio, motion_file):
    fitted = fitted_portrait(160)
    for module in ("generation", "commands.render"):
        monkeypatch.setattr(f"fd2talk.{module}.fit_photo", lambda *_: fitted)
    warp = ("--renderer", "geometry", "-o", tmp_path / "new" / "o.mp4")
    stopped = 0
    for arguments in (
        ("generate", photo, audio, *warp),
        ("render", photo, motion_file, *warp),
        ("export", motion_file, "-o", tmp_path / "mesh.glb"),
    ):
        assert run(*arguments, "--overwrite")[0] == 0  # imports what it needs
        begun = time.monotonic()
        assert run(*arguments, "--overwrite")[0] == 0
        seconds = time.monotonic() - begun
        for step in range(8):
            for file in [path for path in tmp_path.rglob("*") if path.is_file()]:
                file.unlink()
            number, delay = (signal.SIGINT, signal.SIGTERM)[step % 2], seconds * (step + 0.3) / 10
            timer = threading.Timer(delay, os.kill, (os.getpid(), number))
            begun = time.monotonic()
            timer.start()
            code, out, err = run(*arguments)
            if not code:  # it had ended before
                seconds = min(seconds, time.monotonic() - begun)
            timer.cancel()
            timer.join()
            left = [path for path in tmp_path.rglob("*") if path.is_file()]
            assert "Traceback" not in err
            if code:
                word = {signal.SIGINT: "interrupted", signal.SIGTERM: "terminated"}[number]
                # A signal that arrives after the output was renamed leaves it complete.
                assert (code, err) == (128 + number, f"fd2talk: {word}\n"), err
                assert [path for path in left if path.name not in ("o.mp4", "mesh.glb")] == []
                stopped += 1
            for path in left:
                assert path.stat().st_size > 1000
    assert stopped >= 6
