"""Frames of both renderers in batches, on torch's CPU device, against the renderers of one frame after the other."""

from contextlib import nullcontext

import cv2
import numpy as np
import pytest
import torch
from material import sine_motion
from motions import assert_close, motions
from portraits import portrait

from shared.face_model import load_bundled
from shared.photo_fit import PhotoFit
from shared.stages import recorded
from stage2_render import pipeline
from stage2_render.on_device import repair
from stage2_render.on_device.frames import DeviceFrames
from stage2_render.on_device.repair import DeviceRepair
from stage2_render.pipeline import RenderPipeline
from stage2_render.repair.network import RepairConfig, RepairNetwork
from stage2_render.repair.networks import RepairNetworks
from stage2_render.repair.parts import PARTS
from stage2_render.repair.renderer import RepairRenderer


def random_network(seed: int) -> RepairNetwork:
    """A small network that paints smooth colours over what it gets, in dependence on everything that it gets."""
    generator = torch.Generator().manual_seed(seed)
    network = RepairNetwork(RepairConfig((8, 16), (1, 1), 2)).requires_grad_(False).eval()
    for values in network.parameters():
        values.copy_(torch.randn(values.shape, generator=generator) / max(values[0].numel(), 4) ** 0.5)
    # The same for all pixels of a cell, or all would be noise.
    out = network.conv_out
    out.weight.copy_(0.1 * out.weight[::4].repeat_interleave(4, 0))
    out.bias.zero_()
    return network


def renderer(photo: np.ndarray, mesh: np.ndarray, precision: str = "float32") -> RepairRenderer:
    fit = PhotoFit.from_landmarks(photo, mesh, load_bundled())
    return RepairRenderer(fit, RepairNetworks(random_network(0), random_network(1)), precision=precision)


@pytest.mark.parametrize("size", [300, 450])
def test_repaired_frames(size):
    photo, mesh = portrait(size=size)
    if size == 300:
        photo = (cv2.cvtColor(photo, cv2.COLOR_RGB2GRAY)[..., None] * [0.95, 0.8, 0.6]).astype(np.uint8)
    one, meshes = renderer(photo, mesh), motions(mesh)
    assert one.tone.is_tinted == (size == 300)
    frames = list(DeviceFrames(one, "cpu").frames(meshes.values(), workers=1, batch_size=4))
    assert len(frames) == len(meshes) and frames[0].dtype == np.uint8
    for what, frame, expected in zip(meshes, frames, one.frames(meshes.values(), workers=0)):
        assert_close(frame, expected, what)
        painted = np.abs(one.warp(meshes[what]).astype(int) - expected).mean()
        assert painted > 0.04 or what in ("rest", "nearer", "gaze"), what


def test_maps_of_parts():
    photo, mesh = portrait()
    one = DeviceRepair(renderer(photo, mesh))
    meshes = np.stack(list(motions(mesh).values()))
    for part, on_device in zip(PARTS, one.parts):
        points = np.stack([part.crop(mesh).points(mesh) for mesh in meshes])
        for found, expected in zip(on_device.maps(torch.from_numpy(points).double()), map(part.maps, points)):
            apart = np.abs(found.numpy() - expected / 255)
            assert expected.any() and apart.mean() < 2e-3 and apart.max() <= 0.51


def test_a_repaired_frame_stays_on_the_device(monkeypatch):
    monkeypatch.setattr(repair, "autocast", lambda *_: nullcontext())
    photo, mesh = portrait()
    one = DeviceRepair(renderer(photo, mesh))
    meshes = np.stack(list(motions(mesh).values()))
    room = one.room(meshes)
    one.to("meta")
    assert {value.device.type for value in (*one.buffers(), *one.parameters())} == {"meta"}
    assert one(torch.empty(meshes.shape, device="meta"), room).shape == (len(meshes), 3, *photo.shape[:2])


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpu_is_not_waited_for_and_repairs_the_same():
    photo, mesh = portrait()
    meshes = np.stack(list(motions(mesh).values()))
    expected = list(renderer(photo, mesh).frames(meshes, workers=0))
    fit = PhotoFit.from_landmarks(photo, mesh, load_bundled())
    networks = RepairNetworks(random_network(0), random_network(1)).cuda()
    frames = DeviceFrames(RepairRenderer(fit, networks, "cuda", "float32"), "cuda")
    for frame, one in zip(frames.render(meshes), expected):
        assert_close(frame, one, "on a GPU")
    room, there = frames.renderer.room(meshes), torch.from_numpy(meshes).cuda()
    torch.cuda.set_sync_debug_mode("error")
    try:
        with torch.inference_mode():
            frames.renderer(there, room)
    finally:
        torch.cuda.set_sync_debug_mode("default")


def test_stages_are_recorded():
    photo, mesh = portrait()
    with recorded() as stages:
        list(DeviceFrames(renderer(photo, mesh), "cpu").frames([mesh, mesh], workers=0))
    assert list(stages.per_frame()) == ["warp", "networks"]


@pytest.mark.parametrize("repaired", [True, False])
def test_the_pipeline_renders_on_a_gpu(monkeypatch, repaired):
    """Here the CPU is taken for one."""
    model = load_bundled()
    motion = sine_motion(np.zeros(8000, np.float32))
    networks = RepairNetworks(random_network(0), random_network(1)) if repaired else None
    photo, mesh = portrait()
    fitted = PhotoFit.from_landmarks(photo, mesh, model)
    expected = list(RenderPipeline(model, networks, precision="float32")(fitted, motion, relative=True))
    monkeypatch.setattr(pipeline, "_stays_on", lambda device: device == "cpu")
    frames = list(RenderPipeline(model, networks, precision="float32")(fitted, motion, relative=True))
    assert len(frames) == len(expected) == len(motion)
    for number, (frame, one) in enumerate(zip(frames, expected)):
        assert_close(frame, one, f"frame {number}")
    assert any((frame != one).any() for frame, one in zip(frames, expected))  # by another path
