"""The queue of frames between motion and caller: which of them painters render next, and which picture is shown."""

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
        index: number of the frame since the start.
        sound: of the frame.
        motion: of this frame alone.
        image: uint8 [H, W, 3] when it has been painted.
        version: of the motion; a picture of an earlier version is discarded.
        taken: a painter is working on it.
    """

    index: int
    sound: FrameSound
    motion: Motion
    image: np.ndarray | None = None
    version: int = 0
    taken: bool = False

    def replace_motion(self, motion: Motion) -> None:
        """Replace the motion, and discard the picture."""
        self.motion, self.image, self.taken = motion, None, False
        self.version += 1


Render = Callable[[Motion], list[np.ndarray]]

_BATCH = 2
"""Frames that a painter renders at once if there is time, which is a tenth faster."""


class Plan:
    """The planned frames, in order. The caller must hold a lock around each call."""

    def __init__(self) -> None:
        self.frames: deque[Planned] = deque()
        self.next = 0  # index of the frame that is planned next
        self.latest: tuple[int, np.ndarray] | None = None
        """Index and picture of the last frame that was due; shown in the place of a frame without picture."""
        self._seconds = 0.0  # that a painter needs for a frame, a running mean

    def __len__(self) -> int:
        return len(self.frames)

    def add(self, sound: FrameSound, motion: Motion) -> None:
        """Plan the next frame."""
        self.frames.append(Planned(self.next, sound, motion))
        self.next += 1

    def to_paint(self, paced: bool) -> list[Planned]:
        """The frames that a painter should render next, as one batch; empty if there are none.

        Args:
            paced: the caller takes a frame each 40 ms whether it is painted or not: frames that would be late are
                skipped, unless all would be.
        """
        unpainted = [frame for frame in self.frames if frame.image is None and not frame.taken]
        if not paced:
            return unpainted[:_BATCH]
        for number, frame in enumerate(unpainted):
            left, together = (frame.index - self.frames[0].index + 1) / FPS, unpainted[number : number + _BATCH]
            if left >= len(together) * self._seconds:
                return together
            if left >= self._seconds:
                return [frame]
        return unpainted[-1:]

    def take(self) -> tuple[Planned, np.ndarray]:
        """Remove and return the next frame and its picture, or the latest picture if it has none."""
        frame = self.frames.popleft()
        if frame.image is not None:
            self._due(frame.index, frame.image)
        assert self.latest is not None  # or there is nothing to take
        return frame, self.latest[1]

    def silence(self) -> int:
        """Discard the pictures of all frames but the next one, for another motion; returns the index of the first."""
        waiting = list(self.frames)[1:]
        for frame in waiting:
            frame.image, frame.taken, frame.version = None, True, frame.version + 1
        return waiting[0].index if waiting else self.next

    def _due(self, index: int, image: np.ndarray) -> None:
        if self.latest is None or index > self.latest[0]:
            self.latest = index, image

    def painted(self, frame: Planned, version: int, image: np.ndarray, seconds: float) -> None:
        """Store a picture; one that is late still replaces the latest picture.

        Args:
            frame: that was painted.
            version: of its motion, when painting began.
            image: uint8 [H, W, 3].
            seconds: that painting took.
        """
        self._seconds += 0.1 * (seconds - self._seconds)
        if frame.version != version:
            return
        frame.image = image
        if not self.frames or frame.index < self.frames[0].index:
            self._due(frame.index, image)
