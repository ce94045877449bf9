"""Positions of phi_2 follow the camera of the face model."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from shared.face_model import load_bundled
from shared.face_model.camera import project, rotation_matrices
from stage2_render.diffusion import head_positions
from stage2_render.diffusion.head_positions import HeadPositions, cell_centres
from stage2_render.diffusion.unet import UNetConfig

POSE = np.array([[0.1, -0.2, 0.15, 0.05, 0.1, -0.4]], np.float32)
REFERENCE_POSE = np.array([[-0.05, 0.25, -0.1, -0.1, 0.2, -0.5]], np.float32)


def _positions(**settings) -> HeadPositions:
    return HeadPositions(8, 4, UNetConfig(4, 8, 16, **settings), level=0)


def _bias(positions: HeadPositions, tokens: torch.Tensor, queries: torch.Tensor, keys: torch.Tensor) -> torch.Tensor:
    pose, reference_pose = torch.tensor(POSE), torch.tensor(REFERENCE_POSE)
    of_queries, of_keys = positions(tokens, queries, keys, pose, reference_pose)
    return of_queries @ of_keys.T


@pytest.mark.parametrize("vertex", [1, 61, 152, 234, 10])
def test_a_point_of_a_plane_is_looked_for_where_the_reference_shows_it(vertex: int) -> None:
    point = load_bundled().mean[vertex]
    positions = _positions()
    with torch.no_grad():
        # A plane through the point: z = depth + slope . (x, y), in units of 100 mm.
        positions.slope.copy_(torch.tensor([[0.0, 0.0], [0.3, -0.2], [-0.4, 0.1], [0.0, 0.0]]))
        positions.depth.copy_((torch.tensor(point[2]) - positions.slope @ torch.tensor(point[:2])) / 100)
    seen, shown = (
        torch.tensor(project(point[None], pose[0, :3], pose[0, 3:]))[:, :2] for pose in (POSE, REFERENCE_POSE)
    )
    keys = torch.linspace(-1, 1, 401)
    for axis in range(2):
        line = shown.repeat(len(keys), 1)
        line[:, axis] = keys
        bias = _bias(positions, torch.zeros(1, 1, 8), seen, line)[0, :, 0]
        best = keys[bias.argmax(-1)]
        assert best[:3].numpy() == pytest.approx(float(shown[0, axis]), abs=3e-3)
        # The last head holds the image plane: what does not move.
        assert float(best[3]) == pytest.approx(float(seen[0, axis]), abs=3e-3)


def test_scores_are_gaussians_of_the_distance() -> None:
    positions = _positions(positions="gaussian", copies=0)
    queries, keys = cell_centres((8, 8), (0.0, 0.1, 0.75), torch.device("cpu")), torch.rand(30, 2)
    bias = _bias(positions, torch.zeros(1, 64, 8), queries, keys)[0]
    width = positions.log_width.exp().tolist()
    for head in range(4):
        for query in (0, 13, 63):
            for key in range(30):
                distance = sum(float(queries[query, axis] - keys[key, axis]) ** 2 for axis in range(2))
                expected = -distance / (2 * width[head] ** 2)
                assert float(bias[head, query, key]) == pytest.approx(expected, rel=1e-4, abs=1e-3)


def test_features_move_the_place() -> None:
    positions = _positions()
    with torch.no_grad():
        positions.offset.bias.copy_(torch.tensor([1.0, 0.0] * 4))
        centres = positions(torch.zeros(1, 1, 8), torch.zeros(1, 2), torch.zeros(1, 2), *[torch.tensor(POSE)] * 2)[0]
    precision = torch.exp(-2 * positions.log_width)
    moved = centres[0, :, 0, :2] / precision[:, None]
    # One cell to the right (less what tanh takes), at equal pose.
    assert moved[:, 0].tolist() == pytest.approx([0.25 * 6 * np.tanh(1 / 6)] * 4, rel=1e-4)
    assert moved[:, 1].tolist() == pytest.approx([0] * 4, abs=1e-5)


def test_places_on_the_head_are_those_of_the_camera() -> None:
    points = np.random.default_rng(0).normal(0, 50, (20, 3)).astype(np.float32) * [1, 1, 0]
    for pose in (POSE, REFERENCE_POSE):
        seen = torch.tensor(project(points, pose[0, :3], pose[0, 3:]))[:, :2]
        found = head_positions.places_on_head(seen, torch.tensor(pose))[0]
        assert found.numpy() == pytest.approx(points[:, :2] / 100, abs=1e-4)


def test_rotation_matrices_are_those_of_the_camera() -> None:
    rotation = np.random.default_rng(0).normal(0, 0.5, (5, 3)).astype(np.float32)
    found = head_positions.rotation_matrices(torch.tensor(rotation)).numpy()
    assert found == pytest.approx(rotation_matrices(rotation), abs=1e-5)


def test_cells_of_a_view_are_in_reading_order() -> None:
    assert cell_centres((1, 2), (0.5, -0.25, 0.5), torch.device("cpu")).tolist() == [[0.25, -0.25], [0.75, -0.25]]


def test_a_head_seen_from_the_side_gives_finite_scores() -> None:
    side = torch.tensor([[0.0, np.pi / 2, 0.0, 0.0, 0.0, 0.0]])
    queries, keys = torch.rand(6, 2), torch.rand(5, 2)
    of_queries, of_keys = _positions()(torch.zeros(1, 6, 8), queries, keys, side, torch.tensor(POSE))
    assert bool(torch.isfinite(of_queries @ of_keys.T).all())
