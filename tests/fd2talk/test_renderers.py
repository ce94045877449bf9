"""Choosing, tuning and comparing renderers, from Python and from the command line."""

import numpy as np
import pytest
from material import sine_motion

from shared.errors import UsageError
from shared.media import read_image, read_video
from stage2_render.pipeline import RenderPipeline
from stage2_render.warp.mesh_warp import MeshWarp

pytestmark = pytest.mark.usefixtures("sine")


@pytest.fixture(scope="module")
def diffusion(renderer_weights):
    return RenderPipeline.from_pretrained(renderer_weights, renderer="diffusion")


def test_renderers_have_names(renderer_weights):
    with pytest.raises(UsageError, match="geometry, diffusion"):
        RenderPipeline.from_pretrained(renderer_weights, renderer="toaster")


@pytest.mark.parametrize("steps", [0, 1001])
def test_steps_have_limits(diffusion, photo, speech, steps):
    with pytest.raises(UsageError, match="1 to 1000"):
        diffusion(read_image(photo), sine_motion(speech), steps=steps)


def test_both_make_the_same_number_of_frames_of_one_size(diffusion, photo, speech):
    fitted = diffusion.fit(read_image(photo))
    motion = sine_motion(speech, fitted)
    for full in (True, False):
        warps = list(RenderPipeline(diffusion.model)(fitted, motion, full=full))
        made = list(diffusion(fitted, motion, full=full))
        assert len(made) == len(warps) == len(motion)
        assert all(a.shape == b.shape for a, b in zip(made, warps))
        assert all(np.abs(a.astype(int) - b).mean() > 1 for a, b in zip(made, warps))


def test_geometry_is_the_warp_alone(diffusion, photo, speech):
    fitted = diffusion.fit(read_image(photo))
    motion = sine_motion(speech, fitted)
    warp = MeshWarp(fitted.image, fitted.landmarks, fitted.crop)
    targets = fitted.vertices_px(motion.expression, motion.rotation, motion.translation)
    for frame, target in zip(RenderPipeline(diffusion.model)(fitted, motion), targets, strict=True):
        np.testing.assert_array_equal(frame, warp(target))


def test_the_command_line_chooses(run, renderer_weights, tmp_path, photo, motion_file):
    base = ("render", photo, motion_file, "--weights", renderer_weights)
    videos = {
        "geometry": ("--renderer", "geometry"),
        "diffusion": ("--renderer", "diffusion"),
        "tuned": ("--renderer", "diffusion", "--render-steps", 2, "--no-geometry-guidance", "--no-detail-transfer",
                  "--no-shared-noise"),
    }  # fmt: skip
    frames = {}
    for name, options in videos.items():
        code, out, err = run(*base, "-o", tmp_path / f"{name}.mp4", *options)
        assert code == 0 and out.strip() == str(tmp_path / f"{name}.mp4"), err
        frames[name] = np.stack(list(read_video(tmp_path / f"{name}.mp4"))).astype(float)
    for one, other in [("geometry", "diffusion"), ("diffusion", "tuned")]:
        assert frames[one].shape == frames[other].shape
        assert np.abs(frames[one] - frames[other]).mean() > 1


def test_compare_puts_them_side_by_side(run, renderer_weights, tmp_path, photo, motion_file):
    base = ("render", photo, motion_file, "--weights", renderer_weights)
    assert run(*base, "--renderer", "geometry", "-o", tmp_path / "warp.mp4", "--max-size", 120)[0] == 0
    code, _, err = run(*base, "--compare", "--real", tmp_path / "warp.mp4", "-o", tmp_path / "all.mp4")
    assert code == 0, err
    warps = list(read_video(tmp_path / "warp.mp4"))
    shown = list(read_video(tmp_path / "all.mp4"))
    assert len(shown) == len(warps) == 10
    assert shown[0].shape == (240 + 32, 3 * 240, 3)
    for frame, warp in zip(shown, warps):
        left, middle, right = (frame[32:, k * 240 : (k + 1) * 240][::2, ::2].astype(int) for k in range(3))
        assert np.abs(left - right).mean() < 4 < np.abs(middle - right).mean()
        assert np.abs(right - warp).mean() < 4
    # Every panel has its name over it.
    assert all(shown[0][:32, k * 240 : (k + 1) * 240].max() > 150 for k in range(3))


def test_a_short_clip_keeps_its_last_frame():
    from fd2talk.compare import side_by_side

    long, short = ((np.full((40, 60, 3), value, np.uint8) for value in values) for values in ([1, 2, 3], [9, 8]))
    shown = [frame[32:, 60:].max() for frame in side_by_side({"long": long, "short": short})]
    assert shown == [9, 8, 8]


def test_generate_takes_a_renderer(run, renderer_weights, monkeypatch, tmp_path, photo, audio):
    assert run("generate", photo, audio, "-o", tmp_path / "a.mp4")[0] == 0
    base = ("generate", photo, audio, "--weights", renderer_weights, "--renderer", "diffusion")
    assert run(*base, "--render-steps", 2, "-o", tmp_path / "b.mp4")[0] == 0
    for one, other in zip(read_video(tmp_path / "a.mp4"), read_video(tmp_path / "b.mp4"), strict=True):
        assert np.abs(one.astype(int) - other).mean() > 1


def test_combinations_that_make_no_sense(refused, renderer_weights, tmp_path, photo, audio, motion_file):
    render = ("render", photo, motion_file, "-o", tmp_path / "o.mp4", "--weights", renderer_weights)
    for extra, saying in [
        (("--renderer", "toaster"), "--renderer"),
        (("--renderer", "diffusion", "--render-steps", 0), "--render-steps"),
        (("--renderer", "diffusion", "--render-steps", 1001), "--render-steps"),
        (("--renderer", "geometry", "--render-steps", 2), "--render-steps is for"),
        (("--renderer", "geometry", "--no-shared-noise"), "--no-shared-noise is for"),
        (("--compare", "--renderer", "geometry"), "--compare"),
        (("--real", photo), "--compare"),
        (("--compare", "--real", tmp_path / "none.mp4"), "none.mp4"),
        (("--compare", "--real", audio), "no video"),
    ]:
        refused(*render, *extra, folder=tmp_path, saying=saying)
    generate = ("generate", photo, audio, "-o", tmp_path / "o.mp4")
    refused(*generate, "--renderer", "geometry", "--render-steps", 2, folder=tmp_path, saying="--render-steps is for")
    (tmp_path / "w").mkdir()
    (tmp_path / "w" / "renderer").mkdir()
    refused(*render[:-1], tmp_path / "w", "--renderer", "diffusion", folder=tmp_path, saying="autoencoder.safetensors")
