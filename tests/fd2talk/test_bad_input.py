"""Unusual and unusable inputs: a correct result, or one clear line and an exit code, and never a partial output."""

import os
import resource
import shutil
import signal
import subprocess
import sys
import time

import av
import numpy as np
import pytest
from material import SPEECH, portrait, sine_motion, write_wav
from PIL import Image
from said import said

from shared.errors import InputError
from shared.face_model import load_bundled
from shared.faces.tracker import track_photo
from shared.media import frame_count, read_audio, read_video
from shared.photo_fit import PhotoFit

pytestmark = pytest.mark.usefixtures("sine")


def video_frames(path):
    with av.open(str(path)) as container:
        return sum(1 for _ in container.decode(video=0))


# -- photos ----------------------------------------------------------------------------------------------------------


def grey(path):
    portrait().convert("L").save(path / "p.png")


def rgba(path):
    image = portrait().convert("RGBA")
    image.putalpha(Image.linear_gradient("L").resize(image.size))
    image.save(path / "p.png")


def cmyk(path):
    portrait().convert("CMYK").save(path / "p.jpg")


def sixteen_bit(path):
    values = np.asarray(portrait().convert("L")).astype(np.uint16) * 257
    Image.fromarray(values).save(path / "p.png")


def exif_rotated(path):
    exif = Image.Exif()
    exif[0x0112] = 6
    portrait().resize((240, 280)).transpose(Image.Transpose.ROTATE_90).save(path / "p.jpg", exif=exif)


def odd_size(path):
    portrait().resize((241, 255)).save(path / "p.png")


@pytest.mark.parametrize("make", [grey, rgba, cmyk, sixteen_bit, exif_rotated, odd_size])
@pytest.mark.situation(
    "Pictures",
    "grey, 16-bit, CMYK, transparent, turned (EXIF) and odd-sized photos",
    "upright, in their colours, transparent parts white; sides are made even",
)
def test_photos_of_every_kind_are_animated(make, tmp_path, run, audio):
    make(tmp_path)
    source = next(tmp_path.glob("p.*"))
    code, out, err = run("generate", source, audio, "-o", tmp_path / "out.mp4")
    assert code == 0, err
    frame = next(read_video(tmp_path / "out.mp4"))
    expected = {exif_rotated: (280, 240, 3), odd_size: (254, 240, 3)}.get(make, (240, 240, 3))
    assert frame.shape == expected
    # The first frame shows the same picture as the photo: upright, of the same colours, the white of transparency.
    shown = Image.open(source).convert("RGBA") if make is rgba else portrait()
    if make is rgba:
        shown = Image.alpha_composite(Image.new("RGBA", shown.size, "white"), shown)
    shown = np.asarray(shown.convert("RGB").resize(frame.shape[1::-1]).convert("L"), float)
    assert np.abs(np.asarray(Image.fromarray(frame).convert("L"), float) - shown).mean() < 8


@pytest.mark.situation("Pictures", "a photo of 50 megapixels", "reduced to --max-size; up to 120 megapixels are read")
def test_fifty_megapixels_are_reduced(tmp_path, run, audio):
    portrait(1800).resize((7200, 7000), Image.Resampling.BOX).save(tmp_path / "p.jpg", quality=70)
    code, _, err = run("generate", tmp_path / "p.jpg", audio, "-o", tmp_path / "out.mp4", "--max-size", 320)
    assert code == 0, err
    assert next(read_video(tmp_path / "out.mp4")).shape == (310, 320, 3)


@pytest.mark.situation("Faces", "a photo without a face", "one line, before any other work")
def test_photo_without_a_face(tmp_path, refused, audio, sine):
    grid = np.linspace(0, 255, 240).astype(np.uint8)
    Image.fromarray(np.stack([np.tile(grid, (240, 1))] * 3, -1)).save(tmp_path / "p.png")
    refused("generate", tmp_path / "p.png", audio, "-o", tmp_path / "o.mp4", folder=tmp_path, saying="no face")
    assert sine.calls == 0


@pytest.mark.situation("Faces", "a face of less than 56 pixels", "one line that says how high it is")
def test_forty_pixel_face(tmp_path, refused, audio):
    canvas = Image.new("RGB", (240, 240), "grey")
    canvas.paste(portrait(80), (80, 80))
    canvas.save(tmp_path / "p.png")
    refused("generate", tmp_path / "p.png", audio, "-o", tmp_path / "o.mp4", folder=tmp_path, saying="pixels high")


