"""Corners of a head's rotation where they are known."""

import numpy as np
import pytest
from evaluate_streaming import corners

from stage1_motion.streaming.stream import HOP


def test_corners_at_borders_and_elsewhere():
    turning = np.zeros((10 * HOP, 3), np.float32)
    turning[:, 1] = np.radians(
        np.cumsum(np.arange(len(turning)) // HOP % 2)
    )  # turns by a degree a frame in every other hop
    at_borders, elsewhere = corners([turning])
    assert at_borders == pytest.approx(1, abs=1e-3) and elsewhere == pytest.approx(0, abs=1e-3)
    assert corners([turning[:, ::-1].copy()])[0] == pytest.approx(1, abs=1e-3)
