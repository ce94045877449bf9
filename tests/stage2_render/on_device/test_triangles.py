"""Triangles of a batch of meshes on a grid, against `piecewise_affine` of one mesh after the other."""

import numpy as np
import torch

from stage2_render.on_device.triangles import affine_coefficients, foremost, reaches
from stage2_render.warp import piecewise_affine


def test_the_foremost_triangle_of_each_node():
    generator = np.random.default_rng(0)
    corners = generator.uniform(-6, 30, (3, 12, 3, 2))
    corners[0, 0] = [[3, 4], [9, 4], [3, 11]]  # level and upright edges through nodes
    size, groups = (25, 21), np.arange(12).reshape(6, 2)
    orders = np.stack([generator.permutation(12)[:9] for _ in corners])  # three are not drawn
    rank = np.full((3, 12), -1, np.int32)
    np.put_along_axis(rank, orders, np.arange(9, dtype=np.int32)[None], 1)
    reach = reaches(corners, groups)
    found = foremost(torch.from_numpy(corners), torch.from_numpy(rank), torch.from_numpy(groups), reach, size)
    for one, order, winner in zip(corners, orders, found.numpy()):
        drawn = piecewise_affine.draw(one, order, size)
        expected = np.full(size[::-1], -1)
        drawn.scatter(drawn.triangles, expected)
        np.testing.assert_array_equal(np.where(winner < 0, -1, order[winner]), expected.ravel())
        assert 0.3 < (expected >= 0).mean() < 1


def test_coefficients_are_those_of_one_mesh():
    generator = np.random.default_rng(1)
    corners, values = generator.uniform(0, 50, (2, 7, 3, 2)), generator.uniform(-5, 5, (2, 7, 3, 2))
    corners[0, 3] = corners[0, 3, 0]  # no area
    found = affine_coefficients(torch.from_numpy(corners), torch.from_numpy(values)).numpy()
    for one, value, coefficients in zip(corners, values, found):
        np.testing.assert_allclose(coefficients, piecewise_affine.affine_coefficients(one, value), rtol=1e-9, atol=1e-9)
