"""The geometric renderer: the photo, warped so that the face mesh moves from where it is to where it should be.

Inside the mesh every triangle carries its piece of the photo along (exact on the mesh), outside it a smooth field moves
hair and ears and lets the background stand (`surround`); eyeballs lie behind the lids (`eyes`), teeth and the dark of
the mouth behind the lips (`mouth`).
"""

from __future__ import annotations

import threading
from dataclasses import dataclass

import cv2
import numpy as np

from shared.face_model.mediapipe_mesh import groups, triangles
from shared.faces.crop import Crop
from stage2_render.warp.background_warp import SurroundField
from stage2_render.warp.compositing import Affine, blend, fit_affine, smoothstep
from stage2_render.warp.eyes import EyeLayer
from stage2_render.warp.mouth import MouthLayer, lip_line_correction

# Longest side, in cells, of the grid on which the flow is computed; between its nodes it is interpolated.
MAX_GRID = 384
# A triangle that grows more than this in area shows nothing that the photo knows.
_MAX_STRETCH = 8.0
# Fixed-point fraction bits of the rasteriser.
_SHIFT = 8
# Skull-fixed points at the depth of the teeth (under and beside the nose), and others that tell the head's turn.
_UNDER_NOSE = (2, 97, 326, 98, 327)
_SKULL = (2, 97, 326, 98, 327, 1, 4, 5, 195, 197, 6, 168, 33, 133, 362, 263, 48, 278)


@dataclass(frozen=True)
class Warped:
    """A frame and where it comes from.

    frame: uint8 [H, W, 3]. origin: float32 [h, w, 2], validity: float32 [h, w]: see `MeshWarp.flow`. to_grid: float64
    [2, 3], the affine motion from pixels of the photo to cells of that grid (centres at integers in both).
    """

    frame: np.ndarray
    origin: np.ndarray
    validity: np.ndarray
    to_grid: np.ndarray


