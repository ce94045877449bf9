"""One edit: encode the kept parts, generate the rest, blend at the borders, and restore kept frames bit for bit."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from scipy.interpolate import interp1d

from shared.diffusion.solvers import RENOISE
from shared.errors import InputError, UsageError
from shared.media import FPS, SAMPLE_RATE, frame_count
from shared.motion import Motion
from stage1_motion.checks import check_audio, check_covers, check_kind, check_request
from stage1_motion.decoding import decoded_expression, decoded_pose
from stage1_motion.editing.bend import through_keys
from stage1_motion.editing.clip import Clip, extended
from stage1_motion.editing.ramp import EYES_REACH, FACE_REACH, HEAD_REACH, ramp_matrix, ramp_to_known
from stage1_motion.editing.timeline import fitted
from stage1_motion.interface import Constraint, Known, MotionModel, MotionSample, SamplingOptions, Speech
from stage1_motion.parts import PARTS, projectors
from stage1_motion.postprocessing import PostProcessing
from stage1_motion.postprocessing.articulation import articulated
from stage1_motion.postprocessing.ease import ease_weights
from stage1_motion.postprocessing.eyes import eye_motion
from stage1_motion.speech_events import SpeechEvents
from stage1_motion.style import Style

if TYPE_CHECKING:
    from stage1_motion.pipeline import MotionPipeline

_FRAME = round(SAMPLE_RATE / FPS)  # samples


def edited(
    pipeline: MotionPipeline,
    motion: Motion,
    speech: np.ndarray | None,
    constraint: Constraint | None,
    *,
    seed: int,
    options: SamplingOptions,
    postprocessing: PostProcessing,
    style: Style | None,
    unconditional: bool,
    progress: Callable[[int, int], None] | None,
) -> Motion:
    """See `MotionPipeline.edit`."""
    model = pipeline.model
    check_kind("motion", motion, Motion)
    if constraint is not None:
        check_kind("constraint", constraint, Constraint)
        check_kind("the motion of a constraint", constraint.motion, Motion)
    audio = motion.audio if speech is None else speech
    if audio is not None:
        audio = np.asarray(audio)
        check_audio(audio)
    audio, given, mask = _checked(pipeline, motion, audio, constraint, unconditional)
    frames = len(mask)
    if mask.all():  # the beginning, or the end, has been cut off
        check_request(model, pipeline.name, seed, options, {})
        return replace(given, audio=audio)
    if unconditional and style is not None:
        raise UsageError("a style and unconditional exclude each other: no model has learned a style without speech")
    if style is None and "style" in model.accepts and not unconditional:
        style = _own_style(pipeline, motion)
    check_request(model, pipeline.name, seed, options, {"style": style})

    clip = Clip.of(motion, model)
    heard, rules = _heard(pipeline, audio, frames, unconditional), model.postprocessing & postprocessing
    # As in motion for a photo, a generated mouth begins closed, and closes in the silence at the end.
    speaks = heard.events.speaks * (ease_weights(heard.events.speaks) if rules.ease else 1)
    events = replace(heard.events, speaks=speaks.astype(np.float32))
    if not unconditional and not heard.events.speaks.any():
        warnings.warn("nothing is spoken in the recording, so that the mouth rests", stacklevel=3)
    speaking, eyes, leak = clip.split(given)
    known = Known(clip.learned(speaking), clip.learned_pose(given), mask)
    taken: dict[str, Any] = {"constraint": _at(known, model.fps)} if "constraint" in model.accepts else {}
    sample = model.sample(
        heard.at(model.fps),
        clip.subject,
        style=style,
        options=_filled(options, model, unconditional),
        generator=torch.Generator().manual_seed(int(seed)),
        progress=progress,
        **taken,
    )
    learned, pose = _generated(sample, clip, model, options, frames)
    parts = projectors(model.space) if unconditional or _differ(mask) else None
    learned = ramp_to_known(learned, known.expression, mask[:, :3], FACE_REACH, parts)
    pose = ramp_to_known(pose, known.pose, mask[:, 3], HEAD_REACH)

    bent, plain = MotionSample(learned, pose), replace(rules, rest=False, lip_closure=False)
    settings = clip.subject, SamplingOptions()
    expression = decoded_expression(model, bent, events, *settings, plain, clip.person)
    ruled = decoded_expression(model, bent, events, *settings, rules, clip.person)
    # Without speech only the mouth rests; brows keep moving.
    untouched = mask | (np.array(PARTS) != "lips") if unconditional else mask
    expression = expression + _on_generated(ruled - expression, untouched, clip, parts)
    rotation, translation = decoded_pose(model, bent, *settings, frames, clip.person)
    head = mask[:, 3]
    rotation[head], translation[head] = given.rotation[head], given.translation[head]

    random = np.random.default_rng(seed)
    lids = clip.subject.lid_gap
    looks = eye_motion(model.space.model, frames, lids, random, rules.blinks, rules.gaze, options.blink_rate)
    face = mask[:, :3].all(1)
    expression = expression + ramp_to_known(looks, eyes, mask[:, PARTS.index("eyes")], EYES_REACH)
    expression = expression + ramp_to_known(clip.leaked(rotation), leak, face, FACE_REACH)
    expression = _with_kept_gap(expression, given, mask, clip)
    expression[face] = given.expression[face]
    confidence = None if given.confidence is None else np.where(mask.any(1), given.confidence, 1.0)
    source = f"{pipeline._source(seed, options, style)}, edit of {motion.source or 'a motion without a source'}"
    result = replace(
        motion,
        expression=expression,
        rotation=rotation,
        translation=translation,
        confidence=confidence,
        audio=audio,
        source=source,
    )
    if constraint is None or constraint.rest is None:
        return result
    return through_keys(result, constraint.keys, mask, constraint.rest, model.space.model)


def _checked(
    pipeline: MotionPipeline,
    motion: Motion,
    audio: np.ndarray | None,
    constraint: Constraint | None,
    unconditional: bool,
) -> tuple[np.ndarray | None, Motion, np.ndarray]:
    """The sound, the motion to keep and the mask [T, 4], T frames each. Raises as `MotionPipeline.edit`."""
    if constraint is None:
        constraint = Constraint(motion, np.zeros(len(motion), bool))
    for each in (motion, constraint.motion):
        if each.face_model != pipeline.face_model.fingerprint:
            raise InputError(
                f"the motion belongs to face model {each.face_model}, not {pipeline.face_model.fingerprint}"
            )
        if each.fps != FPS:
            raise InputError(f"the motion has {each.fps:g} frames per second, not {FPS} (Motion.resample changes that)")
    if unconditional and "guidance" in pipeline.model.ignores:
        raise UsageError(f"the motion model {pipeline.name} cannot generate without speech")
    if audio is not None and audio is motion.audio:
        audio = fitted(audio, len(motion))
    frames = len(motion) if audio is None else frame_count(len(audio))
    if audio is not None:
        check_covers(audio, len(motion))
    mask, count = np.asarray(constraint.mask), len(constraint.motion)
    if mask.shape not in ((count,), (count, len(PARTS))) or mask.dtype != bool:
        raise UsageError(f"the mask of a constraint is bool [{count}] or [{count}, {len(PARTS)}], as its motion")
    if count > frames:
        raise UsageError(f"the constraint has {count} frames, the speech {frames}")
    mask = np.repeat(mask[:, None], len(PARTS), axis=1) if mask.ndim == 1 else mask
    mask = np.pad(mask, ((0, frames - count), (0, 0)))
    if audio is None and not unconditional and not mask.all():
        raise InputError("the motion has no sound; give the speech (--audio), or edit without any (--unconditional)")
    return audio, extended(constraint.motion, frames), mask


def _own_style(pipeline: MotionPipeline, motion: Motion) -> Style | None:
    """Speaking style of the motion; the pipeline's if that is too short, or the model has no style encoder."""
    if getattr(pipeline.model, "style_reader", None) is None:
        return pipeline.style
    if motion.identity is None:
        motion = replace(motion, identity=np.zeros(pipeline.face_model.num_identity, np.float32))
    try:
        return replace(pipeline.style_of(motion), name="of the motion")
    except InputError:
        return pipeline.style


