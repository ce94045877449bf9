"""Fit a MorphableModel to tracked points: pose, identity, expression."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from shared.face_model.camera import canonical, rigid_fit
from shared.face_model.morphable import MorphableModel

# Deviation of a tracked vertex from the model, by noise and by truncated components, in mm: the weight of the data
# against the standard-normal priors on the coefficients.
_NOISE_MM = 0.6
LIP_WEIGHT = 3.0

Solver = Callable[[np.ndarray], np.ndarray]


@dataclass
class Fit:
    """A face model fitted to T frames.

    Attributes:
        rotation: [T, 3] (see `camera`).
        translation: [T, 3].
        identity: [D_id].
        expression: [T, D_exp].
        residual: [T, N, 3] in mm, the part of the points that the model does not express, without pose.
    """

    rotation: np.ndarray
    translation: np.ndarray
    identity: np.ndarray
    expression: np.ndarray
    residual: np.ndarray


def vertex_weights(model: MorphableModel) -> np.ndarray:
    """Weights [N] of the fit; lips count three times: a millimetre there separates a closed from an open mouth."""
    weights = np.ones(model.num_vertices, np.float32)
    weights[model.groups["lips"]] = LIP_WEIGHT
    return weights


def fit(model: MorphableModel, points: np.ndarray, *, identity: np.ndarray | None = None, iterations: int = 3) -> Fit:
    """Estimate pose, identity (one for all frames) and expression (per frame) of tracked points, maximum a posteriori.

    Alternates the rigid alignment on the `rigid` group, with the current shape, and linear least squares for the
    coefficients under their Gaussian priors.

    Args:
        model: the face model.
        points: [T, N, 3] in crop coordinates (x right, y down, depth towards the camera positive).
        identity: [D_id], if it is known.
        iterations: number of alternations.
    """
    points = np.asarray(points, np.float32)
    frames = len(points)
    rigid = model.groups["rigid"]
    shape = np.broadcast_to(model.mean, points.shape)
    fixed = identity is not None
    identity = np.zeros(model.num_identity, np.float32) if identity is None else np.asarray(identity, np.float32)
    solve_expression, solve_identity = _solvers(model, frames)
    for _ in range(iterations):
        rotation, translation, depth = rigid_fit(shape[:, rigid], points[:, rigid])
        vertices = canonical(points, rotation, translation, depth)
        if not fixed:
            identity = solve_identity(vertices.mean(0) - model.mean)
        person = model.vertices(identity, np.zeros(model.num_expression))
        expression = solve_expression(vertices - person)
        shape = person + np.tensordot(expression, model.exp_basis, 1)
    return Fit(rotation, translation, identity, expression, vertices - shape)


def _solvers(model: MorphableModel, frames: int) -> tuple[Solver, Solver]:
    """Closed-form least squares: expression from offsets [T, N, 3], identity from the mean offset [N, 3]."""
    weights = np.repeat(vertex_weights(model), 3) / _NOISE_MM
    exp = model.exp_basis.reshape(model.num_expression, -1).T * weights[:, None]
    ident = model.id_basis.reshape(model.num_identity, -1).T * weights[:, None]
    # 1434 correlated coordinates equal far fewer independent ones; without this factor the prior would have no effect.
    prior = len(weights) / 100.0
    exp_inverse = np.linalg.solve(exp.T @ exp + prior * np.eye(exp.shape[1]), exp.T * weights).astype(np.float32)
    # Identity and mean expression compete for the mean offset. Frames are not independent, so more of them tighten
    # the mean expression's prior slowly.
    joint = np.concatenate([ident, exp], axis=1)
    priors = prior * np.concatenate([np.ones(ident.shape[1]), np.full(exp.shape[1], 1 + np.log(frames))])
    joint_inverse = np.linalg.solve(joint.T @ joint + np.diag(priors), joint.T * weights)
    identity_inverse = joint_inverse[: ident.shape[1]].astype(np.float32)

    def solve_expression(offsets: np.ndarray) -> np.ndarray:
        return offsets.reshape(len(offsets), -1) @ exp_inverse.T

    def solve_identity(offset: np.ndarray) -> np.ndarray:
        return identity_inverse @ offset.ravel()

    return solve_expression, solve_identity
