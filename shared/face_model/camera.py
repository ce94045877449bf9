"""Weak-perspective camera in the face crop: crop coordinates span [-1, 1], x right, y down."""

from __future__ import annotations

import numpy as np
from scipy.spatial.transform import Rotation


def rotation_matrices(rotation: np.ndarray) -> np.ndarray:
    """Convert axis-angle [..., 3] in radians to rotation matrices [..., 3, 3]."""
    rotation = np.asarray(rotation)
    flat = Rotation.from_rotvec(rotation.reshape(-1, 3)).as_matrix()
    return flat.reshape(*rotation.shape[:-1], 3, 3).astype(np.float32)


def rotation_terms(rotation: np.ndarray, centre: np.ndarray | None = None) -> np.ndarray:
    """Angles, their squares and products, less their means over the clip, or `centre` [9]: axis-angle [T, 3] -> [T, 9].

    The means themselves are the terms about 0.
    """
    x, y, z = np.moveaxis(rotation, -1, 0)
    terms = np.stack([x, y, z, x * x, y * y, z * z, x * y, x * z, y * z], axis=-1)
    return terms - (terms.mean(0) if centre is None else centre)


def project(vertices: np.ndarray, rotation: np.ndarray, translation: np.ndarray) -> np.ndarray:
    """Project model vertices into the crop.

    Args:
        vertices: [..., N, 3] in mm (x to the person's left, y up, z to the camera).
        rotation: [..., 3], axis-angle in radians.
        translation: [..., 3] = (tx, ty, log s), s in crop units per 100 mm.

    Returns:
        float32 [..., N, 3]: u = tx + s x', v = ty - s y', depth = s z' (towards the camera positive), with x' = R x /
            100.
    """
    translation = np.asarray(translation, np.float32)
    turned = vertices @ np.swapaxes(rotation_matrices(rotation), -1, -2) / 100.0
    scale = np.exp(translation[..., 2])[..., None]
    u = translation[..., 0, None] + scale * turned[..., 0]
    v = translation[..., 1, None] - scale * turned[..., 1]
    return np.stack([u, v, scale * turned[..., 2]], axis=-1).astype(np.float32)


def rigid_fit(
    vertices: np.ndarray, points: np.ndarray, weights: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Estimate the pose that aligns model vertices with points: the inverse of `project`.

    Weighted similarity Procrustes (Umeyama 1991).

    Args:
        vertices: [..., N, 3] in mm.
        points: [..., N, 3] in crop units, depth towards the camera positive.
        weights: [N]; equal by default.

    Returns:
        rotation [..., 3], translation [..., 3] and depth [...]: the offset along the line of sight, which weak
            perspective
        cannot observe and `project` leaves out.
    """
    weights = np.ones(vertices.shape[-2]) if weights is None else np.asarray(weights)
    w = (weights / weights.sum())[:, None]
    source = np.asarray(vertices, np.float64) / 100.0
    target = np.asarray(points, np.float64) * np.array([1.0, -1.0, 1.0])
    source_mean, target_mean = (source * w).sum(-2), (target * w).sum(-2)
    a, b = source - source_mean[..., None, :], target - target_mean[..., None, :]
    covariance = np.swapaxes(b * w, -1, -2) @ a
    u, singular, vt = np.linalg.svd(covariance)
    sign = np.ones_like(singular)
    sign[..., 2] = np.sign(np.linalg.det(u) * np.linalg.det(vt))
    matrix = (u * sign[..., None, :]) @ vt
    scale = (singular * sign).sum(-1) / (a**2 * w).sum((-1, -2))
    offset = target_mean - scale[..., None] * (matrix @ source_mean[..., None])[..., 0]
    rotation = Rotation.from_matrix(matrix.reshape(-1, 3, 3)).as_rotvec().reshape(*matrix.shape[:-2], 3)
    translation = np.stack([offset[..., 0], -offset[..., 1], np.log(scale)], axis=-1)
    return rotation.astype(np.float32), translation.astype(np.float32), offset[..., 2].astype(np.float32)


def canonical(
    points: np.ndarray, rotation: np.ndarray, translation: np.ndarray, depth: np.ndarray | float = 0.0
) -> np.ndarray:
    """Invert `project`.

    Args:
        points: [..., N, 3] in crop units.
        rotation: [..., 3], axis-angle in radians.
        translation: [..., 3], as in `project`.
        depth: [...], from `rigid_fit`.

    Returns:
        float32 [..., N, 3] in mm.
    """
    translation = np.asarray(translation, np.float32)
    depth = np.broadcast_to(np.asarray(depth, np.float32), translation.shape[:-1])
    offset = np.stack([translation[..., 0], translation[..., 1], depth], axis=-1)
    centred = (points - offset[..., None, :]) * np.array([1.0, -1.0, 1.0], np.float32)
    scale = np.exp(translation[..., 2])[..., None, None]
    return (centred @ rotation_matrices(rotation) / scale * 100.0).astype(np.float32)
