"""Which triangle of a mesh is in front at each node of a grid, for a batch of meshes.

Every triangle offers itself to the nodes of its rows, and the foremost one stays: what `warp.piecewise_affine` computes
for one mesh, without lists whose length depends on the mesh.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from stage2_render.on_device.boxes import Size
from stage2_render.warp.piecewise_affine import MIN_AREA, OVERLAP

GROUPS = 6
"""Groups of triangles of similar size: in each all are offered as many nodes as the largest needs."""


# Nodes that are offered at once: memory is bounded however near a face comes. One group of a usual batch is below that.
_MOST = 1 << 24


def reaches(corners: np.ndarray, groups: np.ndarray) -> list[Size]:
    """Return how many columns and rows of nodes a triangle of each group has at most.

    Args:
        corners: in nodes, float [B, F, 3, 2].
        groups: indices of the triangles of each group, [GROUPS, n].
    """
    extents = np.ptp(corners, axis=2).max(0)[groups].max(1)
    # Eights: a device keeps the memory of few sizes.
    return [(int(x), int(y)) for x, y in 8 * np.ceil((extents + 2) / 8)]


def foremost(corners: Tensor, rank: Tensor, groups: Tensor, reach: list[Size], size: Size) -> Tensor:
    """Find the foremost triangle at each node.

    Args:
        corners: in nodes, float64 [B, F, 3, 2].
        rank: of each triangle, the foremost the highest; -1: not drawn. int32 [B, F].
        groups: indices of the triangles of each group, int64 [GROUPS, n].
        reach: of `reaches`.
        size: width and height of the grid.

    Returns:
        The rank of that triangle, int32 [B, height * width]; -1 where there is none.
    """
    winner = torch.full((len(corners), size[0] * size[1]), -1, dtype=torch.int32, device=corners.device)
    for group, (columns, rows) in zip(groups, reach):
        columns, rows = min(columns, size[0]), min(rows, size[1])
        for some in group.split(max(_MOST // (len(corners) * rows * columns), 1)):
            nodes, offered = _offers(corners[:, some], columns, rows, size)
            # A triangle that does not cover a node offers -1 there, which never stays.
            ranks = rank[:, some, None, None].expand_as(offered).masked_fill(~offered, -1)
            winner.scatter_reduce_(1, nodes.flatten(1), ranks.flatten(1), "amax")
    return winner


def _offers(corners: Tensor, columns: int, rows: int, size: Size) -> tuple[Tensor, Tensor]:
    """Nodes about triangles [B, n, 3, 2], int64 [B, n, rows, columns], and which of them the triangles cover."""
    width, height = size
    # Corners from the uppermost to the lowest; a row crosses the edge between those two, and one of the two others.
    order = corners[..., 1].argsort(dim=2, stable=True)[..., None].expand(-1, -1, -1, 2)
    x, y = corners.gather(2, order)[..., None].unbind(3)  # each [B, n, 3, 1]
    (x0, x1, x2), (y0, y1, y2) = x.unbind(2), y.unbind(2)
    first = torch.ceil(y0.clamp(0, height))
    row = first + torch.arange(rows, device=corners.device)
    long = _crossing(x0, y0, x2, y2, row)
    short = torch.where(row <= y1, _crossing(x0, y0, x1, y1, row), _crossing(x1, y1, x2, y2, row))
    begin = torch.ceil((torch.minimum(long, short) - OVERLAP).clamp(0, width))
    end = torch.floor((torch.maximum(long, short) + OVERLAP).clamp(-1, width - 1))
    column = begin[..., None].int() + torch.arange(columns, dtype=torch.int32, device=corners.device)
    drawn = row <= y2.clamp(-1, height - 1)
    offered = (column <= end[..., None].int()) & drawn[..., None]
    nodes = row.clamp_max(height - 1)[..., None].long() * width + column.clamp_max(width - 1)
    return nodes, offered


def _crossing(x0: Tensor, y0: Tensor, x1: Tensor, y1: Tensor, row: Tensor) -> Tensor:
    """Where an edge crosses rows [B, n, rows]."""
    slope = (x1 - x0) / (y1 - y0).clamp_min(1e-9)
    return x0 - slope * y0 + slope * row


def affine_coefficients(corners: Tensor, values: Tensor) -> Tensor:
    """Return the coefficients of 1, x, y of values that are linear in each triangle.

    Args:
        corners: float64 [B, F, 3, 2].
        values: at the corners, float64 [B, F, 3, k].

    Returns:
        float64 [B, F, 3, k].
    """
    first, second = (corners[..., k, :] - corners[..., 0, :] for k in (1, 2))
    area = doubled_area(corners)[..., None]
    area = area.masked_fill(area.abs() < MIN_AREA, MIN_AREA)
    up, across = (values[..., k, :] - values[..., 0, :] for k in (1, 2))
    along_x = (up * second[..., 1:] - across * first[..., 1:]) / area
    along_y = (across * first[..., :1] - up * second[..., :1]) / area
    at_zero = values[..., 0, :] - along_x * corners[..., 0, :1] - along_y * corners[..., 0, 1:]
    return torch.stack([at_zero, along_x, along_y], -2)


def doubled_area(corners: Tensor) -> Tensor:
    """Return twice the signed area of triangles [..., 3, 2 or more]."""
    a, b, c = corners.unbind(-2)
    return (b[..., 0] - a[..., 0]) * (c[..., 1] - a[..., 1]) - (b[..., 1] - a[..., 1]) * (c[..., 0] - a[..., 0])
