"""Crops that are cut out of an image and painted back: nothing shifts, nothing outside changes."""

from __future__ import annotations

import numpy as np
import pytest

from stage2_render.aligned_crop import AlignedCrop


def crop(scale: float, angle: float, mirrored: bool = False, size: tuple[int, int] = (80, 56)) -> AlignedCrop:
    """A crop of this size around the point (200, 150)."""
    linear = scale * np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    if mirrored:
        linear[0] *= -1
    shift = (np.array(size) - 1) / 2 - linear @ [200, 150]
    return AlignedCrop(np.concatenate([linear, shift[:, None]], 1), size)


def ramp() -> np.ndarray:
    """An image [300, 400, 3] whose values are x / 2 and y / 2 of its pixels, and 100."""
    y, x = np.mgrid[:300, :400] / 2
    return np.stack([x, y, np.full_like(x, 100)], -1)


@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize(("scale", "angle"), [(0.5, 0.0), (1.0, 0.4), (2.5, -0.2)])
def test_pixels_are_taken_at_their_points(scale, angle, mirrored):
    one = crop(scale, angle, mirrored)
    taken = one.take(np.rint(ramp()).astype(np.uint8)).astype(float)
    assert taken.shape == (56, 80, 3)
    for x, y in ((200, 150), (190, 145), (206, 158)):
        column, row = np.rint(one.points(np.array([[x, y]]))[0]).astype(int)
        assert taken[row, column, :2] == pytest.approx([x / 2, y / 2], abs=0.5 + 0.6 / scale)


@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize(("scale", "angle"), [(0.5, 0.0), (1.0, 0.4), (2.5, -0.2)])
def test_what_is_laid_replaces_the_image_and_cover_keeps_it(scale, angle, mirrored):
    one = crop(scale, angle, mirrored)
    image = np.rint(ramp()).astype(np.uint8)
    inside = np.zeros((56, 80), np.float32)
    inside[12:-12, 12:-12] = 1
    # Fully covered by its own content the image stays itself; so it does under nothing.
    frame = image.copy()
    one.lay(frame, one.take(image).astype(np.float32) * inside[..., None], inside)
    assert np.abs(frame.astype(int) - image).max() <= 2
    frame = image.copy()
    one.lay(frame, np.zeros((56, 80, 3), np.float32), np.zeros((56, 80), np.float32))
    assert (frame == image).all()
    # Half a cover halves, paint adds.
    one.lay(frame, 30 * inside[..., None].repeat(3, 2), 0.5 * inside)
    assert frame[150, 200].tolist() == pytest.approx((0.5 * image[150, 200] + 30).tolist(), abs=1)
    far = np.hypot(*(np.mgrid[:300, :400] - np.array([150, 200])[:, None, None])) > 50 / scale + 3
    assert (frame[far] == image[far]).all()


def test_values_outside_0_to_255_are_clipped():
    frame = np.full((300, 400, 3), 250, np.uint8)
    crop(1.0, 0.0).lay(frame, np.full((56, 80, 3), 40, np.float32), np.zeros((56, 80), np.float32))
    assert frame[150, 200].tolist() == [255] * 3
    crop(1.0, 0.0).lay(frame, np.full((56, 80, 3), -400, np.float32), np.zeros((56, 80), np.float32))
    assert frame[150, 200].tolist() == [0] * 3


def test_a_crop_beyond_the_image_repeats_its_border():
    image = np.zeros((300, 400, 3), np.uint8)
    image[:, -1] = 77
    away = AlignedCrop(np.array([[1.0, 0, -500], [0, 1, -100]]), (80, 56))
    assert (away.take(image) == 77).all()
    frame = image.copy()
    away.lay(frame, np.full((56, 80, 3), 9, np.float32), np.ones((56, 80), np.float32))
    assert (frame == image).all()


def test_reducing_averages():
    board = np.zeros((300, 400, 3), np.uint8)
    board[::2, ::2] = board[1::2, 1::2] = 255
    taken = crop(0.2, 0.1, size=(40, 30)).take(board)
    assert np.abs(taken[4:-4, 4:-4].astype(int) - 128).max() < 12
