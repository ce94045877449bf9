"""Speed and trembling of heads whose movement is known."""

import numpy as np
import pytest
from evaluate_heads import movement

from shared.motion import Motion


def head(yaw, x):
    """A motion with these yaws (degrees) and places."""
    zeros = np.zeros(len(yaw))
    rotation = np.stack([zeros, np.radians(yaw), zeros], axis=1).astype(np.float32)
    translation = np.stack([np.asarray(x), zeros, zeros], axis=1).astype(np.float32)
    return Motion(np.zeros((len(yaw), 4), np.float32), rotation, translation, "none")


def test_steady_movement_has_speed_and_no_second_differences():
    assert movement(head([0, 2, 4, 6], [0, 0.1, 0.2, 0.3])) == pytest.approx([2, 0, 0.1, 0], abs=1e-4)


def test_a_trembling_head_has_both():
    assert movement(head([0, 1, 0, 1], [0, 0.01, 0, 0.01])) == pytest.approx([1, 2, 0.01, 0.02], rel=1e-3)
