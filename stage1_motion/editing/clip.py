"""A clip in the motion space of a model, and the components outside of that space, which are added back afterwards."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy.spatial.transform import Rotation

from shared.face_model.camera import rotation_terms
from shared.motion import Motion
from stage1_motion.interface import MotionModel, Subject
from stage1_motion.motion_space import (
    TYPICAL_HEAD_STD,
    TYPICAL_LIP_STD,
    Articulation,
    MotionSpace,
    relative_pose,
    shrunk_std,
)


@dataclass
class Clip:
    """The person in a clip, with the references to which its movement is relative.

    Args:
        space: the motion space.
        subject: mean expression and pose of the clip, its lip gap, its eyes' usual opening.
        person: how far this person opens the mouth and moves the head, as far as the model's units are the person's.
        leak: [9], means of the rotation's terms, to which the leak is relative; None: no leak, as in generated motion.
        eyes: references of blinks and gaze (`MotionSpace.without_eyes`).
    """

    space: MotionSpace
    subject: Subject
    person: Articulation
    leak: np.ndarray | None
    eyes: tuple[Any, Any]

    @classmethod
    def of(cls, motion: Motion, model: MotionModel) -> Clip:
        """Measure a clip; frames without a face are ignored.

        The leak of rotation into expression is a tracking error, so only tracked motion, which has a confidence, has
        it.
        """
        space, face = model.space, model.space.model
        identity = np.zeros(face.num_identity, np.float32) if motion.identity is None else motion.identity
        if motion.confidence is not None and (motion.confidence > 0).any():
            motion = motion.seen()
        leak = None if motion.confidence is None else rotation_terms(motion.rotation, np.zeros(9)).mean(0)
        expression, eyes = space.without_eyes(identity, motion.expression - _leaked(space, motion.rotation, leak))
        mean = expression.mean(0)
        subject = Subject(
            identity,
            expression=mean,
            rotation=Rotation.from_rotvec(motion.rotation).mean().as_rotvec().astype(np.float32),
            translation=motion.translation.mean(0),
            template=face.vertices(identity, 0 * mean),
            lip_gap=float(space.lip_gap(identity, mean)),
            lid_gap=float(eyes[0]),
        )
        person = model.articulation
        if model.person_units:
            gaps, turns = space.lip_gap(identity, expression), relative_pose(motion)[:, :3]
            lip_std = shrunk_std([gaps - gaps.mean()], TYPICAL_LIP_STD)
            head_std = shrunk_std([np.sqrt(np.square(turns).mean(1))], TYPICAL_HEAD_STD)
            person = Articulation(lip_std, subject.lip_gap / lip_std, head_std)
        return cls(space, subject, person, leak, eyes)

    def split(self, motion: Motion) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Expression of the speech, blinks and gaze, and leak of the rotation: [T, D] each, the motion's in sum."""
        leak = self.leaked(motion.rotation)
        expression, _ = self.space.without_eyes(self.subject.identity, motion.expression - leak, self.eyes)
        return expression, motion.expression - leak - expression, leak

    def leaked(self, rotation: np.ndarray) -> np.ndarray:
        """Rotation [T, 3] -> [T, D], what leaks from it into the expression of this clip."""
        return _leaked(self.space, rotation, self.leak)

    def learned(self, expression: np.ndarray) -> np.ndarray:
        """Expression of the speech [T, D] -> motion space [T, D]."""
        subject, person = self.subject, self.person
        return self.space.learned_expression(
            expression, subject.expression, subject.lip_gap, person.lip_std, person.mean_gap
        )

    def learned_pose(self, motion: Motion) -> np.ndarray:
        """[T, 6]: the pose in the motion space."""
        about = self.subject.rotation, self.subject.translation
        return self.space.encode_pose(motion, self.person.head_std, about)


def _leaked(space: MotionSpace, rotation: np.ndarray, centre: np.ndarray | None) -> np.ndarray:
    if centre is None:
        return np.zeros((len(rotation), space.model.num_expression), np.float32)
    return (rotation_terms(rotation, centre) @ space.model.extra["rotation_leak"]).astype(np.float32)


def extended(motion: Motion, frames: int) -> Motion:
    """The motion with its last frame repeated until there are so many; without sound."""
    at = np.minimum(np.arange(frames), len(motion) - 1)
    confidence = None if motion.confidence is None else motion.confidence[at]
    return replace(
        motion,
        expression=motion.expression[at],
        rotation=motion.rotation[at],
        translation=motion.translation[at],
        confidence=confidence,
        audio=None,
    )
