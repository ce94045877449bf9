"""Motion while the speech arrives: sound in blocks of any size -> motion, in hops of a few frames.

Each hop of `HOP` frames is generated when `AHEAD` more have been heard, so that a frame is at most
(HOP + AHEAD) frames = 0.32 s late, plus a block and the time of computing. A hop

* encodes the last `PAST` frames, its own and those ahead (`encoder`), and normalises them by running statistics
  (`statistics`);
* detects events (`events`);
* lets the model continue the last `TAIL` frames, through its own frames and those ahead. What it generates of these is
  thrown away, but for the head, whose pose is cross-faded and smoothed;
* applies the rules that act frame by frame, and what blinks, looks, breathes and listens by itself.

Hops lie at absolute positions: blocks of 20 ms and of a second give the same motion. Memory does not grow.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import torch

from shared.diffusion.solvers import RENOISE
from shared.errors import InputError, UsageError
from shared.media import frame_count
from shared.motion import Motion
from stage1_motion.checks import is_whole
from stage1_motion.decoding import decoded_expression, decoded_pose, eased_motion
from stage1_motion.interface import MotionSample, SamplingOptions, Speech, Subject, Tail
from stage1_motion.postprocessing import PostProcessing
from stage1_motion.postprocessing.breathing import Breathing
from stage1_motion.postprocessing.ease import beginning
from stage1_motion.postprocessing.eyes import Blinks, Fixations, eye_coefficients
from stage1_motion.postprocessing.smile import smile
from stage1_motion.speech_events import SpeechEvents
from stage1_motion.streaming.encoder import FRAME, StreamingEncoder
from stage1_motion.streaming.events import AHEAD, StreamingEvents
from stage1_motion.streaming.listening import Listening
from stage1_motion.streaming.statistics import RunningFeatures
from stage1_motion.style import Style

if TYPE_CHECKING:
    from stage1_motion.pipeline import MotionPipeline

HOP = 4
PAST = 75
TAIL = 24
_SMOOTH = np.hanning(2 * AHEAD + 3)[1:-1]
"""Weights over time of the head's pose: without, hops show as corners of its path."""


