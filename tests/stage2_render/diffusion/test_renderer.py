"""The diffusion renderer of one photo, with untrained networks: input, output and order of the frames."""

import threading

import cv2
import numpy as np
import pytest
import torch

from shared.face_model import load_bundled
from shared.images import read_image
from shared.photo_fit import PhotoFit
from shared.weights import bundled
from stage2_render.diffusion.render_model import Reference, RenderNetworks
from stage2_render.diffusion.renderer import DiffusionRenderer
from stage2_render.pipeline import RenderPipeline

FRAMES = 7


def fitted(size):
    image = cv2.resize(read_image(bundled("demo/portrait_man.jpg")), (size, size), interpolation=cv2.INTER_AREA)
    return PhotoFit.fit(image, load_bundled())


@pytest.fixture(scope="module")
def photo():
    return fitted(200)


@pytest.fixture
def networks(renderer_weights):
    return RenderNetworks.load(renderer_weights / "diffusion")


def nodding(photo, frames=FRAMES):
    """Coefficients [T, D + 6] of a nod with a mouth that opens."""
    beat = np.linspace(0, 1, frames, dtype=np.float32)[:, None]
    expression = photo.expression + 4 * beat * photo.model.extra["open"]
    rotation = photo.rotation + 0.1 * beat * np.array([1, 0, 0], np.float32)
    translation = np.repeat(photo.translation[None], frames, 0)
    return np.concatenate([expression, rotation, translation], 1).astype(np.float32)


def rendered(photo, networks, motion=None, *, batch_size=4, **options):
    renderer = DiffusionRenderer(photo, networks, **{"steps": 2, **options})
    return list(renderer.frames(nodding(photo) if motion is None else motion, batch_size=batch_size))


def difference(ones, others):
    return np.abs(np.stack(ones).astype(float) - np.stack(others)).mean()


def test_only_the_square_changes(networks):
    image = cv2.resize(read_image(bundled("demo/portrait_man.jpg")), (200, 200), interpolation=cv2.INTER_AREA)
    photo = PhotoFit.fit(cv2.copyMakeBorder(image, *[60] * 4, cv2.BORDER_REPLICATE), load_bundled())
    left, top, side = networks.window
    crop = photo.crop
    low = np.array([crop.center_x, crop.center_y]) - crop.side / 2 + np.array([left, top]) * crop.side / 256
    low, high = np.ceil(low).astype(int) - 2, np.floor(low + side * crop.side / 256).astype(int) + 2
    inside = np.zeros(photo.image.shape[:2], bool)
    inside[max(low[1], 0) : high[1], max(low[0], 0) : high[0]] = True
    for frame in rendered(photo, networks):
        assert frame.dtype == np.uint8 and frame.shape == photo.image.shape and frame is not photo.image
        changed = np.abs(frame.astype(int) - photo.image).max(2)
        assert changed[inside].mean() > 5 and changed[~inside].max() == 0


def test_frames_are_reproducible(photo, networks):
    assert difference(rendered(photo, networks), rendered(photo, networks)) == 0


def test_batch_size_hardly_matters(photo, networks):
    assert difference(rendered(photo, networks, batch_size=1), rendered(photo, networks, batch_size=4)) < 0.5


@pytest.mark.parametrize(
    "options",
    [
        {"steps": 3},
        {"shared_noise": False},
        {"seed": 1},
    ],
    ids=str,
)
def test_every_option_has_an_effect(photo, networks, options):
    assert difference(rendered(photo, networks), rendered(photo, networks, **options)) > 0.05


def test_a_still_motion_gives_still_frames(photo, networks):
    still = np.repeat(nodding(photo)[3:4], FRAMES, 0)
    frames = rendered(photo, networks, still)
    flickering = rendered(photo, networks, still, shared_noise=False)
    assert difference(frames[:-1], frames[1:]) <= 0.5
    assert difference(flickering[:-1], flickering[1:]) > 4 * difference(frames[:-1], frames[1:])


