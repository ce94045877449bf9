"""Speech features of sound that is still arriving: windows of a limited past and a short future.

A window is encoded anew for every hop. Sound is known by its absolute position, so that features do not depend on the
sizes in which it arrived.
"""

from __future__ import annotations

import numpy as np

from shared.media import FPS, SAMPLE_RATE
from shared.speech.encoder import SpeechEncoder
from stage1_motion.speech_frontend import LogMel, NoFeatures
from stage1_motion.streaming.statistics import RunningLevel

FRAME = SAMPLE_RATE // FPS
"""Samples."""

_LAST = 160
"""So many samples of its last frame a window lacks: the frame is the one centred on its first sample."""


class StreamingEncoder:
    """Sound that arrives in pieces -> features of any of its last frames.

    Args:
        encoder: of recordings.
    """

    def __init__(self, encoder: SpeechEncoder | LogMel | NoFeatures) -> None:
        self._encoder, self._level = encoder, RunningLevel()
        self._last = 0  # frames that have been encoded
        self._sound = np.zeros(FRAME, np.float32)  # from one frame before `_first` on
        self._first = 0

    def push(self, samples: np.ndarray) -> None:
        """Append sound."""
        self._sound = np.concatenate([self._sound, samples])

    @property
    def samples(self) -> int:
        """How many have arrived."""
        return (self._first - 1) * FRAME + len(self._sound)

    def forget(self, first: int, last: int) -> None:
        """Make the sound of the frames first..last-1 silence, and forget what came after them."""
        at = (first - self._first + 1) * FRAME
        self._sound = np.concatenate([self._sound[:at], np.zeros((last - first) * FRAME, np.float32)])

    @staticmethod
    def required(last: int) -> int:
        """Samples that must have arrived before `last` frames can be encoded."""
        return last * FRAME - _LAST

    def sound(self, first: int, last: int) -> np.ndarray:
        """Samples of frames first..last-1, as far as they have arrived."""
        start = (1 - self._first) * FRAME
        return self._sound[first * FRAME + start : last * FRAME + start]

    def window(self, first: int, last: int) -> tuple[np.ndarray, np.ndarray]:
        """Features [last - first, S] and sound of the frames first..last-1; earlier sound is then forgotten.

        No later sound is looked at than `required(last)`, however much has arrived.
        """
        drop = max(0, first - self._first)
        self._sound, self._first = self._sound[drop * FRAME :], self._first + drop
        piece = self._sound[: self.required(last) - (self._first - 1) * FRAME]  # begins a frame before `_first`
        at = first - self._first + 1
        if not isinstance(self._encoder, SpeechEncoder):
            return self._encoder(piece)[at:], piece[at * FRAME :]
        scaled = piece
        if self._encoder.normalise:
            whole = piece[: len(piece) // FRAME * FRAME].reshape(-1, FRAME)
            level = self._level.update(whole, last - self._last)
            scaled = (piece - piece.mean()) / np.float32(np.sqrt(level**2 + 1e-6))  # as `unit_variance`
            self._last = last
        return self._encoder.frames(scaled, at, at + last - first), piece[at * FRAME :]
