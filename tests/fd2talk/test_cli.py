import subprocess
import sys
import time

import numpy as np
import pytest
from material import sine_motion

from fd2talk.cli import cli
from fd2talk.terminal import notes
from shared.face_model import load_bundled
from shared.media import read_video
from shared.motion import Motion
from stage2_render.pipeline import onto_photo


@pytest.mark.parametrize("arguments", [("--help",), ("generate", "--help")])
def test_help_needs_no_heavy_imports(arguments):
    code = f"import sys; from fd2talk.cli import main; main({list(arguments)!r}); print(sorted(sys.modules))"
    started = time.monotonic()
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    took = time.monotonic() - started
    assert done.stdout.startswith("Usage: fd2talk")
    assert not {"'torch'", "'mediapipe'", "'cv2'", "'av'", "'numpy'"} & set(done.stdout.replace(",", " ").split())
    assert took < 5  # well under a second where nothing else runs


def test_every_command_has_help(run):
    for name in cli.commands:
        code, out, _ = run(name, "--help")
        assert code == 0 and "Usage: fd2talk" in out
    expected = {"generate", "motion", "render", "track", "export", "prepare", "train", "evaluate"}
    assert set(cli.commands) == expected


def test_config_sets_defaults_and_the_command_line_wins(run, refused, sine, tmp_path, photo, audio):
    config = tmp_path / "c.yaml"
    config.write_text("max-size: 100\ncrop: false\nstill: true\n")
    base = ("generate", photo, audio, "-o", tmp_path / "o.mp4", "--overwrite", "--config", config)
    assert run(*base)[0] == 0
    assert next(read_video(tmp_path / "o.mp4")).shape == (100, 100, 3)
    assert run(*base, "--max-size", 120)[0] == 0
    assert next(read_video(tmp_path / "o.mp4")).shape == (120, 120, 3)
    for text, saying in [("sead: 1", "sead"), ("seed: many", "--seed"), ("- 1", "option: value"), ("a: [", "cannot")]:
        config.write_text(text)
        refused(*base, folder=tmp_path, saying=saying)


def test_head_crop_is_square_and_even(run, sine, tmp_path, photo, audio):
    assert run("generate", photo, audio, "-o", tmp_path / "o.mp4", "--crop")[0] == 0
    height, width, _ = next(read_video(tmp_path / "o.mp4")).shape
    assert height == width and height % 2 == 0 and 150 < height <= 240


def test_still_and_pose_from(run, sine, tmp_path, photo, audio, speech):
    mover = sine_motion(np.tile(speech, 3))
    mover.save(tmp_path / "pose.npz")
    frames = {}
    for name, extra in {
        "moving": (),
        "still": ("--still",),
        "led": ("--pose-from", tmp_path / "pose.npz", "--pose-scale", 2),
        "again": (),
    }.items():
        assert run("generate", photo, audio, "-o", tmp_path / f"{name}.mp4", *extra)[0] == 0
        frames[name] = np.stack(list(read_video(tmp_path / f"{name}.mp4"))).astype(float)
    assert (tmp_path / "moving.mp4").read_bytes() == (tmp_path / "again.mp4").read_bytes()
    # The brow moves with the head only.
    brow = {name: np.abs(np.diff(value[:, 40:90, 80:160], axis=0)).mean() for name, value in frames.items()}
    assert brow["still"] < 0.5 * brow["moving"] < 0.5 * brow["led"]


def test_track_a_photo_and_a_video(run, sine, tmp_path, photo, audio, refused):
    assert run("track", photo, "-o", tmp_path / "photo.npz")[0] == 0
    one = Motion.load(tmp_path / "photo.npz", face_model=load_bundled().fingerprint)
    assert len(one) == 1
    assert run("generate", photo, audio, "-o", tmp_path / "o.mp4")[0] == 0
    assert run("track", tmp_path / "o.mp4", "-o", tmp_path / "video.npz")[0] == 0
    video = Motion.load(tmp_path / "video.npz")
    assert len(video) == 10 and len(video.audio) == 6400 and video.confidence.min() == 1
    assert np.abs(video.rotation - one.rotation).max() < 0.2
    (tmp_path / "text.txt").write_text("nothing to see")
    refused("track", tmp_path / "text.txt", "-o", tmp_path / "n.npz", folder=tmp_path, saying="cannot read")
    refused("track", audio, "-o", tmp_path / "n.npz", folder=tmp_path, saying="no video")


def test_foreign_motion_starts_from_the_photos_own_face(photo):
    from shared.media import read_image
    from stage2_render.pipeline import RenderPipeline

    pipeline = RenderPipeline.from_pretrained()
    fitted = pipeline.fit(read_image(photo))
    foreign = sine_motion(np.zeros(16000, np.float32))
    foreign.expression += 0.5
    moved = onto_photo(foreign, fitted)
    np.testing.assert_allclose(moved.rotation[0], fitted.rotation, atol=1e-6)
    np.testing.assert_allclose(moved.translation[0], fitted.translation, atol=1e-6)
    resting = np.argmin(foreign.expression @ load_bundled().extra["open"])
    np.testing.assert_allclose(moved.expression[resting], fitted.expression, atol=0.3)


def test_frames_do_not_depend_on_threads(photo, speech):
    from shared.media import read_image
    from stage2_render.pipeline import RenderPipeline

    pipeline = RenderPipeline.from_pretrained()
    fitted = pipeline.fit(read_image(photo))
    motion = sine_motion(speech, fitted)
    for one, other in zip(pipeline(fitted, motion, workers=3), pipeline(fitted, motion, workers=1), strict=True):
        np.testing.assert_array_equal(one, other)


def test_stopping_early_leaves_no_threads(photo, speech):
    import threading

    from shared.media import read_image
    from stage2_render.pipeline import RenderPipeline

    pipeline = RenderPipeline.from_pretrained()
    frames = pipeline(read_image(photo), sine_motion(speech))
    next(frames)
    frames.close()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("warp")]


def test_own_warnings_become_one_line(capsys):
    import warnings

    with notes():
        for _ in range(2):
            warnings.warn_explicit("something\nto know", UserWarning, "x.py", 1, module="shared.audio")
            warnings.warn_explicit("for developers", DeprecationWarning, "x.py", 1, module="shared.audio")
            warnings.warn_explicit("foreign", UserWarning, "x.py", 1, module="torch.nn")
    assert capsys.readouterr().err == "fd2talk: note: something to know\n"


def test_closed_standard_output_is_no_failure(tmp_path, photo):
    code = "import sys; from fd2talk.cli import main; sys.exit(main(sys.argv[1:]))"
    arguments = [sys.executable, "-c", code, "track", str(photo), "-o", str(tmp_path / "m.npz")]
    process = subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    process.stdout.close()
    assert process.stderr.read() == "" and process.wait(60) == 0
    assert (tmp_path / "m.npz").exists()
