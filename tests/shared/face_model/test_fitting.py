"""Fitting of the face model to points of known coefficients."""

import numpy as np

from shared.face_model.camera import project, rigid_fit
from shared.face_model.fitting import fit
from shared.face_model.measures import lip_gap


def random_poses(random: np.random.Generator, count: int) -> tuple[np.ndarray, np.ndarray]:
    rotation = random.uniform(-0.8, 0.8, (count, 3)).astype(np.float32)
    translation = random.uniform([-0.5, -0.5, -1.5], [0.5, 0.5, 0.5], (count, 3)).astype(np.float32)
    return rotation, translation


def test_fit_recovers_what_made_the_points(model, random):
    frames = 40
    identity = random.normal(size=model.num_identity) * 0.7
    # An identity is only told from an expression that the whole clip shares by the latter being none.
    expression = random.normal(size=(frames, model.num_expression)) * 0.7
    expression -= expression.mean(0)
    rotation, translation = random_poses(random, frames)
    truth = model.vertices(identity, expression)
    result = fit(model, project(truth, rotation, translation))
    shape = model.vertices(result.identity, result.expression)
    np.testing.assert_allclose(shape + result.residual, canonical_like(truth, shape + result.residual), atol=0.05)
    lips = model.groups["lips"]
    assert np.linalg.norm(result.residual[:, lips], axis=-1).mean() < 0.15
    assert np.linalg.norm(result.residual, axis=-1).mean() < 0.3
    gaps, found = lip_gap(truth), lip_gap(shape)
    assert np.corrcoef(gaps, found)[0, 1] > 0.995
    for k in range(8):  # the components that matter
        assert np.corrcoef(expression[:, k], result.expression[:, k])[0, 1] > 0.97, k
    assert np.degrees(np.abs(result.rotation - rotation)).mean() < 1.0


def canonical_like(shape: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """`shape` [T, N, 3] in mm laid on `reference` by a similarity: the fit's frame may be slightly off."""
    flipped = reference / 100 * [1, -1, 1]
    rotation, translation, depth = rigid_fit(shape, flipped)
    points = project(shape, rotation, translation)
    points[..., 2] += depth[:, None]
    return points * [1, -1, 1] * 100


def test_fit_with_a_known_identity_keeps_it(model, random):
    identity = random.normal(size=model.num_identity).astype(np.float32)
    expression = random.normal(size=(3, model.num_expression)) * 0.5
    points = project(model.vertices(identity, expression), *random_poses(random, 3))
    result = fit(model, points, identity=identity)
    np.testing.assert_array_equal(result.identity, identity)
    assert np.linalg.norm(result.residual, axis=-1).mean() < 0.3