@pytest.mark.situation(
    "Faces",
    "two people in a photo",
    "the larger face speaks; --face-index or --face-box chooses, one that is not there is one line",
)
def test_two_faces_and_which_to_take(tmp_path, run, refused, audio):
    canvas = Image.new("RGB", (480, 260), "white")
    canvas.paste(portrait(260), (0, 0))
    canvas.paste(portrait(220, "portrait_man"), (260, 20))
    canvas.save(tmp_path / "p.png")
    still = np.asarray(canvas, float)
    moved = {}
    choices = {"largest": (), "second": ("--face-index", 1), "box": ("--face-box", "310,60,430,220")}
    for name, choice in choices.items():
        code, _, err = run("generate", tmp_path / "p.png", audio, "-o", tmp_path / f"{name}.mp4", *choice)
        assert code == 0, err
        # Share of clearly changed pixels, beyond what the codec does, in the columns of the first and second face.
        change = np.mean([abs(f - still).max(2) > 40 for f in read_video(tmp_path / f"{name}.mp4")], axis=(0, 1))
        moved[name] = change[:250].mean() < change[260:].mean()
    assert moved == {"largest": False, "second": True, "box": True}
    refused(
        "generate", tmp_path / "p.png", audio, "-o", tmp_path / "o.mp4", "--face-index", 2, folder=tmp_path,
        saying="2 face(s)",
    )  # fmt: skip


@pytest.mark.situation("Faces", "a face seen from the side", "one line from about 60 degrees on")
def test_profile_is_refused():
    image = np.asarray(portrait(400))
    landmarks = track_photo(image)
    centre = landmarks[:468].mean(0)
    for degrees, fits in ((30, True), (-30, True), (65, False), (-65, False)):
        c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
        turned = ((landmarks - centre) @ np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]]) + centre).astype(np.float32)
        if fits:
            PhotoFit.from_landmarks(image, turned, load_bundled())
        else:
            with pytest.raises(InputError, match="turned 6"):
                PhotoFit.from_landmarks(image, turned, load_bundled())


