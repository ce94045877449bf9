"""Around the face: the background stays, hair follows, and nothing folds."""

import cv2
import numpy as np
import pytest
from portraits import opened, portrait, turned, warp_of

from shared.faces.crop import Crop
from stage2_render.warp.mesh_warp import MeshWarp


def test_everything_outside_the_crop_stays():
    photo, vertices = portrait()
    crop = Crop.around(vertices)
    wide = cv2.copyMakeBorder(photo, 60, 90, 70, 50, cv2.BORDER_REFLECT)
    shifted = vertices + np.array([70, 60, 0], np.float32)
    warp = MeshWarp(wide, shifted, Crop(crop.center_x + 70, crop.center_y + 60, 0.9 * crop.side))
    frame = warp(turned(opened(shifted, 0.05), 6, -4))
    inside = np.zeros(wide.shape[:2], bool)
    inside[warp.top : warp.bottom, warp.left : warp.right] = True
    assert not inside.all() and (frame[~inside] == wide[~inside]).all()
    assert (frame[inside] != wide[inside]).any()
    # The movement fades out: no step at the crop's edge.
    rim = np.abs(frame.astype(int) - wide)[warp.top : warp.top + 2, warp.left : warp.right]
    assert rim.mean() < 1.0


def test_small_moves_leave_the_far_background_alone():
    warp = warp_of()
    photo, vertices = portrait()
    frame = warp(vertices + np.array([2.0, 1.0, 0], np.float32))
    assert np.abs(frame[:60, :60].astype(int) - photo[:60, :60]).max() <= 1
    cheek = vertices[50, :2].astype(int)
    moved = frame[cheek[1] + 1 - 8 : cheek[1] + 1 + 8, cheek[0] + 2 - 8 : cheek[0] + 2 + 8].astype(int)
    assert np.abs(moved - photo[cheek[1] - 8 : cheek[1] + 8, cheek[0] - 8 : cheek[0] + 8]).mean() < 1.5


@pytest.mark.parametrize("yaw, roll", [(0, 8), (8, 0), (-8, 4), (0, -8)])
def test_no_folds_at_the_oval(yaw, roll):
    warp = warp_of()
    _, vertices = portrait()
    target = turned(vertices, yaw, roll)
    where = warp.warp(target).origin
    cell = warp.width / where.shape[1]
    dx, dy = np.diff(where, axis=1)[:-1] / cell, np.diff(where, axis=0)[:, :-1] / cell
    area = dx[..., 0] * dy[..., 1] - dx[..., 1] * dy[..., 0]
    hull = cv2.convexHull(target[:468, :2].astype(np.float32))[:, 0]
    face = np.zeros(portrait()[0].shape[:2], np.uint8)
    cv2.fillPoly(face, [np.rint(hull).astype(np.int32)], 1)
    # Outside the silhouette and on a band across it, except where a cheek turns in front of what lies behind it.
    face = cv2.erode(face, np.ones((5, 5)))[warp.top : warp.bottom, warp.left : warp.right]
    outside = cv2.resize(face, area.shape[::-1], interpolation=cv2.INTER_NEAREST) == 0
    assert (area[outside] <= 0).mean() < 0.0005
    assert np.percentile(area[outside], 99.9) < 5
