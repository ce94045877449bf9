"""The motion space: coefficients with the person, the eyes and the tracker's bias taken out.

How far a mouth opens, where it rests and how lively a head is differ from person to person and are not in the sound. So
a clip's expression is taken relative to its mean and in units of the person's own lip movement; the same for the head.
Blinks and gaze, which are not in speech either, are removed and added again by `postprocessing.eyes`.

A photo shows neither the mean nor the scale. What is known: people close their lips while they talk, so the mean of the
lip gap is a nearly fixed number of standard deviations above zero (1.45 in 107 people, tenth to ninetieth percentile
1.0 to 1.8), whatever the gap in the photo.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from scipy.spatial.transform import Rotation

from shared.face_model.camera import rotation_terms
from shared.face_model.measures import gaze, lid_gap, lip_gap
from shared.face_model.morphable import MorphableModel
from shared.motion import Motion

# Mean of the lip gap over its standard deviation, in talking people.
MEAN_GAP = 1.45
# Lip-gap standard deviation of a typical talking person, mm; and how many frames of a person outweigh that guess.
TYPICAL_LIP_STD = 4.8
_PRIOR_FRAMES = 50.0
# Head: standard deviation of rotation within a clip of a typical person, radians.
TYPICAL_HEAD_STD = 0.035


@dataclass(frozen=True)
class Articulation:
    """What neither speech nor a photo shows of a person.

    Args:
        lip_std: standard deviation of the lip gap, mm.
        mean_gap: mean of the lip gap over its standard deviation.
        head_std: standard deviation of the head's rotation, radians.
    """

    lip_std: float = TYPICAL_LIP_STD
    mean_gap: float = MEAN_GAP
    head_std: float = TYPICAL_HEAD_STD


@dataclass
class MotionSpace:
    """Affine maps between a person's coefficients and the motion space.

    Args:
        model: the face model.
        expression_std: [D], standard deviations of the training people's relative motion, so that the coefficients in
            the motion space have unit variance.
        pose_std: [6], likewise.
    """

    model: MorphableModel
    expression_std: np.ndarray
    pose_std: np.ndarray

    def speech_expression(self, motion: Motion) -> np.ndarray:
        """[T, D]: a tracked clip's expression less blinks, gaze and what leaked in from head rotation."""
        leak = rotation_terms(motion.rotation) @ self.model.extra["rotation_leak"]
        return self.without_eyes(motion.identity, motion.expression - leak)[0]

    def without_eyes(
        self, identity: np.ndarray | None, expression: np.ndarray, rest: tuple[Any, Any] | None = None
    ) -> tuple[np.ndarray, tuple[Any, Any]]:
        """Take out blinks and gaze.

        Args:
            identity: [D_id], of the person in the clip.
            expression: [T, D].
            rest: lid gap and gaze [2] in mm from which blinks and gaze count; None: their medians in this expression.

        Returns:
            float32 [T, D], and the rest.
        """
        assert identity is not None
        extra = self.model.extra
        lids = lid_gap(self.model.vertices(identity, expression))
        lids_at_rest = np.median(lids) if rest is None else rest[0]
        expression = expression + (lids - lids_at_rest)[:, None] * extra["blink"]
        # Afterwards: a falling lid takes the corners of the eye with it, from where gaze is measured.
        look = gaze(self.model.vertices(identity, expression))
        look_at_rest = np.median(look, 0) if rest is None else rest[1]
        expression = (expression - (look - look_at_rest) @ extra["gaze"]).astype(np.float32)
        return expression, (lids_at_rest, look_at_rest)

    def lip_gap(self, identity: np.ndarray, expression: np.ndarray) -> np.ndarray:
        """Expression [..., D] -> signed lip gap [...] in mm."""
        model = self.model  # the gap is linear in the vertices, so that those of hours of motion need not be made
        return lip_gap(model.mean) + identity @ lip_gap(model.id_basis) + expression @ lip_gap(model.exp_basis)

    def gap_row(self) -> np.ndarray:
        """[D]: coefficients in the motion space -> lip gap in mm, in which they are linear."""
        neutral = np.zeros(self.model.num_identity, np.float32)
        unit = np.diag(self.expression_std)
        return self.lip_gap(neutral, unit) - self.lip_gap(neutral, np.zeros(self.model.num_expression))

    def encode_expression(self, motion: Motion, lip_std: float) -> np.ndarray:
        """Tracked clip -> [T, D] in the motion space. lip_std: the person's, mm (see `person_scales`)."""
        expression = self.speech_expression(motion)
        relative = (expression - expression.mean(0)) * (TYPICAL_LIP_STD / lip_std)
        return (relative / self.expression_std).astype(np.float32)

    def encode_unscaled(self, motion: Motion) -> np.ndarray:
        """Tracked clip -> expression and pose [T, D + 6] in which the person's own sizes stay.

        How far this person opens the mouth, where it rests and how lively the head is are what a speaking style tells:
        nothing is divided by the person's scales, and the mean of the lip gap is kept, as the distance from that of a
        typical person. `decode_expression` and `decode_pose` with the typical scales are the way back.
        """
        expression = self.encode_expression(motion, TYPICAL_LIP_STD)
        gap = self.lip_gap(motion.identity, self.speech_expression(motion)).mean()  # type: ignore[arg-type]
        expression = expression + self.opening() * np.float32(gap - MEAN_GAP * TYPICAL_LIP_STD)
        return np.concatenate([expression, self.encode_pose(motion, TYPICAL_HEAD_STD)], axis=1).astype(np.float32)

    def opening(self) -> np.ndarray:
        """[D]: the change of coefficients in the motion space that opens the lips by a millimetre."""
        return (self.model.extra["open"] / self.expression_std).astype(np.float32)

    def decode_expression(
        self,
        learned: np.ndarray,
        photo_expression: np.ndarray,
        photo_gap: float,
        lip_std: float,
        mean_gap: float = MEAN_GAP,
    ) -> np.ndarray:
        """Motion space -> expression [T, D] of the person in a photo.

        The mean is the photo's own expression with the mouth opened or closed to the mean gap of somebody who talks.

        Args:
            learned: [T, D], in the motion space.
            photo_expression: [D].
            photo_gap: the photo's lip gap in mm.
            lip_std: standard deviation of the lip gap in mm.
            mean_gap: the mean lip gap over its standard deviation.
        """
        mean = self._mean(photo_expression, photo_gap, lip_std, mean_gap)
        return (mean + learned * self.expression_std * (lip_std / TYPICAL_LIP_STD)).astype(np.float32)

    def learned_expression(
        self, expression: np.ndarray, photo_expression: np.ndarray, photo_gap: float, lip_std: float, mean_gap: float
    ) -> np.ndarray:
        """The way back: expression without eyes and leak [T, D] -> motion space [T, D]; see `decode_expression`."""
        mean = self._mean(photo_expression, photo_gap, lip_std, mean_gap)
        return ((expression - mean) * (TYPICAL_LIP_STD / lip_std) / self.expression_std).astype(np.float32)

    def _mean(self, photo_expression: np.ndarray, photo_gap: float, lip_std: float, mean_gap: float) -> np.ndarray:
        return photo_expression + self.model.extra["open"] * (mean_gap * lip_std - photo_gap)

    def fit_vertices(
        self, vertices: np.ndarray, identity: np.ndarray, residual: np.ndarray
    ) -> tuple[np.ndarray, float]:
        """Expression coefficients of vertices that a model generated, by least squares.

        Args:
            vertices: float32 [T, N, 3] in mm, without head motion.
            identity: float32 [D_id].
            residual: float32 [N, 3] in mm, what the face model does not express of the person's neutral face.

        Returns:
            float32 [T, D], and the mean distance in mm that is left.
        """
        neutral = self.model.vertices(identity, np.zeros(self.model.num_expression, np.float32)) + residual
        offsets = (vertices - neutral).reshape(len(vertices), -1)
        basis = self.model.exp_basis.reshape(self.model.num_expression, -1)
        expression = np.linalg.lstsq(basis.T, offsets.T, rcond=None)[0].T.astype(np.float32)
        left = (offsets - expression @ basis).reshape(vertices.shape)
        return expression, float(np.linalg.norm(left, axis=-1).mean())

    def displacements(self, learned: np.ndarray) -> np.ndarray:
        """Motion space [..., D] -> displacements [..., N, 3] of the vertices in mm, in which vertex models work.

        Those of a typical person's face; the mean of a person who talks is 0.
        """
        return np.tensordot(learned * self.expression_std, self.model.exp_basis, 1).astype(np.float32)

    def fit_displacements(self, displacements: np.ndarray) -> np.ndarray:
        """The way back, by least squares: displacements [..., N, 3] in mm -> motion space [..., D]."""
        flat = displacements.reshape(*displacements.shape[:-2], -1)
        return (flat @ self._displacement_fit).astype(np.float32)

    @cached_property
    def _displacement_fit(self) -> np.ndarray:
        """[3 N, D]."""
        basis = (self.expression_std[:, None, None] * self.model.exp_basis).reshape(self.model.num_expression, -1)
        return np.linalg.pinv(basis.astype(np.float64)).astype(np.float32)

    def encode_pose(
        self, motion: Motion, head_std: float, about: tuple[np.ndarray, np.ndarray] | None = None
    ) -> np.ndarray:
        """Tracked clip -> [T, 6]: pose relative to the clip's mean pose, or `about`, in the person's units."""
        return (relative_pose(motion, about) * (TYPICAL_HEAD_STD / head_std) / self.pose_std).astype(np.float32)

    def decode_pose(
        self, learned: np.ndarray, rotation: np.ndarray, translation: np.ndarray, head_std: float
    ) -> tuple[np.ndarray, np.ndarray]:
        """Motion space [T, 6] -> rotation [T, 3], translation [T, 3] about the pose of a photo."""
        relative = learned * self.pose_std * (head_std / TYPICAL_HEAD_STD)
        turned = Rotation.from_rotvec(relative[:, :3]) * Rotation.from_rotvec(rotation)
        return turned.as_rotvec().astype(np.float32), (translation + relative[:, 3:]).astype(np.float32)


