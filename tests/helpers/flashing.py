"""A portrait that flashes: white frames where its speech clicks, black ones elsewhere; there is little to compute."""

import asyncio
import contextlib
import threading
import time
from dataclasses import dataclass, field
from types import SimpleNamespace

import numpy as np

from fd2talk.live.maker import AHEAD as AT_MOST_LEFT
from fd2talk.live.portrait import LivePortrait
from shared.motion import Motion
from stage1_motion.streaming.events import AHEAD
from stage1_motion.streaming.stream import HOP

FRAME = 640
LOUD = 0.3


class FlashStream:
    """As `MotionStream`: the expression of a frame is the loudness of its sound, heard as far ahead as there."""

    def __init__(self, seconds=0.0):
        self.sound, self.frames, self.seconds, self.heard = np.zeros(0, np.float32), 0, seconds, []

    def push(self, samples):
        self.sound = np.concatenate([self.sound, samples])
        parts = []
        while len(self.sound) >= (self.frames + HOP + AHEAD) * FRAME - 160:
            time.sleep(self.seconds)
            piece = self.sound[self.frames * FRAME : (self.frames + HOP) * FRAME]
            self.frames += HOP
            parts.append(self._motion(np.abs(piece).reshape(HOP, FRAME).max(1), piece))
        assert len(parts) <= 1
        return parts[0] if parts else None

    def listen(self, samples):
        self.heard.append(samples)

    def interrupt(self, unseen=None):
        self.sound = self.sound[: self.frames * FRAME]
        return (
            None if unseen is None else self._motion(np.zeros(len(unseen)), np.zeros(len(unseen) * FRAME, np.float32))
        )

    @staticmethod
    def _motion(loud, audio):
        count = len(loud)
        expression = np.asarray(loud, np.float32)[:, None]
        return Motion(expression, np.zeros((count, 3)), np.zeros((count, 3)), "flash:0", audio=audio)


@dataclass
class FlashRender:
    """As `RenderPipeline`, and as what its `live` returns.

    Args:
        seconds: that a frame takes, for 512 pixels; smaller ones take less.
        go: if given, what has not been painted when the first frames are waits for it.
    """

    seconds: float = 0.0
    go: threading.Event | None = None
    sizes: list = field(default_factory=list)
    painted: int = 0

    def live(self, photo, *, full, max_size):
        self.sizes.append(max_size)
        return _Frames(self, max_size)


@dataclass
class _Frames:
    of: FlashRender
    width: int

    @property
    def height(self):
        return self.width

    def __call__(self, motion):
        if self.of.go is not None and self.of.painted:
            self.of.go.wait(60)
        time.sleep(self.of.seconds * self.width / 512)
        self.of.painted += len(motion)
        return [np.full((self.width, self.width, 3), 255 * (one > LOUD), np.uint8) for one in motion.expression[:, 0]]


def flashing(render=None, stream=None, **settings):
    """A `LivePortrait` that flashes."""
    stream = stream or FlashStream()
    motion = SimpleNamespace(stream=lambda photo, **options: stream)
    return LivePortrait(None, motion, render or FlashRender(), **{"size": 64, **settings})


def wait_for(what, seconds=60.0):
    """Wait until something is true, however busy the machine is."""
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end, "this did not happen"
        time.sleep(0.002)


def made_ahead(portrait):
    """Wait until all that is made ahead of the caller is there: nothing more happens until a frame is taken."""
    maker = portrait._maker

    def is_made():
        with maker.changed:
            maker.check_open()
            return len(maker.plan) > AT_MOST_LEFT and all(frame.image is not None for frame in maker.plan.frames)

    wait_for(is_made)


def clicks(seconds, every, rate):
    """Silence with a click of 10 ms in the middle of a frame every so many seconds, float32 [n]."""
    sound = np.zeros(round(seconds * rate), np.float32)
    size = rate // 100
    tone = np.float32(0.9) * np.sin(2 * np.pi * 1500 * np.arange(size) / rate).astype(np.float32)
    for number in range(1, int(seconds / every)):
        at = round(number * every * 25) * (rate // 25) + (rate // 25 - size) // 2
        sound[at : at + size] = tone
    return sound


@contextlib.contextmanager
def serving(server, host="127.0.0.1"):
    """Serve in a thread: the address."""
    from aiohttp import web

    loop, runner = asyncio.new_event_loop(), None

    async def begin():
        nonlocal runner
        runner = web.AppRunner(server.app(), shutdown_timeout=1)
        await runner.setup()
        await web.TCPSite(runner, host, 0).start()
        return runner.addresses[0][1]

    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    try:
        port = asyncio.run_coroutine_threadsafe(begin(), loop).result(60)
        yield f"http://{host}:{port}"
    finally:
        asyncio.run_coroutine_threadsafe(runner.cleanup(), loop).result(60)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
