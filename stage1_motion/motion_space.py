"""The space in which motion is learned: coefficients with the person, the eyes and the tracker's habits taken out.

How far a mouth opens, where it rests and how lively a head is differ from person to person and cannot be heard. So a
clip's expression is taken relative to its mean and in units of the person's own lip movement; the same for the head.
Blinks and gaze, which are not in speech either, are removed and added again by `eyes`.

A photo shows neither the mean nor the scale. What is known: people close their lips while they talk, so the mean of the
lip gap lies a nearly fixed number of standard deviations above zero (1.45 in 107 people, tenth to ninetieth percentile
1.0 to 1.8), whatever the gap in the photo.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial.transform import Rotation

from shared.face_model.measures import gaze, lid_gap, lip_gap
from shared.face_model.morphable import MorphableModel
from shared.face_model.training.learn import rotation_terms
from shared.motion import Motion

# Mean of the lip gap over its standard deviation, in talking people.
MEAN_GAP = 1.45
# Lip-gap standard deviation of a typical talking person, mm; and how many frames of a person outweigh that guess.
TYPICAL_LIP_STD = 4.8
_PRIOR_FRAMES = 50.0
# Head: standard deviation of rotation within a clip of a typical person, radians.
TYPICAL_HEAD_STD = 0.035


@dataclass
class MotionSpace:
    """Affine maps between a person's coefficients and the learned space.

    expression_std [D], pose_std [6]: standard deviations of the training people's relative motion, so that the learned
    coefficients have unit variance.
    """

    model: MorphableModel
    expression_std: np.ndarray
    pose_std: np.ndarray

    def speech_expression(self, motion: Motion) -> np.ndarray:
        """[T, D]: a tracked clip's expression less blinks, gaze and what leaked in from head rotation."""
        extra = self.model.extra
        expression = motion.expression - rotation_terms(motion.rotation) @ extra["rotation_leak"]
        lids = lid_gap(self.model.vertices(motion.identity, expression))
        expression = expression + (lids - np.median(lids))[:, None] * extra["blink"]
        # Afterwards: a falling lid takes the corners of the eye with it, from where gaze is measured.
        look = gaze(self.model.vertices(motion.identity, expression))
        return (expression - (look - np.median(look, 0)) @ extra["gaze"]).astype(np.float32)

    def lip_gap(self, identity: np.ndarray, expression: np.ndarray) -> np.ndarray:
        """Expression [..., D] -> signed lip gap [...] in mm."""
        return lip_gap(self.model.vertices(identity, expression))

    def encode_expression(self, motion: Motion, lip_std: float) -> np.ndarray:
        """A tracked clip -> [T, D] learned coefficients. lip_std: the person's (see `person_lip_std`)."""
        expression = self.speech_expression(motion)
        relative = (expression - expression.mean(0)) * (TYPICAL_LIP_STD / lip_std)
        return (relative / self.expression_std).astype(np.float32)

    def decode_expression(
        self,
        learned: np.ndarray,
        photo_expression: np.ndarray,
        photo_gap: float,
        lip_std: float,
        mean_gap: float = MEAN_GAP,
    ) -> np.ndarray:
        """Learned [T, D] -> expression [T, D] of the person in a photo.

        The mean is the photo's own expression with the mouth opened or closed to where a talker's mean gap lies.
        photo_gap: the photo's lip gap in mm. mean_gap: the mean lip gap over its standard deviation.
        """
        mean = photo_expression + self.model.extra["open"] * (mean_gap * lip_std - photo_gap)
        return (mean + learned * self.expression_std * (lip_std / TYPICAL_LIP_STD)).astype(np.float32)

    def encode_pose(self, motion: Motion, head_std: float) -> np.ndarray:
        """A tracked clip -> [T, 6]: pose relative to the clip's mean pose, in the person's units."""
        return (relative_pose(motion) * (TYPICAL_HEAD_STD / head_std) / self.pose_std).astype(np.float32)

    def decode_pose(
        self, learned: np.ndarray, rotation: np.ndarray, translation: np.ndarray, head_std: float
    ) -> tuple[np.ndarray, np.ndarray]:
        """Learned [T, 6] -> rotation [T, 3], translation [T, 3] about the pose of a photo."""
        relative = learned * self.pose_std * (head_std / TYPICAL_HEAD_STD)
        turned = Rotation.from_rotvec(relative[:, :3]) * Rotation.from_rotvec(rotation)
        return turned.as_rotvec().astype(np.float32), (translation + relative[:, 3:]).astype(np.float32)


def relative_pose(motion: Motion) -> np.ndarray:
    """[T, 6]: axis-angle of the rotation against the clip's mean rotation (radians), translation against its mean."""
    rotation = Rotation.from_rotvec(motion.rotation)
    turn = (rotation * rotation.mean().inv()).as_rotvec()
    return np.concatenate([turn, motion.translation - motion.translation.mean(0)], axis=1).astype(np.float32)


def shrunk_std(deviations: list[np.ndarray], typical: float) -> float:
    """Standard deviation over a person's clips (deviations from each mean), drawn to `typical` if frames are few."""
    total = sum(float(np.square(d).sum()) for d in deviations) + _PRIOR_FRAMES * typical**2
    return float(np.sqrt(total / (sum(len(d) for d in deviations) + _PRIOR_FRAMES)))


def normalise_speech(features: np.ndarray, activity: np.ndarray) -> np.ndarray:
    """Features [T, S], voice activity [T] in [0, 1] -> [T, S]: (x - mean) / (std + 0.3), statistics of the frames in
    which somebody speaks. Takes out voice and room, spares still features; pauses do not count, so that a recording
    with a long silence sounds like one without."""
    weight = (activity + 1e-3)[:, None] / (activity + 1e-3).sum()
    mean = (features * weight).sum(0)
    std = np.sqrt((np.square(features - mean) * weight).sum(0))
    return ((features - mean) / (std + 0.3)).astype(np.float32)
