"""What 3DiFACE's network sees of a motion: displacements of vertices and, where it moves, the pose of the head."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from stage1_motion.editing.ramp import FACE_REACH, HEAD_REACH
from stage1_motion.editing.replacement import Part
from stage1_motion.motion_space import MotionSpace
from stage1_motion.parts import vertex_weights


@dataclass
class Coordinates:
    """The way from the motion space to the network's coordinates and back.

    Noise is added to every coordinate alike, but a face moves in few directions, each of which moves many coordinates:
    in units of the coordinates' own deviations the noise would hide nothing, and motion would be decided in the first
    step, as a mean. In units of `scale` it hides what is smaller than `scale` in all coordinates together.

    Args:
        space: the motion space.
        scale: mm of a unit of the network's.
        head: whether the head is among the coordinates.
    """

    space: MotionSpace
    scale: float
    head: bool = True

    @property
    def count(self) -> int:
        """3 V, and 6 where the head moves."""
        return 3 * self.space.model.num_vertices + 6 * self.head

    def encode(self, expression: np.ndarray, pose: np.ndarray) -> np.ndarray:
        """Motion space [T, D], [T, 6] -> float32 [T, 3 V (+ 6)]."""
        displacements = self.space.displacements(expression).reshape(len(expression), -1) / self.scale
        return np.concatenate([displacements, pose], axis=1).astype(np.float32)[:, : self.count]

    def decode(self, coordinates: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        """The way back; displacements are fitted by least squares."""
        vertices = 3 * self.space.model.num_vertices
        displacements = coordinates[:, :vertices].reshape(len(coordinates), -1, 3) * self.scale
        # A copy: a view would keep all coordinates in memory.
        return self.space.fit_displacements(displacements), coordinates[:, vertices:].copy() if self.head else None

    def gap(self) -> np.ndarray:
        """float32 [3 V (+ 6), 1]: coordinates -> lip gap after the fit, mm, less that of the displacements' origin."""
        vertices = self.space.model.num_vertices
        unit = np.eye(3 * vertices, dtype=np.float32).reshape(-1, vertices, 3) * self.scale
        row = self.space.fit_displacements(unit) @ self.space.gap_row()
        return np.pad(row, (0, self.count - len(row))).astype(np.float32)[:, None]

    def parts(self, mask: np.ndarray) -> list[Part]:
        """What can be given apart, where a mask bool [T, 4] (`parts.PARTS`) says so; shares are of coordinates."""
        face = np.pad(np.repeat(vertex_weights(self.space.model), 3, axis=1), ((0, 0), (0, 6)))  # [3, 3 V + 6]
        head = np.pad(np.ones((1, 6), np.float32), ((0, 0), (face.shape[1] - 6, 0)))
        shares = np.concatenate([face, head])[:, : self.count]
        reaches = (FACE_REACH, FACE_REACH, FACE_REACH, HEAD_REACH)
        return [Part(*of_part) for of_part in zip(mask.T, shares, reaches)]


class FaceCoordinates(Coordinates):
    """The same motion in D (+ 6) numbers: along an orthonormal basis of the directions in which faces move.

    Noise in the other directions of `Coordinates` tells nothing about a motion, but a network must learn to overlook
    it.
    """

    @property
    def count(self) -> int:
        """D, and 6 where the head moves."""
        return self.space.model.num_expression + 6 * self.head

    def encode(self, expression: np.ndarray, pose: np.ndarray) -> np.ndarray:
        """Motion space [T, D], [T, 6] -> float32 [T, D (+ 6)]."""
        return np.concatenate([expression @ self._factors[1].T, pose], axis=1).astype(np.float32)[:, : self.count]

    def decode(self, coordinates: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        """The way back."""
        face = self.space.model.num_expression
        expression = np.linalg.solve(self._factors[1], coordinates[:, :face].T).T.astype(np.float32)
        return expression, coordinates[:, face:].copy() if self.head else None

    def gap(self) -> np.ndarray:
        """float32 [D (+ 6), 1]: see `Coordinates.gap`."""
        return self.basis().T @ Coordinates(self.space, self.scale, self.head).gap()

    def basis(self) -> np.ndarray:
        """float32 [3 V (+ 6), D (+ 6)], orthonormal columns: of these coordinates in those of `Coordinates`."""
        directions, head = self._factors[0], np.eye(6 * self.head)
        upper = np.pad(directions, ((0, 0), (0, len(head))))
        lower = np.pad(head, ((0, 0), (directions.shape[1], 0)))
        return np.concatenate([upper, lower]).astype(np.float32)

    @cached_property
    def _factors(self) -> tuple[np.ndarray, np.ndarray]:
        """[3 V, D] orthonormal, and [D, D]: their product takes the motion space to displacements, in `scale`."""
        count = self.space.model.num_expression
        moved = self.space.displacements(np.eye(count, dtype=np.float32)).reshape(count, -1) / self.scale
        return tuple(np.linalg.qr(moved.T.astype(np.float64)))  # type: ignore[return-value]
