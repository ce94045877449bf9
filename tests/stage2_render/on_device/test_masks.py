"""Masks of a batch, against OpenCV's of one polygon after the other."""

import cv2
import numpy as np
import pytest
import torch

from stage2_render.on_device.boxes import Boxes
from stage2_render.on_device.masks import covered, filled, gaussian, soft_mask
from stage2_render.warp.compositing import SHIFT, bounds, signed_distance
from stage2_render.warp.compositing import soft_mask as of_one


def outlines(count: int, clockwise: bool = True, size: float = 40.0) -> np.ndarray:
    """Wavy closed curves [count, 40, 2]."""
    generator = np.random.default_rng(0)
    angle = np.linspace(0, 2 * np.pi, 40, endpoint=False) * (1 if clockwise else -1)
    radius = size * (0.6 + 0.12 * np.cos(3 * angle + generator.uniform(0, 6, (count, 1))))
    center = generator.uniform(45, 55, (count, 1, 2))
    return center + radius[..., None] * np.stack([1.2 * np.cos(angle), 0.6 * np.sin(angle)], -1)


@pytest.mark.parametrize("clockwise", [True, False])
def test_filled_is_what_opencv_fills(clockwise):
    polygons = outlines(3, clockwise)
    found = filled(torch.from_numpy(polygons), (100, 90), SHIFT).numpy()
    for polygon, mask in zip(polygons, found):
        fixed = np.rint(polygon * (1 << SHIFT)).astype(np.int32)
        expected = cv2.fillPoly(np.zeros((90, 100), np.uint8), [fixed], 1, shift=SHIFT) > 0
        assert expected.sum() > 1000
        assert (mask != expected).sum() <= 0.01 * expected.sum()  # on the rim


def test_a_closed_opening_is_a_line_and_a_polygon_outside_is_nothing():
    line = torch.tensor([[[10.0, 20], [50, 24], [80, 20], [50, 24]]], dtype=torch.float64)
    found = filled(line, (100, 60), SHIFT)[0].numpy()
    assert found.sum() == 71 and (found.sum(0)[10:81] == 1).all()
    assert not filled(line + 200, (100, 60), SHIFT).any()


def test_coverage_is_the_mean_of_a_cell():
    polygon = torch.tensor([[[3.5, 3.5], [11.5, 3.5], [11.5, 7.5], [3.5, 7.5]]], dtype=torch.float64)
    share = covered(polygon, (4, 3), 4, SHIFT)[0, 0]
    # Pixels 4 to 12 and 4 to 8 are filled, but for the last corner: halves are rounded up, and both rims belong to it.
    expected = np.zeros((12, 16))
    expected[4:9, 4:13] = 1
    expected[8, 12] = 0
    expected = expected.reshape(3, 4, 4, 4).mean((1, 3))
    np.testing.assert_allclose(share, expected, atol=0.5 / 255 + 1e-6)


@pytest.mark.parametrize("feather", [0.1, 1.3, 9.0])
def test_soft_mask_in_boxes_at_the_border(feather):
    """The third outline leaves the image, and a blur that is wider than the margin meets the box's border."""
    polygons = outlines(3, size=30.0) - np.array([[[20, 10]], [[0, 0]], [[50, 30]]])
    image, margin = (90, 80), 2 + 3 * min(feather, 2)
    boxes = Boxes.around(torch.from_numpy(polygons), margin, (80, 70), image)
    found = soft_mask(torch.from_numpy(polygons), boxes, torch.from_numpy(gaussian(feather))).numpy()
    for polygon, mask, start in zip(polygons, found[:, 0], boxes.start.numpy()):
        box = bounds(polygon, margin, image)
        (x0, y0, x1, y1), (left, top) = box, start
        there = mask[y0 - top : y1 - top, x0 - left : x1 - left]
        expected = of_one(polygon, box, feather)
        assert expected.max() > 0.4 and abs(there - expected).mean() < 1e-3
        assert abs(there - expected).max() < (0.13 if feather < 1 else 0.04)
        assert np.isclose(mask.sum(), there.sum())
    assert signed_distance(polygons[1], bounds(polygons[1], margin, image)).max() > 5  # the outline has an inside
