import numpy as np
import pytest
from material import portrait, sine_motion
from media_files import write_video

from shared.media import read_video

pytestmark = pytest.mark.usefixtures("sine")


def test_head_crop_is_square_and_even(run, tmp_path, photo, audio):
    assert run("generate", photo, audio, "-o", tmp_path / "o.mp4", "--crop")[0] == 0
    height, width, _ = next(read_video(tmp_path / "o.mp4")).shape
    assert height == width and height % 2 == 0 and 150 < height <= 240


def test_still_and_pose_from(run, tmp_path, photo, audio, speech):
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
    assert np.array_equal(frames["moving"], frames["again"])  # the file's bytes can differ: x264
    # The brow moves with the head only.
    brow = {name: np.abs(np.diff(value[:, 40:90, 80:160], axis=0)).mean() for name, value in frames.items()}
    assert brow["still"] < 0.5 * brow["moving"] < 0.5 * brow["led"]


def test_pose_from_takes_a_video(run, tmp_path, photo, audio):
    write_video(tmp_path / "clip.mp4", [np.asarray(portrait(200).rotate(i - 5)) for i in range(10)])
    code, _, err = run("generate", photo, audio, "-o", tmp_path / "o.mp4", "--pose-from", tmp_path / "clip.mp4")
    assert code == 0 and "clip.mp4 is a video, no motion file: its largest face is tracked" in err
    first, *_, last = read_video(tmp_path / "o.mp4")
    assert np.abs(first.astype(int) - last).mean() > 1


def test_generate_takes_a_renderer(run, renderer_weights, tmp_path, photo, audio):
    assert run("generate", photo, audio, "-o", tmp_path / "a.mp4")[0] == 0
    base = ("generate", photo, audio, "--weights", renderer_weights, "--renderer", "diffusion")
    assert run(*base, "--render-steps", 2, "-o", tmp_path / "b.mp4")[0] == 0
    for one, other in zip(read_video(tmp_path / "a.mp4"), read_video(tmp_path / "b.mp4"), strict=True):
        assert np.abs(one.astype(int) - other).mean() > 1


def test_motion_goes_through_a_file_unchanged(run, tmp_path, photo, audio):
    """`motion` then `render` gives the same pictures as `generate`."""
    assert run("generate", photo, audio, "-o", tmp_path / "a.mp4")[0] == 0
    assert run("motion", audio, "--photo", photo, "-o", tmp_path / "m.npz")[0] == 0
    assert run("render", photo, tmp_path / "m.npz", "-o", tmp_path / "b.mp4")[0] == 0
    for one, other in zip(read_video(tmp_path / "a.mp4"), read_video(tmp_path / "b.mp4"), strict=True):
        assert np.abs(one.astype(int) - other).max() <= 2
