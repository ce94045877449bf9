"""The geometric renderer: the photo, warped so that its face mesh has the vertices of a target mesh.

Inside the mesh every triangle is textured with its part of the photo (exact on the mesh), outside it a smooth field
moves hair and ears and keeps the background still (`background_warp`); eyeballs are layered behind the lids (`eyes`),
teeth and the dark cavity of the mouth behind the lips (`mouth`).
"""

from __future__ import annotations

import threading
from dataclasses import dataclass

import cv2
import numpy as np

from shared.face_model.mediapipe_mesh import groups, triangles
from shared.faces.crop import Crop
from stage2_render.warp.background_warp import BackgroundWarp
from stage2_render.warp.compositing import Affine, blend, fit_affine, follow, pixel_grid, smoothstep
from stage2_render.warp.eyes import EyeLayer
from stage2_render.warp.mouth import MouthLayer, lip_line_correction

MAX_GRID = 384
"""Longest side, in cells, of the grid on which the flow is computed; between its nodes it is interpolated."""

# A triangle whose area grows by more than this factor is not valid: few pixels of the photo would fill it.
_MAX_STRETCH = 8.0
# Displacements of fewer pixels than this are not visible.
_STILL = 0.02
# Side in cells of the box blur over which the mesh's flow and the background's are mixed along the contour.
_MIX_CELLS = 5
# Fixed-point fraction bits of the rasteriser.
_SHIFT = 8
# Skull-fixed points at the depth of the teeth (under and beside the nose), and others that determine the rotation.
_UNDER_NOSE = (2, 97, 326, 98, 327)
_SKULL = (2, 97, 326, 98, 327, 1, 4, 5, 195, 197, 6, 168, 33, 133, 362, 263, 48, 278)


@dataclass(frozen=True)
class Warped:
    """A frame and where it comes from, on a grid over the part of the crop that is inside the photo.

    Attributes:
        frame: uint8 [H, W, 3].
        origin: x, y in photo pixels of the source of each cell's centre, float32 [h, w, 2]; h and w at most `MAX_GRID`.
        validity: float32 [h, w], 1 where the photo shows what belongs there, 0 where it does not (the inside of a mouth
            that is closed in the photo, cheeks that are turned away).
        to_grid: the affine motion from pixels of the photo to cells of the grid (centres at integers in both), float64
            [2, 3].
    """

    frame: np.ndarray
    origin: np.ndarray
    validity: np.ndarray
    to_grid: np.ndarray