class MotionStream:
    """One person's motion for sound that arrives; made by `MotionPipeline.stream`.

    Args:
        pipeline: whose networks and rules are used.
        subject: whose face moves.
        seed: of everything that is random.
        options: of the sampler.
        rules: which run.
        style: how the person speaks.
    """

    def __init__(
        self,
        pipeline: MotionPipeline,
        subject: Subject,
        *,
        seed: int,
        options: SamplingOptions,
        rules: PostProcessing,
        style: Style | None,
    ) -> None:
        self._pipeline, self._subject, self._seed, self._rules, self._style = pipeline, subject, seed, rules, style
        self._source = f"{pipeline._source(seed, options, style)}, streamed"
        self._options = _filled(options, pipeline.model.streaming)
        frontend = pipeline.frontend
        self._sound = StreamingEncoder(frontend.encoder)
        self._features = RunningFeatures(frontend.statistics)
        self._events = StreamingEvents(frontend)
        self._tail_expression = np.zeros((0, pipeline.face_model.num_expression), np.float32)
        self._tail_pose = np.zeros((0, 6), np.float32)
        self._spoken = np.zeros((0, pipeline.face_model.num_expression), np.float32)  # last expressions, less rest
        self._ahead = np.zeros((0, 6), np.float32)  # pose of the next frames as the last hop has generated it
        blinks, gaze, breaths = (np.random.default_rng([seed, index]) for index in range(3))
        self._blinks, self._gaze, self._breathing = (
            Blinks(blinks, options.blink_rate),
            Fixations(gaze),
            Breathing(breaths),
        )
        self._listening: Listening | None = None  # until there is something to listen to
        self._samples = self._frames = 0  # received, returned
        self._closed = False

    def push(self, samples: np.ndarray) -> Motion | None:
        """Take a block of sound.

        Args:
            samples: float32 [n], mono, 16 kHz, of any length.

        Returns:
            The frames that it completes, with their sound; None if there are none.

        Raises:
            InputError: not such an array; the stream is as before.
            UsageError: the stream has been flushed.
        """
        if self._closed:
            raise UsageError("the stream has been flushed: it takes no more sound")
        _check_block(samples)
        self._samples += len(samples)
        self._sound.push(samples)
        return self._advance()

    def listen(self, samples: np.ndarray) -> None:
        """Take a block of another speaker's sound, to whom the face listens while it says nothing itself.

        It nods, looks at the speaker and smiles a little (`streaming.listening`) in the frames that `push` and `idle`
        return from now on, one frame of them for each frame of this sound. Give both in real time: what is more than
        some seconds ahead is left out.

        Args:
            samples: float32 [n], mono, 16 kHz, of any length up to a few seconds.

        Raises:
            InputError: not such an array.
            UsageError: the stream has been flushed.
        """
        if self._closed:
            raise UsageError("the stream has been flushed: it listens no more")
        _check_block(samples)
        if self._listening is None and self._rules.listening:
            self._listening = Listening(np.random.default_rng([self._seed, 3]))
            self._smile = smile(self._pipeline.face_model) * np.float32(min(1.0, self._options.expression_scale))
        if self._listening is not None:
            self._listening.hear(samples)

    def idle(self, frames: int) -> Motion | None:
        """Go on for so many frames in silence, where no sound arrives: see `push`."""
        if not is_whole(frames) or frames < 0:
            raise UsageError(f"a stream idles for a whole number of frames, not {frames}")
        motions = [self.push(np.zeros(FRAME, np.float32)) for _ in range(frames)]
        return joined(motions)

    def interrupt(self, unseen: Motion | None = None) -> Motion | None:
        """Stop speaking: forget the sound beyond the frames returned; silence follows, or what is pushed next.

        The mouth closes within three frames, whatever was said; lids, gaze and head go on.

        Args:
            unseen: the last frames returned, if nobody has seen them yet, at most `TAIL`: the mouth closes in them.

        Returns:
            These frames, silent and with the mouth closing; None of none.

        Raises:
            UsageError: the stream has been flushed, or has not returned so many frames.
        """
        frames = 0 if unseen is None else len(unseen)
        if self._closed or frames > len(self._spoken):
            raise UsageError("the stream has been flushed, or was not to keep so many frames")
        self._sound.forget(self._frames - frames, self._frames)
        self._samples = self._sound.samples
        speaks = self._events.interrupt(frames)
        if unseen is None:
            return None
        silence = np.zeros(frames * FRAME, np.float32)
        if not self._rules.rest:
            return replace(unseen, audio=silence)
        at = len(self._spoken) - frames
        less = (1 - speaks[:, None]) * self._spoken[at:]
        self._spoken[at:] -= less
        return replace(unseen, expression=unseen.expression - less, audio=silence)

    def flush(self) -> Motion | None:
        """End the stream: the remaining frames, as if silence followed; `frame_count` of all samples in all.

        Raises:
            UsageError: the stream has been flushed.
        """
        if self._closed:
            raise UsageError("the stream has been flushed already")
        self._closed = True
        returned, total = self._frames, frame_count(self._samples)
        hops = -(-(total - returned) // HOP)
        lacking = self._sound.required(returned + hops * HOP + AHEAD) - self._samples
        self._sound.push(np.zeros(max(0, lacking) if hops else 0, np.float32))
        rest = self._advance()
        return None if rest is None else _cut(rest, total - returned, self._samples - returned * FRAME)

    @cached_property
    def _at_rest(self) -> np.ndarray:
        """The expression [D] of a mouth that rests, without lids and gaze."""
        pipeline, nothing = self._pipeline, np.zeros(1, np.float32)
        silence, rules = SpeechEvents(nothing, nothing), replace(self._rules, rest=True, lip_closure=False)
        sample = MotionSample(np.zeros((1, pipeline.face_model.num_expression), np.float32))
        return decoded_expression(pipeline.model, sample, silence, self._subject, self._options, rules)[0]

    def _advance(self) -> Motion | None:
        """All hops for which enough has been heard."""
        hops = []
        while self._sound.samples >= self._sound.required(self._frames + HOP + AHEAD):
            hops.append(self._hop())
        return joined(hops)

    def _hop(self) -> Motion:
        """The next `HOP` frames."""
        pipeline, subject = self._pipeline, self._subject
        start, stop = self._frames, self._frames + HOP
        first = max(0, start - PAST)
        at = start - first
        features, sound = self._sound.window(first, stop + AHEAD)
        events = self._events(features, sound, at, HOP)
        now = SpeechEvents(events.speaks[:HOP], events.bilabials[:HOP])
        self._features.update(features[at : at + HOP], now.speaks)
        features = self._features.normalise(features)
        known = len(self._tail_expression)
        before = Tail(self._tail_expression, self._tail_pose, features[at - known : at]) if known else None
        speech = Speech(features[at:], events, sound[at * FRAME :], streamed=True)
        random = np.random.SeedSequence([self._seed, start])
        sample = pipeline.model.sample(
            speech,
            subject,
            style=self._style,
            tail=before,
            options=self._options,
            generator=torch.Generator().manual_seed(int(random.generate_state(1)[0])),
        )
        assert sample.expression is not None  # a model that continues a tail generates coefficients
        pose = np.zeros((len(speech), 6), np.float32) if sample.pose is None else sample.pose
        pose = crossfaded(self._ahead, pose)
        smooth = smoothed(self._tail_pose, pose)
        self._tail_expression = np.concatenate([self._tail_expression, sample.expression[:HOP]])[-TAIL:]
        self._tail_pose = np.concatenate([self._tail_pose, pose[:HOP]])[-TAIL:]
        self._ahead, self._frames = pose[HOP:], stop
        return self._motion(start, MotionSample(sample.expression[:HOP], smooth), now)

    def _motion(self, start: int, sample: MotionSample, events: SpeechEvents) -> Motion:
        """Of a hop, after the rules."""
        pipeline, subject, rules = self._pipeline, self._subject, self._rules
        expression = decoded_expression(pipeline.model, sample, events, subject, self._options, rules)
        breath, calm = self._breathing.next(events.speaks)
        breath = breath * rules.rest
        if rules.rest and self._options.pose_scale:
            sample = replace(sample, pose=calm * sample.pose)
        rotation, translation = decoded_pose(pipeline.model, sample, subject, self._options, HOP)
        weights = beginning(np.arange(start, start + HOP)) if rules.ease else None
        spoken = (expression - self._at_rest) * (1 if weights is None else weights[:, None])
        self._spoken = np.concatenate([self._spoken, spoken.astype(np.float32)])[-TAIL:]
        # Asked for in any case: what one process draws does not depend on whether another one is on.
        closed, look = self._blinks.next(HOP) * rules.blinks, self._gaze.next(HOP) * rules.gaze
        if self._listening is not None:
            attention = self._listening.next(events.speaks)
            look = look * attention.steady[:, None] + attention.look * (rules.gaze and self._options.pose_scale > 0)
            expression = expression + attention.smile[:, None] * self._smile
            breath = breath + attention.at(subject.translation) * min(1.0, self._options.pose_scale)
        expression = expression + eye_coefficients(pipeline.face_model, subject.lid_gap, closed, look)
        if self._options.pose_scale:
            rotation, translation = rotation + breath[:, :3], translation + breath[:, 3:]
        audio = self._sound.sound(start, start + HOP)
        return eased_motion(
            pipeline.face_model, expression, rotation, translation, subject, weights, audio=audio, source=self._source
        )


def _check_block(samples: np.ndarray) -> None:
    if getattr(samples, "ndim", 0) != 1 or samples.dtype != np.float32 or not np.isfinite(samples).all():
        raise InputError("a block of sound must be float32 [n], mono, with finite numbers")


def _filled(options: SamplingOptions, defaults: SamplingOptions) -> SamplingOptions:
    """What the caller left open is the model's choice for streams."""
    names = ["guidance"]
    if options.solver != RENOISE:  # which takes the steps of training
        names += ["steps", "pose_steps"]
    if options.solver is None:
        names.append("eta")
    return replace(options, **{name: getattr(defaults, name) for name in names if getattr(options, name) is None})


def crossfaded(ahead: np.ndarray, pose: np.ndarray) -> np.ndarray:
    """The pose of a hop [HOP + AHEAD, 6], reached from what the hop before has foreseen of its first frames [A, 6].

    The head hardly depends on what is said: each hop draws another movement, and without this it jerks between them.
    The frames before were smoothed with what was foreseen: the first ones change least, or else there is a corner.
    """
    weights = np.linspace(0, 1, len(ahead) + 1, dtype=np.float32)[:-1, None] ** 2
    return np.concatenate([ahead + weights * (pose[: len(ahead)] - ahead), pose[len(ahead) :]])


def smoothed(before: np.ndarray, pose: np.ndarray) -> np.ndarray:
    """Weighted means over nine frames of the frames of a hop, of which those before and those ahead are known.

    Args:
        before: [C, 6], C as it comes.
        pose: [HOP + AHEAD, 6].

    Returns:
        [HOP, 6].
    """
    padded = np.concatenate([pose[:1]] * AHEAD + [before, pose])[-2 * AHEAD - HOP :]
    windows = np.lib.stride_tricks.sliding_window_view(padded, 2 * AHEAD + 1, axis=0)  # [HOP, 6, 9]
    return (windows @ (_SMOOTH / _SMOOTH.sum())).astype(np.float32)


def joined(parts: Sequence[Motion | None]) -> Motion | None:
    """One motion of what a stream returned one after the other; None of nothing."""
    motions = [part for part in parts if part is not None]
    if not motions:
        return None
    arrays = ("expression", "rotation", "translation", "audio")
    return replace(motions[0], **{name: np.concatenate([getattr(m, name) for m in motions]) for name in arrays})


def _cut(motion: Motion, frames: int, samples: int) -> Motion:
    arrays = {name: getattr(motion, name)[:frames] for name in ("expression", "rotation", "translation")}
    return replace(motion, **arrays, audio=motion.audio[:samples])  # type: ignore[index]