def relative_pose(motion: Motion, about: tuple[np.ndarray, np.ndarray] | None = None) -> np.ndarray:
    """[T, 6]: axis-angle of the rotation against the clip's mean rotation (radians), translation against its mean.

    Args:
        motion: the clip.
        about: rotation [3] and translation [3] in the place of the clip's means.
    """
    rotation = Rotation.from_rotvec(motion.rotation)
    centre = rotation.mean() if about is None else Rotation.from_rotvec(about[0])
    translation = motion.translation - (motion.translation.mean(0) if about is None else about[1])
    return np.concatenate([(rotation * centre.inv()).as_rotvec(), translation], axis=1).astype(np.float32)


def shrunk_std(deviations: list[np.ndarray], typical: float) -> float:
    """Standard deviation over a person's clips (deviations from each mean), drawn to `typical` if frames are few."""
    total = sum(float(np.square(d).sum()) for d in deviations) + _PRIOR_FRAMES * typical**2
    return float(np.sqrt(total / (sum(len(d) for d in deviations) + _PRIOR_FRAMES)))


def person_scales(space: MotionSpace, motions: list[Motion]) -> tuple[float, float]:
    """A person's lip-gap standard deviation (mm) and head-rotation standard deviation (rad, mean over the axes)."""
    gaps = [space.lip_gap(m.identity, space.speech_expression(m)) for m in motions]  # type: ignore[arg-type]
    turns = [relative_pose(m)[:, :3] for m in motions]
    lip = shrunk_std([g - g.mean() for g in gaps], TYPICAL_LIP_STD)
    head = shrunk_std([np.sqrt(np.square(t).mean(1)) for t in turns], TYPICAL_HEAD_STD)
    return lip, head


def normalise_speech(features: np.ndarray, activity: np.ndarray) -> np.ndarray:
    """Take out voice and room: (x - mean) / (std + 0.3), statistics of the frames in which somebody speaks.

    Pauses do not count, so that a recording with a long silence gives the features of one without.

    Args:
        features: float32 [T, S].
        activity: voice activity [T] in [0, 1].

    Returns:
        float32 [T, S].
    """
    weight = (activity + 1e-3)[:, None] / (activity + 1e-3).sum()
    mean = (features * weight).sum(0)
    std = np.sqrt((np.square(features - mean) * weight).sum(0))
    return scaled_speech(features, mean, std)


def scaled_speech(features: np.ndarray, mean: np.ndarray, std: np.ndarray) -> np.ndarray:
    """(x - mean) / (std + 0.3): features [T, S] -> float32 [T, S]."""
    return ((features - mean) / (std + 0.3)).astype(np.float32)
