"""Choosing and tuning renderers, and what the frames do not depend on."""

import threading

import covered
import numpy as np
import pytest
import torch
from material import fitted_portrait, portrait, short_speech, sine_motion

from shared.errors import InputError, UsageError
from shared.face_model import load_bundled
from shared.photo_fit import PhotoFit
from shared.weights import bundled
from stage1_motion.interface import Subject
from stage2_render.pipeline import RenderPipeline
from stage2_render.repair import int8
from stage2_render.repair.networks import load_network, save_network
from stage2_render.warp.mesh_warp import MeshWarp


@pytest.fixture(scope="module")
def image():
    return np.asarray(portrait().convert("RGB"))


@pytest.fixture(scope="module")
def speech():
    return short_speech()


@pytest.fixture(scope="module")
def diffusion(renderer_weights):
    return RenderPipeline.from_pretrained(renderer_weights, renderer="diffusion")


def test_settings_of_another_renderer_are_refused(image, speech):
    repair = RenderPipeline.from_pretrained()
    for settings in ({"steps": 5}, {"shared_noise": False}, {"seed": 1}):
        with pytest.raises(UsageError, match="are for the renderer diffusion"):
            repair(image, sine_motion(speech), **settings)
    with pytest.raises(UsageError, match="unknown precision 'fp16'"):
        RenderPipeline.from_pretrained(precision="fp16")
    with pytest.raises(UsageError, match="the device 'meta' is not available"):
        RenderPipeline.from_pretrained(device="meta")
    with pytest.raises(InputError, match="a photo is an array uint8"):
        repair(image.astype(float), sine_motion(speech))


def test_renderers_have_names(renderer_weights):
    with pytest.raises(UsageError, match="geometry, repair, diffusion"):
        RenderPipeline.from_pretrained(renderer_weights, renderer="toaster")


@pytest.mark.parametrize("steps", [0, 1001])
def test_steps_have_limits(diffusion, image, speech, steps):
    with pytest.raises(UsageError, match="1 to 1000"):
        diffusion(image, sine_motion(speech), steps=steps)


def test_both_render_the_same_number_of_frames_of_one_size(diffusion, speech):
    fitted = fitted_portrait()
    motion = sine_motion(speech, fitted)
    for full in (True, False):
        warps = list(RenderPipeline(diffusion.model)(fitted, motion, full=full))
        frames = list(diffusion(fitted, motion, full=full))
        assert len(frames) == len(warps) == len(motion)
        assert all(a.shape == b.shape for a, b in zip(frames, warps))
        assert all(np.abs(a.astype(int) - b).mean() > 1 for a, b in zip(frames, warps))


@pytest.mark.parametrize("full", [True, False])
def test_frames_are_at_most_of_the_given_size(speech, full):
    fitted = fitted_portrait()
    frame = next(iter(RenderPipeline(load_bundled())(fitted, sine_motion(speech, fitted), full=full, max_size=100)))
    assert max(frame.shape[:2]) == 100


def test_geometry_is_the_warp_alone(diffusion, speech):
    fitted = fitted_portrait()
    motion = sine_motion(speech, fitted)
    warp = MeshWarp(fitted.image, fitted.landmarks, fitted.crop)
    targets = fitted.vertices_px(motion.expression, motion.rotation, motion.translation)
    for frame, target in zip(RenderPipeline(diffusion.model)(fitted, motion), targets, strict=True):
        np.testing.assert_array_equal(frame, warp(target))


def test_frames_do_not_depend_on_threads(speech):
    pipeline = RenderPipeline.from_pretrained()
    fitted = fitted_portrait()
    motion = sine_motion(speech, fitted)
    for one, other in zip(pipeline(fitted, motion, workers=3), pipeline(fitted, motion, workers=1), strict=True):
        np.testing.assert_array_equal(one, other)


def test_stopping_early_leaves_no_threads(image, speech):
    frames = RenderPipeline.from_pretrained()(image, sine_motion(speech))
    next(frames)
    frames.close()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("warp")]


@pytest.mark.situation("Faces", "dark glasses", "the eyes do not blink, the glasses keep their shape")
def test_dark_glasses_do_not_blink(image):
    bare = fitted_portrait()
    fitted = PhotoFit.fit(covered.dark_glasses(image, bare.landmarks))
    assert fitted.eyes_hidden and not bare.eyes_hidden
    motion = sine_motion(short_speech()[:1280], fitted)
    motion.expression[:] = fitted.expression
    motion.expression[1] += 6 * bare.model.extra["blink"]
    open_eyes, shut = RenderPipeline(bare.model)(fitted, motion.still())
    assert np.abs(open_eyes.astype(int) - shut).max() <= 2
    open_eyes, shut = RenderPipeline(bare.model)(bare, motion.still(), relative=False)
    assert np.abs(open_eyes.astype(int) - shut).max() > 40
    assert Subject.of(fitted, bare.model).lid_gap == 0 < Subject.of(bare, bare.model).lid_gap


@pytest.mark.parametrize("precision, most", [("bf16", 12), ("int8", 5)])
def test_precision_changes_frames_by_little(speech, precision, most):
    if precision == "int8" and not int8.works():
        pytest.skip("no 8-bit convolutions of oneDNN here")
    fitted = fitted_portrait()
    motion = sine_motion(speech, fitted).slice(0, 4)
    exact, fast = (RenderPipeline.from_pretrained(precision=name)(fitted, motion) for name in ("float32", precision))
    differences = np.stack([np.abs(one.astype(int) - other) for one, other in zip(exact, fast)])
    assert 0 < differences.max() <= most and differences.mean() < 0.1


def test_the_folder_of_a_training_is_a_folder_of_weights(tmp_path, speech):
    """The network that it lacks is the bundled one; a folder of weights may have a subfolder `repair`, too."""
    fitted = fitted_portrait()
    motion = sine_motion(speech, fitted).slice(3, 5)
    torch.manual_seed(0)
    network = load_network(bundled("repair"), "mouth")
    network.conv_out.bias.normal_()
    frames = {}
    for name in ("best", "weights/repair"):
        (tmp_path / name).mkdir(parents=True)
        save_network(network, "mouth", tmp_path / name)
        pipeline = RenderPipeline.from_pretrained(tmp_path / name.split("/")[0])
        frames[name] = np.stack(list(pipeline(fitted, motion)))
    frames["bundled"] = np.stack(list(RenderPipeline.from_pretrained()(fitted, motion)))
    np.testing.assert_array_equal(frames["best"], frames["weights/repair"])
    assert np.abs(frames["best"].astype(int) - frames["bundled"]).max() > 20
