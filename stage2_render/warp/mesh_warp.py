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
from shared.stages import stage
from stage2_render.warp.background_warp import BackgroundWarp
from stage2_render.warp.compositing import Affine, blend, follow, smoothstep
from stage2_render.warp.eyes import EyeLayer
from stage2_render.warp.mouth import MouthLayer, lip_line_correction
from stage2_render.warp.piecewise_affine import Drawn, affine_coefficients, doubled_area, draw

MAX_GRID = 384
"""Longest side, in cells, of the grid on which the flow is computed; between its nodes it is interpolated."""

# A triangle whose area grows by more than this factor is not valid: few pixels of the photo would fill it.
_MAX_STRETCH = 8.0
# Displacements of fewer pixels than this are not visible.
STILL = 0.02
# Side in cells of the box blur over which the mesh's flow and the background's are mixed along the contour.
MIX_CELLS = 5
# Values of the photo half-way between pixels, from the four around them. A linear interpolation of the photo at twice
# its resolution is then as sharp as a cubic one at its own, 0.1 to 0.2 grey levels off, in a third of the time.
_HALF_WAY = np.array([-1, 5, 5, -1], np.float32) / 8
# Skull-fixed points at the depth of the teeth (under and beside the nose), and others that determine the rotation.
UNDER_NOSE = (2, 97, 326, 98, 327)
SKULL = (2, 97, 326, 98, 327, 1, 4, 5, 195, 197, 6, 168, 33, 133, 362, 263, 48, 278)


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
        self.photo = photo
        half = crop.side / 2
        self.left, self.top = (max(round(c - half), 0) for c in (crop.center_x, crop.center_y))
        self.right = min(round(crop.center_x + half), photo.shape[1])
        self.bottom = min(round(crop.center_y + half), photo.shape[0])
        self.width, self.height = self.right - self.left, self.bottom - self.top
        if min(self.width, self.height) < 8:
            raise ValueError("the crop hardly overlaps the photo")
        self.region = np.ascontiguousarray(photo[self.top : self.bottom, self.left : self.right])
        self.fine = _doubled(self.region)
        self.source = self._to_region(source_vertices)
        ratio = min(1.0, MAX_GRID / max(self.width, self.height))
        self.size = (max(round(self.width * ratio), 8), max(round(self.height * ratio), 8))
        self.cell = np.array([self.width / self.size[0], self.height / self.size[1]], np.float32)
        self._buffers = threading.local()
        self.triangles = triangles()
        self.correction = lip_line_correction(self.region, self.source)
        self.source[:, :2] += self.correction
        self.to_linear = np.linalg.pinv(np.insert(self.source[list(SKULL), :2].astype(np.float64), 2, 1, axis=1))[:2]
        facing = doubled_area(self.source[self.triangles])
        self.facing = 1.0 if facing.sum() > 0 else -1.0
        normals = _normals(self.source, self.triangles, self.facing)
        self.facing_camera, self.inward = normals[:, 2], _inward(self.source, normals)
        self.background = BackgroundWarp(self.region, self.source)
        self.eyes = [EyeLayer(self.region, self.source, side) for side in ("right", "left")]
        self.mouth = MouthLayer(self.region, self.source)

    def __call__(self, target_vertices: np.ndarray) -> np.ndarray:
        """Render the frame, uint8 [H, W, 3], whose face has the vertices float32 [478, 3] (photo pixels).

        Raises:
            ValueError: vertices of another shape, or not finite.
        """
        with stage("warp"):
            target, head = self._corrected(target_vertices)
            return self._frame(target, head, self._displacement(target)[0])

    def warp(self, target_vertices: np.ndarray) -> Warped:
        """Render the frame as `__call__` does, and return it with its flow."""
        with stage("warp"):
            return self._with_flow(target_vertices)

    def _with_flow(self, target_vertices: np.ndarray) -> Warped:
        target, head = self._corrected(target_vertices)
        displacement, drawn = self._displacement(target)
        origin = np.empty((*displacement.shape[1:], 2), np.float32)
        for axis, (moved, places) in enumerate(zip(displacement, self._places(self.size))):
            origin[..., axis] = (places + 0.5) * self.cell[axis] - 0.5 + (self.left, self.top)[axis] + moved
        hidden = self.mouth.disoccluded(target[:, :2].astype(np.float64), head, self.size, self.cell)
        # Triangles that face away in the photo, or are too small there.
        before, after = (self.facing * doubled_area(mesh[self.triangles]) for mesh in (self.source, target))
        poor = np.zeros_like(hidden)
        drawn.scatter((after > _MAX_STRETCH * np.maximum(before, 0))[drawn.triangles], poor)
        # Cell k begins at pixel k times the cell's size: its centre is half a cell further, less half a pixel.
        offset = (0.5 - np.array([self.left, self.top])) / self.cell - 0.5
        to_grid = np.concatenate([np.diag(1 / self.cell.astype(np.float64)), offset[:, None]], 1)
        return Warped(self._frame(target, head, displacement), origin, (1 - hidden) * (1 - poor), to_grid)

    def _frame(self, target: np.ndarray, head: Affine, displacement: np.ndarray) -> np.ndarray:
        frame = self.photo.copy()
        moved = frame[self.top : self.bottom, self.left : self.right]
        self._move(moved, displacement)
        points = target[:, :2].astype(np.float64)
        for eye in self.eyes:
            for lid in eye.render_lids(points, moved):
                blend(moved, *lid)
        parts: list[EyeLayer | MouthLayer] = [*self.eyes, self.mouth]
        for part in parts:
            blend(moved, *part.render(points, head))
            blend(moved, *part.render_contact(points))
        return frame

    def _move(self, region: np.ndarray, displacement: np.ndarray) -> None:
        """Warp the region uint8 [height, width, 3] through a displacement on the grid, in place."""
        moving = (np.abs(displacement) > STILL).any(0)
        rows, columns = np.nonzero(moving.any(1))[0], np.nonzero(moving.any(0))[0]
        if not len(rows):
            return
        x0, y0 = (int(np.floor(first * cell)) for first, cell in zip((columns[0], rows[0]), self.cell))
        x1, y1 = (int(np.ceil((last + 1) * cell)) for last, cell in zip((columns[-1], rows[-1]), self.cell))
        # One buffer for each thread, kept from frame to frame: its allocation costs as much as the computation in it.
        if not hasattr(self._buffers, "where"):
            self._buffers.where = np.empty((2, self.height, self.width), np.float32)
        where = self._buffers.where
        for one, moved, places in zip(where, displacement, self._places((self.width, self.height))):
            cv2.resize(2 * moved, (self.width, self.height), dst=one, interpolation=cv2.INTER_LINEAR)
            one += 2 * places
        x, y = where[:, y0:y1, x0:x1]
        inside = region[y0:y1, x0:x1]
        cv2.remap(self.fine, x, y, cv2.INTER_LINEAR, dst=inside, borderMode=cv2.BORDER_REPLICATE)

    @staticmethod
    def _places(size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
        """Return x [1, width] and y [height, 1] of the nodes of a grid."""
        return np.arange(size[0], dtype=np.float32)[None], np.arange(size[1], dtype=np.float32)[:, None]

    def _to_region(self, vertices: np.ndarray) -> np.ndarray:
        vertices = np.asarray(vertices, np.float32)
        if vertices.shape != (478, 3) or not np.isfinite(vertices).all():
            raise ValueError(f"vertices must be finite [478, 3], not {list(vertices.shape)}")
        return vertices - np.array([self.left, self.top, 0], np.float32)

    def _corrected(self, target_vertices: np.ndarray) -> tuple[np.ndarray, Affine]:
        """The target in region pixels, with the source's correction of the lips' points and lids that do not cross.

        Returns:
            the target, and the motion of the upper jaw from the photo to the frame.
        """
        target = self._to_region(target_vertices)
        linear = (self.to_linear @ target[list(SKULL), :2]).T
        head = follow(linear, self.source[list(UNDER_NOSE), :2], target[list(UNDER_NOSE), :2])
        points = np.concatenate([target[:, :2] + self.correction @ linear.T, target[:, 2:]], 1).astype(np.float32)
        for eye in self.eyes:
            eye.stop_lids(points)
        return points, head

    def _displacement(self, target: np.ndarray) -> tuple[np.ndarray, Drawn]:
        """Source minus target float32 [2, h, w] in region pixels at the grid's nodes, and the nodes on the mesh."""
        moved = (target - self.source)[:, :2]
        field = self.background.backward(moved, self.size)
        corners = ((target[:, :2] + 0.5) / self.cell - 0.5)[self.triangles]  # [F, 3, 2]
        front = np.nonzero(self.facing * doubled_area(corners) > 0)[0]
        order = front[np.argsort(-target[self.triangles[front], 2].mean(1), kind="stable")]
        drawn = draw(corners, order, self.size)
        # Skin that turns into view is not in the photo, whose background may be there: take the nearest visible skin.
        turned = _normals(target, self.triangles, self.facing)[:, 2] - self.facing_camera
        taken = moved - smoothstep(turned / 0.25)[:, None] * self.inward
        coefficients = affine_coefficients(corners, -taken[self.triangles]).astype(np.float32)
        y, x = (places.astype(np.float32) for places in np.divmod(drawn.nodes, self.size[0]))
        # The two fields agree along the contour; mixing them over a few cells hides the grid's rounding.
        covered = np.zeros(self.size[::-1], np.float32)
        drawn.scatter(1, covered)
        share = np.maximum(2 * cv2.blur(covered, (MIX_CELLS, MIX_CELLS)) - 1, 0) * covered
        for axis in range(2):
            at_zero, along_x, along_y = (c.take(drawn.triangles) for c in coefficients[..., axis].T)
            inside = np.zeros_like(covered)
            drawn.scatter(at_zero + along_x * x + along_y * y, inside)
            field[axis] += share * (inside - field[axis])
        return field, drawn


def _doubled(image: np.ndarray) -> np.ndarray:
    """The image uint8 [h, w, 3] at twice its resolution, with its pixels at even places: [2 h, 2 w, 3]."""
    fine = np.empty((2 * image.shape[0], 2 * image.shape[1], 3), np.uint8)
    alone = np.ones(1, np.float32)
    fine[::2, ::2] = image
    for x, y in ((1, 0), (0, 1), (1, 1)):
        along_x, along_y = (_HALF_WAY if between else alone for between in (x, y))
        fine[y::2, x::2] = cv2.sepFilter2D(image, -1, along_x, along_y, anchor=(x, y), borderType=cv2.BORDER_REPLICATE)
    return fine


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
