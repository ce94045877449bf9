"""Crops of a face: its place in them."""

from __future__ import annotations

import numpy as np
import pytest

from shared.face_model import load_bundled
from shared.faces.crop import Crop
from stage2_render.face_crop import face_crop, head_crop


def face(scale: float = 1.0, angle: float = 0.0, at: tuple[float, float] = (300.0, 250.0)) -> np.ndarray:
    """The mean face, `scale` px per mm, turned in the image by `angle` rad, mesh [478, 3] in pixels."""
    mean = load_bundled().mean * np.array([1, -1, -1]) * scale
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return np.concatenate([mean[:, :2] @ turn.T + at, mean[:, 2:]], 1).astype(np.float32)


@pytest.mark.parametrize(("scale", "angle"), [(1.0, 0.0), (0.7, 0.4), (4.5, -1.2)])
def test_a_face_is_upright_at_its_place(scale, angle):
    points = face_crop(face(scale, angle)).points(face(scale, angle))
    np.testing.assert_allclose(points[[33, 263]], [[68, 62], [188, 62]], atol=0.3)
    assert 200 < points[152, 1] < 225 and abs(points[152, 0] - 128) < 1


def test_the_head_crop_is_covered_exactly():
    head = Crop(140.0, 90.0, 320.0)
    corners = np.array([[-20.0, -70.0], [300.0, 250.0], [140.0, 90.0]], np.float32)
    np.testing.assert_allclose(head_crop(head).points(corners), [[-0.5, -0.5], [255.5, 255.5], [127.5, 127.5]])


def test_a_moving_jaw_does_not_move_the_crop():
    opened = face()
    opened[[13, 14, 17, 152, 148, 377, 175, 200]] += (0, 25, 0)
    np.testing.assert_array_equal(face_crop(opened).matrix, face_crop(face()).matrix)


@pytest.mark.parametrize("points", [np.zeros((478, 3)), np.full((478, 3), np.nan)])
def test_degenerate_points_are_refused(points):
    with pytest.raises(ValueError, match="no face"):
        face_crop(points)
