"""Lip closure: lips meet on b, p and m, and never cross."""

from __future__ import annotations

import numpy as np

from stage1_motion.interface import Subject
from stage1_motion.motion_space import MotionSpace
from stage1_motion.speech_events import SpeechEvents

# Below about this many mm lips approach each other ever more slowly.
_SOFT_GAP = 1.5


def close_lips(expression: np.ndarray, events: SpeechEvents, subject: Subject, space: MotionSpace) -> np.ndarray:
    """Open or close the mouth of the subject where the gap between the lips is not what it must be.

    Args:
        expression: float32 [T, D], the subject's.
        subject: whose face it is.
        space: with the face model.
        events: where words are formed (elsewhere lips may touch) and where lips must be closed.

    Returns:
        float32 [T, D].
    """
    neutral = np.zeros_like(subject.identity)
    gap = subject.lip_gap + space.lip_gap(neutral, expression) - space.lip_gap(neutral, subject.expression)
    # Only what must close closes: elsewhere small gaps stay gaps, so that lips keep moving.
    parted = _SOFT_GAP * np.logaddexp(0, gap / _SOFT_GAP)
    wanted = events.articulates * parted + (1 - events.articulates) * np.maximum(gap, 0)
    return expression + (wanted * (1 - events.bilabials) - gap)[:, None] * space.model.extra["open"]
