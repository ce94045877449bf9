"""From what a model generates to a person's motion: the motion space left, rules applied, the photo eased out of."""

from __future__ import annotations

import numpy as np

from shared.face_model.morphable import MorphableModel
from shared.motion import Motion
from stage1_motion.interface import MotionModel, MotionSample, SamplingOptions, Subject
from stage1_motion.motion_space import Articulation
from stage1_motion.postprocessing import PostProcessing
from stage1_motion.postprocessing.articulation import articulated
from stage1_motion.postprocessing.ease import eased, eased_rotation
from stage1_motion.postprocessing.lip_closure import close_lips
from stage1_motion.postprocessing.rest import REST_GAP, rest_coefficients, rest_in_pauses
from stage1_motion.speech_events import SpeechEvents


def decoded_expression(
    model: MotionModel,
    sample: MotionSample,
    events: SpeechEvents,
    subject: Subject,
    options: SamplingOptions,
    rules: PostProcessing,
    person: Articulation | None = None,
) -> np.ndarray:
    """The subject's expression, without blinks and gaze, after the rules that act on the mouth.

    Args:
        model: which generated.
        sample: what it generated.
        events: at the model's frame rate.
        subject: whose face it is.
        options: articulation and expression_scale.
        rules: rest and lip_closure.
        person: how far the subject opens the mouth; None: as the model's people do.

    Returns:
        float32 [T, D].
    """
    space, person = model.space, person or model.articulation
    if sample.vertices is None:
        learned = sample.expression
        assert learned is not None  # a model generates one of the two
        learned = articulated(learned, options.articulation, model.fps)
        if rules.rest:
            learned = rest_in_pauses(learned, rest_coefficients(space, person.mean_gap), events.articulates)
        lip_std = person.lip_std * options.expression_scale
        expression = space.decode_expression(learned, subject.expression, subject.lip_gap, lip_std, person.mean_gap)
    else:
        residual = subject.template - space.model.vertices(subject.identity, 0 * subject.expression)
        expression, _ = space.fit_vertices(sample.vertices, subject.identity, residual)
        expression = articulated(expression, options.articulation, model.fps)
        expression *= np.float32(options.expression_scale)
        if rules.rest:
            at_rest = subject.expression + (REST_GAP - subject.lip_gap) * space.model.extra["open"]
            expression = rest_in_pauses(expression, at_rest, events.articulates)
    if rules.lip_closure:
        expression = close_lips(expression, events, subject, space)
    return expression


def decoded_pose(
    model: MotionModel,
    sample: MotionSample,
    subject: Subject,
    options: SamplingOptions,
    frames: int,
    person: Articulation | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Rotation and translation, [T, 3] each; arguments as of `decoded_expression`."""
    pose = np.zeros((frames, 6), np.float32) if sample.pose is None else sample.pose * options.pose_scale
    head_std = (person or model.articulation).head_std
    return model.space.decode_pose(pose, subject.rotation, subject.translation, head_std)


def eased_motion(
    model: MorphableModel,
    expression: np.ndarray,
    rotation: np.ndarray,
    translation: np.ndarray,
    subject: Subject,
    weights: np.ndarray | None,
    *,
    audio: np.ndarray,
    source: str,
) -> Motion:
    """The motion of T frames, which leave the photo, or come back to it, by weights [T] from 0 to 1."""
    if weights is not None:
        expression = eased(expression, subject.expression, weights)
        rotation = eased_rotation(rotation, subject.rotation, weights)
        translation = eased(translation, subject.translation, weights)
    identity = subject.identity
    return Motion(expression, rotation, translation, model.fingerprint, audio=audio, identity=identity, source=source)
