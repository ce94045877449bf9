"""The camera: projection, its inverse, and the rigid fit."""

import numpy as np
import pytest

from shared.face_model.camera import canonical, project, rigid_fit, rotation_matrices


def random_poses(random: np.random.Generator, count: int) -> tuple[np.ndarray, np.ndarray]:
    rotation = random.uniform(-0.8, 0.8, (count, 3)).astype(np.float32)
    translation = random.uniform([-0.5, -0.5, -1.5], [0.5, 0.5, 0.5], (count, 3)).astype(np.float32)
    return rotation, translation


def test_projection_is_the_one_that_is_written_down(model):
    points = project(model.mean, np.zeros(3), np.array([0.1, -0.2, np.log(0.7)]))
    x, y, z = model.mean.T / 100
    np.testing.assert_allclose(points, np.stack([0.1 + 0.7 * x, -0.2 - 0.7 * y, 0.7 * z], -1), atol=1e-6)
    turned = project(model.mean, np.array([0, np.pi / 2, 0]), np.zeros(3))  # to the person's left: the nose goes right
    np.testing.assert_allclose(turned[:, 0], z, atol=1e-6)


def test_rotation_matrices(random):
    rotation, _ = random_poses(random, 20)
    matrices = rotation_matrices(rotation)
    np.testing.assert_allclose(matrices @ np.swapaxes(matrices, -1, -2), np.tile(np.eye(3), (20, 1, 1)), atol=1e-6)
    np.testing.assert_allclose(np.linalg.det(matrices), 1, atol=1e-5)


def test_canonical_undoes_project(model, random):
    rotation, translation = random_poses(random, 50)
    points = project(model.mean, rotation, translation)
    back = canonical(points, rotation, translation)
    np.testing.assert_allclose(back, np.broadcast_to(model.mean, back.shape), atol=1e-3)
    shifted = points + np.array([0, 0, 0.3], np.float32)
    back = canonical(shifted, rotation, translation, np.full(50, 0.3))
    np.testing.assert_allclose(back, np.broadcast_to(model.mean, back.shape), atol=1e-3)


def test_rigid_fit_finds_the_pose(model, random):
    rotation, translation = random_poses(random, 50)
    points = project(model.mean, rotation, translation)
    points[..., 2] += 0.25
    found_rotation, found_translation, depth = rigid_fit(np.broadcast_to(model.mean, points.shape), points)
    np.testing.assert_allclose(found_rotation, rotation, atol=1e-5)
    np.testing.assert_allclose(found_translation, translation, atol=1e-5)
    np.testing.assert_allclose(depth, 0.25, atol=1e-5)


def test_rigid_fit_obeys_weights_and_never_mirrors(model, random):
    rotation, translation = random_poses(random, 1)
    points = project(model.mean, rotation, translation)[0]
    weights = np.ones(model.num_vertices)
    weights[:100] = 0
    spoilt = points.copy()
    spoilt[:100] += 1.0
    found, _, _ = rigid_fit(model.mean, spoilt, weights)
    np.testing.assert_allclose(found, rotation[0], atol=1e-5)
    mirrored, _, _ = rigid_fit(model.mean, points * [-1, 1, 1])
    assert np.linalg.det(rotation_matrices(mirrored)) == pytest.approx(1, abs=1e-5)
