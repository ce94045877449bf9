"""Frames that are chosen, shares that are painted, and figures of pictures that are known."""

import numpy as np
import torch
from evaluate_shares import compared, half_way_lids, painting, wide_mouths

from shared.face_model.mediapipe_mesh import INNER_LIP_CENTRES
from stage2_render.repair.parts import MOUTH, RIGHT
from stage2_render.repair.shares import Share

UPPER = (159, 158, 160, 386, 385, 387)
LOWER = (145, 153, 144, 374, 373, 380)


def clip(photo, openings, lids):
    """Landmarks of the portrait; openings of the mouth, of the eye distance, and of the lids, of their own."""
    points = np.repeat(photo.landmarks[None], len(openings), axis=0)
    eyes = np.linalg.norm(points[0, 33] - points[0, 263])
    upper, lower = INNER_LIP_CENTRES
    points[:, lower] = points[:, upper] + np.outer(np.array(openings) * eyes, [0, 1, 0])
    for up, low in zip(UPPER, LOWER):
        points[:, up] = points[:, low] + np.array(lids)[:, None] * (points[:, up] - points[:, low])
    return points


def test_wide_mouths_of_clips_that_begin_closed(photo):
    openings = [0.01, *np.linspace(0, 0.36, 13)]
    assert wide_mouths(clip(photo, openings, np.ones(14))) == [13, 9, 5]
    assert wide_mouths(clip(photo, [0.2, *openings], np.ones(15))) == []
    assert wide_mouths(clip(photo, [0.01, 0.05, 0.09], np.ones(3))) == []


def test_lids_that_are_half_way(photo):
    lids = [1, 0.9, 0.6, 0.2, 0.5, 1]
    found = half_way_lids(clip(photo, np.zeros(6), lids))
    assert found == [2]  # the next one is near to it
    assert half_way_lids(clip(photo, np.zeros(6), [0.3, *lids[1:]])) == []  # it begins in a blink


def test_a_share_is_painted_whatever_the_photo(photo):
    for part in (MOUTH, RIGHT):
        points = part.crop(photo.landmarks).points(photo.landmarks)
        own = Share.of(part, points, 0.5)
        with painting(0.25):
            assert Share.of(part, points, 0.5).warp == 0.75 and Share.of(part, points, 2.5).warp == 0.75
        with painting(None):
            assert Share.of(part, points, 0.5) == own
        assert Share.of(part, points, 0.5) == own


def test_figures_are_those_of_the_boxes():
    real = np.random.default_rng(0).integers(0, 256, (40, 40, 3)).astype(np.uint8)
    frame = real.copy()
    frame[:20] = 128
    boxes = [(0, 20, 10, 40), (30, 20, 40, 40)]
    same, dull = (compared(frame, real, of, lambda *_: torch.tensor([0.25])) for of in (boxes, [(0, 0, 40, 20)]))
    np.testing.assert_allclose(same, [68.1, 0.25, 1.0], atol=0.1)
    assert dull[0] < 15 and dull[1] == 0.25 and dull[2] < 0.5
