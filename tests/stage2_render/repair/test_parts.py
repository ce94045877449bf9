"""Crops and maps of mouth and eyes."""

from __future__ import annotations

import numpy as np
import pytest
from portraits import opened, portrait, turned

from stage2_render.repair.parts import LEFT, MOUTH, PARTS, RIGHT, window


@pytest.mark.parametrize("part", PARTS, ids=lambda part: part.name)
def test_a_part_is_within_its_crop_and_upright_at_any_size(part):
    _, mesh = portrait(size=450)
    for scale, roll in ((1.0, 0.0), (0.4, 25.0), (2.0, -40.0)):
        face = (turned(mesh, 0, roll) * scale).astype(np.float32)
        crop = part.crop(face)
        points = crop.points(face)
        ring = points[list(part.inner)]
        assert (ring > 4).all() and (ring < np.array(part.size) - 5).all()
        assert points[list(part.anchor)].mean(0) == pytest.approx(part.at, abs=0.01)
        left, right = points[part.inner[0]], points[part.inner[len(part.inner) // 2]]
        assert right[0] - left[0] > 20 and abs(right[1] - left[1]) < 0.2 * (right[0] - left[0])


def test_the_left_eye_is_mirrored_to_look_like_a_right_one():
    image, mesh = portrait(size=450)
    right, left = (part.crop(mesh).take(image).astype(float) for part in (RIGHT, LEFT))
    unmirrored = left[:, ::-1]
    assert np.abs(right - left).mean() < 0.8 * np.abs(right - unmirrored).mean()


def test_jaw_and_lips_do_not_move_the_crop_of_the_mouth():
    _, mesh = portrait(size=450)
    np.testing.assert_allclose(MOUTH.crop(opened(mesh, 0.15)).matrix, MOUTH.crop(mesh).matrix, atol=0.05)


def test_maps_cover_the_opening_and_the_lips():
    _, mesh = portrait(size=450)
    wide = opened(mesh, 0.15)
    crop = MOUTH.crop(mesh)
    shut, open_ = (MOUTH.maps(crop.points(one)) for one in (mesh, wide))
    assert shut.shape == (2, 64, 80) and shut.dtype == np.uint8
    assert open_[0].sum() > 5 * shut[0].sum()
    # The areas are those of the polygons, and do not overlap.
    ring = crop.points(wide)[list(MOUTH.inner)] / 2
    x, y = ring.T
    area = 0.5 * abs(x @ np.roll(y, 1) - y @ np.roll(x, 1))
    assert open_[0].sum() / 255 == pytest.approx(area, rel=0.1)
    assert (np.minimum(open_[0], open_[1]) > 200).sum() == 0
    # A cell in the middle of the opening.
    column, row = np.rint((crop.points(wide)[[13, 14]].mean(0) - 0.5) / 2).astype(int)
    assert open_[0][row, column] == 255 and open_[1][row, column] == 0


def test_maps_of_an_eye_are_its_opening_and_the_iris_in_it():
    _, mesh = portrait(size=450)
    for part in (RIGHT, LEFT):
        points = part.crop(mesh).points(mesh)
        inner, iris = part.maps(points)
        column, row = np.rint((points[part.outer[0]] - 0.5) / 2).astype(int)
        assert iris[row, column] == 255 and inner[row, column] == 255
        assert 0.15 * inner.sum() < iris.sum() < 0.8 * inner.sum()
        assert (iris <= inner).all()


def test_what_is_painted_fades_at_the_border():
    mask = window((80, 56))
    assert mask.shape == (56, 80) and mask[28, 40] == 1
    assert mask[0].max() == 0 and mask[:, 0].max() == 0 and mask[:, -1].max() == 0
    assert (np.diff(mask[28, :12]) >= 0).all() and 0 < mask[28, 5] < 1
