"""A live portrait for asyncio: frames in real time without blocking the event loop, and markers in the speech."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import numpy as np

from fd2talk.live.portrait import LiveFrame, LivePortrait
from shared.errors import InputError, UsageError
from shared.media import FPS

_TIMEOUT = 0.75 / FPS
"""Seconds to wait for a frame's picture; then it has an earlier one."""

_MAX_LAG = 0.5
"""Seconds of delay after which the clock restarts instead of catching up."""


class PacedFrames:
    """Frames of a portrait, one each 40 ms; call all methods in the event loop's thread.

    Args:
        portrait: closed by `aclose`.
    """

    def __init__(self, portrait: LivePortrait) -> None:
        self.portrait = portrait
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="live-frames")
        self._marks: deque[tuple[int, Any]] = deque()
        self._queued = self._spoken = 0  # samples
        self._muted, self._closed = -1, False  # index of the last frame that is muted
        self._taken = asyncio.Event()

    def speak(self, samples: np.ndarray) -> None:
        """Append speech, float32 [n] at `LivePortrait.sound_rate`, to the queue."""
        self.portrait.speak(samples)
        self._queued += len(samples)

    @property
    def speaks(self) -> bool:
        """Whether speech or markers are pending."""
        return self._spoken < self._queued or bool(self._marks)

    def mark(self, item: Any) -> None:
        """Put a marker behind all speech given so far; `due` returns it when that has been spoken."""
        self._marks.append((self._queued, item))

    def due(self) -> list[Any]:
        """Remove and return the markers that have been reached."""
        found = []
        while self._marks and self._marks[0][0] <= self._spoken:
            found.append(self._marks.popleft()[1])
        return found

    def interrupt(self, *, mute: bool) -> list[Any]:
        """Drop the pending speech.

        Args:
            mute: all frames from now on are silent; else the sound fades out in the next one that is made.

        Returns:
            The pending markers.
        """
        self.portrait.interrupt()
        dropped = [item for _, item in self._marks]
        self._marks.clear()
        if mute and self._spoken < self._queued:
            self._muted = self.portrait.figures.frames  # it fades out in this one; the one before may be on its way
        self._spoken = self._queued
        return dropped

    async def next_taken(self) -> None:
        """Wait until the iterator has yielded the next frame, at most a tenth of a second."""
        self._taken.clear()
        try:
            await asyncio.wait_for(self._taken.wait(), 0.1)
        except asyncio.TimeoutError:
            pass  # there is no iterator

    async def __aiter__(self) -> AsyncIterator[LiveFrame]:
        """Yield frames until `aclose`, each when its time has come and the previous one has been processed."""
        loop, due = asyncio.get_running_loop(), 0.0
        while not self._closed:
            now = time.monotonic()
            due = due if now < due + _MAX_LAG else now
            await asyncio.sleep(max(0.0, due - now))
            due += 1 / FPS
            if self._closed:
                return
            try:
                taken = await loop.run_in_executor(self._pool, self.portrait.frame, _TIMEOUT)
            except UsageError:
                if self._closed:
                    return
                raise
            frame = silent(taken) if taken.index <= self._muted else taken
            self._spoken = max(self._spoken, frame.spoken)
            yield frame
            self._taken.set()

    async def aclose(self) -> None:
        """Close the portrait and end the thread, without blocking the loop."""
        if not self._closed:
            self._closed = True
            await asyncio.get_running_loop().run_in_executor(None, self._end)

    def _end(self) -> None:
        self.portrait.close()
        self._pool.shutdown(wait=True)


def silent(frame: LiveFrame) -> LiveFrame:
    """The frame without its sound."""
    return replace(frame, sound=np.zeros_like(frame.sound), speaking=False)


def float_sound(samples: bytes | memoryview | np.ndarray, channels: int) -> np.ndarray:
    """Interleaved 16-bit samples -> float32 [n], mono.

    Raises:
        InputError: not a whole number of samples.
    """
    data = np.frombuffer(samples, np.uint8)
    if len(data) % (2 * channels):
        raise InputError(f"{len(data)} bytes are no 16-bit sound of {channels} channels")
    return data.view("<i2").reshape(-1, channels).mean(1, dtype=np.float32) / np.float32(32768)


def pcm(samples: np.ndarray) -> bytes:
    """float32 [n] -> 16-bit samples."""
    return np.round(np.clip(samples, -1, 1) * 32767).astype("<i2").tobytes()