def _heard(pipeline: MotionPipeline, audio: np.ndarray | None, frames: int, unconditional: bool) -> Speech:
    """Features and events of the speech; without speech zeros, which `guidance` 0 ignores, and no events."""
    if audio is not None and not unconditional:
        return pipeline.frontend(audio)
    nothing = np.zeros(frames, np.float32)
    features = np.zeros((frames, pipeline.frontend.encoder.size), np.float32)
    return Speech(features, SpeechEvents(nothing, nothing), np.zeros(frames * _FRAME, np.float32))


def _filled(options: SamplingOptions, model: MotionModel, unconditional: bool) -> SamplingOptions:
    """Fill options that were not given with the model's defaults for edits."""
    if "constraint" in model.accepts and options.steps is None and options.solver != RENOISE:
        options = replace(options, steps=model.editing.steps)
    return replace(options, guidance=0.0) if unconditional else options


def _at(known: Known, fps: float) -> Known:
    """Resample to another frame rate; a frame is given if both of its neighbours are."""
    if fps == FPS:
        return known
    count = max(1, round(len(known.mask) * fps / FPS))
    at = np.minimum(np.arange(count) * FPS / fps, len(known.mask) - 1)
    low, high = np.floor(at).astype(int), np.ceil(at).astype(int)
    expression, pose = _resampled(known.expression, at), _resampled(known.pose, at)
    return Known(expression, pose, known.mask[low] & known.mask[high])


