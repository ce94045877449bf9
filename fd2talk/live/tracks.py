"""A portrait's frames as WebRTC tracks: one clock paces sound and pictures, time stamps are frame numbers.

Sound is never late: a picture that is not ready when its sound is sent is skipped.
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
"""Hz, the native rate of Opus."""

_PACKET = SOUND_RATE // 50  # samples of 20 ms
_VIDEO_CLOCK = 90_000
_PICTURE_TIMEOUT = 0.02
"""Seconds for which a frame's sound waits for its picture."""

_MAX_LAG = 0.5
"""Seconds of delay (a computer that was suspended) after which the clock restarts instead of catching up."""


class _Track(MediaStreamTrack):
    """A bounded queue as a track; the oldest frames are dropped if nobody takes them."""

    def __init__(self, kind: str, most: int) -> None:
        super().__init__()
        self.kind = kind
        self._frames: deque[av.VideoFrame | av.AudioFrame] = deque(maxlen=most)
        self._arrived = asyncio.Event()

    def put(self, frame: av.VideoFrame | av.AudioFrame) -> None:
        """Append a frame."""
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
        """End the track, and wake its receiver."""
        super().stop()
        self._arrived.set()


class Player:
    """Plays a portrait on two tracks, `sound` and `pictures`.

    Args:
        portrait: with a `sound_rate` of `SOUND_RATE`.
        on_frame: called with each frame when it is sent.
    """

    def __init__(self, portrait: LivePortrait, on_frame: Callable[[LiveFrame], None] = lambda frame: None) -> None:
        self._portrait, self._on_frame = portrait, on_frame
        # Half a second of sound; two pictures, of which a busy encoder skips the older ones.
        self.sound, self.pictures = _Track("audio", 25), _Track("video", 2)
        self._sent_at: deque[float] = deque(maxlen=FPS + 1)
        self.lateness: deque[float] = deque(maxlen=60 * FPS)
        """Delays in seconds with which the sound of the last frames was sent."""

    @property
    def fps(self) -> float:
        """Pictures sent in the last second."""
        now = monotonic()
        return float(sum(now - sent <= 1 for sent in self._sent_at))

    async def run(self) -> None:
        """Play until cancelled, or until the portrait is closed."""
        loop, shown = asyncio.get_running_loop(), None
        with ThreadPoolExecutor(1, thread_name_prefix="live-play") as pool:
            start, count = monotonic() + 0.1, 0
            while True:
                due = start + count / FPS
                await _sleep_until(due)
                frame = await loop.run_in_executor(pool, self._portrait.frame, _PICTURE_TIMEOUT)
                now = monotonic()
                self.lateness.append(now - due)
                first, second = (_sound(frame, half) for half in range(2))
                self.sound.put(first)
                if frame.image is not shown:
                    self.pictures.put(_picture(frame))
                    self._sent_at.append(now)
                    shown = frame.image
                self._on_frame(frame)
                await _sleep_until(due + 0.5 / FPS)
                self.sound.put(second)
                count += 1
                if monotonic() - due > _MAX_LAG:
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
