"""Retargeting: apply the motion of one face to the face in a photo."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy.spatial.transform import Rotation

from shared.face_model.measures import lip_gap
from shared.motion import Motion
from shared.photo_fit import PhotoFit

# Identity coefficients (in standard deviations) of one face agree to this.
_SAME_IDENTITY = 1e-3
# The resting face is the mean over one in so many frames, those whose lips are closest.
_RESTING_SHARE = 10


def is_of(motion: Motion, photo: PhotoFit) -> bool:
    """Return whether the motion was generated for the face in the photo: their identity coefficients agree."""
    if motion.identity is None or motion.identity.shape != photo.identity.shape:
        return False
    return np.allclose(motion.identity, photo.identity, atol=_SAME_IDENTITY)


def onto_photo(motion: Motion, photo: PhotoFit) -> Motion:
    """Apply the changes of another person's motion to the face and pose of the photo.

    Pose changes are relative to the first frame. Expression changes are relative to the resting face, the mean over the
    tenth of the frames whose lips are closest: a clip may begin in the middle of a word.

    Args:
        motion: T frames.
        photo: the fit whose expression and pose are the start.

    Returns:
        T frames with the photo's identity.
    """
    gaps = lip_gap(photo.model.vertices(photo.identity * 0, motion.expression))
    resting = motion.expression[np.argsort(gaps)[: max(1, len(motion) // _RESTING_SHARE)]].mean(0)
    rotation, translation = pose_onto_photo(motion, photo)
    return replace(
        motion,
        expression=photo.expression + motion.expression - resting,
        rotation=rotation,
        translation=translation,
        identity=photo.identity,
    )


def pose_onto_photo(motion: Motion, photo: PhotoFit) -> tuple[np.ndarray, np.ndarray]:
    """Move the head of the photo as the motion moves its own from its first frame.

    Returns:
        Rotation (axis-angle, radians) and translation, float32 [T, 3], as in `Motion`.
    """
    turns = Rotation.from_rotvec(motion.rotation)
    rotation = turns * turns[0].inv() * Rotation.from_rotvec(photo.rotation)
    translation = photo.translation + motion.translation - motion.translation[0]
    return rotation.as_rotvec().astype(np.float32), translation.astype(np.float32)