@pytest.mark.situation(
    "Pictures", "a photo that is cut off, empty, missing or something else", "one line that says which"
)
def test_damaged_and_missing_photos(tmp_path, refused, audio):
    portrait().save(tmp_path / "whole.jpg")
    whole = (tmp_path / "whole.jpg").read_bytes()
    (tmp_path / "short.jpg").write_bytes(whole[: len(whole) // 3])
    (tmp_path / "zero.jpg").write_bytes(b"")
    (tmp_path / "text.jpg").write_text("not a photo")
    (tmp_path / "folder.jpg").mkdir()
    for name, saying in {
        "short.jpg": "damaged",
        "zero.jpg": "empty",
        "text.jpg": "not an image",
        "folder.jpg": "folder",
        "missing.jpg": "no such file",
    }.items():
        line = refused("generate", tmp_path / name, audio, "-o", tmp_path / "o.mp4", folder=tmp_path, saying=saying)
        assert name in line


# -- sound -----------------------------------------------------------------------------------------------------------


def tone(seconds, rate=16000):
    return 0.3 * np.sin(2 * np.pi * 220 * np.arange(round(seconds * rate)) / rate)


@pytest.mark.parametrize(
    ("seconds", "rate", "channels", "width"),
    [
        (0.4, 16000, 1, 2),
        (0.41, 8000, 1, 2),
        (0.41, 48000, 1, 3),
        (0.4, 44100, 2, 2),
        (0.1, 16000, 1, 2),
        (0.01, 16000, 1, 2),
    ],
)
@pytest.mark.situation(
    "Sound",
    "any sampling rate, sample width and number of channels; 0.01 s of sound",
    "a frame for each 40 ms; the video keeps rate and channels",
)
def test_sound_of_every_kind_gives_its_frames(seconds, rate, channels, width, tmp_path, run, photo):
    write_wav(tmp_path / "a.wav", np.stack([tone(seconds, rate)] * channels, -1), rate, width)
    code, _, err = run("generate", photo, tmp_path / "a.wav", "-o", tmp_path / "o.mp4")
    assert code == 0, err
    assert video_frames(tmp_path / "o.mp4") == frame_count(round(seconds * 16000))
    with av.open(str(tmp_path / "o.mp4")) as container:
        stream = container.streams.audio[0]
        assert stream.rate == rate and stream.channels == channels
        assert float(stream.duration * stream.time_base) == pytest.approx(seconds, abs=1024 / rate)


def test_silence_gives_a_video(tmp_path, run, photo):
    write_wav(tmp_path / "a.wav", np.zeros(6400))
    assert run("generate", photo, tmp_path / "a.wav", "-o", tmp_path / "o.mp4")[0] == 0
    assert video_frames(tmp_path / "o.mp4") == 10


@pytest.mark.situation("Sound", "a video as recording", "its sound is used")
def test_sound_of_a_video(tmp_path, run, photo, audio):
    assert run("generate", photo, audio, "-o", tmp_path / "first.mp4")[0] == 0
    code, _, err = run("generate", photo, tmp_path / "first.mp4", "-o", tmp_path / "second.mp4")
    assert code == 0, err
    assert video_frames(tmp_path / "second.mp4") == 10


def test_sound_that_cannot_be_used(tmp_path, run, refused, photo, motion_file):
    write_wav(tmp_path / "empty.wav", np.zeros(0))
    (tmp_path / "zero.wav").write_bytes(b"")
    (tmp_path / "text.wav").write_text("these are words, and no sound\n" * 40)
    (tmp_path / "noise.mp3").write_bytes(bytes(range(256)) * 4)
    run("render", photo, motion_file, "-o", tmp_path / "sound.mp4")
    for name in ("empty.wav", "zero.wav", "text.wav", "noise.mp3", "missing.wav"):
        line = refused("generate", photo, tmp_path / name, "-o", tmp_path / "o.mp4", folder=tmp_path, saying="cannot")
        assert name in line
    refused("generate", photo, photo, "-o", tmp_path / "o.mp4", folder=tmp_path, saying="sound")


def float_wav(path, samples):
    with av.open(str(path), "w", format="wav") as container:
        stream = container.add_stream("pcm_f32le", rate=16000, layout="mono")
        frame = av.AudioFrame.from_ndarray(samples[None].astype(np.float32), "flt", "mono")
        frame.sample_rate = 16000
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


@pytest.mark.situation(
    "Sound", "float samples that are no numbers", "up to 1 % become silence, with a note; more are refused"
)
def test_samples_that_are_no_numbers(tmp_path, run, refused, photo):
    few = tone(0.4)
    few[100:103] = np.nan
    code, _, err = run("generate", photo, float_wav(tmp_path / "few.wav", few), "-o", tmp_path / "o.mp4")
    assert code == 0 and err.count("\n") == 1 and "3 samples" in err
    assert np.isfinite(read_audio(tmp_path / "o.mp4")).all()
    many = float_wav(tmp_path / "many.wav", np.full(6400, np.nan))
    refused("generate", photo, many, "-o", tmp_path / "n.mp4", folder=tmp_path, saying="not finite")


# -- motions ---------------------------------------------------------------------------------------------------------


@pytest.mark.situation("Drivers", "a motion file of another face model, damaged or something else", "one line")
def test_motions_that_cannot_be_used(tmp_path, refused, photo, speech):
    good = sine_motion(speech)
    good.face_model = "flame:0123456789abcdef"
    good.save(tmp_path / "foreign.npz")
    np.savez(tmp_path / "other.npz", x=np.zeros(3))
    (tmp_path / "text.npz").write_text("no motion")
    (tmp_path / "zero.npz").write_bytes(b"")
    for name in ("foreign.npz", "other.npz", "text.npz", "zero.npz", "missing.npz"):
        refused("render", photo, tmp_path / name, "-o", tmp_path / "o.mp4", folder=tmp_path, saying="")


# -- outputs ---------------------------------------------------------------------------------------------------------


@pytest.mark.situation("Command line", "an output that exists", "kept, in one line; --overwrite replaces it")
def test_existing_output_is_kept_unless_told(tmp_path, run, refused, photo, audio, motion_file):
    out = tmp_path / "o.mp4"
    out.write_bytes(b"precious")
    refused("generate", photo, audio, "-o", out, folder=tmp_path, saying="--overwrite")
    refused("render", photo, motion_file, "-o", out, folder=tmp_path, saying="--overwrite")
    assert out.read_bytes() == b"precious"
    assert run("generate", photo, audio, "-o", out, "--overwrite")[0] == 0
    assert video_frames(out) == 10
    (tmp_path / "m.npz").write_bytes(b"precious")
    refused("motion", audio, "-o", tmp_path / "m.npz", folder=tmp_path, saying="--overwrite")


@pytest.mark.situation(
    "Command line",
    "an output that cannot be written: a folder, another suffix, an input, too long a name",
    "one line, before any work",
)
def test_outputs_that_cannot_be_written(tmp_path, refused, photo, audio, motion_file):
    (tmp_path / "file").write_text("x")
    (tmp_path / "folder.mp4").mkdir()
    for out, saying in {
        "file/o.mp4": "folder",
        "file/deeper/o.mp4": "folder",
        "folder.mp4": "folder",
        "o.avi": ".mp4",
        f"{'n' * 300}.mp4": "long",
        "nul\0l.mp4": "null",
    }.items():
        refused("generate", photo, audio, "-o", f"{tmp_path}/{out}", folder=tmp_path, saying=saying)
    shutil.copy(audio, tmp_path / "a.mp4")
    shutil.copy(photo, tmp_path / "p.npz")
    for command, name, *arguments in (
        ("generate", "a.mp4", photo, tmp_path / "a.mp4"),
        ("generate", "a.mp4", photo, audio, "--style", tmp_path / "a.mp4"),
        ("generate", "a.mp4", photo, audio, "--pose-from", tmp_path / "a.mp4"),
        ("motion", "p.npz", audio, "--style", tmp_path / "p.npz"),
        ("motion", "p.npz", audio, "--photo", tmp_path / "p.npz"),
        ("motion", "p.npz", "--idle", 1, "--photo", tmp_path / "p.npz"),
        ("import", "p.npz", motion_file, "--audio", tmp_path / "p.npz"),
        ("style", "p.npz", tmp_path / "p.npz"),
    ):
        out = ("-o", tmp_path / name, "--overwrite")
        refused(command, *arguments, *out, folder=tmp_path, saying="it is one of the inputs")


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is forbidden to the superuser")
def test_folder_without_permission(tmp_path, refused, photo, audio):
    locked = tmp_path / "locked"
    locked.mkdir(mode=0o500)
    refused("generate", photo, audio, "-o", locked / "o.mp4", folder=tmp_path, saying="not writable")
    refused("generate", photo, audio, "-o", locked / "new" / "o.mp4", folder=tmp_path, saying="not writable")


def test_missing_folders_are_made_only_for_a_result(tmp_path, run, photo, audio):
    out = tmp_path / "new" / "folder" / "o.mp4"
    assert run("generate", photo, tmp_path / "none.wav", "-o", out)[0] == 2
    assert not (tmp_path / "new").exists()
    assert run("generate", photo, audio, "-o", out)[0] == 0
    assert video_frames(out) == 10


@pytest.mark.situation("Command line", "spaces, quotes, colons and letters of any alphabet in names", "work")
def test_spaces_and_letters_of_other_alphabets(tmp_path, run, photo, audio):
    folder = tmp_path / "Мои файлы — 我的 ファイル"
    folder.mkdir()
    shutil.copy(photo, folder / "Größe: ñandú.png")
    shutil.copy(audio, folder / "речь 1,5 %d.wav")
    out = folder / "résultat n° 1.mp4"
    code, printed, err = run("generate", folder / "Größe: ñandú.png", folder / "речь 1,5 %d.wav", "-o", out)
    assert code == 0 and err == "" and printed.strip() == str(out)
    assert video_frames(out) == 10


# -- the disk and the signals, in a process of their own ---------------------------------------------------------------


@pytest.fixture
def long_motion(tmp_path):
    speech = np.tile(read_audio(SPEECH), 20)
    sine_motion(speech).save(tmp_path / "long.npz")
    return tmp_path / "long.npz"


def command(*arguments, **settings):
    return subprocess.Popen(
        [sys.executable, "-m", "fd2talk", *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **settings,
    )


@pytest.mark.parametrize(
    ("sent", "code", "word"), [(signal.SIGINT, 130, "interrupted"), (signal.SIGTERM, 143, "terminated")]
)
def test_stopped_in_mid_run(sent, code, word, tmp_path, photo, long_motion):
    out = tmp_path / "new" / "o.mp4"
    process = command("render", photo, long_motion, "-o", out)
    deadline = time.monotonic() + 600
    while not list(tmp_path.glob("new/.fd2talk-*")):  # the encoder is at work
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(sent)
    printed, err = process.communicate(timeout=600)
    assert (process.returncode, said(err), printed) == (code, [f"fd2talk: {word}"], "")
    assert not [p for p in tmp_path.rglob("*") if p.is_file() and p != long_motion]


@pytest.mark.situation("Surroundings", "a disk that fills up", "one line, no partial file")
def test_full_disk(tmp_path, photo, motion_file):
    """A limit on the size of files stands for a disk that fills up while the video is written."""

    def limit():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (2_000, 2_000))

    process = command("render", photo, motion_file, "-o", tmp_path / "o.mp4", preexec_fn=limit)
    printed, err = process.communicate(timeout=600)
    assert process.returncode == 1 and printed == ""
    (line,) = said(err)
    assert line.startswith("fd2talk: cannot write")
    assert not list(tmp_path.iterdir())
