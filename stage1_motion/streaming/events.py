"""Speech events of a stream: rest that begins when a pause has lasted for some frames, since its end is not known.

Offline (`SpeechEventDetector.in_use`) the mouth rests in pauses of 20 frames or more, from 6 frames after the last
word to 4 before the next one. Here `AHEAD` frames of the future are known: the mouth rests from `_HANG` frames after
the last word on, in any pause that has then lasted `_HANG + AHEAD` frames.
"""

from __future__ import annotations

import numpy as np

from stage1_motion.speech_events import SpeechEventDetector, SpeechEvents
from stage1_motion.speech_frontend import SpeechFrontend

AHEAD = 4
"""Frames after a frame that may be looked at."""

_HANG = 8
_EDGE = np.hanning(5)[1:-1]
"""Weights of this frame and of the two before it, by which edges are soft."""

_KEPT = 24 + len(_EDGE) - 1
"""Frames of the past of which it is known whether the mouth was in use."""

_ECHO = 3
"""Frames in which words that were interrupted still seem to be heard."""

_EVIDENCE = -1.0
"""Logit of speech; offline it is 0. Words must be noticed with little of them heard, or lips part too late."""


class StreamingEvents:
    """Events of the frames of one hop after the other.

    Args:
        frontend: whose detector is used; another one than a `SpeechEventDetector` is asked for each window's events.
    """

    def __init__(self, frontend: SpeechFrontend) -> None:
        self._detect = frontend.detect
        self._past = np.zeros(_KEPT)  # whether the mouth was in use in the last frames, before smoothing
        self._quiet: int | None = None  # frames since an interruption

    def __call__(self, features: np.ndarray, audio: np.ndarray, first: int, hop: int) -> SpeechEvents:
        """Events of a window from one of its frames on.

        Args:
            features: [W, S].
            audio: of these frames.
            first: the hop begins with this frame of the window.
            hop: so many frames are final; those behind them are generated again.

        Returns:
            Events of the frames first..W-1.
        """
        if not isinstance(self._detect, SpeechEventDetector):
            events = self._detect(features, audio)
            return SpeechEvents(events.speaks[first:], events.bilabials[first:])
        active = self._detect.active(features, audio, _EVIDENCE)
        if self._quiet is not None:
            active[: max(0, first - self._quiet + _ECHO)] = False
            self._quiet += hop
        frames = range(first, len(features))
        target = [active[max(0, t - _HANG) : t + AHEAD + 1].any() for t in frames]
        known = np.concatenate([self._past, target])
        self._past = known[hop : hop + len(self._past)]
        return SpeechEvents(_softened(known, len(target)), self._detect.closed_lips(features)[first:])

    def interrupt(self, frames: int) -> np.ndarray:
        """The mouth is not in use in the last frames, nor is it after them because of words before them.

        Args:
            frames: so many, at most 24.

        Returns:
            What their `speaks` becomes, float32 [frames]: it falls to 0 within three frames. Ones where events come
            from elsewhere than a `SpeechEventDetector`.
        """
        if not isinstance(self._detect, SpeechEventDetector):
            return np.ones(frames, np.float32)
        self._quiet = frames
        self._past[len(self._past) - frames :] = 0
        return _softened(self._past, frames)


def _softened(target: np.ndarray, frames: int) -> np.ndarray:
    """`speaks` of the last frames, float32 [frames], of which and of those before `target` says 0 or 1."""
    soft = np.convolve(target, _EDGE / _EDGE.sum(), mode="valid")
    return soft[len(soft) - frames :].astype(np.float32)
