import numpy as np
import pytest

from stage2_render.editing.footage import FrameReader


def numbered(count, size=(5, 7)):
    """A video whose frame i is grey level i, and the list of numbers that were decoded."""
    decoded = []

    def read():
        for i in range(count):
            decoded.append(i)
            yield np.full((*size, 3), i, np.uint8)

    return read, decoded


def test_frames_by_number():
    read, _ = numbered(30)
    reader = FrameReader(read)
    for index in (0, 1, 1, 5, 3, 29, 0):
        frame = reader[index]
        assert frame.shape == (4, 6, 3) and (frame == index).all()
    with pytest.raises(IndexError, match="30 frames"):
        reader[30]


def test_two_places_are_read_in_turn_without_beginning_again():
    read, decoded = numbered(100)
    reader = FrameReader(read)
    for i in range(40):
        assert reader[i][0, 0, 0] == i
        if i >= 20:
            assert reader[i + 50][0, 0, 0] == i + 50
    assert len(decoded) == 40 + 90 and decoded.count(0) == 2


def test_a_frame_is_a_photo_whose_mesh_is_the_tracked_one(footage, talking):
    photo = footage.photo(4, talking[2][4])
    mesh = photo.vertices_px(photo.expression[None], photo.rotation[None], photo.translation[None])[0]
    np.testing.assert_allclose(mesh, footage.track.landmarks[4], atol=0.01)
    assert (photo.identity == footage.motion.identity).all() and np.abs(
        photo.rotation - footage.motion.rotation[4]
    ).max() < 0.02


def test_what_is_smoothed_away_comes_back(footage):
    """Without the residual that the fit leaves to every frame: the motion is that of the points but for two frames."""
    plain = footage.smoothed_away()
    footage.motion.expression = footage.motion.expression.copy()
    footage.motion.expression[7] += 0.5
    change = footage.smoothed_away() - plain
    np.testing.assert_allclose(change[7], -0.5 * 19 / 20, atol=1e-4)
    np.testing.assert_allclose(np.delete(change, 7, 0), 0.5 / 20, atol=1e-4)
