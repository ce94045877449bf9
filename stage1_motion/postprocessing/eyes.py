"""Blinks and gaze, which are not in speech: explicit random processes with the statistics of filmed talkers.

In 26 minutes of training clips people blinked 17 times a minute; lids fell in two to three frames and rose in five, and
the eyes rested between quick jumps of a fraction of a millimetre.
"""

from __future__ import annotations

import numpy as np

from shared.face_model.morphable import MorphableModel

# Share of the lids' way by frame at 25 fps, median over tracked blinks, scaled to close.
_BLINK = np.array([0.36, 0.85, 1.0, 0.78, 0.47, 0.27, 0.15, 0.07])
# Gaps between blinks in seconds: gamma distributed, never within half a second.
_GAP_MEAN, _GAP_SHAPE, _GAP_LEAST = 3.4, 2.0, 0.5
# Fixations: log-normal durations around 1 s; gaze spread in mm of iris movement, x and y.
_FIXATION_MEDIAN, _FIXATION_SIGMA = 1.0, 0.6
_GAZE_STD = np.array([0.45, 0.2])
_LIDS_FOLLOW = 0.6  # mm of lid per mm of downward gaze


def eye_motion(
    model: MorphableModel,
    frames: int,
    lid_gap: float,
    rng: np.random.Generator,
    blinks: bool = True,
    gaze: bool = True,
    blink_rate: float | None = None,
) -> np.ndarray:
    """Blinks and gaze.

    Args:
        model: with the directions of blinks and gaze.
        frames: at 25 per second.
        lid_gap: how far the lids are apart in the photo, mm. A photo with closed eyes (no gap) gets no blinks.
        rng: what one step draws does not depend on whether the other one is on.
        blinks: whether that step is on.
        gaze: likewise.
        blink_rate: blinks a minute; None: that of filmed people, 0: none.

    Returns:
        float32 [frames, D], to be added to the expression.
    """
    gap_mean = _GAP_MEAN if not blink_rate else 60 / blink_rate
    closing = sampled_blinks(frames, rng, gap_mean=gap_mean) * max(lid_gap, 0.0) * (blinks and blink_rate != 0)
    look = fixations(frames, rng) * gaze
    closing = np.maximum(closing, np.minimum(closing - _LIDS_FOLLOW * look[:, 1], lid_gap * 0.3))
    return (closing[:, None] * model.extra["blink"] + look @ model.extra["gaze"]).astype(np.float32)


def sampled_blinks(frames: int, rng: np.random.Generator, fps: float = 25.0, gap_mean: float = _GAP_MEAN) -> np.ndarray:
    """[frames]: how far the lids are closed, 0 to 1; gap_mean: seconds between blinks."""
    closed = np.zeros(frames + len(_BLINK))
    time = rng.gamma(_GAP_SHAPE, gap_mean / _GAP_SHAPE) / 2
    while (start := int(time * fps)) < frames:
        depth = rng.uniform(0.95, 1.0)
        piece = closed[start : start + len(_BLINK)]
        np.maximum(piece, depth * _BLINK, out=piece)
        time += max(_GAP_LEAST, rng.gamma(_GAP_SHAPE, gap_mean / _GAP_SHAPE))
    return closed[:frames]


def fixations(frames: int, rng: np.random.Generator, fps: float = 25.0) -> np.ndarray:
    """[frames, 2]: gaze offset in mm, x and y; a fixation has a random offset (probability 0.6) or none."""
    look = np.zeros((frames, 2))
    start, current = 0, np.zeros(2)
    while start < frames:
        look[start:] = current
        start += max(4, int(rng.lognormal(np.log(_FIXATION_MEDIAN), _FIXATION_SIGMA) * fps))
        current = rng.normal(0, _GAZE_STD) if rng.random() < 0.6 else np.zeros(2)
    # A jump takes two frames.
    return np.concatenate([look[:1], (look[1:] + look[:-1]) / 2])
