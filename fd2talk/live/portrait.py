"""A portrait that speaks in real time: sound in at any pace, frames of sound and picture out.

It needs no network connection; `server` and the adapters in `fd2talk.integrations` are built on it.

The caller sets the pace: motion and pictures are made a few frames ahead of the frames taken (`maker`).
"""

from __future__ import annotations

import os
import threading
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from fd2talk.live.maker import FrameMaker
from fd2talk.live.resampling import check_rate
from fd2talk.live.size_control import SIZES, SizeControl
from shared.errors import InputError, UsageError
from shared.images import read_image
from shared.media import SAMPLE_RATE
from shared.photo_fit import PhotoFit
from stage1_motion.interface import SamplingOptions

if TYPE_CHECKING:
    from stage1_motion.pipeline import MotionPipeline
    from stage1_motion.style import Style
    from stage2_render.live import LiveRenderer
    from stage2_render.pipeline import RenderPipeline


@dataclass(frozen=True)
class LiveFrame:
    """A picture and the sound that belongs to it.

    Args:
        index: number of the frame since the start, at 25 a second.
        image: uint8 [H, W, 3] RGB.
        sound: float32 [sound_rate / 25], mono; zeros without speech.
        speaking: whether the sound has speech.
        late: the picture was not ready, and is an earlier one.
        spoken: samples given to `speak` so far that were spoken or dropped by the end of this frame.
    """

    index: int
    image: np.ndarray
    sound: np.ndarray
    speaking: bool
    late: bool = False
    spoken: int = 0


@dataclass(frozen=True)
class LiveFigures:
    """Statistics of a live portrait.

    Args:
        delay: seconds from when speech could have been heard without the portrait until its frame was taken, of the
            last frame with speech; None before the first.
        frames: number of frames taken.
        late: number of them with an earlier frame's picture.
        width: of the frames, pixels.
        height: of the frames.
        queued: seconds of speech in the queue.
    """

    delay: float | None
    frames: int
    late: int
    width: int
    height: int
    queued: float


