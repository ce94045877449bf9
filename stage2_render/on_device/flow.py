"""Where each node of the grid comes from: the mesh's field inside the face, the background's around it."""

from __future__ import annotations

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from stage2_render.on_device.boxes import Size
from stage2_render.on_device.planar import smoothstep
from stage2_render.on_device.prepared import PreparedModule
from stage2_render.on_device.sampling import sample
from stage2_render.on_device.triangles import GROUPS, affine_coefficients, doubled_area, foremost, reaches
from stage2_render.warp.background_warp import (
    HANDLES,
    INVERSION_STEPS,
    NEW,
    PREVIOUS,
    SKULL,
    WIDE_FROM,
    WIDE_OVER,
    BackgroundWarp,
)
from stage2_render.warp.mesh_warp import MIX_CELLS, MeshWarp
from stage2_render.warp.piecewise_affine import MIN_AREA

# OpenCV reads an image at these fractions of a pixel. It is seen nowhere but where the background's field folds, as at
# a face that the photo's edge cuts: there the iteration has no limit, and any difference grows.
_FRACTIONS = 32


class DeviceBackground(PreparedModule):
    """`BackgroundWarp` for a batch.

    Args:
        warp: of the photo.
        size: width and height of the grid on which displacements are returned.
    """

    handles: Tensor
    skull: Tensor
    similarity: Tensor
    weights: Tensor
    scale: Tensor
    up_x: Tensor
    up_y: Tensor

    def __init__(self, warp: BackgroundWarp, size: Size) -> None:
        super().__init__()
        self._shape, self._face_height = warp.shape, max(warp.face_height, 1.0)
        # Resizing is linear: its matrices are what it makes of unit vectors.
        up_y, up_x = (
            cv2.resize(np.eye(cells, dtype=np.float32), (cells, nodes), interpolation=cv2.INTER_CUBIC)
            for cells, nodes in zip(warp.shape, size[::-1])
        )
        self.keep(
            handles=HANDLES, skull=np.array(SKULL), similarity=warp.similarity, weights=np.stack(warp.weights),
            scale=warp.scale.astype(np.float32), up_x=up_x, up_y=up_y,
        )  # fmt: skip

    def forward(self, displacement: Tensor) -> Tensor:
        """Return where each node comes from, minus where it is, float32 [B, 2, h, w].

        Args:
            displacement: of the vertices, [B, 478, 2] in pixels of the region.
        """
        displacement = displacement.float()
        handles = displacement[:, self.handles]
        a, b = (displacement[:, self.skull].flatten(1) @ self.similarity.T).unbind(1)
        slopes = torch.stack([torch.stack([a, b], 1), torch.stack([-b, a], 1)], 1)
        controls = torch.cat([handles, slopes], 1)
        amount = handles.square().sum(-1).mean(1).sqrt() / self._face_height
        mix = smoothstep((amount - WIDE_FROM) / WIDE_OVER)[:, None, None]
        tight, wide = (weights @ controls for weights in self.weights)
        scale = self.scale[None, :, None, None]
        forward = (tight + mix * (wide - tight)).mT.unflatten(2, self._shape) * scale
        y, x = (torch.arange(n, device=forward.device, dtype=torch.float32) for n in self._shape)
        inverse = -forward
        for _ in range(INVERSION_STEPS):
            where = x + inverse[:, 0], y[:, None] + inverse[:, 1]
            found = sample(forward, tuple((place * _FRACTIONS).round() / _FRACTIONS for place in where))
            inverse = -NEW * found + PREVIOUS * inverse
        return self.up_y @ (inverse / scale) @ self.up_x.T


class DeviceFlow(PreparedModule):
    """The displacement field of `MeshWarp` for a batch."""

    faces: Tensor
    groups: Tensor
    source: Tensor
    cell: Tensor
    incidence: Tensor
    facing_camera: Tensor
    inward: Tensor

    def __init__(self, warp: MeshWarp) -> None:
        super().__init__()
        self._size, self._facing = warp.size, warp.facing
        self._background = DeviceBackground(warp.background, warp.size)
        faces = warp.triangles
        count = len(faces)
        by_size = np.argsort(np.ptp(warp.source[faces, :2], axis=1).max(1), kind="stable")
        # Groups of the same length; the last triangle is repeated.
        groups = by_size[np.minimum(np.arange(GROUPS * -(-count // GROUPS)), count - 1)].reshape(GROUPS, -1)
        incidence = np.zeros((478, count))
        np.add.at(incidence, (faces, np.arange(count)[:, None]), 1)
        # The irises are no skin: their normals point to the camera.
        incidence[468:] = 0
        self._faces, self._cell, self._groups = faces, warp.cell, groups
        self.keep(
            faces=faces, groups=groups, source=warp.source.astype(np.float64), cell=warp.cell.astype(np.float64),
            incidence=incidence, facing_camera=warp.facing_camera.astype(np.float64),
            inward=warp.inward.astype(np.float64),
        )  # fmt: skip

    def reaches(self, targets: np.ndarray) -> list[Size]:
        """Return what `forward` needs to know of meshes [B, 478, 3] in pixels."""
        return reaches((targets[..., :2] / self._cell)[:, self._faces], self._groups)

    def forward(self, target: Tensor, reach: list[Size]) -> Tensor:
        """Return where each node of the grid comes from, minus where it is, float32 [B, 2, h, w] in pixels.

        Args:
            target: meshes, float64 [B, 478, 3] in pixels of the region.
            reach: of `reaches`.
        """
        width, height = self._size
        moved = (target - self.source)[..., :2]
        field = self._background(moved)
        corners = ((target[..., :2] + 0.5) / self.cell - 0.5)[:, self.faces]  # [B, F, 3, 2]
        area = doubled_area(corners)
        order = (-target[:, self.faces, 2].mean(2)).argsort(dim=1, stable=True)
        rank = torch.empty_like(order).scatter_(
            1, order, torch.arange(order.shape[1], device=order.device).expand_as(order)
        )
        rank = rank.masked_fill(self._facing * area < MIN_AREA, -1).int()
        winner = foremost(corners, rank, self.groups, reach, self._size)
        turned = self._normal_z(target) - self.facing_camera
        taken = moved - smoothstep(turned / 0.25)[..., None] * self.inward
        coefficients = affine_coefficients(corners, -taken[:, self.faces]).float().flatten(2)  # [B, F, 6]
        triangle = order.gather(1, winner.clamp_min(0).long())
        at_node = coefficients.gather(1, triangle[..., None].expand(-1, -1, 6)).unflatten(1, (height, width))
        at_zero, along_x, along_y = at_node.unflatten(3, (3, 2)).permute(3, 0, 4, 1, 2)  # each [B, 2, h, w]
        y, x = (torch.arange(n, device=target.device, dtype=torch.float32) for n in (height, width))
        inside = at_zero + along_x * x + along_y * y[:, None]
        covered = (winner >= 0).float().view(-1, 1, height, width)
        around = F.avg_pool2d(F.pad(covered, [MIX_CELLS // 2] * 4, "reflect"), MIX_CELLS, 1)
        share = (2 * around - 1).clamp_min(0) * covered
        return field + share * (inside - field).masked_fill(share == 0, 0)

    def _normal_z(self, target: Tensor) -> Tensor:
        """How far the skin faces the camera, [B, 478]."""
        a, b, c = target[:, self.faces].unbind(2)
        normals = self.incidence @ torch.linalg.cross(b - a, c - a) * self._facing
        z = normals[..., 2] / normals.norm(dim=-1).clamp_min(1e-9)
        return torch.cat([z[:, :468], torch.ones_like(z[:, 468:])], 1)