class MeshWarp:
    """Animates one photo. What depends on the photo alone is computed once, in the constructor.

    One object may serve several threads at once.

    Args:
        photo: uint8 RGB [H, W, 3].
        source_vertices: float32 [478, 3], the tracked points of the photo in its pixels (x right, y down, z negative
            towards the camera).
        crop: the square that may move; outside it frames are the photo.

    Raises:
        ValueError: wrong shapes, or the crop does not overlap the photo.
    """

    def __init__(self, photo: np.ndarray, source_vertices: np.ndarray, crop: Crop) -> None:
        if photo.ndim != 3 or photo.shape[2] != 3 or photo.dtype != np.uint8:
            raise ValueError(f"photo must be uint8 [H, W, 3], not {photo.dtype} {list(photo.shape)}")
        self._photo = photo
        half = crop.side / 2
        self.left, self.top = (max(round(c - half), 0) for c in (crop.center_x, crop.center_y))
        self.right = min(round(crop.center_x + half), photo.shape[1])
        self.bottom = min(round(crop.center_y + half), photo.shape[0])
        self.width, self.height = self.right - self.left, self.bottom - self.top
        if min(self.width, self.height) < 8:
            raise ValueError("the crop hardly overlaps the photo")
        self._region = np.ascontiguousarray(photo[self.top : self.bottom, self.left : self.right])
        self._source = self._to_region(source_vertices)
        ratio = min(1.0, MAX_GRID / max(self.width, self.height))
        self._size = (max(round(self.width * ratio), 8), max(round(self.height * ratio), 8))
        self._cell = np.array([self.width / self._size[0], self.height / self._size[1]], np.float32)
        self._pixels, self._nodes = pixel_grid((0, 0, self.width, self.height)), pixel_grid((0, 0, *self._size))
        self._buffers = threading.local()
        self._triangles = triangles()
        self._neighbours = _neighbours(self._triangles)
        self._correction = lip_line_correction(self._region, self._source)
        self._source[:, :2] += self._correction
        facing = _signed_areas(self._source[:468, :2], self._triangles)
        self._facing = 1.0 if facing.sum() > 0 else -1.0
        normals = _normals(self._source, self._triangles, self._facing)
        self._facing_camera, self._inward = normals[:, 2], _inward(self._source, normals)
        self._background = BackgroundWarp(self._region, self._source)
        self._eyes = [EyeLayer(self._region, self._source, side) for side in ("right", "left")]
        self._mouth = MouthLayer(self._region, self._source)

    def __call__(self, target_vertices: np.ndarray) -> np.ndarray:
        """Render the frame, uint8 [H, W, 3], whose face has the vertices float32 [478, 3] (photo pixels).

        Raises:
            ValueError: vertices of another shape, or not finite.
        """
        target = self._corrected(target_vertices)
        return self._frame(target, self._displacement(target)[0])

    def warp(self, target_vertices: np.ndarray) -> Warped:
        """Render the frame as `__call__` does, and return it with its flow."""
        target = self._corrected(target_vertices)
        displacement, ids = self._displacement(target)
        origin = (self._nodes + 0.5) * self._cell - 0.5 + displacement
        origin += np.array([self.left, self.top], np.float32)
        points = target[:, :2].astype(np.float64)
        hidden = self._mouth.disoccluded(points, self._head_motion(target), self._size, self._cell)
        # Triangles that face away in the photo, or are too small there.
        before, after = (self._facing * _signed_areas(mesh[:, :2], self._triangles) for mesh in (self._source, target))
        poor = np.concatenate([[False], after > _MAX_STRETCH * np.maximum(before, 0)])
        # Cell k begins at pixel k times the cell's size: its centre is half a cell further, less half a pixel.
        offset = (0.5 - np.array([self.left, self.top])) / self._cell - 0.5
        to_grid = np.concatenate([np.diag(1 / self._cell.astype(np.float64)), offset[:, None]], 1)
        return Warped(self._frame(target, displacement), origin, (1 - hidden) * ~poor[ids], to_grid)

    def _frame(self, target: np.ndarray, displacement: np.ndarray) -> np.ndarray:
        moved = self._warped(displacement)
        head, points = self._head_motion(target), target[:, :2].astype(np.float64)
        for eye in self._eyes:
            for lid in eye.render_lids(points, moved):
                blend(moved, *lid)
        parts: list[EyeLayer | MouthLayer] = [*self._eyes, self._mouth]
        for part in parts:
            blend(moved, *part.render(points, head))
            blend(moved, *part.render_contact(points))
        frame = self._photo.copy()
        frame[self.top : self.bottom, self.left : self.right] = moved
        return frame

    def _warped(self, displacement: np.ndarray) -> np.ndarray:
        """The region through a displacement on the grid, uint8 [height, width, 3]."""
        size = (self.width, self.height)
        # One buffer for each thread, kept from frame to frame: its allocation costs as much as the computation in it.
        whole = getattr(self._buffers, "where", None)
        if whole is None:
            whole = self._buffers.where = np.empty_like(self._pixels)
        cv2.resize(displacement, size, dst=whole, interpolation=cv2.INTER_LINEAR)
        cv2.add(whole, self._pixels, dst=whole)
        moved = self._region.copy()
        moving = (np.abs(displacement[..., 0]) > _STILL) | (np.abs(displacement[..., 1]) > _STILL)
        rows, columns = np.nonzero(moving.any(1))[0], np.nonzero(moving.any(0))[0]
        if len(rows):
            x0, y0 = (int(np.floor(first * cell)) for first, cell in zip((columns[0], rows[0]), self._cell))
            x1, y1 = (int(np.ceil((last + 1) * cell)) for last, cell in zip((columns[-1], rows[-1]), self._cell))
            where = whole[y0:y1, x0:x1]
            moved[y0:y1, x0:x1] = cv2.remap(self._region, where, None, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
        return moved

    def _to_region(self, vertices: np.ndarray) -> np.ndarray:
        vertices = np.asarray(vertices, np.float32)
        if vertices.shape != (478, 3) or not np.isfinite(vertices).all():
            raise ValueError(f"vertices must be finite [478, 3], not {list(vertices.shape)}")
        return vertices - np.array([self.left, self.top, 0], np.float32)

    def _corrected(self, target_vertices: np.ndarray) -> np.ndarray:
        """The target in region pixels, with the source's correction of the lips' points and lids that do not cross."""
        target = self._to_region(target_vertices)
        linear = self._head_motion(target)[:, :2]
        points = np.concatenate([target[:, :2] + self._correction @ linear.T, target[:, 2:]], 1).astype(np.float32)
        for eye in self._eyes:
            eye.stop_lids(points)
        return points

    def _head_motion(self, target: np.ndarray) -> Affine:
        """Motion of the upper jaw from the photo to the frame, in region pixels."""
        source, moved = self._source[:, :2], target[:, :2]
        linear = fit_affine(source[list(_SKULL)], moved[list(_SKULL)])[:, :2]
        return follow(linear, source[list(_UNDER_NOSE)], moved[list(_UNDER_NOSE)])

    def _displacement(self, target: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Source minus target float32 [h, w, 2] in region pixels at the grid's nodes, and 1 + triangle there or 0."""
        moved = (target - self._source)[:, :2]
        field = self._background.backward(moved, self._size)
        ids = self._rasterise(target)
        rows, columns = np.nonzero(ids)
        if not len(rows):
            return field, ids
        points = np.stack([columns, rows], -1).astype(np.float32)
        points = (points + 0.5) * self._cell - 0.5
        face, weights = self._locate(target, points, ids[rows, columns] - 1)
        ids[rows, columns] = face + 1
        corners = self._triangles[face]
        # Skin that turns into view is not in the photo, whose background may be there: take the nearest visible skin.
        turned = _normals(target, self._triangles, self._facing)[:, 2] - self._facing_camera
        taken = moved - smoothstep(turned / 0.25)[:, None] * self._inward
        inside = -np.einsum("nk,nkd->nd", weights, taken[corners])
        # The two fields agree along the contour; mixing them over a few cells hides the grid's rounding.
        covered = (ids > 0).astype(np.float32)
        share = np.clip(2 * cv2.blur(covered, (_MIX_CELLS, _MIX_CELLS))[rows, columns] - 1, 0, 1)[:, None]
        field[rows, columns] += share * (inside - field[rows, columns])
        return field, ids

    def _rasterise(self, target: np.ndarray) -> np.ndarray:
        """1 + index of the foremost triangle at each node of the grid (0: none), int32 [h, w]."""
        ids = np.zeros(self._size[::-1], np.int32)
        corners = target[:468][self._triangles]
        front = np.nonzero(self._facing * _signed_areas(target[:468, :2], self._triangles) > 0)[0]
        order = front[np.argsort(-corners[front, :, 2].mean(1), kind="stable")]
        grid = ((corners[..., :2] + 0.5) / self._cell - 0.5) * (1 << _SHIFT)
        polygons = np.clip(np.rint(grid), -(1 << 24), 1 << 24).astype(np.int32)
        for index in order:
            cv2.fillConvexPoly(ids, polygons[index], int(index) + 1, shift=_SHIFT)
        return ids

    def _locate(self, target: np.ndarray, points: np.ndarray, face: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Triangles [n] of points [n, 2] and their barycentric weights [n, 3] there.

        Rasterised triangles are half a cell too wide. A point outside its triangle is assigned to the neighbour across
        that edge if it is inside that one, so that the flow is continuous in the vertices.
        """
        to_weights = _barycentric(target[:, :2], self._triangles)
        weights = _apply(to_weights, face, points)
        for _ in range(2):
            worst = weights.argmin(1)
            outside = np.nonzero(weights[np.arange(len(face)), worst] < 0)[0]
            across = self._neighbours[face[outside], worst[outside]]
            outside, across = outside[across >= 0], across[across >= 0]
            other = _apply(to_weights, across, points[outside])
            better = other.min(1) > weights[outside].min(1)
            face[outside[better]], weights[outside[better]] = across[better], other[better]
        return face, weights


def _signed_areas(points: np.ndarray, faces: np.ndarray) -> np.ndarray:
    a, b, c = points[faces[:, 0]], points[faces[:, 1]], points[faces[:, 2]]
    return (b[:, 0] - a[:, 0]) * (c[:, 1] - a[:, 1]) - (b[:, 1] - a[:, 1]) * (c[:, 0] - a[:, 0])


def _normals(vertices: np.ndarray, faces: np.ndarray, facing: float) -> np.ndarray:
    """Unit normals float32 [478, 3], z towards the camera; those of the irises point to it."""
    a, b, c = (vertices[faces[:, k]] for k in range(3))
    normals = np.cross(b - a, c - a) * facing
    summed = np.stack([np.bincount(faces.ravel(), np.repeat(normals[:, k], 3), 478) for k in range(3)], -1)
    summed[468:] = (0, 0, 1)
    # x and y of the cross product are for a z that increases away from the camera.
    summed[:, :2] *= -1
    return (summed / np.maximum(np.linalg.norm(summed, axis=-1, keepdims=True), 1e-9)).astype(np.float32)


def _inward(source: np.ndarray, normals: np.ndarray) -> np.ndarray:
    """Vector to the nearest visible skin for each hidden vertex, float32 [478, 2].

    Hidden are vertices that face away and, of a face that is turned aside, those near its far rim, where the tracked
    mesh extends beyond the face.
    """
    aside = normals[:468].mean(0)
    turn = smoothstep((abs(aside[0]) / max(float(np.linalg.norm(aside)), 1e-6) - 0.12) / 0.25)
    far = smoothstep(normals[:, 0] * np.sign(aside[0]) / 0.5)
    least = 0.08 + 0.4 * turn * far
    hidden = smoothstep((least - normals[:, 2]) / 0.2)
    # Lips and lids are neither moved nor a source for others.
    apart = np.concatenate([groups()[name] for name in ("lips", "eyes")])
    hidden[apart] = 0
    plain = np.setdiff1d(np.nonzero(normals[:468, 2] > 0.25 + 0.2 * turn)[0], apart)
    inward = np.zeros((478, 2), np.float32)
    if len(plain):
        for index in np.nonzero(hidden > 0)[0]:
            vectors = source[plain, :2] - source[index, :2]
            inward[index] = hidden[index] * vectors[np.linalg.norm(vectors, axis=-1).argmin()]
    return inward


def _neighbours(faces: np.ndarray) -> np.ndarray:
    """Index of the triangle across the edge opposite to corner k, or -1, int [F, 3]."""
    by_edge: dict[tuple[int, int], list[tuple[int, int]]] = {}
    for index, face in enumerate(faces.tolist()):
        for k in range(3):
            edge = tuple(sorted((face[(k + 1) % 3], face[(k + 2) % 3])))
            by_edge.setdefault(edge, []).append((index, k))
    across = np.full((len(faces), 3), -1)
    for pair in by_edge.values():
        if len(pair) == 2:
            (first, k), (second, m) = pair
            across[first, k], across[second, m] = second, first
    return across


def _barycentric(points: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """Coefficients of 1, x, y in the three barycentric coordinates of each triangle, float64 [F, 3, 3]."""
    points = points.astype(np.float64)
    a, b, c = (points[faces[:, k]] for k in range(3))
    area = _signed_areas(points, faces)[:, None]
    area = np.where(abs(area) < 1e-9, 1e-9, area)

    def row(p: np.ndarray, q: np.ndarray) -> np.ndarray:
        return np.stack([p[:, 0] * q[:, 1] - p[:, 1] * q[:, 0], p[:, 1] - q[:, 1], q[:, 0] - p[:, 0]], -1) / area

    return np.stack([row(b, c), row(c, a), row(a, b)], 1)


def _apply(to_weights: np.ndarray, face: np.ndarray, points: np.ndarray) -> np.ndarray:
    chosen = to_weights[face]
    weights = chosen[..., 0] + chosen[..., 1] * points[:, :1] + chosen[..., 2] * points[:, 1:]
    return weights.astype(np.float32)
