"""A field that is affine in each triangle of a mesh, drawn on a grid.

All triangles are drawn at once: numpy sees rows of a few thousand spans, not triangles one by one.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

# A span begins and ends so many nodes further out, so that rounding leaves no hole between neighbours. The field is
# continuous: it does not matter which of two neighbours draws the node between them.
OVERLAP = 1e-4
# Triangles smaller than this many cells are not drawn.
MIN_AREA = 1e-4


@dataclass(frozen=True)
class Drawn:
    """Nodes of a grid that triangles cover; where several do, the last one in the list counts.

    Attributes:
        nodes: index of each node in the flattened grid, int [n]; nodes that several triangles cover occur repeatedly.
        triangles: index of the triangle that covers it, int [n].
    """

    nodes: np.ndarray
    triangles: np.ndarray

    def scatter(self, values: np.ndarray | float, onto: np.ndarray) -> None:
        """Write values of the drawn nodes, one or [n], to a contiguous grid [h, w], in place."""
        onto.reshape(-1)[self.nodes] = values


def draw(corners: np.ndarray, order: np.ndarray, size: tuple[int, int]) -> Drawn:
    """Find the nodes that triangles cover.

    Args:
        corners: float [F, 3, 2], x and y in nodes of the grid.
        order: indices of the triangles to draw, the foremost last, int [m].
        size: (width, height) of the grid.
    """
    width, height = size
    corners = corners[order]
    big = np.abs(doubled_area(corners)) >= MIN_AREA
    order, corners = order[big], corners[big]
    down = np.argsort(corners[..., 1], axis=1)
    # Corners from the uppermost to the lowest; a row crosses the edge between those two, and one of the two others.
    (x0, x1, x2), (y0, y1, y2) = (np.take_along_axis(corners[..., k], down, 1).T.astype(np.float64) for k in range(2))
    from_x, from_y = np.stack([x0, x0, x1]), np.stack([y0, y0, y1])
    slopes = (np.stack([x2, x1, x2]) - from_x) / np.maximum(np.stack([y2, y1, y2]) - from_y, 1e-9)
    starts = from_x - slopes * from_y
    first = np.ceil(np.clip(y0, 0, height)).astype(np.intp)
    rows = np.maximum(np.floor(np.clip(y2, -1, height - 1)).astype(np.intp) + 1 - first, 0)
    of_row, row = _expanded(first, rows)  # of each of r rows: its triangle and its place
    other = of_row + np.where(row <= y1[of_row], 1, 2) * len(order)
    long, short = (starts.take(edge) + slopes.take(edge) * row for edge in (of_row, other))
    begin = np.ceil(np.clip(np.minimum(long, short) - OVERLAP, 0, width)).astype(np.intp)
    count = np.floor(np.clip(np.maximum(long, short) + OVERLAP, -1, width - 1)).astype(np.intp) + 1 - begin
    of_span, nodes = _expanded(row * width + begin, np.maximum(count, 0))
    return Drawn(nodes, order.take(of_row).take(of_span))


def affine_coefficients(corners: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Return the coefficients of 1, x, y of values that are linear in each triangle.

    Args:
        corners: float [F, 3, 2].
        values: at the corners, float [F, 3, k].

    Returns:
        float64 [F, 3, k].
    """
    corners, values = corners.astype(np.float64), values.astype(np.float64)
    first, second = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    area = doubled_area(corners)[:, None]
    area = np.where(np.abs(area) < MIN_AREA, MIN_AREA, area)
    up, across = values[:, 1] - values[:, 0], values[:, 2] - values[:, 0]
    along_x = (up * second[:, 1:] - across * first[:, 1:]) / area
    along_y = (across * first[:, :1] - up * second[:, :1]) / area
    at_zero = values[:, 0] - along_x * corners[:, 0, :1] - along_y * corners[:, 0, 1:]
    return np.stack([at_zero, along_x, along_y], 1)


def doubled_area(corners: np.ndarray) -> np.ndarray:
    """Return twice the signed area of triangles [F, 3, 2 or more]."""
    a, b, c = corners[:, 0], corners[:, 1], corners[:, 2]
    return (b[:, 0] - a[:, 0]) * (c[:, 1] - a[:, 1]) - (b[:, 1] - a[:, 1]) * (c[:, 0] - a[:, 0])


def _expanded(first: np.ndarray, count: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Ranges that begin at `first` [n] and have `count` [n] numbers: the range of each number, and the numbers."""
    which = np.repeat(np.arange(len(count)), count)
    before = np.cumsum(count) - count
    return which, np.arange(len(which)) + np.repeat(first - before, count)
