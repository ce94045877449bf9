"""Rest: where nobody speaks (silence, noise, music) the mouth is closed and still."""

from __future__ import annotations

import numpy as np

from stage1_motion.motion_space import TYPICAL_LIP_STD, MotionSpace

REST_GAP = 0.3
"""Lip gap at rest in mm of a typical mouth: closed to the eye, but not pressed together as on a bilabial."""


def rest_coefficients(space: MotionSpace, mean_gap: float) -> np.ndarray:
    """[D]: the resting mouth in the motion space, whose zero is a mouth opened by `mean_gap` standard deviations."""
    return (REST_GAP - mean_gap * TYPICAL_LIP_STD) * space.model.extra["open"] / space.expression_std


def rest_in_pauses(expression: np.ndarray, at_rest: np.ndarray, articulates: np.ndarray) -> np.ndarray:
    """Blend towards rest where no word is formed.

    Args:
        expression: [T, D].
        at_rest: [D], in the same space.
        articulates: [T] in [0, 1], with soft edges (`SpeechEvents`).

    Returns:
        [T, D].
    """
    talking = articulates[:, None]
    return talking * expression + (1 - talking) * at_rest
