"""The threads behind a live portrait: one generates motion in hops, two paint frames, at the pace of the caller."""

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
"""Planned frames at which the next hop is generated: time to generate it and to paint its first frames."""

_WAIT = 4
"""While more frames than these are planned, a hop waits for sound that is still to arrive."""

_PAINTERS, _NICE = 2, 2
_MAX_HEARD = 5 * SAMPLE_RATE  # samples of the other speaker that are buffered


class FrameMaker:
    """Makes frames from queued sound, ahead of the caller.

    Args:
        stream: of the person's motion.
        render: motion of K frames -> K pictures; the attribute may be replaced at any time.
        sound_rate: samples a second of the speech.
    """

    def __init__(self, stream: MotionStream, render: Render, sound_rate: int) -> None:
        self.render, self._stream, self._resample = render, stream, FrameResampler(sound_rate)
        self.changed = threading.Condition()
        """Guards the attributes below; notify all after a change."""
        self.plan, self.speech = Plan(), SpeechQueue(sound_rate)
        self._unplanned: deque[FrameSound] = (
            deque()
        )  # sound that was given to the motion, whose frames are not generated yet
        self._heard: deque[np.ndarray] = deque()
        self._heard_samples = 0
        self._silent: int | None = None  # index of the first frame of a pending interruption
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
        """Raise a thread's exception, or UsageError after `close`; called with the lock held."""
        if self._error is not None:
            raise self._error.with_traceback(None)
        if self._closed:
            raise UsageError("the portrait has been closed")

    def guarded(self, work: Callable[[], object]) -> None:
        """Run the work of a thread; its exception is raised by the next call of the caller."""
        try:
            work()
        except BaseException as error:
            with self.changed:
                self._error = error
                self.changed.notify_all()

    def hear(self, samples: np.ndarray) -> None:
        """Buffer the last seconds of the other speaker's sound; called with the lock held."""
        self._heard.append(samples)
        self._heard_samples += len(samples)
        while (excess := self._heard_samples - _MAX_HEARD) > 0:
            first = self._heard.popleft()
            if len(first) > excess:
                self._heard.appendleft(first[excess:])
            self._heard_samples -= min(len(first), excess)

    def take(self, until: float | None) -> tuple[Planned, np.ndarray]:
        """The next frame and its picture, or the latest picture if it is not ready at `until` (`time.monotonic`).

        Called with the lock held, which is released while waiting.
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
        """Fade out in the next frame, and be silent from then on; called with the lock held.

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
        """Generate motion hop by hop, and handle interruptions."""
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
            with one_thread("cpu"):  # more threads gain little, and would spin while they wait for each other
                motion = self._stream.push(self._resample(np.concatenate([sound.samples for sound in sounds])))
            with self.changed:
                for frame in range(0 if motion is None else len(motion)):
                    assert motion is not None
                    self.plan.add(self._unplanned.popleft(), motion.slice(frame, frame + 1))
                self.changed.notify_all()

    def _next_sounds(self) -> list[FrameSound] | None:
        """Take the sound that the next hop needs from the queue; None if it is too early."""
        left = len(self.plan)
        if left > AHEAD:
            return None
        sounds = self.speech.take(HOP + HEARD_AHEAD - len(self._unplanned), now=left <= _WAIT)
        self._unplanned += sounds or []
        return sounds

    def _silence(self, unseen: list[Planned]) -> None:
        """Close the mouth in the planned frames and in all after them."""
        closing = self._stream.interrupt(joined([frame.motion for frame in unseen]))
        with self.changed:
            self._unplanned.clear()
            for number, frame in enumerate(unseen):
                assert closing is not None
                frame.replace_motion(
                    closing.slice(number, number + 1)
                )  # frames that were taken meanwhile are replaced in vain
            self.changed.notify_all()

    def _paint(self) -> None:
        """Render pictures, a few at a time."""
        _lower_priority()
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


def _lower_priority() -> None:
    """Lower this thread's priority below those with short, urgent work: motion, and sending frames."""
    with suppress(AttributeError, OSError):  # where threads have no priorities of their own
        if sys.platform == "linux":
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), os.getpriority(os.PRIO_PROCESS, 0) + _NICE)
