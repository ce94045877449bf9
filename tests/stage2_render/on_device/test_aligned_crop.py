"""Crops of a batch of frames, against `AlignedCrop` of one after the other."""

import cv2
import numpy as np
import pytest
import torch
from portraits import portrait, turned

from stage2_render.aligned_crop import AlignedCrop
from stage2_render.face_crop import TEMPLATE, face_crop
from stage2_render.on_device.aligned_crop import DeviceCrops, template_similarity

SIZE = (90, 70)


def crops(scale: float, places: list[tuple[float, float]]) -> list[AlignedCrop]:
    """Crops turned by some degrees whose middle is at these places of the image."""
    found = []
    for number, place in enumerate(places):
        turn = np.deg2rad(8 - 11 * number)
        linear = scale * np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
        offset = np.array(SIZE) / 2 - linear @ place
        found.append(AlignedCrop(np.concatenate([linear, offset[:, None]], 1), SIZE))
    return found


@pytest.mark.parametrize("scale", [0.55, 0.8, 1.0, 1.7])
def test_take_and_lay(scale):
    image = cv2.resize(portrait()[0], (240, 200), interpolation=cv2.INTER_AREA)
    image = cv2.GaussianBlur(image, (0, 0), 1)
    some = crops(scale, [(120, 100), (232, 30.5), (4, 190)])
    batch = DeviceCrops(torch.from_numpy(np.stack([one.matrix for one in some])), SIZE, (240, 240))
    frames = torch.from_numpy(image).permute(2, 0, 1).float().expand(3, -1, -1, -1).contiguous()
    taken = batch.take(frames)
    for one, found in zip(some, taken.permute(0, 2, 3, 1).numpy()):
        assert abs(found - one.take(image)).max() <= 3 and abs(found - one.take(image)).mean() < 0.2
    generator = np.random.default_rng(0)
    paint = generator.uniform(-60, 60, (3, *SIZE[::-1], 4)).astype(np.float32)
    paint = np.stack([cv2.GaussianBlur(one, (0, 0), 4) * 5 for one in paint])
    paint[..., 3] = np.clip(abs(paint[..., 3]) / 60, 0, 1)
    batch.lay(frames, torch.from_numpy(paint).permute(0, 3, 1, 2))
    for one, content, found in zip(some, paint, frames.permute(0, 2, 3, 1).numpy()):
        expected = image.copy()
        one.lay(expected, content[..., :3], content[..., 3])
        assert (expected != image).mean() > 0.02
        assert abs(found - expected).max() <= 4 and abs(found - expected).mean() < 0.3 * (expected != image).mean()


def test_a_crop_outside_the_image():
    image = np.arange(40 * 30 * 3, dtype=np.uint8).reshape(30, 40, 3)
    (one,) = crops(1.0, [(400, -300)])
    batch = DeviceCrops(torch.from_numpy(one.matrix[None]), SIZE, (240, 240))
    frames = torch.from_numpy(image).permute(2, 0, 1).float()[None].contiguous()
    np.testing.assert_array_equal(batch.take(frames)[0].permute(1, 2, 0), one.take(image))
    batch.lay(frames, torch.ones(1, 4, *SIZE[::-1]))
    np.testing.assert_array_equal(frames[0].permute(1, 2, 0), image)


def test_similarity_of_faces():
    _, mesh = portrait()
    meshes = np.stack([turned(mesh, yaw, 2 * yaw) for yaw in (-12, 0, 9)])
    points, template = torch.from_numpy(meshes[:, list(TEMPLATE), :2]).double(), torch.tensor(list(TEMPLATE.values()))
    for found, one in zip(template_similarity(points, template.double()), meshes):
        np.testing.assert_allclose(found, face_crop(one).matrix, rtol=1e-6, atol=1e-4)
