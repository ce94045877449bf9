"""The threads behind a live portrait: one generates motion in hops, two paint frames, all as frames are taken."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress

import numpy as np

from fd2talk.live.frames import Plan, Planned, Render
from fd2talk.live.resampling import FrameResampler
from fd2talk.live.speech_queue import FrameSound, SpeechQueue
from shared.errors import UsageError
from shared.media import SAMPLE_RATE
from shared.torch_threads import one_thread
from stage1_motion.streaming.events import AHEAD as HEARD_AHEAD
from stage1_motion.streaming.stream import HOP, MotionStream, joined

AHEAD = 6
"""The next hop is generated when so many frames are left to take: time to generate it and to paint its first frames."""

_WAIT = 4
"""While at least so many frames are left, a hop waits for sound that is to come."""

_PAINTERS, _NICE = 2, 2
_HEARD = 5 * SAMPLE_RATE  # samples of the other speaker that are kept until motion is generated


class FrameMaker:
    """Sound and motion, which wait to be taken as frames.

    Args:
        stream: of the person's motion.
        render: motion of a frame -> its picture; it may be replaced at any time.
        sound_rate: samples a second of the speech.
    """

    def __init__(self, stream: MotionStream, render: Render, sound_rate: int) -> None:
        self.render, self._stream, self._resample = render, stream, FrameResampler(sound_rate)
        self.changed = threading.Condition()
        """Guards what follows; whoever changes something notifies all."""
        self.plan, self.speech = Plan(), SpeechQueue(sound_rate)
        self._unplanned: deque[FrameSound] = deque()  # sound that the motion has heard ahead
        self._heard: deque[np.ndarray] = deque()
        self._heard_samples = 0
        self._silent: int | None = None  # number of the first frame of an interruption that is to be dealt with
        self._closed = self._paced = False
        self._error: BaseException | None = None
        works = [self._generate, *[self._paint] * _PAINTERS]
        self._threads = [
            threading.Thread(target=self.guarded, args=(work,), name=f"live{work.__name__}", daemon=True)
            for work in works
        ]
        for thread in self._threads:
            thread.start()

    def close(self) -> None:
        """End the threads."""
        with self.changed:
            self._closed = True
            self.changed.notify_all()
        for thread in self._threads:
            if thread is not threading.current_thread():
                thread.join()

    def check_open(self) -> None:
        """Raise what a thread has raised, or UsageError after `close`; called with the lock."""
        if self._error is not None:
            raise self._error.with_traceback(None)
        if self._closed:
            raise UsageError("the portrait has been closed")

    def guarded(self, work: Callable[[], object]) -> None:
        """Do what a thread is for; its exception is raised where the next frame is asked for."""
        try:
            work()
        except BaseException as error:
            with self.changed:
                self._error = error
                self.changed.notify_all()

    def hear(self, samples: np.ndarray) -> None:
        """Keep the last seconds of the other speaker's sound until motion is generated; called with the lock."""
        self._heard.append(samples)
        self._heard_samples += len(samples)
        while (excess := self._heard_samples - _HEARD) > 0:
            first = self._heard.popleft()
            if len(first) > excess:
                self._heard.appendleft(first[excess:])
            self._heard_samples -= min(len(first), excess)

    def take(self, until: float | None) -> tuple[Planned, np.ndarray]:
        """The next frame and its picture; if there is none at that time (`time.monotonic`), the one before.

        Called with the lock, which is given up while waiting.
        """
        if self._closed:
            self.check_open()
        self._paced = until is not None
        frames = self.plan.frames
        while not frames or not (frames[0].image is not None or self._is_over(until)):
            self.check_open()
            self.changed.wait(None if until is None else max(0.001, until - time.monotonic()))
        self.changed.notify_all()
        return self.plan.take()

    def _is_over(self, until: float | None) -> bool:
        return until is not None and time.monotonic() >= until and self.plan.latest is not None

    def interrupt(self) -> bool:
        """Silence from the next frame on, in which sound fades out; called with the lock.

        Returns:
            Whether there was speech to stop.
        """
        waiting = self.speech.seconds > 0
        self.speech.clear()
        ahead = [*(frame.sound for frame in self.plan.frames), *self._unplanned]
        if not any(sound.speaking for sound in ahead):
            return waiting
        heard = any(sound.speaking for number, sound in enumerate(ahead) if number or not self.plan.frames)
        for number, sound in enumerate(ahead):
            if number == 0 and self.plan.frames:
                sound.samples = sound.samples * np.linspace(1, 0, len(sound.samples), dtype=np.float32)
            else:
                sound.samples, sound.speaking, sound.due = np.zeros_like(sound.samples), False, None
        first = self.plan.silence()
        self._silent = first if self._silent is None else min(first, self._silent)
        return waiting or heard

    # -- the threads --------------------------------------------------------------------------------------------------

    def _generate(self) -> None:
        """The motion, hop by hop, and interruptions."""
        while True:
            with self.changed:
                sounds = None
                while not self._closed and self._silent is None and (sounds := self._next_sounds()) is None:
                    self.changed.wait(0.02 if len(self.plan) <= AHEAD else None)
                if self._closed:
                    return
                silent, self._silent = self._silent, None
                unseen = [frame for frame in self.plan.frames if silent is not None and frame.index >= silent]
                heard, self._heard, self._heard_samples = self._heard, deque(), 0
            for samples in heard:
                self._stream.listen(samples)
            if sounds is None:
                self._silence(unseen)
                continue
            with one_thread("cpu"):  # more would gain little, and spin while they wait for each other
                motion = self._stream.push(self._resample(np.concatenate([sound.samples for sound in sounds])))
            with self.changed:
                for frame in range(0 if motion is None else len(motion)):
                    assert motion is not None
                    self.plan.add(self._unplanned.popleft(), motion.slice(frame, frame + 1))
                self.changed.notify_all()

    def _next_sounds(self) -> list[FrameSound] | None:
        """Sound of the frames that the next hop must hear, if it is time for it; it belongs to frames not planned."""
        left = len(self.plan)
        if left > AHEAD:
            return None
        sounds = self.speech.take(HOP + HEARD_AHEAD - len(self._unplanned), now=left <= _WAIT)
        self._unplanned += sounds or []
        return sounds

    def _silence(self, unseen: list[Planned]) -> None:
        """Close the mouth in frames that are planned, and in all after them."""
        closing = self._stream.interrupt(joined([frame.motion for frame in unseen]))
        with self.changed:
            self._unplanned.clear()
            for number, frame in enumerate(unseen):
                assert closing is not None
                frame.replace_motion(closing.slice(number, number + 1))  # some may have been taken by now
            self.changed.notify_all()

    def _paint(self) -> None:
        """Pictures, a few at a time."""
        _yield_to_others()
        while True:
            with self.changed:
                frames: list[Planned] = []
                while not self._closed and not (frames := self.plan.to_paint(self._paced)):
                    self.changed.wait()
                if self._closed:
                    return
                for frame in frames:
                    frame.taken = True
                render, motion = self.render, joined([frame.motion for frame in frames])
                versions = [frame.version for frame in frames]
            assert motion is not None
            begun = time.monotonic()
            images = render(motion)
            seconds = (time.monotonic() - begun) / len(frames)
            with self.changed:
                for frame, version, image in zip(frames, versions, images):
                    self.plan.painted(frame, version, image, seconds)
                self.changed.notify_all()


def _yield_to_others() -> None:
    """Let threads with less to do, and more urgently, go before this one: motion, and whoever sends the frames."""
    with suppress(AttributeError, OSError):  # not where threads have no priorities of their own
        if sys.platform == "linux":
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), os.getpriority(os.PRIO_PROCESS, 0) + _NICE)
