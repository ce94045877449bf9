"""What is left of vertices by a fit, and how far pieces of a motion are apart."""

import numpy as np
import pytest
import torch
from evaluate_vertices import NotedActions, NotedCoordinates, costs, pieces

from shared.face_model import load_bundled
from stage1_motion.models.diface.coordinates import Coordinates
from stage1_motion.models.facepolicy.actions import ActionSpace, Units
from stage1_motion.motion_space import MotionSpace


@pytest.fixture(scope="module")
def space():
    model = load_bundled()
    return MotionSpace(model, np.full(model.num_expression, 0.5, np.float32), np.full(6, 0.02, np.float32))


def test_faces_cost_nothing_and_what_is_no_face_is_left(space):
    random = np.random.default_rng(0)
    coordinates, lips = Coordinates(space, 20.0), space.model.groups["lips"]
    face = space.displacements(random.normal(size=(4, space.model.num_expression)).astype(np.float32))
    sizes = np.linalg.norm(face, axis=-1)
    found = costs(coordinates, face)
    assert found[:2] == pytest.approx([sizes[:, lips].mean(), sizes.mean()], rel=1e-5) and max(found[2:]) < 1e-3
    noise = random.normal(size=face.shape)
    basis = (0.5 * space.model.exp_basis).reshape(space.model.num_expression, -1).astype(float)
    none = noise.reshape(4, -1) - noise.reshape(4, -1) @ np.linalg.pinv(basis) @ basis  # no face at all
    none = none.reshape(face.shape)
    left = np.linalg.norm(none, axis=-1)
    assert costs(coordinates, face + none)[2:] == pytest.approx(
        [left[:, lips].mean(), left.mean(), left.max()], rel=1e-3
    )


def test_what_is_fitted_is_noted_in_millimetres(space):
    noted, own = NotedCoordinates(space, 20.0), Coordinates(space, 20.0)
    values = np.random.default_rng(1).normal(size=(3, own.count)).astype(np.float32)
    for one, other in zip(noted.decode(values), own.decode(values)):
        assert np.array_equal(one, other)
    assert np.allclose(noted.noted[2, 5], 20 * values[2, 15:18])


def test_pieces_are_compared_with_the_first(space):
    row = space.gap_row()
    still = np.zeros((750, space.model.num_expression), np.float32)
    moved = still.copy()
    moved[500:] = 2 * space.opening()
    moved[500:625] += 3 * space.opening()
    found = pieces(space, moved)
    assert len(found) == 3 and found[0] == found[1] == [0, 0, 0]
    apart = np.linalg.norm(space.displacements(3.5 * space.opening()), axis=-1).mean()
    assert found[2] == pytest.approx([apart, 3.5, 1.5], rel=1e-3)
    assert row @ space.opening() == pytest.approx(1, rel=1e-3)


def test_vertices_off_a_face_are_noted_in_millimetres(space):
    noted, own = NotedActions(space, Units(5.0, 0.25)), ActionSpace(space, Units(5.0, 0.25))
    face = torch.from_numpy(np.random.default_rng(2).normal(size=(1, 2, space.model.num_expression + 6))).float()
    positions = own.positions(face)
    blurred = own.likely(0.5)  # what is fed back does not matter, only how near a face can be
    assert torch.equal(noted.motion(positions, blurred), own.motion(positions, blurred))
    assert max(noted.off) < 1e-3 and len(noted.off) == 2
    off = torch.randn(len(blurred), generator=torch.Generator().manual_seed(0)).double()
    unit = own.to_vertices.double()
    off -= off @ torch.linalg.pinv(unit) @ unit
    positions[0, 1, : len(off)] += off.float() / 5
    noted.motion(positions, blurred)
    assert noted.off[2] < 1e-3 and noted.off[3] == pytest.approx(float(off.view(-1, 3).norm(dim=1).mean()), rel=1e-3)
