"""Angles of the eyes of a Motion."""

from __future__ import annotations

import numpy as np

from shared.arkit import neutral_expression
from shared.face_model import load_bundled
from shared.face_model.mediapipe_mesh import LEFT_EYE, LEFT_IRIS, RIGHT_EYE, RIGHT_IRIS
from shared.motion import Motion

# Of an adult's eyeball; the face model is in millimetres.
EYEBALL_MM = 12.0
EYES = {"left": (LEFT_EYE, LEFT_IRIS), "right": (RIGHT_EYE, RIGHT_IRIS)}


def eye_angles(motion: Motion) -> np.ndarray:
    """Compute how the eyes turn from where they look at rest, from the movement of the iris between the corners.

    Returns:
        [T, 2, 2] in radians: left eye, right eye; yaw (to the person's left), pitch (up).
    """
    model = load_bundled()
    change = np.tensordot(motion.expression - neutral_expression(motion), model.exp_basis[..., :2], 1)  # [T, N, 2]
    angles = []
    for ring, iris in EYES.values():
        corners = change[:, [ring[0], ring[len(ring) // 2]]].mean(1)
        moved = (change[:, iris[0]] - corners) / EYEBALL_MM
        angles.append(np.arcsin(np.clip(moved, -0.8, 0.8)))
    return np.stack(angles, axis=1)