def _resampled(values: np.ndarray, at: np.ndarray) -> np.ndarray:
    if len(values) == 1:
        return np.repeat(values, len(at), axis=0)
    return interp1d(np.arange(len(values)), values, axis=0)(at).astype(np.float32)


def _generated(
    sample: MotionSample, clip: Clip, model: MotionModel, options: SamplingOptions, frames: int
) -> tuple[np.ndarray, np.ndarray]:
    """Expression [T, D] and pose [T, 6] in the motion space, at 25 frames per second, scaled about the mean."""
    learned = sample.expression
    if sample.vertices is not None:
        neutral = clip.subject.template - clip.space.model.vertices(clip.subject.identity, 0 * clip.subject.expression)
        learned = clip.learned(clip.space.fit_vertices(sample.vertices, clip.subject.identity, neutral)[0])
    assert learned is not None  # a model generates one of the two
    learned = articulated(learned, options.articulation, model.fps) * np.float32(options.expression_scale)
    pose = np.zeros((len(learned), 6), np.float32) if sample.pose is None else sample.pose * options.pose_scale
    if model.fps == FPS:
        return learned, pose
    at = np.minimum(np.arange(frames) * model.fps / FPS, len(learned) - 1)
    return _resampled(learned, at), _resampled(pose, at)


def _differ(mask: np.ndarray) -> bool:
    """Whether there is a frame with some, but not all, parts of the face given."""
    return bool((mask[:, :3].any(1) != mask[:, :3].all(1)).any())


def _on_generated(change: np.ndarray, mask: np.ndarray, clip: Clip, parts: np.ndarray | None) -> np.ndarray:
    """Restrict a change by rules [T, D] to frames with generated lips, and remove its effect on kept parts."""
    change = ramp_to_known(change, 0 * change, mask[:, PARTS.index("lips")], FACE_REACH)
    if parts is not None:  # in the motion space, in which the parts are defined
        std = clip.space.expression_std
        kept = sum((change / std @ part) * given[:, None] for part, given in zip(parts, mask[:, :3].T))
        change = change - kept * std
    return change.astype(np.float32)


def _with_kept_gap(expression: np.ndarray, given: Motion, mask: np.ndarray, clip: Clip) -> np.ndarray:
    """Restore the exact lip gap in frames with kept lips and other parts generated.

    Parts are separated by a fit, whose small error would be visible when the lips close.
    """
    identity, opening = clip.subject.identity, clip.space.model.extra["open"]
    gaps = [clip.space.lip_gap(identity, values) for values in (given.expression, expression)]
    ramp = ramp_matrix(mask[:, PARTS.index("lips")], EYES_REACH) @ (gaps[0] - gaps[1])[:, None]
    return (expression + ramp * opening).astype(np.float32)
