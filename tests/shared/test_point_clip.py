import numpy as np
import pytest

from shared.errors import InputError
from shared.point_clip import load_points, save_points


def points(frames=4):
    return np.random.default_rng(0).uniform(100, 300, (frames, 478, 3)).astype(np.float32)


def test_points_and_sound_come_back(tmp_path):
    path, sound = tmp_path / "clip.npz", np.linspace(-1, 1, 2560, dtype=np.float32)
    save_points(path, points(), sound)
    save_points(path, points(), sound)  # replaces
    track = load_points(path)
    assert np.array_equal(track.landmarks, points()) and track.confidence.tolist() == [1] * 4
    np.testing.assert_allclose(track.audio, sound, atol=2e-5)
    assert 100 < track.crop.center_x < 300


@pytest.mark.parametrize(
    ("changes", "saying"),
    [
        ({"format": np.array("other")}, "format mark"),
        ({"landmarks": np.zeros((4, 68, 3))}, "shapes"),
        ({"landmarks": np.zeros((0, 478, 3))}, "shapes"),
        ({"audio": np.zeros((2, 9))}, "shapes"),
        ({"landmarks": np.full((1, 478, 3), np.nan)}, "not finite"),
    ],
)
def test_other_arrays_are_refused(tmp_path, changes, saying):
    arrays = {"format": np.array("fd2talk-points-1"), "landmarks": points(), "audio": np.zeros(9, np.int16)}
    np.savez(tmp_path / "clip.npz", **(arrays | changes))
    with pytest.raises(InputError, match=saying):
        load_points(tmp_path / "clip.npz")


def test_a_file_of_another_kind(tmp_path):
    (tmp_path / "clip.npz").write_bytes(b"nothing")
    with pytest.raises(InputError, match="not a clip of points"):
        load_points(tmp_path / "clip.npz")
