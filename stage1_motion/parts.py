"""Parts of the face and the head, which can be edited apart."""

from __future__ import annotations

import numpy as np

from shared.face_model.mediapipe_mesh import LEFT_EYE, LEFT_IRIS, RIGHT_EYE, RIGHT_IRIS
from shared.face_model.morphable import MorphableModel
from stage1_motion.motion_space import MotionSpace

PARTS = ("lips", "upper", "eyes", "head")
"""Mouth, jaw and cheeks beside them; brows, nose and the rest of the face; lids and gaze; rotation and translation."""
FACE = PARTS[:3]

# Millimetres over which one part of the face passes into the next.
_BLEND = 6.0


def vertex_weights(model: MorphableModel) -> np.ndarray:
    """float32 [3, N], for the parts of the face: how far a vertex belongs to each; a vertex's weights sum to 1."""
    groups = model.groups
    eyes = np.union1d(groups["eyes"], [*LEFT_EYE, *LEFT_IRIS, *RIGHT_EYE, *RIGHT_IRIS])
    lips = np.union1d(np.union1d(groups["lips"], groups["mouth"]), groups["jaw"])
    upper = np.setdiff1d(np.union1d(np.union1d(groups["brows"], groups["upper_face"]), groups["nose"]), eyes)
    distances = [
        np.linalg.norm(model.mean[:, None] - model.mean[None, np.setdiff1d(part, other)], axis=-1).min(1)
        for part, other in ((lips, upper), (upper, lips), (eyes, lips))
    ]
    nearness = np.exp(-(np.array(distances) - np.min(distances, axis=0)) / _BLEND)
    return (nearness / nearness.sum(0)).astype(np.float32)


def projectors(space: MotionSpace) -> np.ndarray:
    """float32 [3, D, D], for the parts of the face: motion-space coefficients of that part's displacements alone.

    ``learned @ projectors[k]`` displaces the vertices of part k as `learned` does and the others as little as the face
    model can; the three sum to the identity.
    """
    unit = space.displacements(np.eye(space.model.num_expression, dtype=np.float32))  # [D, N, 3]
    return np.stack([space.fit_displacements(unit * w[:, None]) for w in vertex_weights(space.model)])
