"""Triangles on a grid, against a loop over nodes and triangles."""

import numpy as np

from stage2_render.warp.piecewise_affine import affine_coefficients, draw


def weights(point, corners):
    """Barycentric coordinates of a point in a triangle, by Cramer's rule."""
    return np.linalg.solve(np.vstack([corners.T, np.ones(3)]), np.array([*point, 1.0]))


def test_the_foremost_triangle_of_each_node():
    generator = np.random.default_rng(0)
    corners = generator.uniform(-6, 30, (12, 3, 2))
    corners[0] = [[3, 4], [9, 4], [3, 11]]  # level and upright edges through nodes
    corners[1, 2] = corners[1, 0] + 2 * (corners[1, 1] - corners[1, 0])  # no area
    order, size = generator.permutation(12), (25, 21)
    drawn = draw(corners, order, size)
    found = np.full(size[::-1], -1)
    drawn.scatter(drawn.triangles, found)
    for y, x in np.ndindex(found.shape):
        inside = {}
        for index in order:
            if index != 1:
                inside[index] = weights((x, y), corners[index]).min()
        if min(abs(least) for least in inside.values()) > 1e-4:
            assert found[y, x] == next((index for index in order[::-1] if inside.get(index, -1) > 0), -1), (x, y)
    assert (found >= 0).mean() > 0.5 and (found < 0).mean() > 0.05


def test_neighbours_leave_no_hole():
    x, y = np.meshgrid(np.linspace(2, 37, 8), np.linspace(1, 33, 7))
    points = np.stack([x, y], -1) + np.random.default_rng(1).uniform(-1.5, 1.5, (7, 8, 2)) * [[[1, 1]]]
    points[[0, -1]], points[:, [0, -1]] = np.round(points[[0, -1]]), np.round(points[:, [0, -1]])
    upper = np.stack([points[:-1, :-1], points[:-1, 1:], points[1:, :-1]], 2)
    lower = np.stack([points[1:, 1:], points[1:, :-1], points[:-1, 1:]], 2)
    corners = np.concatenate([upper, lower]).reshape(-1, 3, 2)
    covered = np.zeros((36, 40))
    draw(corners, np.arange(len(corners)), (40, 36)).scatter(1, covered)
    assert covered[4:30, 6:34].all()


def test_coefficients_give_the_values_at_the_corners():
    generator = np.random.default_rng(2)
    corners, values = generator.uniform(0, 20, (5, 3, 2)), generator.normal(size=(5, 3, 4))
    at_zero, along_x, along_y = affine_coefficients(corners, values).transpose(1, 0, 2)[:, :, None]
    found = at_zero + along_x * corners[..., :1] + along_y * corners[..., 1:]
    assert np.allclose(found, values)
