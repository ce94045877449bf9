"""Between the motion space and 3DiFACE's coordinates."""

import numpy as np
import pytest

from shared.face_model import load_bundled
from stage1_motion.models.diface.coordinates import Coordinates
from stage1_motion.motion_space import MotionSpace
from stage1_motion.parts import vertex_weights

MODEL = load_bundled()
RANDOM = np.random.default_rng(0)
STD = RANDOM.uniform(0.5, 1, MODEL.num_expression).astype(np.float32)
SPACE = MotionSpace(MODEL, STD, np.full(6, 0.02, np.float32))
VERTICES = MODEL.num_vertices
EXPRESSION = RANDOM.normal(size=(4, MODEL.num_expression)).astype(np.float32)
POSE = RANDOM.normal(size=(4, 6)).astype(np.float32)


def test_coordinates_are_displacements_of_the_face_model_in_units_of_the_scale():
    found = Coordinates(SPACE, scale=20.0).encode(EXPRESSION, POSE)
    assert found.shape == (4, 3 * VERTICES + 6) and found.dtype == np.float32
    neutral = np.zeros(MODEL.num_identity, np.float32)
    expected = MODEL.vertices(neutral, EXPRESSION * STD) - MODEL.vertices(neutral, 0 * EXPRESSION)
    assert np.allclose(found[:, :-6].reshape(4, VERTICES, 3) * 20, expected, atol=1e-3)
    assert np.array_equal(found[:, -6:], POSE)


def test_there_and_back():
    coordinates = Coordinates(SPACE, scale=7.0)
    assert coordinates.count == 3 * VERTICES + 6
    expression, pose = coordinates.decode(coordinates.encode(EXPRESSION, POSE))
    assert np.allclose(expression, EXPRESSION, atol=1e-3) and np.array_equal(pose, POSE)


def test_what_the_face_model_cannot_express_is_fitted_by_least_squares():
    coordinates = Coordinates(SPACE, scale=20.0)
    noisy = coordinates.encode(EXPRESSION, POSE) + RANDOM.normal(0, 0.1, (4, coordinates.count)).astype(np.float32)
    basis = (STD[:, None, None] * MODEL.exp_basis).reshape(MODEL.num_expression, -1)
    expected = np.linalg.lstsq(basis.T.astype(float), 20 * noisy[:, :-6].T.astype(float), rcond=None)[0].T
    assert np.allclose(coordinates.decode(noisy)[0], expected, atol=1e-3)


def test_without_the_head():
    coordinates = Coordinates(SPACE, scale=20.0, head=False)
    encoded = coordinates.encode(EXPRESSION, POSE)
    assert encoded.shape[1] == coordinates.count == 3 * VERTICES
    expression, pose = coordinates.decode(encoded)
    assert pose is None and np.allclose(expression, EXPRESSION, atol=1e-3)
    assert coordinates.weights(np.ones((2, 4), bool)).shape == (2, 3 * VERTICES)


@pytest.mark.parametrize("part", range(4))
def test_weights_of_a_part(part):
    mask = np.zeros((3, 4), bool)
    mask[1, part] = True
    found = Coordinates(SPACE, scale=20.0).weights(mask)
    assert not found[[0, 2]].any()
    face, head = found[1, :-6].reshape(VERTICES, 3), found[1, -6:]
    expected = vertex_weights(MODEL)[part] if part < 3 else np.zeros(VERTICES)
    assert np.allclose(face, expected[:, None]) and (head == (part == 3)).all()


def test_all_parts_together_are_everything():
    found = Coordinates(SPACE, scale=20.0).weights(np.array([[True, True, True, True], [True, False, True, False]]))
    assert np.allclose(found[0], 1, atol=1e-6)
    assert np.allclose(found[1, :-6].reshape(VERTICES, 3), vertex_weights(MODEL)[[0, 2]].sum(0)[:, None], atol=1e-6)
