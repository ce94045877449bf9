"""A smile with the mouth shut, as a direction of the face model."""

from __future__ import annotations

import numpy as np

from shared.face_model.morphable import MorphableModel

# Points of the mesh: corners of the mouth with the person's side, pairs of the inner lips, and what stays: the middle
# of the upper lip, the chin, the tip of the nose.
_CORNERS = ((61, -1), (78, -1), (291, 1), (308, 1))
_INNER_LIPS = ((191, 95), (80, 88), (81, 178), (82, 87), (13, 14), (312, 317), (311, 402), (310, 318), (415, 324))
_STAYS = ((0, 1.0), (13, 1.0), (152, 0.5), (1, 0.5), (4, 0.5))
_WAY = np.array([0.75, 0.75, -0.4])
"""Outwards, up and back, about where the zygomaticus major draws the corners (AU 12 of the facial action coding
system)."""

_SMALL = 0.1
"""Weight of small coefficients, mm per standard deviation: what the model can do easily."""


def smile(model: MorphableModel) -> np.ndarray:
    """Float32 [D]: moves the corners of the mouth by 1 mm, the lips along each other, and little else.

    Least squares over the model's expressions: the corners go their way, the inner lips keep their distance, and the
    upper face stays.
    """
    basis = model.exp_basis.astype(float)  # [D, N, 3]
    rows: list[np.ndarray] = []
    wanted: list[np.ndarray] = []

    def ask(weight: float, columns: np.ndarray, values: np.ndarray | float = 0.0) -> None:
        rows.append(weight * columns)
        wanted.append(weight * np.broadcast_to(values, columns.shape[1:]))

    for corner, side in _CORNERS:
        ask(1.0, basis[:, corner], _WAY * (side, 1, 1))
    for upper, lower in _INNER_LIPS:
        ask(10.0, basis[:, upper, 1:2] - basis[:, lower, 1:2])
    for point, weight in _STAYS:
        ask(weight, basis[:, point])
    ask(0.3, basis[:, model.groups["upper_face"]].reshape(len(basis), -1))
    matrix, values = np.concatenate(rows, axis=1).T, np.concatenate(wanted)
    direction = np.linalg.solve(matrix.T @ matrix + _SMALL * np.eye(len(basis)), matrix.T @ values)
    moved = np.tensordot(direction, basis[:, [61, 291]], 1)
    return (direction / np.linalg.norm(moved, axis=1).mean()).astype(np.float32)
