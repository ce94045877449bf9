"""How much of a part is painted: by the photo's sharpness, and by how far lids are closed."""

import numpy as np
import pytest
import torch
from portraits import opened, portrait

from stage2_render.repair.parts import LEFT, MOUTH, RIGHT
from stage2_render.repair.shares import Share


def lids(part, closed: float) -> np.ndarray:
    """Points of the demo portrait in the crop of an eye, whose upper lid has gone this share of its way."""
    _, mesh = portrait()
    points = part.crop(mesh).points(mesh)
    upper, lower = list(part.inner[1:8]), list(part.inner[:8:-1])
    points[upper] += closed * (points[lower] - points[upper])
    return points


def test_films_are_painted_in_full_and_sharp_photos_less_the_sharper_they_are():
    points = lids(RIGHT, 0)
    wide = lids(RIGHT, 0.4)
    for part, least in ((MOUTH, 0.55), (RIGHT, 0.4)):
        found = [float(Share.of(part, points, scale)(wide)) for scale in (2.4, 2.0, 1.8, 1.6, 1.5, 0.6)]
        assert found[:2] == [1, 1] and found[-2:] == pytest.approx([least, least])
        assert found[1] > found[2] > found[3] > found[4]


@pytest.mark.parametrize("part", [RIGHT, LEFT])
def test_lids_are_painted_where_the_photo_does_not_show_them(part):
    share = Share.of(part, lids(part, 0), 1.0)
    found = [float(share(lids(part, closed))) for closed in np.linspace(0, 1, 41)]
    assert found[0] == 1 and found[-1] == 1 and min(found) == pytest.approx(0.4)
    assert all(value == pytest.approx(0.4) for value in found[9:21])  # open by half to three quarters
    assert found[31:] == [1] * 10  # nearly shut
    assert np.abs(np.diff(found)).max() < 0.15  # nothing flickers where lids stop between


def test_the_inside_of_a_mouth_that_the_photo_shows_is_painted_in_full():
    _, mesh = portrait()
    found = []
    for amount in (0, 0.012, 0.016, 0.1):
        photo = opened(mesh, amount)
        points = MOUTH.crop(photo).points(photo)
        found.append(float(Share.of(MOUTH, points, 1.0)(points)))
    assert found[0] == pytest.approx(0.55) and found[-1] == 1 and 0.55 < found[1] < found[2] < 1


def test_a_photo_of_closed_eyes_and_tensors():
    closed = Share.of(RIGHT, lids(RIGHT, 1), 1.0)
    assert closed(lids(RIGHT, 1)) == 1
    share, batch = Share.of(RIGHT, lids(RIGHT, 0), 1.0), np.stack([lids(RIGHT, c) for c in (0, 0.4, 1)])
    np.testing.assert_allclose(share(torch.from_numpy(batch)).numpy(), [share(one) for one in batch], atol=1e-6)


def test_the_height_of_an_opening_in_its_middle():
    _, mesh = portrait()
    gap = opened(mesh, 0.1)
    before, after = (MOUTH.height(MOUTH.crop(one).points(one)) for one in (mesh, gap))
    moved = 0.1 * np.ptp(mesh[:468, 1]) * MOUTH.crop(mesh).scale
    assert after - before == pytest.approx(moved, rel=0.15)
