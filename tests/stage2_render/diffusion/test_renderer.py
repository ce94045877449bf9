"""The diffusion renderer of one photo, with untrained networks: input, output and order of the frames."""

import threading
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import torch

from shared.face_model import load_bundled
from shared.images import read_image
from shared.photo_fit import PhotoFit
from shared.weights import bundled
from stage2_render.diffusion.render_model import RenderNetworks, Repair
from stage2_render.diffusion.renderer import DiffusionRenderer
from stage2_render.pipeline import RenderPipeline
from stage2_render.warp.mesh_warp import MeshWarp

FRAMES = 7


def fitted(size):
    image = cv2.resize(read_image(bundled("demo/portrait_man.jpg")), (size, size), interpolation=cv2.INTER_AREA)
    return PhotoFit.fit(image, load_bundled())


@pytest.fixture(scope="module")
def photo():
    return fitted(200)


@pytest.fixture
def networks(renderer_weights):
    return RenderNetworks.load(renderer_weights / "renderer")


def nodding(photo, frames=FRAMES):
    """Meshes [T, 478, 3] and coefficients [T, D + 6] of a nod with a mouth that opens."""
    beat = np.linspace(0, 1, frames, dtype=np.float32)[:, None]
    expression = photo.expression + 4 * beat * photo.model.extra["open"]
    rotation = photo.rotation + 0.1 * beat * np.array([1, 0, 0], np.float32)
    translation = np.repeat(photo.translation[None], frames, 0)
    coefficients = np.concatenate([expression, rotation, translation], 1).astype(np.float32)
    return photo.vertices_px(expression, rotation, translation), coefficients


def rendered(photo, networks, motion=None, *, workers=2, batch_size=4, **options):
    renderer = DiffusionRenderer(photo, networks, **options)
    return list(renderer.frames(*(motion or nodding(photo)), workers=workers, batch_size=batch_size))


def difference(ones, others):
    return np.abs(np.stack(ones).astype(float) - np.stack(others)).mean()


@pytest.mark.parametrize(("batch_size", "workers"), [(1, 1), (2, 3), (4, 2), (8, 2)])
def test_without_opacity_frames_are_the_warp(photo, networks, batch_size, workers):
    with torch.no_grad():
        networks.autoencoder.conv_out.bias[-1] = -50.0
    motion = nodding(photo)
    warp = MeshWarp(photo.image, photo.landmarks, photo.crop)
    made = rendered(photo, networks, motion, batch_size=batch_size, workers=workers)
    assert len(made) == FRAMES
    for frame, target in zip(made, motion[0]):
        np.testing.assert_array_equal(frame, warp(target))


def test_only_faces_change(photo, networks):
    motion = nodding(photo)
    made = rendered(photo, networks, motion)
    warp = MeshWarp(photo.image, photo.landmarks, photo.crop)
    for frame, target in zip(made, motion[0]):
        assert frame.dtype == np.uint8 and frame.shape == photo.image.shape
        changed = np.abs(frame.astype(int) - warp(target)).max(2)
        low, high = target[:, :2].min(0).astype(int), target[:, :2].max(0).astype(int)
        inside = changed[low[1] : high[1], low[0] : high[0]]
        assert inside.mean() > 5
        beside = (high[0] - low[0]) // 3
        assert low[0] > beside > 0
        assert changed[:, : low[0] - beside].max() == 0 and changed[:, high[0] + beside :].max() == 0


def test_frames_are_reproducible(photo, networks):
    assert difference(rendered(photo, networks), rendered(photo, networks, workers=1)) == 0


def test_batch_size_hardly_matters(photo, networks):
    assert difference(rendered(photo, networks, batch_size=1), rendered(photo, networks, batch_size=4)) < 0.5


@pytest.mark.parametrize(
    "options",
    [
        {"steps": 3},
        {"geometry_conditioning": False},
        {"detail_transfer": False},
        {"shared_noise": False},
        {"seed": 1},
    ],
    ids=str,
)
def test_every_option_has_an_effect(photo, networks, options):
    assert difference(rendered(photo, networks), rendered(photo, networks, **options)) > 0.05


