"""A portrait's frames as WebRTC tracks: one clock paces sound and pictures, and both are stamped by the frame's number.

Sound is never late: a picture that is not ready when its sound leaves is left out.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from time import monotonic

import av
import numpy as np
from aiortc import MediaStreamTrack
from aiortc.mediastreams import MediaStreamError

from fd2talk.live.portrait import LiveFrame, LivePortrait
from shared.media import FPS

SOUND_RATE = 48_000
"""Hz, Opus' own."""

_PACKET = SOUND_RATE // 50  # samples of 20 ms
_VIDEO_CLOCK = 90_000
_PATIENCE = 0.02
"""Seconds after its time for which a frame's sound waits for its picture."""

_LOST = 0.5
"""Seconds behind (a computer that slept) after which the clock starts anew instead of hurrying."""


class _Track(MediaStreamTrack):
    """What is put into it leaves in order; if nobody takes it, the oldest is thrown away."""

    def __init__(self, kind: str, most: int) -> None:
        super().__init__()
        self.kind = kind
        self._frames: deque[av.VideoFrame | av.AudioFrame] = deque(maxlen=most)
        self._arrived = asyncio.Event()

    def put(self, frame: av.VideoFrame | av.AudioFrame) -> None:
        """Send a frame."""
        self._frames.append(frame)
        self._arrived.set()

    async def recv(self) -> av.VideoFrame | av.AudioFrame:
        """The next frame; called by the sender."""
        while not self._frames:
            if self.readyState != "live":
                raise MediaStreamError
            self._arrived.clear()
            await self._arrived.wait()
        return self._frames.popleft()

    def stop(self) -> None:
        """End the track, and whoever waits for it."""
        super().stop()
        self._arrived.set()


class Player:
    """Plays a portrait on two tracks, `sound` and `pictures`.

    Args:
        portrait: with a `sound_rate` of `SOUND_RATE`.
        on_frame: called with each frame as it leaves.
    """

    def __init__(self, portrait: LivePortrait, on_frame: Callable[[LiveFrame], None] = lambda frame: None) -> None:
        self._portrait, self._on_frame = portrait, on_frame
        # Half a second of sound; of pictures those that an encoder which is busy has not begun with.
        self.sound, self.pictures = _Track("audio", 25), _Track("video", 2)
        self._leaving: deque[float] = deque(maxlen=FPS + 1)
        self.lateness: deque[float] = deque(maxlen=60 * FPS)
        """Seconds after their times at which the last frames' sound left."""

    @property
    def fps(self) -> float:
        """Pictures a second that left lately."""
        now = monotonic()
        return float(sum(now - leaving <= 1 for leaving in self._leaving))

    async def run(self) -> None:
        """Play until cancelled, or until the portrait is closed."""
        loop, shown = asyncio.get_running_loop(), None
        with ThreadPoolExecutor(1, thread_name_prefix="live-play") as pool:
            start, count = monotonic() + 0.1, 0
            while True:
                due = start + count / FPS
                await _sleep_until(due)
                frame = await loop.run_in_executor(pool, self._portrait.frame, _PATIENCE)
                now = monotonic()
                self.lateness.append(now - due)
                first, second = (_sound(frame, half) for half in range(2))
                self.sound.put(first)
                if frame.image is not shown:
                    self.pictures.put(_picture(frame))
                    self._leaving.append(now)
                    shown = frame.image
                self._on_frame(frame)
                await _sleep_until(due + 0.5 / FPS)
                self.sound.put(second)
                count += 1
                if monotonic() - due > _LOST:
                    start, count = monotonic(), 0

    def stop(self) -> None:
        """End the tracks."""
        self.sound.stop()
        self.pictures.stop()


async def _sleep_until(moment: float) -> None:
    await asyncio.sleep(max(0.0, moment - monotonic()))


def _sound(frame: LiveFrame, half: int) -> av.AudioFrame:
    """20 ms of a frame's sound."""
    samples = frame.sound[half * _PACKET : (half + 1) * _PACKET]
    whole = np.rint(np.clip(samples, -1, 1) * 32767).astype(np.int16)
    sound = av.AudioFrame.from_ndarray(whole[None], format="s16", layout="mono")
    sound.sample_rate, sound.pts = SOUND_RATE, (2 * frame.index + half) * _PACKET
    sound.time_base = Fraction(1, SOUND_RATE)
    return sound


def _picture(frame: LiveFrame) -> av.VideoFrame:
    picture = av.VideoFrame.from_ndarray(frame.image, format="rgb24")
    picture.pts, picture.time_base = frame.index * _VIDEO_CLOCK // FPS, Fraction(1, _VIDEO_CLOCK)
    return picture
