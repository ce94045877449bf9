"""Where the lower lip of an open mouth begins."""

import cv2
import numpy as np
import pytest
from portraits import opened, portrait

from shared.face_model.mediapipe_mesh import INNER_LIPS, OUTER_LIPS
from shared.faces.crop import Crop
from stage2_render.warp.lower_rim import lip_within
from stage2_render.warp.mesh_warp import MeshWarp
from stage2_render.warp.mouth import MouthLayer

LIP, TEETH = (190, 90, 100), (225, 220, 210)


def smile(rim: float, inside: tuple[int, int, int] = TEETH) -> tuple[np.ndarray, np.ndarray, float]:
    """A portrait with painted lips and teeth, whose lower lip begins `rim` mouth widths above the tracked one."""
    photo, vertices = portrait()
    points = opened(vertices, 0.16)
    photo, width = photo.copy(), float(np.linalg.norm(points[308, :2] - points[78, :2]))
    lips, teeth = points[list(OUTER_LIPS), :2], points[list(INNER_LIPS), :2].copy()
    teeth[11:, 1] = np.maximum(teeth[11:, 1] - rim * width, teeth[9:0:-1, 1])
    for outline, colour in ((lips, LIP), (teeth, inside)):
        cv2.fillPoly(photo, [np.rint(outline * 16).astype(np.int32)], colour, cv2.LINE_AA, 4)
    return photo, points, width


@pytest.mark.parametrize("rim", [0.0, 0.02, 0.04])
def test_the_rim_is_moved_to_where_the_lip_begins(rim):
    photo, points, width = smile(rim)
    tracked, found = points[list(INNER_LIPS), :2], lip_within(photo, points[:, :2].astype(float), width)
    moved = (tracked - found)[12:19, 1] / width  # but for the corners, where there is no opening
    assert rim - 0.013 < moved.mean() < rim + 0.008 and (moved <= rim + 0.014).all()
    assert moved.mean() > rim / 3
    assert np.array_equal(found[:11], tracked[:11])  # corners and upper lip


def test_what_has_the_colour_of_the_lip_is_left_alone():
    photo, points, width = smile(0.03, inside=tuple(c + 6 for c in LIP))  # a tongue
    assert np.allclose(lip_within(photo, points[:, :2].astype(float), width), points[list(INNER_LIPS), :2])


def test_lip_does_not_hang_below_the_teeth_of_a_mouth_that_opens():
    photo, points, width = smile(0.04)
    warp = MeshWarp(photo, points, Crop.around(points))
    frame = warp(opened(points, 0.15)).astype(int)
    x, y = np.rint(points[14, :2]).astype(int)  # the skull has not moved: below the teeth there was the strip
    strip = frame[y - round(0.03 * width) : y - 1, x - 5 : x + 6].reshape(-1, 3)
    assert np.abs(strip - LIP).sum(1).min() > 60
    still = warp(points).astype(int)[y - round(0.03 * width) : y - 1, x - 5 : x + 6].reshape(-1, 3)
    assert np.abs(still - LIP).sum(1).mean() < 20  # in the photo's own pose it is the lip


def test_drawn_teeth_stay_with_those_of_the_photo():
    """Where none are shown they come down with the lip; else they would hang out below the photo's own."""
    photo, points, _ = smile(0.0)
    closed, vertices = portrait()
    still = np.array([[1.0, 0, 0], [0, 1, 0]])
    for image, source, falls in ((closed, vertices, True), (photo, points, False)):
        layer, target = MouthLayer(image, source), opened(source, 0.2)[:, :2].astype(np.float64)
        fallen = layer._teeth_origin(target, still) - layer._teeth_origin(layer.source, still)
        assert (fallen[1] > 0.02 * layer.width) == falls and (falls or not fallen.any())
