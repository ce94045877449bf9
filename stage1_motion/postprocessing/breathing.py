"""Breathing: while nobody speaks the head stays near the photo's pose, and slowly rises and sinks a little."""

from __future__ import annotations

import numpy as np

_FPS = 25.0
_SECONDS = 4.0  # of a breath: 15 a minute, that of an adult at rest
_VARIATION = 0.15  # standard deviation of a breath's duration, as a share
# At the peak: radians of pitch (the chin rises), and crop units upwards, about 1 mm.
_PITCH, _RISE = np.radians(0.25), 0.007
_SETTLE = 1 - np.exp(-1 / (1.0 * _FPS))  # both set in, and stop, within about a second
# Share of the generated pose that is taken out: in long silence networks hold the head up to 6 degrees off.
_CALM = 0.6


class Breathing:
    """Pose of the head that breathes, as many frames at a time as are wanted.

    Args:
        rng: asked for the duration of a breath when it begins.
    """

    def __init__(self, rng: np.random.Generator) -> None:
        self._rng, self._phase, self._step, self._size = rng, 0.0, 1 / (_SECONDS * _FPS), 1.0

    def next(self, speaks: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The next frames.

        Args:
            speaks: [T] in [0, 1]; where somebody speaks, speech moves the head.

        Returns:
            float32 [T, 6]: what is added to rotation (axis-angle, radians) and translation; float32 [T, 1]: by what
            generated pose is multiplied before.
        """
        pose, share = np.zeros((len(speaks), 6), np.float32), np.ones((len(speaks), 1), np.float32)
        for frame, speech in enumerate(speaks):
            self._phase += self._step
            if self._phase >= 1:
                self._phase -= 1
                self._step = 1 / (_SECONDS * _FPS * np.exp(self._rng.normal(0, _VARIATION)))
            self._size += _SETTLE * (1 - speech - self._size)
            share[frame] = 1 - _CALM * self._size
            breath = self._size * (1 - np.cos(2 * np.pi * self._phase)) / 2
            pose[frame, 0], pose[frame, 4] = -_PITCH * breath, -_RISE * breath
        return pose, share
