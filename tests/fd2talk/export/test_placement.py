import numpy as np
import pytest

from fd2talk.export.placement import Placement


def test_the_median_size_is_life_size(motion):
    placed = Placement.of(motion)
    assert np.median(placed.scale) == pytest.approx(1, abs=1e-3)
    for frame in (0, 11):
        x, y, scale = motion.translation[frame]
        half_side = 100 / np.exp(np.median(motion.translation[:, 2]))  # mm from the middle of the crop to its edge
        assert placed.scale[frame] == pytest.approx(np.exp(scale) * half_side / 100, rel=1e-5)
        np.testing.assert_allclose(placed.shift[frame], [x * half_side, -y * half_side, 0], rtol=1e-5)