def test_a_still_motion_gives_still_frames(photo, networks):
    targets, coefficients = nodding(photo)
    still = np.repeat(targets[3:4], FRAMES, 0), np.repeat(coefficients[3:4], FRAMES, 0)
    frames = rendered(photo, networks, still)
    flickering = rendered(photo, networks, still, shared_noise=False)
    assert difference(frames[:-1], frames[1:]) <= 0.5
    assert difference(flickering[:-1], flickering[1:]) > 4 * difference(frames[:-1], frames[1:])


def test_frames_are_rendered_as_they_are_consumed(photo, networks):
    """Only a few batches are ahead, whatever the length; and no thread remains when the consumer stops."""
    targets, coefficients = nodding(photo, 60)
    read = 0

    def counted():
        nonlocal read
        for target in targets:
            read += 1
            yield target

    frames = DiffusionRenderer(photo, networks).frames(counted(), coefficients, batch_size=3)
    for taken in range(1, 10):
        next(frames)
        assert read - taken <= 4 * 3
    frames.close()
    assert not [t for t in threading.enumerate() if t.name.startswith(("warp", "paint"))]


class Echo:
    """Networks whose output is the warp, everywhere."""

    framing = "face"
    autoencoder = SimpleNamespace(encode=lambda pictures: pictures[:, :1, ::8, ::8], transfers_detail=True)

    def repair(self, warped, *_, **__):
        return Repair(warped, torch.ones_like(warped[:, :1]))


@pytest.mark.parametrize("size", [140, 400, 900])
def test_the_crop_is_pasted_back_at_its_place(size):
    """The warp pasted over itself is blurred by two interpolations, but not shifted. With detail transfer it is not
    blurred either, however large the photo."""
    photo = fitted(size)
    motion = nodding(photo, 2)
    made = rendered(photo, Echo(), motion, detail_transfer=False)
    sharp = rendered(photo, Echo(), motion)
    warp = MeshWarp(photo.image, photo.landmarks, photo.crop)
    for frame, exact, target in zip(made, sharp, motion[0]):
        before = warp(target)
        assert np.abs(exact.astype(int) - before).max() <= 1
        low, high = target[:, :2].min(0).astype(int), target[:, :2].max(0).astype(int)
        ours, true = (
            cv2.cvtColor(f, cv2.COLOR_RGB2GRAY)[low[1] : high[1], low[0] : high[0]].astype(np.float64)
            for f in (frame, before)
        )
        slopes = np.stack([g.ravel() for g in np.gradient(true)], -1)
        shift = np.linalg.lstsq(slopes, (true - ours).ravel(), rcond=None)[0]
        assert np.abs(shift).max() < 0.03
        assert np.abs(ours - true).mean() < 2.5


def test_weights_for_another_face_model_are_refused(renderer_weights, tmp_path):
    from shared.errors import InputError
    from stage2_render.diffusion.unet import UNet, UNetConfig

    networks = RenderNetworks.load(renderer_weights / "renderer")
    networks.unet = UNet(UNetConfig(4, 32, 9, channels=(8,), attention=(True,), heads=2))
    (tmp_path / "renderer").mkdir()
    networks.save(tmp_path / "renderer")
    with pytest.raises(InputError, match="another face model"):
        RenderPipeline.from_pretrained(tmp_path, renderer="diffusion")
    with pytest.raises(InputError, match="no such folder"):
        RenderPipeline.from_pretrained(tmp_path / "none", renderer="diffusion")


def test_missing_parts_of_a_folder_are_bundled(renderer_weights, tmp_path, monkeypatch):
    """Here the bundled renderer is in another folder."""
    monkeypatch.setattr(
        "stage2_render.pipeline.bundled",
        lambda part: renderer_weights / part if part == "renderer" else bundled(part),
    )
    assert RenderPipeline.from_pretrained(tmp_path, renderer="diffusion").networks is not None
    assert RenderPipeline.from_pretrained(tmp_path, renderer="geometry").networks is None
