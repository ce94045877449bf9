"""Between the motion space and 3DiFACE's coordinates."""

import numpy as np
import pytest

from shared.face_model import load_bundled
from stage1_motion.models.diface.coordinates import Coordinates, FaceCoordinates
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
    assert {part.share.shape for part in coordinates.parts(np.ones((2, 4), bool))} == {(3 * VERTICES,)}


def test_parts_that_can_be_given_apart():
    """A vertex's three coordinates have its share of the part; the six of the head are a part of their own."""
    mask = np.array([[True, False, False, False], [False, True, False, True], [True, True, True, True]])
    parts = Coordinates(SPACE, scale=20.0).parts(mask)
    assert [part.mask.tolist() for part in parts] == mask.T.tolist()
    for part, share in zip(parts[:3], vertex_weights(MODEL)):
        assert np.allclose(part.share[:-6].reshape(VERTICES, 3), share[:, None]) and not part.share[-6:].any()
    assert not parts[3].share[:-6].any() and (parts[3].share[-6:] == 1).all()
    assert np.allclose(sum(part.share for part in parts), 1, atol=1e-6)


@pytest.mark.parametrize("head", [True, False])
def test_coordinates_along_the_directions_in_which_faces_move(head):
    """The same motion and lip gap; distances, and so losses and noise, are those of the vertices."""
    face, whole = (kind(SPACE, 20.0, head) for kind in (FaceCoordinates, Coordinates))
    short, long = face.encode(EXPRESSION, POSE), whole.encode(EXPRESSION, POSE)
    assert short.shape == (4, MODEL.num_expression + 6 * head) == (4, face.count) and short.dtype == np.float32
    basis = face.basis()
    assert basis.shape == (whole.count, face.count) and np.allclose(basis.T @ basis, np.eye(face.count), atol=1e-5)
    assert np.allclose(short @ basis.T, long, atol=1e-4) and np.allclose(long @ basis, short, atol=1e-4)
    apart = [np.linalg.norm(values - values[::-1], axis=1) for values in (short, long)]
    assert np.allclose(*apart, rtol=1e-3)
    assert np.allclose(short @ face.gap(), long @ whole.gap(), atol=1e-2)
    expression, pose = face.decode(short)
    assert np.allclose(expression, EXPRESSION, atol=1e-3)
    assert pose is None if not head else np.array_equal(pose, POSE)
