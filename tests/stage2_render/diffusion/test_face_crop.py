"""The face crop: the position of a face in it, and that nothing shifts when it is cut out and pasted back."""

from __future__ import annotations

import numpy as np
import pytest

from shared.face_model import load_bundled
from shared.faces.crop import Crop
from stage2_render.diffusion.face_crop import SIZE, FaceCrop, window


def face(scale: float = 1.0, angle: float = 0.0, at: tuple[float, float] = (300.0, 250.0)) -> np.ndarray:
    """The mean face, `scale` px per mm, turned in the image by `angle` rad, mesh [478, 3] in pixels."""
    mean = load_bundled().mean * np.array([1, -1, -1]) * scale
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return np.concatenate([mean[:, :2] @ turn.T + at, mean[:, 2:]], 1).astype(np.float32)


@pytest.mark.parametrize(("scale", "angle"), [(1.0, 0.0), (0.7, 0.4), (4.5, -1.2)])
def test_a_face_is_upright_at_its_place(scale, angle):
    points = FaceCrop.around(face(scale, angle)).points(face(scale, angle))
    np.testing.assert_allclose(points[[33, 263]], [[68, 62], [188, 62]], atol=0.3)
    assert 200 < points[152, 1] < 225 and abs(points[152, 0] - 128) < 1


def test_the_head_crop_as_a_face_crop():
    head = Crop(140.0, 90.0, 320.0)
    corners = np.array([[-20.0, -70.0], [300.0, 250.0], [140.0, 90.0]], np.float32)
    np.testing.assert_allclose(FaceCrop.of_crop(head).points(corners), [[-0.5, -0.5], [255.5, 255.5], [127.5, 127.5]])
    np.testing.assert_array_equal(FaceCrop.framed("head", face(), head).matrix, FaceCrop.of_crop(head).matrix)
    np.testing.assert_array_equal(FaceCrop.framed("face", face(), head).matrix, FaceCrop.around(face()).matrix)


def test_a_moving_jaw_does_not_move_the_crop():
    opened = face()
    opened[[13, 14, 17, 152, 148, 377, 175, 200]] += (0, 25, 0)
    np.testing.assert_array_equal(FaceCrop.around(opened).matrix, FaceCrop.around(face()).matrix)


@pytest.mark.parametrize("points", [np.zeros((478, 3)), np.full((478, 3), np.nan)])
def test_degenerate_points_are_refused(points):
    with pytest.raises(ValueError, match="no face"):
        FaceCrop.around(points)


def ramp(height: int, width: int) -> np.ndarray:
    """An image whose values are its coordinates: x / 4, y / 4, 100."""
    y, x = np.mgrid[:height, :width] / 4
    return np.stack([x, y, np.full_like(x, 100)], -1)


@pytest.mark.parametrize("scale", [0.6, 1.4, 3.0])
@pytest.mark.parametrize("angle", [0.0, 0.3])
def test_pixels_are_taken_at_their_points(scale, angle):
    crop = FaceCrop.around(face(scale, angle, at=(400.0, 400.0)))
    taken = crop.take(np.rint(ramp(900, 900)).astype(np.uint8)).astype(float)
    expected = ramp(900, 900)[:, :, :2]
    y, x = np.mgrid[300:500:20, 350:450:20]
    place = crop.points(np.stack([x, y], -1).astype(np.float32))
    inside = ((place > 5) & (place < SIZE - 6)).all(-1)
    assert inside.sum() > 10
    for (px, py), value in zip(np.rint(place[inside]).astype(int), expected[y, x][inside]):
        # The nearest crop pixel is up to 0.7 crop pixels away.
        assert np.abs(taken[py, px, :2] - value).max() < 0.75 + 0.2 / crop.scale


def test_reducing_averages():
    board = np.zeros((1500, 1500, 3), np.uint8)
    board[::2, ::2] = board[1::2, 1::2] = 255
    taken = FaceCrop.around(face(6.0, 0.1, at=(750.0, 600.0))).take(board)
    assert np.abs(taken[20:-20, 20:-20].astype(int) - 128).max() < 12


def test_outside_the_image_its_border_is_repeated():
    image = np.full((60, 200, 3), 7, np.uint8)
    image[-1] = 90
    taken = FaceCrop.around(face(1.0, at=(100.0, 40.0))).take(image)
    assert (taken[150:] == 90).all()
    beside = FaceCrop.around(face(1.0, at=(5000.0, -5000.0))).take(image)
    assert (beside == 7).all()


@pytest.mark.parametrize("scale", [0.8, 2.2])
def test_a_crop_is_pasted_back_at_its_place(scale):
    rows, columns = np.mgrid[:600, :600]
    smooth = 128 + 60 * np.sin(columns / 23) * np.cos(rows / 31)
    image = np.rint(np.stack([smooth, 255 - smooth, smooth], -1)).astype(np.uint8)
    crop = FaceCrop.around(face(scale, 0.2, at=(300.0, 260.0)))
    frame = image.copy()
    crop.paste(frame, crop.take(image).astype(np.float32), window())
    assert np.abs(frame.astype(int) - image).max() <= 4


def test_paste_blends_and_changes_nothing_else():
    frame = np.random.default_rng(0).integers(0, 256, (500, 620, 3), dtype=np.uint8)
    before, crop = frame.copy(), FaceCrop.around(face(1.5, 0.1))
    opacity = np.zeros((SIZE, SIZE), np.float32)
    crop.paste(frame, np.full((SIZE, SIZE, 3), 200, np.float32), opacity)
    np.testing.assert_array_equal(frame, before)
    opacity[100:150, 100:160] = 0.5
    crop.paste(frame, np.full((SIZE, SIZE, 3), 200, np.float32), opacity)
    rows, columns = np.mgrid[:500, :620]
    place = crop.points(np.stack([columns, rows], -1))
    x, y = place[..., 0], place[..., 1]
    inside = (x > 101) & (x < 158) & (y > 101) & (y < 148)
    outside = (x < 98) | (x > 161) | (y < 98) | (y > 151)
    np.testing.assert_array_equal(frame[outside], before[outside])
    assert np.abs(frame[inside] - (before[inside] / 2 + 100)).max() <= 1


def test_content_outside_the_range_of_bytes_is_clipped():
    frame = np.full((500, 620, 3), 128, np.uint8)
    content = np.full((SIZE, SIZE, 3), 300, np.float32)
    content[:, :128] = -40
    FaceCrop.around(face(1.5)).paste(frame, content, window())
    assert frame.min() == 0 and frame.max() == 255


def test_a_crop_outside_the_frame_changes_nothing():
    frame = np.full((50, 50, 3), 9, np.uint8)
    FaceCrop.around(face(1.0, at=(900.0, 900.0))).paste(frame, np.zeros((SIZE, SIZE, 3), np.float32), window())
    assert (frame == 9).all()


def test_the_window_falls_to_nothing_at_the_borders():
    mask = window()
    assert mask.shape == (SIZE, SIZE) and mask.dtype == np.float32
    assert (mask[24:-24, 24:-24] == 1).all()
    assert not mask[[0, -1]].any() and not mask[:, [0, -1]].any()
    np.testing.assert_array_equal(mask, mask[::-1, ::-1])
    assert (np.diff(mask[128, :26]) >= 0).all()
