"""The queue of speech, filled by a microphone in real time, or by a synthesiser with a sentence at once.

It is cut into the frames of a timeline that runs on, with silence while the queue is empty. The beginning of live
speech is delayed a little (a jitter buffer), so that the blocks after it arrive in time.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from shared.media import FPS

_MARGIN = 0.04
"""Seconds of the jitter buffer: speech that stays in the queue when its beginning is taken, if more is to come."""

_OVER = 0.25
"""Seconds without new sound after which the speech counts as complete."""

_FADE = 0.005
"""Seconds of the fade-out where the following sound is late."""


@dataclass
class FrameSound:
    """Sound of one frame.

    Args:
        samples: float32 [rate / 25].
        speaking: whether speech is in it.
        due: time of the clock at which its first speech would have been heard without delay; None without speech.
        spoken: samples of speech that were taken or dropped by the end of the frame.
    """

    samples: np.ndarray
    speaking: bool = False
    due: float | None = None
    spoken: int = 0


class SpeechQueue:
    """A queue of speech. Not thread-safe.

    Args:
        rate: samples a second.
        clock: returns seconds.
    """

    def __init__(self, rate: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._rate, self._clock, self._size = rate, clock, rate // FPS
        self._parts: deque[tuple[np.ndarray, float]] = deque()  # with the time at which the first sample would be heard
        self._waiting = 0  # samples in the queue
        self._spoken = 0  # samples taken or dropped
        self._last = -np.inf  # time of the last arrival
        self._complete = True  # no more sound of this utterance
        self._flowing = False  # the last frame taken ends in the middle of speech

    @property
    def seconds(self) -> float:
        """Length of the queued speech."""
        return self._waiting / self._rate

    def put(self, samples: np.ndarray) -> None:
        """Append float32 [n]."""
        if len(samples):
            self._last = self._clock()
            self._parts.append((samples, self._last + self.seconds))
            self._waiting += len(samples)
            self._complete = False

    def complete(self) -> int:
        """Mark the speech as complete; returns the number of samples ever put into the queue."""
        self._complete = True
        return self._spoken + self._waiting

    def clear(self) -> None:
        """Drop the queued speech."""
        self._parts.clear()
        self._spoken += self._waiting
        self._waiting, self._complete, self._flowing = 0, True, False

    def take(self, frames: int, now: bool) -> list[FrameSound] | None:
        """Take the next frames of the timeline.

        Args:
            frames: how many.
            now: they are needed now; else it may wait for more sound.

        Returns:
            The frames; None: wait, and try again.
        """
        count, waiting = frames * self._size, self._waiting
        if self._complete or self._clock() - self._last > _OVER:
            self._complete, self._flowing = True, waiting > count
            return self._cut(frames, 0, min(waiting, count))
        enough = waiting >= count
        if not enough and not now:
            return None
        if self._flowing:
            self._flowing = enough
            return self._cut(frames, 0, min(waiting, count), fade=not enough)
        taken = min(count, max(0, waiting - round(_MARGIN * self._rate)))
        self._flowing = taken > 0
        return self._cut(frames, count - taken, taken)

    def _cut(self, frames: int, start: int, taken: int, fade: bool = False) -> list[FrameSound]:
        """Frames with `taken` samples of speech from sample `start` on, and silence elsewhere."""
        sound, speech = np.zeros(frames * self._size, np.float32), start
        dues: dict[int, float] = {}
        ends = np.clip(self._size * np.arange(1, frames + 1) - start, 0, taken) + self._spoken
        self._waiting, self._spoken = self._waiting - taken, self._spoken + taken
        while taken:
            part, due = self._parts[0]
            size = min(taken, len(part))
            sound[speech : speech + size] = part[:size]
            for frame in range(speech // self._size, (speech + size - 1) // self._size + 1):
                dues.setdefault(frame, due + max(0, frame * self._size - speech) / self._rate)
            if size < len(part):
                self._parts[0] = part[size:], due + size / self._rate
            else:
                self._parts.popleft()
            speech, taken = speech + size, taken - size
        if fade:
            edge = sound[max(start, speech - round(_FADE * self._rate)) : speech]
            edge *= np.linspace(1, 0, len(edge), dtype=np.float32)
        pieces = sound.reshape(frames, self._size)
        return [
            FrameSound(piece, frame in dues, dues.get(frame), int(ends[frame])) for frame, piece in enumerate(pieces)
        ]
