"""The inside of the mouth that a photo of closed lips does not show."""

import cv2
import numpy as np
import pytest
from portraits import mask_of, opened, portrait, warp_of

from shared.face_model.mediapipe_mesh import INNER_LIPS
from shared.faces.crop import Crop
from stage2_render.warp.mesh_warp import MeshWarp


@pytest.mark.parametrize("name", ["portrait_woman", "portrait_man"])
def test_opened_lips_show_a_dark_mouth_with_teeth(name):
    photo, vertices = portrait(name)
    warp = warp_of(name)
    target = opened(vertices, 0.12)
    frame = cv2.cvtColor(warp(target), cv2.COLOR_RGB2GRAY).astype(float)
    inside = cv2.erode(mask_of(target, INNER_LIPS, photo.shape), np.ones((3, 3))) > 0
    lips = cv2.cvtColor(photo, cv2.COLOR_RGB2GRAY)[vertices[17, 1].astype(int) - 6, vertices[17, 0].astype(int)]
    x = int(vertices[13, 0])
    upper, lower = target[13, 1], target[14, 1]
    teeth = frame[int(upper + 0.12 * (lower - upper)), x - 4 : x + 5].max()
    cavity = frame[int(upper + 0.6 * (lower - upper)), x - 4 : x + 5].mean()
    assert cavity < 0.55 * lips and teeth > 1.3 * cavity
    assert frame[inside].mean() < 0.9 * lips
    # The lower lip has come along whole: below the opening lies what lay below the closed lips' line.
    drop = target[17, 1] - vertices[17, 1]
    row = int(vertices[17, 1]) - 2
    before = cv2.cvtColor(photo, cv2.COLOR_RGB2GRAY)[row - 3 : row + 3, x - 10 : x + 10]
    after = frame[row + round(drop) - 3 : row + round(drop) + 3, x - 10 : x + 10]
    assert np.abs(before - after).mean() < 8


def test_inside_of_a_mouth_the_photo_shows_closed_is_invalid():
    warp = warp_of()
    _, vertices = portrait()
    assert warp.warp(vertices).validity.min() > 0.99
    target = opened(vertices, 0.1)
    valid = warp.warp(target).validity
    x, y = (target[13, :2] + target[14, :2]) / 2 - [warp.left, warp.top]
    cell = warp.width / valid.shape[1]
    assert valid[int(y / cell), int(x / cell)] < 0.1
    assert valid.mean() > 0.97


def test_grey_photo_stays_grey():
    photo, vertices = portrait()
    grey = np.repeat(cv2.cvtColor(photo, cv2.COLOR_RGB2GRAY)[..., None], 3, axis=2)
    frame = MeshWarp(grey, vertices, Crop.around(vertices))(opened(vertices, 0.1)).astype(int)
    assert np.ptp(frame, axis=2).max() <= 2
