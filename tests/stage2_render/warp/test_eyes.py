"""Eyeballs behind the lids."""

import cv2
import numpy as np
import pytest
from portraits import mask_of, portrait, warp_of

from shared.face_model.mediapipe_mesh import LEFT_EYE, RIGHT_EYE


def test_closed_lids_cover_the_eyeball():
    warp = warp_of()
    photo, vertices = portrait()
    target = vertices.copy()
    for ring in (RIGHT_EYE, LEFT_EYE):
        upper, lower = list(ring[1:8]), list(ring[:8:-1])
        target[upper] = target[lower]
    frame = warp(target)
    for ring, iris in ((RIGHT_EYE, 468), (LEFT_EYE, 473)):
        x, y = vertices[iris, :2].astype(int)
        patch = np.s_[y - 3 : y + 4, x - 3 : x + 4]
        lid = photo[int(vertices[ring[4], 1]) - 6, x].mean()
        assert photo[patch].mean() < 0.65 * lid < frame[patch].mean()


def test_iris_moves_and_keeps_its_shape():
    warp = warp_of()
    photo, vertices = portrait()
    shift = 5
    target = vertices.copy()
    target[468:, 0] += shift
    frame = warp(target)
    for iris in (468, 473):
        x, y = np.rint(vertices[iris, :2]).astype(int)
        before = photo[y - 3 : y + 4, x - 5 : x + 6].astype(int)
        after = frame[y - 3 : y + 4, x + shift - 5 : x + shift + 6].astype(int)
        assert np.abs(before - after).mean() < 6


@pytest.mark.parametrize("name", ["portrait_woman", "portrait_man_2"])
def test_lids_that_meet_cover_the_eyes_and_go_no_further(name):
    photo, vertices = portrait(name)
    warp = warp_of(name)

    def falling(share: float) -> np.ndarray:
        target = vertices.copy()
        for ring in (RIGHT_EYE, LEFT_EYE):
            upper, lower = (np.array(ring)[places] for places in (np.arange(9, 16), np.arange(7, 0, -1)))
            if vertices[upper, 1].mean() > vertices[lower, 1].mean():
                upper, lower = lower, upper
            target[upper, :2] += share * (vertices[lower, :2] - vertices[upper, :2])
        return target

    eyes = mask_of(vertices, RIGHT_EYE, photo.shape) | mask_of(vertices, LEFT_EYE, photo.shape)
    around = cv2.dilate(eyes, np.ones((15, 15), np.uint8)) > 0
    skin = np.percentile(photo[around & (eyes == 0)].mean(-1), 90)
    shut, further = (warp(falling(share)) for share in (1.0, 1.15))
    assert (photo[eyes > 0].mean(-1) > skin).mean() > 0.1
    assert (shut[eyes > 0].mean(-1) > skin).mean() < 0.02
    assert np.abs(shut.astype(int) - further)[around].mean() < 2