class LivePortrait:
    """A person in a photo who speaks the sound given to `speak`; a context manager, with threads of its own.

    Args:
        photo: the person.
        speech_to_motion: a pipeline whose model can stream.
        render: a pipeline of the renderers geometry or repair.
        size: longer side of the frames in pixels.
        full: the whole photo, else the square head crop.
        sound_rate: samples a second of the speech, which is passed through unchanged; a multiple of 25.
        seed: of the motion.
        style: how the person speaks, for models that take it.
        options: of the sampler.
        notify: called, in one of the threads, with a sentence when the size of frames changes because the machine is
            too slow, or has time again; by default a warning.

    Raises:
        UsageError: a model that cannot stream, a renderer that is too slow, an invalid `size` or `sound_rate`.
    """

    def __init__(
        self,
        photo: PhotoFit,
        speech_to_motion: MotionPipeline,
        render: RenderPipeline,
        *,
        size: int = 512,
        full: bool = False,
        sound_rate: int = SAMPLE_RATE,
        seed: int = 0,
        style: Style | None = None,
        options: SamplingOptions = SamplingOptions(),
        notify: Callable[[str], None] = warnings.warn,
    ) -> None:
        self._photo, self._pipeline, self._full, self._notify = photo, render, full, notify
        check_rate(sound_rate)
        self.sound_rate, self.size = sound_rate, _checked_size(size)
        stream = speech_to_motion.stream(photo, seed=seed, style=style, options=options)
        self._renderer = render.live(photo, full=full, max_size=size)
        self._renderers = {size: self._renderer}
        self._control = SizeControl(max(self._renderer.width, self._renderer.height))
        self._delay: float | None = None
        self._frames = self._late_frames = 0
        self._resizing: threading.Thread | None = None
        self._maker = FrameMaker(stream, self._renderer, sound_rate)
        self._changed = self._maker.changed

    @classmethod
    def from_pretrained(
        cls,
        photo: str | os.PathLike | np.ndarray | PhotoFit,
        *,
        model: str | None = None,
        style: str | None = None,
        renderer: str = "repair",
        size: int = 512,
        full: bool = False,
        sound_rate: int = SAMPLE_RATE,
        seed: int = 0,
        device: str = "cpu",
    ) -> LivePortrait:
        """Load bundled weights.

        Args:
            photo: a file, uint8 [H, W, 3], or its fit.
            model: name of a bundled motion model; None: fd2talk.
            style: name of one of its styles.
            renderer: geometry or repair.
            device: of the networks.
            size: as of the class, as are the others.
            full: likewise.
            sound_rate: likewise.
            seed: likewise.

        Raises:
            InputError: no usable face in the photo.
            UsageError: an unknown model, style or renderer, or one that is not for live pictures.
        """
        from stage1_motion.pipeline import MotionPipeline
        from stage2_render.pipeline import RenderPipeline

        render = RenderPipeline.from_pretrained(renderer=renderer, device=device)
        if not isinstance(photo, PhotoFit):
            image = photo if isinstance(photo, np.ndarray) else read_image(photo)
            photo = PhotoFit.fit(image, render.model)
        motion = MotionPipeline.from_pretrained(model=model, device=device)
        named = None if style is None else motion.named_style(style)
        return cls(photo, motion, render, size=size, full=full, sound_rate=sound_rate, seed=seed, style=named)

    def __enter__(self) -> LivePortrait:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def speak(self, samples: np.ndarray) -> None:
        """Append speech to the queue.

        Args:
            samples: float32 [n] at `sound_rate`, mono, of any length, at any pace.

        Raises:
            InputError: another array.
            UsageError: the portrait has been closed.
        """
        _check(samples)
        with self._changed:
            self._maker.check_open()
            self._maker.speech.put(samples.copy())  # the caller may reuse the array
            self._changed.notify_all()

    def end_of_speech(self) -> int:
        """Mark the utterance as complete, so that its end does not wait for further sound.

        Returns:
            Number of samples given to `speak` so far; the utterance is over when `LiveFrame.spoken` reaches it.

        Raises:
            UsageError: the portrait has been closed.
        """
        with self._changed:
            self._maker.check_open()
            given = self._maker.speech.complete()
            self._changed.notify_all()
        return given

    def listen(self, samples: np.ndarray) -> None:
        """Listen to another speaker in real time; of sound that arrives faster only the last five seconds are used.

        Args:
            samples: float32 [n], 16 kHz, mono.

        Raises:
            InputError: another array.
            UsageError: the portrait has been closed.
        """
        _check(samples)
        with self._changed:
            self._maker.check_open()
            self._maker.hear(samples.copy())

    def interrupt(self) -> bool:
        """Stop speaking: the queue is cleared, the next frame fades out, and all after it are silent.

        The mouth closes within three frames after the next one.

        Returns:
            Whether there was anything to stop.

        Raises:
            UsageError: the portrait has been closed.
        """
        with self._changed:
            self._maker.check_open()
            stopped = self._maker.interrupt()
            self._changed.notify_all()
        return stopped

    def frame(self, timeout: float | None = None) -> LiveFrame:
        """Take the next frame; frames are made a few ahead of the last one taken.

        Args:
            timeout: seconds to wait for its picture; then it has an earlier picture (`LiveFrame.late`), so that sound
                is never late. Give one if frames are shown in real time: only then pictures that cannot be ready in
                time are skipped, and frames become smaller if that happens often. None: wait for each picture.

        Raises:
            UsageError: the portrait has been closed.
        """
        until = None if timeout is None else time.monotonic() + timeout
        with self._changed:
            frame, image = self._maker.take(until)
            late = frame.image is None
            self._frames, self._late_frames = self._frames + 1, self._late_frames + late
            if frame.sound.due is not None:
                self._delay = time.monotonic() - frame.sound.due
            before, due = self._control.size, self._control.seen(late)
        if due is not None:
            self._resize_by_itself(before, due)
        return LiveFrame(frame.index, image, frame.sound.samples, frame.sound.speaking, late, frame.sound.spoken)

    def resize(self, size: int) -> None:
        """Change the size of frames, a few frames from now, without interrupting sound and motion.

        Args:
            size: longer side in pixels.

        Raises:
            UsageError: too small, no integer, or the portrait has been closed.
        """
        size = _checked_size(size)
        with self._changed:
            self._maker.check_open()
        renderer = self._set_size(size)
        with self._changed:
            self._control.ask(max(renderer.width, renderer.height))

    @property
    def queued(self) -> float:
        """Seconds of speech in the queue, from which no motion has been generated yet."""
        with self._changed:
            return self._maker.speech.seconds

    @property
    def figures(self) -> LiveFigures:
        """Current statistics."""
        with self._changed:
            size = self._renderer.width, self._renderer.height
            return LiveFigures(self._delay, self._frames, self._late_frames, *size, self._maker.speech.seconds)

    def close(self) -> None:
        """End the threads; further calls raise UsageError."""
        self._maker.close()
        if self._resizing is not None:
            self._resizing.join()

    # -- a machine that is too slow ------------------------------------------------------------------------------------

    def _resize_by_itself(self, before: int, size: int) -> None:
        """Change the size in a thread of its own, as the photo has to be prepared for it."""
        reason = f"is too slow for {before} pixels" if size < before else "has time again"
        self._notify(f"this machine {reason}: frames are {size} pixels large from now on")

        def resize() -> None:
            self._maker.guarded(lambda: self._set_size(size))
            with self._changed:
                self._control.changed()

        self._resizing = threading.Thread(target=resize, name="live-resize", daemon=True)
        self._resizing.start()

    def _set_size(self, size: int) -> LiveRenderer:
        # Preparing a renderer takes time from the frames, so it is done once per size.
        renderer = self._renderers.get(size) or self._pipeline.live(self._photo, full=self._full, max_size=size)
        with self._changed:
            if size in SIZES:
                self._renderers[size] = renderer
            self._maker.render = self._renderer = renderer
            self.size = size
        return renderer


def _checked_size(size: int) -> int:
    if isinstance(size, bool) or not isinstance(size, (int, np.integer)):
        raise UsageError(f"a size is a whole number of pixels, not {size!r}")
    return int(size)


def _check(samples: np.ndarray) -> None:
    if getattr(samples, "ndim", 0) != 1 or samples.dtype != np.float32 or not np.isfinite(samples).all():
        raise InputError("sound must be float32 [n], mono, with finite numbers")
