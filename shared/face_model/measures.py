"""Lengths on a face mesh: lip gap, lid gap, gaze, in the units of the vertices."""

from __future__ import annotations

import numpy as np

from shared.face_model.mediapipe_mesh import INNER_LIP_CENTRES, LEFT_EYE, LEFT_IRIS, RIGHT_EYE, RIGHT_IRIS

# Upper and lower points of the lids: three of the right eye, three of the left.
LIDS = ((159, 145), (158, 153), (160, 144), (386, 374), (385, 380), (387, 373))


def lip_gap(vertices: np.ndarray) -> np.ndarray:
    """Signed height between the centres of the inner lips (y up), 0 when closed: [..., N, 3] -> [...]."""
    upper, lower = INNER_LIP_CENTRES
    return vertices[..., upper, 1] - vertices[..., lower, 1]


def lip_aperture(vertices: np.ndarray) -> np.ndarray:
    """Distance of the inner lips' centres over that of the outer eye corners, without unit: [..., N, 3] -> [...].

    The measure of lip sync in this project; applies to tracked points in pixels as well as to model vertices.
    """
    upper, lower = INNER_LIP_CENTRES
    eyes = np.linalg.norm(vertices[..., 33, :] - vertices[..., 263, :], axis=-1)
    return np.linalg.norm(vertices[..., upper, :] - vertices[..., lower, :], axis=-1) / eyes


def lid_gap(vertices: np.ndarray) -> np.ndarray:
    """Mean height between upper and lower lids of both eyes (y up): [..., N, 3] -> [...]."""
    return np.mean([vertices[..., a, 1] - vertices[..., b, 1] for a, b in LIDS], axis=0)


def gaze(vertices: np.ndarray) -> np.ndarray:
    """Mean offset x, y of the iris centres from the middle of the eye corners: [..., N, 3] -> [..., 2]."""
    offsets = []
    for iris, ring in ((RIGHT_IRIS, RIGHT_EYE), (LEFT_IRIS, LEFT_EYE)):
        corners = (vertices[..., ring[0], :2] + vertices[..., ring[len(ring) // 2], :2]) / 2
        offsets.append(vertices[..., iris[0], :2] - corners)
    return np.mean(offsets, axis=0)