def test_frames_are_rendered_as_they_are_consumed(photo, networks):
    """Only a few batches are ahead, whatever the length; and no thread remains when the consumer stops."""
    motion = nodding(photo, 60)
    read = 0

    def counted():
        nonlocal read
        for coefficients in motion:
            read += 1
            yield coefficients

    frames = DiffusionRenderer(photo, networks, steps=1).frames(counted(), batch_size=3)
    for taken in range(1, 10):
        next(frames)
        assert read - taken <= 4 * 3
    frames.close()
    assert not [t for t in threading.enumerate() if t.name.startswith("paint")]


class Echo:
    """Networks whose output is the reference image."""

    window = (32, 38, 192)

    def encode_reference(self, images, coefficients):
        return Reference(images, coefficients, None)

    def generate(self, reference, *_, **__):
        return reference.latents


@pytest.mark.parametrize("size", [140, 400, 900])
def test_the_square_is_pasted_back_at_its_place(size):
    """The photo pasted over itself is blurred by two interpolations, but not shifted."""
    photo = fitted(size)
    (frame,) = rendered(photo, Echo(), nodding(photo, 1))
    low, high = photo.landmarks[:, :2].min(0).astype(int), photo.landmarks[:, :2].max(0).astype(int)
    ours, true = (
        cv2.cvtColor(f, cv2.COLOR_RGB2GRAY)[low[1] : high[1], low[0] : high[0]].astype(np.float64)
        for f in (frame, photo.image)
    )
    slopes = np.stack([g.ravel() for g in np.gradient(true)], -1)
    shift = np.linalg.lstsq(slopes, (true - ours).ravel(), rcond=None)[0]
    assert np.abs(shift).max() < 0.03
    assert np.abs(ours - true).mean() < 2.5


def test_the_motion_arrives_beside_that_of_the_photo(photo):
    """The networks are given the frame's coefficients and those that the photo was fitted with, in this order."""
    given = []

    class Listening(Echo):
        def generate(self, reference, coefficients, noise, steps, before_step):
            given.append((coefficients, reference.coefficients, noise))
            return reference.latents

    motion = nodding(photo, 3)
    rendered(photo, Listening(), motion, batch_size=2)
    np.testing.assert_array_equal(torch.cat([one[0] for one in given]), motion)
    own = np.concatenate([photo.expression, photo.rotation, photo.translation])
    np.testing.assert_array_equal(torch.cat([one[1] for one in given]), np.stack([own] * 3))
    noise = torch.cat([one[2] for one in given])
    assert bool((noise == noise[:1]).all()) and 0.9 < noise.std() < 1.1


def test_weights_for_another_face_model_are_refused(renderer_weights, tmp_path):
    from shared.errors import InputError
    from stage2_render.diffusion.unet import UNet, UNetConfig

    networks = RenderNetworks.load(renderer_weights / "diffusion")
    networks.unet = UNet(UNetConfig(4, 32, 9, channels=(8,), attention=(True,), heads=2))
    (tmp_path / "diffusion").mkdir()
    networks.save(tmp_path / "diffusion")
    with pytest.raises(InputError, match="another face model"):
        RenderPipeline.from_pretrained(tmp_path, renderer="diffusion")
    with pytest.raises(InputError, match="no such folder"):
        RenderPipeline.from_pretrained(tmp_path / "none", renderer="diffusion")


def test_missing_parts_of_a_folder_are_bundled(renderer_weights, tmp_path, monkeypatch):
    """Here the bundled renderer is in another folder."""
    monkeypatch.setattr(
        "stage2_render.pipeline.bundled",
        lambda part: renderer_weights / part if part == "diffusion" else bundled(part),
    )
    (tmp_path / "model.yaml").touch()  # a folder of stage one
    assert RenderPipeline.from_pretrained(tmp_path, renderer="diffusion").networks is not None
    assert RenderPipeline.from_pretrained(tmp_path, renderer="geometry").networks is None
