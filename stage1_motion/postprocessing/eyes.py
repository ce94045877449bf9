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
_FPS = 25.0
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
    return eye_coefficients(
        model, lid_gap, Blinks(rng, blink_rate).next(frames) * blinks, Fixations(rng).next(frames) * gaze
    )


def eye_coefficients(model: MorphableModel, lid_gap: float, closed: np.ndarray, look: np.ndarray) -> np.ndarray:
    """Closed lids [T] (0 to 1) and gaze [T, 2] (mm) as expression, float32 [T, D]; see `eye_motion`."""
    closing = closed * max(lid_gap, 0.0)
    closing = np.maximum(closing, np.minimum(closing - _LIDS_FOLLOW * look[:, 1], lid_gap * 0.3))
    return (closing[:, None] * model.extra["blink"] + look @ model.extra["gaze"]).astype(np.float32)


class Blinks:
    """How far the lids are closed, 0 to 1, as many frames at a time as are wanted.

    Args:
        rng: asked for a blink when it begins, so that the sizes of the pieces change nothing.
        rate: blinks a minute; None: that of filmed people, 0: none.
    """

    def __init__(self, rng: np.random.Generator, rate: float | None = None) -> None:
        self._rng, self._frame, self._open = rng, 0, rate == 0
        self._gap_mean = 60 / rate if rate else _GAP_MEAN
        self._begun = np.zeros(0)  # what is left of blinks that have begun
        self._time = rng.gamma(_GAP_SHAPE, self._gap_mean / _GAP_SHAPE) / 2  # of the next blink, seconds

    def next(self, frames: int) -> np.ndarray:
        """The next frames at 25 per second, [frames]."""
        closed = np.zeros(frames + len(_BLINK))
        closed[: len(self._begun)] = self._begun
        while (start := int(self._time * _FPS) - self._frame) < frames:
            depth = self._rng.uniform(0.95, 1.0)
            piece = closed[start : start + len(_BLINK)]
            np.maximum(piece, depth * _BLINK, out=piece)
            self._time += max(_GAP_LEAST, self._rng.gamma(_GAP_SHAPE, self._gap_mean / _GAP_SHAPE))
        self._frame, self._begun = self._frame + frames, closed[frames:]
        return closed[:frames] * (not self._open)


class Fixations:
    """Gaze offset in mm, x and y: a fixation has a random offset (probability 0.6) or none.

    Args:
        rng: asked for a fixation when the one before ends.
    """

    def __init__(self, rng: np.random.Generator) -> None:
        self._rng, self._left = rng, 0
        self._current = self._last = np.zeros(2)
        self._begin(np.zeros(2))

    def _begin(self, offset: np.ndarray) -> None:
        self._current = offset
        self._left = max(4, int(self._rng.lognormal(np.log(_FIXATION_MEDIAN), _FIXATION_SIGMA) * _FPS))

    def next(self, frames: int) -> np.ndarray:
        """The next frames at 25 per second, [frames, 2]."""
        look = np.zeros((frames + 1, 2))
        look[0] = self._last
        for frame in range(1, frames + 1):
            if not self._left:
                self._begin(self._rng.normal(0, _GAZE_STD) if self._rng.random() < 0.6 else np.zeros(2))
            look[frame] = self._current
            self._left -= 1
        self._last = look[-1]
        return (look[1:] + look[:-1]) / 2  # a jump takes two frames
