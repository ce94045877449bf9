"""The warp of a batch, on torch's CPU device, against `MeshWarp` of one frame after the other."""

import cv2
import numpy as np
import pytest
import torch
from motions import assert_close, motions
from portraits import opened, portrait, turned, warp_of

from shared.faces.crop import Crop
from stage2_render.on_device.mesh_warp import DeviceWarp
from stage2_render.warp.mesh_warp import MeshWarp


def rendered(warp: MeshWarp, meshes: np.ndarray) -> np.ndarray:
    """Frames of the device's renderer, uint8 [B, H, W, 3]."""
    on_device = DeviceWarp(warp)
    with torch.inference_mode():
        frames = on_device(torch.from_numpy(meshes), on_device.room(meshes))
    return frames.byte().permute(0, 2, 3, 1).numpy()


@pytest.mark.parametrize("name", ["portrait_woman", "portrait_man", "portrait_man_2"])
def test_frames_are_those_of_the_warp(name):
    warp = warp_of(name)
    meshes = motions(portrait(name)[1])
    for what, frame in zip(meshes, rendered(warp, np.stack(list(meshes.values())))):
        expected = warp(meshes[what])
        assert_close(frame, expected, what)
        assert what in ("rest", "gaze") or np.abs(expected.astype(int) - portrait(name)[0]).mean() > 0.2, what


def test_a_sepia_photo_cut_by_its_edge_whose_crop_is_smaller():
    photo, vertices = portrait()
    sepia = (cv2.cvtColor(photo, cv2.COLOR_RGB2GRAY)[..., None] * [0.95, 0.8, 0.6]).astype(np.uint8)
    x0, y0 = int(vertices[127, 0]) + 8, int(vertices[10, 1]) + 5
    cut = np.ascontiguousarray(sepia[y0:, x0:])
    points = vertices - np.array([x0, y0, 0], np.float32)
    crop = Crop.around(points)
    warp = MeshWarp(cut, points, Crop(crop.center_x + 10, crop.center_y - 20, 0.8 * crop.side))
    meshes = motions(points)
    for what, frame in zip(meshes, rendered(warp, np.stack(list(meshes.values())))):
        assert_close(frame, warp(meshes[what]), what)


def test_a_mouth_that_is_open_in_the_photo_closes():
    _, vertices = portrait()
    open_mesh = opened(vertices, 0.1)
    photo = warp_of()(open_mesh)
    warp = MeshWarp(photo, open_mesh, Crop.around(open_mesh))
    meshes = np.stack([vertices, opened(vertices, 0.02), opened(turned(vertices, 6), 0.2)])
    for number, frame in enumerate(rendered(warp, meshes)):
        assert_close(frame, warp(meshes[number]), str(number))


def test_frames_do_not_depend_on_the_batch():
    warp = warp_of()
    meshes = np.stack(list(motions(portrait()[1]).values()))
    np.testing.assert_array_equal(rendered(warp, meshes)[2:3], rendered(warp, meshes[2:3]))


def test_everything_is_on_the_device_and_stays_there():
    """A `meta` device has no values: what asks for one, or mixes devices, fails."""
    warp = warp_of()
    on_device = DeviceWarp(warp)
    meshes = np.stack(list(motions(portrait()[1]).values()))
    room = on_device.room(meshes)
    on_device.to("meta")
    assert not list(on_device.parameters()) and {one.device.type for one in on_device.buffers()} == {"meta"}
    for module in on_device.modules():
        assert not [name for name, value in vars(module).items() if isinstance(value, torch.Tensor)]
    frames = on_device(torch.empty(meshes.shape, device="meta"), room)
    assert frames.device.type == "meta" and frames.shape == (len(meshes), 3, *warp.photo.shape[:2])


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpu_is_not_waited_for_and_renders_the_same():
    warp = warp_of()
    meshes = motions(portrait()[1])
    batch = np.stack(list(meshes.values()))
    on_device = DeviceWarp(warp)
    room = on_device.room(batch)
    on_device.cuda()
    there = torch.from_numpy(batch).cuda()
    with torch.inference_mode():
        on_device(there, room)  # libraries are loaded
        torch.cuda.set_sync_debug_mode("error")
        try:
            frames = on_device(there, room)
        finally:
            torch.cuda.set_sync_debug_mode("default")
    for what, frame in zip(meshes, frames.byte().permute(0, 2, 3, 1).cpu().numpy()):
        assert_close(frame, warp(meshes[what]), what)


def test_wrong_input_is_refused():
    on_device = DeviceWarp(warp_of())
    with pytest.raises(ValueError, match="finite"):
        on_device.room(np.full((2, 478, 3), np.nan, np.float32))
    with pytest.raises(ValueError, match=r"\[B, 478, 3\]"):
        on_device.room(np.zeros((2, 468, 3), np.float32))
