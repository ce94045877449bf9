"""Articulation: how clearly the mouth moves, from mumbling to crisp, without opening it further on the whole."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import gaussian_filter1d

_SLOW = 2.0
"""Standard deviation in frames at 25 fps: what is left of a movement of 2 Hz or less is slow, of 5 Hz or more, fast."""


def articulated(expression: np.ndarray, articulation: float, fps: float) -> np.ndarray:
    """Scale the fast part of a face's motion.

        e' = slow + articulation (e - slow),  slow = Gaussian mean of e over time

    How fast somebody articulates is neither in the photo nor, for a stranger, in the voice.

    Args:
        expression: [T, D].
        articulation: 1 leaves the motion as it is; less mumbles, more is crisper.
        fps: frames per second.

    Returns:
        [T, D].
    """
    slow = gaussian_filter1d(expression, _SLOW * fps / 25, axis=0, mode="nearest")
    return slow + np.float32(articulation) * (expression - slow)