class MeshWarp:
    """Animates one photo. Everything that depends on the photo alone is done once, here.

    One object may serve several threads at once.

    photo: uint8 RGB [H, W, 3]. source_vertices: float32 [478, 3], the tracker's points on the photo, in its pixels (x
    right, y down, z negative towards the camera). crop: the square that may move; outside it frames are the photo.

    Raises ValueError when shapes are wrong or the crop does not meet the photo.
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
            raise ValueError("the crop hardly meets the photo")
        self._region = np.ascontiguousarray(photo[self.top : self.bottom, self.left : self.right])
        self._correction = np.zeros((478, 2), np.float32)
        self._source = self._to_region(source_vertices)
        ratio = min(1.0, MAX_GRID / max(self.width, self.height))
        self._size = (max(round(self.width * ratio), 8), max(round(self.height * ratio), 8))
        self._cell = np.array([self.width / self._size[0], self.height / self._size[1]], np.float32)
        self._pixels = np.stack(np.meshgrid(np.arange(self.width), np.arange(self.height)), -1).astype(np.float32)
        self._nodes = np.stack(np.meshgrid(np.arange(self._size[0]), np.arange(self._size[1])), -1).astype(np.float32)
        self._buffers = threading.local()
        self._triangles = triangles()
        self._neighbours = _neighbours(self._triangles)
        self._correction[:] = lip_line_correction(self._region, self._source)
        self._source[:, :2] += self._correction
        facing = _signed_areas(self._source[:468, :2], self._triangles)
        self._facing = 1.0 if facing.sum() > 0 else -1.0
        normals = _normals(self._source, self._triangles, self._facing)
        self._seen, self._inward = normals[:, 2], _inward(self._source, normals)
        self._surround = SurroundField(self._region, self._source)
        self._eyes = [EyeLayer(self._region, self._source, side) for side in ("right", "left")]
        self._mouth = MouthLayer(self._region, self._source)

    def __call__(self, target_vertices: np.ndarray) -> np.ndarray:
        """The frame, uint8 [H, W, 3], in which the face of the photo has the vertices float32 [478, 3] (photo pixels).

        Raises ValueError when the vertices have another shape or are not finite.
        """
        target = self._corrected(self._to_region(target_vertices))
        return self._frame(target, self._displacement(target)[0])

    def warp(self, target_vertices: np.ndarray) -> Warped:
        """What `__call__` and `flow` give, for the price of little more than one of them. Raises as they do."""
        target = self._corrected(self._to_region(target_vertices))
        displacement, ids = self._displacement(target)
        origin, validity = self._flow(target, displacement, ids)
        # Cell k covers pixels from k cell sizes on: its centre lies half a cell further, less half a pixel.
        offset = (0.5 - np.array([self.left, self.top])) / self._cell - 0.5
        to_grid = np.concatenate([np.diag(1 / self._cell.astype(np.float64)), offset[:, None]], 1)
        return Warped(self._frame(target, displacement), origin, validity, to_grid)

    def _frame(self, target: np.ndarray, displacement: np.ndarray) -> np.ndarray:
        moved = self._warped(displacement)
        head = self._head_motion(target)
        for part in (*self._eyes, self._mouth):
            blend(moved, *part.render(target, head))
            blend(moved, *part.render_contact(target))
        frame = self._photo.copy()
        frame[self.top : self.bottom, self.left : self.right] = moved
        return frame

    def _warped(self, displacement: np.ndarray) -> np.ndarray:
        """The region through a displacement on the grid, uint8 [height, width, 3]."""
        size = (self.width, self.height)
        # A buffer kept from frame to frame (one for each thread): a fresh one costs as much as what is computed in it.
        whole = getattr(self._buffers, "where", None)
        if whole is None:
            whole = self._buffers.where = np.empty_like(self._pixels)
        cv2.resize(displacement, size, dst=whole, interpolation=cv2.INTER_LINEAR)
        cv2.add(whole, self._pixels, dst=whole)
        moved = self._region.copy()
        # A margin that moves by less than a fiftieth of a pixel stays as it is.
        moving = (np.abs(displacement[..., 0]) > 0.02) | (np.abs(displacement[..., 1]) > 0.02)
        rows, columns = np.nonzero(moving.any(1))[0], np.nonzero(moving.any(0))[0]
        if len(rows):
            x0, y0 = (int(np.floor(first * cell)) for first, cell in zip((columns[0], rows[0]), self._cell))
            x1, y1 = (int(np.ceil((last + 1) * cell)) for last, cell in zip((columns[-1], rows[-1]), self._cell))
            where = whole[y0:y1, x0:x1]
            moved[y0:y1, x0:x1] = cv2.remap(self._region, where, None, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
        return moved

    def flow(self, target_vertices: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Where the frame comes from, for whoever warps something else than the photo's pixels.

        Returns float32 [h, w, 2], for each cell of the crop's grid (at most `MAX_GRID` long; cell centres, the crop's
        part inside the photo) the x, y in photo pixels; and float32 [h, w], 1 where the photo shows what belongs
        there, 0 where it cannot (inside of a mouth that the photo does not show open, cheeks that were turned away).
        """
        target = self._corrected(self._to_region(target_vertices))
        return self._flow(target, *self._displacement(target))

    def _flow(self, target: np.ndarray, displacement: np.ndarray, ids: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        where = (self._nodes + 0.5) * self._cell - 0.5 + displacement
        where += np.array([self.left, self.top], np.float32)
        unseen = self._mouth.unseen(target, self._head_motion(target), self._size, self._cell)
        # A triangle that faced away in the photo, or that a few of its pixels would have to fill.
        before, after = (
            self._facing * _signed_areas(points[:, :2], self._triangles) for points in (self._source, target)
        )
        poor = np.concatenate([[False], after > _MAX_STRETCH * np.maximum(before, 0)])
        return where, (1 - unseen) * ~poor[ids]

    def _to_region(self, vertices: np.ndarray) -> np.ndarray:
        vertices = np.asarray(vertices, np.float32)
        if vertices.shape != (478, 3) or not np.isfinite(vertices).all():
            raise ValueError(f"vertices must be finite [478, 3], not {list(vertices.shape)}")
        return vertices - np.array([self.left, self.top, 0], np.float32)

    def _corrected(self, target: np.ndarray) -> np.ndarray:
        """The target with the lips' points put where they are on the photo's lips, as the source's have been, and lids
        that have met kept from going on."""
        linear = self._head_motion(target)[:, :2]
        points = np.concatenate([target[:, :2] + self._correction @ linear.T, target[:, 2:]], 1).astype(np.float32)
        for eye in self._eyes:
            eye.stop_lids(points)
        return points

    def _head_motion(self, target: np.ndarray) -> Affine:
        """How the upper jaw moves from the photo to the frame (region pixels)."""
        source, moved = self._source[:, :2], target[:, :2]
        linear = fit_affine(source[list(_SKULL)], moved[list(_SKULL)])[:, :2]
        anchor = list(_UNDER_NOSE)
        offset = moved[anchor].mean(0) - linear @ source[anchor].mean(0)
        return np.concatenate([linear, offset[:, None]], 1)

    def _displacement(self, target: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Source minus target, float32 [h, w, 2] in region pixels at the grid's nodes; 1 + triangle there or 0."""
        moved = (target - self._source)[:, :2]
        field = self._surround.backward(moved, self._size)
        ids = self._rasterise(target)
        rows, columns = np.nonzero(ids)
        if not len(rows):
            return field, ids
        points = np.stack([columns, rows], -1).astype(np.float32)
        points = (points + 0.5) * self._cell - 0.5
        face, weights = self._locate(target, points, ids[rows, columns] - 1)
        ids[rows, columns] = face + 1
        corners = self._triangles[face]
        # Skin that turns into view was not in the photo, where it would be there may be background: take what is next.
        turned = _normals(target, self._triangles, self._facing)[:, 2] - self._seen
        taken = moved - smoothstep(turned / 0.25)[:, None] * self._inward
        inside = -np.einsum("nk,nkd->nd", weights, taken[corners])
        # The two fields agree along the contour; a few cells of passage hide what the grid rounds.
        covered = (ids > 0).astype(np.float32)
        passage = np.clip(2 * cv2.blur(covered, (5, 5))[rows, columns] - 1, 0, 1)[:, None]
        field[rows, columns] += passage * (inside - field[rows, columns])
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
        """Barycentric weights [n, 3] of points in their triangles.

        The rasteriser paints rims half a cell too wide. A point outside its triangle moves on to the neighbour across
        that edge if it lies there, so that the flow is continuous in the vertices.
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
    """float32 [478, 3] unit normals, z towards the camera; those of the irises point to it."""
    a, b, c = (vertices[faces[:, k]] for k in range(3))
    normals = np.cross(b - a, c - a) * facing
    summed = np.stack([np.bincount(faces.ravel(), np.repeat(normals[:, k], 3), 478) for k in range(3)], -1)
    summed[468:] = (0, 0, 1)
    # x and y of the cross product belong to a z that grows away from the camera.
    summed[:, :2] *= -1
    return (summed / np.maximum(np.linalg.norm(summed, axis=-1, keepdims=True), 1e-9)).astype(np.float32)


def _inward(source: np.ndarray, normals: np.ndarray) -> np.ndarray:
    """float32 [478, 2]: the way to skin that the photo shows, for vertices that it does not show: those that face away,
    and of a face turned aside those near its far rim, where the tracker's mesh reaches beyond the face."""
    aside = normals[:468].mean(0)
    turn = smoothstep((abs(aside[0]) / max(float(np.linalg.norm(aside)), 1e-6) - 0.12) / 0.25)
    far = smoothstep(normals[:, 0] * np.sign(aside[0]) / 0.5)
    least = 0.08 + 0.4 * turn * far
    hidden = smoothstep((least - normals[:, 2]) / 0.2)
    # Lips and lids neither lend nor borrow.
    apart = np.concatenate([groups()[name] for name in ("lips", "eyes")])
    hidden[apart] = 0
    plain = np.setdiff1d(np.nonzero(normals[:468, 2] > 0.25 + 0.2 * turn)[0], apart)
    inward = np.zeros((478, 2), np.float32)
    if len(plain):
        for index in np.nonzero(hidden > 0)[0]:
            ways = source[plain, :2] - source[index, :2]
            inward[index] = hidden[index] * ways[np.linalg.norm(ways, axis=-1).argmin()]
    return inward


def _neighbours(faces: np.ndarray) -> np.ndarray:
    """int [F, 3]: the triangle across the edge opposite to corner k, or -1."""
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
    """float64 [F, 3, 3]: for each triangle the coefficients of 1, x, y in its three barycentric coordinates."""
    a, b, c = (points[faces[:, k]].astype(np.float64) for k in range(3))
    area = (b[:, 0] - a[:, 0]) * (c[:, 1] - a[:, 1]) - (b[:, 1] - a[:, 1]) * (c[:, 0] - a[:, 0])
    area = np.where(abs(area) < 1e-9, 1e-9, area)[:, None]

    def row(p, q):
        return np.stack([p[:, 0] * q[:, 1] - p[:, 1] * q[:, 0], p[:, 1] - q[:, 1], q[:, 0] - p[:, 0]], -1) / area

    return np.stack([row(b, c), row(c, a), row(a, b)], 1)


def _apply(to_weights: np.ndarray, face: np.ndarray, points: np.ndarray) -> np.ndarray:
    chosen = to_weights[face]
    weights = chosen[..., 0] + chosen[..., 1] * points[:, :1] + chosen[..., 2] * points[:, 1:]
    return weights.astype(np.float32)
