"""Frames between the motion that is generated and the caller who shows them: painted in threads, in order of need."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from fd2talk.live.speech_queue import FrameSound
from shared.media import FPS
from shared.motion import Motion


@dataclass
class Planned:
    """A frame whose sound and motion are known, and perhaps its picture.

    Args:
        index: since the start.
        sound: of the frame.
        motion: of it alone.
        image: uint8 [H, W, 3] when it has been painted.
        version: of the motion; a picture of an earlier one is thrown away.
        taken: a painter is at it.
    """

    index: int
    sound: FrameSound
    motion: Motion
    image: np.ndarray | None = None
    version: int = 0
    taken: bool = False

    def replace_motion(self, motion: Motion) -> None:
        """Another motion, of which there is no picture yet."""
        self.motion, self.image, self.taken = motion, None, False
        self.version += 1


Render = Callable[[Motion], list[np.ndarray]]

_TOGETHER = 2
"""Frames that a painter paints at once, where there is time: it takes a tenth less of it."""


class Plan:
    """The frames that are ahead of the caller, in order. Its owner holds a lock around each call."""

    def __init__(self) -> None:
        self.frames: deque[Planned] = deque()
        self.next = 0  # index of the frame that is planned next
        self.latest: tuple[int, np.ndarray] | None = (
            None  # that has been due, and when: what is shown while one is missing
        )
        self._seconds = 0.0  # a painter takes for a frame

    def __len__(self) -> int:
        return len(self.frames)

    def add(self, sound: FrameSound, motion: Motion) -> None:
        """Plan the next frame."""
        self.frames.append(Planned(self.next, sound, motion))
        self.next += 1

    def to_paint(self, paced: bool) -> list[Planned]:
        """The frames that a painter should paint at once; none if there is nothing to do.

        Args:
            paced: the caller takes a frame each 40 ms whether it is painted or not: those that would be late are left
                out, unless it is all of them.
        """
        open_ones = [frame for frame in self.frames if frame.image is None and not frame.taken]
        if not paced:
            return open_ones[:_TOGETHER]
        for number, frame in enumerate(open_ones):
            left, together = (frame.index - self.frames[0].index + 1) / FPS, open_ones[number : number + _TOGETHER]
            if left >= len(together) * self._seconds:
                return together
            if left >= self._seconds:
                return [frame]
        return open_ones[-1:]

    def take(self) -> tuple[Planned, np.ndarray]:
        """The next frame and its picture, or the one before if it has none."""
        frame = self.frames.popleft()
        if frame.image is not None:
            self._due(frame.index, frame.image)
        assert self.latest is not None  # or there is nothing to take
        return frame, self.latest[1]

    def silence(self) -> int:
        """All frames but the next one wait for another motion; returns the number of the first of them."""
        waiting = list(self.frames)[1:]
        for frame in waiting:
            frame.image, frame.taken, frame.version = None, True, frame.version + 1
        return waiting[0].index if waiting else self.next

    def _due(self, index: int, image: np.ndarray) -> None:
        if self.latest is None or index > self.latest[0]:
            self.latest = index, image

    def painted(self, frame: Planned, version: int, image: np.ndarray, seconds: float) -> None:
        """Put a picture, which has taken so long, in its place; too late, it is shown while later ones are missing."""
        self._seconds += 0.1 * (seconds - self._seconds)
        if frame.version != version:
            return
        frame.image = image
        if not self.frames or frame.index < self.frames[0].index:
            self._due(frame.index, image)
