"""Speech that waits to be spoken, at any pace: a microphone in real time, or a synthesiser's sentence all at once.

It is cut into the frames of a time line that goes on without it: silence, where there is none. Sound of a microphone
begins so late that the pieces after it arrive in time.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from shared.media import FPS

_MARGIN = 0.04
"""Seconds of speech that stay in the queue as its first sound is taken, if more is to come: pieces may be so late."""

_OVER = 0.25
"""Seconds without new sound after which nothing more is waited for."""

_FADE = 0.005
"""Seconds in which sound fades out where the rest of it is late."""


@dataclass
class FrameSound:
    """Sound of one frame.

    Args:
        samples: float32 [rate / 25].
        speaking: whether speech is in it.
        due: when its first speech would have been heard without any delay, seconds of the clock; None without speech.
        spoken: samples of all speech that has been said, or dropped, at the end of the frame.
    """

    samples: np.ndarray
    speaking: bool = False
    due: float | None = None
    spoken: int = 0


class SpeechQueue:
    """Speech, in order. Not for several threads at once.

    Args:
        rate: samples a second.
        clock: seconds.
    """

    def __init__(self, rate: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._rate, self._clock, self._size = rate, clock, rate // FPS
        self._parts: deque[tuple[np.ndarray, float]] = deque()  # with the time when the first sample would be heard
        self._waiting = 0  # samples
        self._spoken = 0  # samples taken or dropped
        self._last = -np.inf  # when sound has arrived last
        self._complete = True  # nothing more is to come
        self._flowing = False  # the last frame taken ends in speech that goes on

    @property
    def seconds(self) -> float:
        """Of the speech that waits."""
        return self._waiting / self._rate

    def put(self, samples: np.ndarray) -> None:
        """Append float32 [n]."""
        if len(samples):
            self._last = self._clock()
            self._parts.append((samples, self._last + self.seconds))
            self._waiting += len(samples)
            self._complete = False

    def complete(self) -> int:
        """What is in the queue is all; returns the samples of all speech that has ever been put into it."""
        self._complete = True
        return self._spoken + self._waiting

    def clear(self) -> None:
        """Drop what waits."""
        self._parts.clear()
        self._spoken += self._waiting
        self._waiting, self._complete, self._flowing = 0, True, False

    def take(self, frames: int, now: bool) -> list[FrameSound] | None:
        """The next frames of the time line.

        Args:
            frames: how many.
            now: they are needed; else more sound may be waited for.

        Returns:
            The frames; None: wait.
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
        """Silence with so much speech from the front of the queue in it, from a sample on."""
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
