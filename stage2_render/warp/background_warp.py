"""The warp around the face: hair, ears and neck follow it, the background stays.

The displacement u outside the mesh is the minimum of a quadratic energy on a coarse grid over the crop,

    sum_edges  c |u_j - u_i - m_ij|^2  +  bend |laplace u|^2  +  hold |u|^2  +  heavy |u(contour) - d(contour)|^2,

where m_ij is how the similarity that best explains the contour's movement would move hair and ears (so a tilted head
tilts its hair), `hold` fixes the background and the shoulders, and u is 0 at the crop's edge. All of it is linear in
the vertex displacements d, so one sparse solve per photo gives u = W d for every frame (the idea of a precomputed
handle-based deformation: Jacobson et al., Bounded Biharmonic Weights, 2011).
"""

from __future__ import annotations

import cv2
import numpy as np
from scipy import sparse
from scipy.sparse.linalg import splu

from shared.face_model.mediapipe_mesh import FACE_OVAL
from shared.faces.face_tracker import person_probability
from stage2_render.warp.compositing import pixel_grid, smoothstep

GRID = 64
"""Cells of the grid along the longer side of the region."""

HANDLES = np.array(FACE_OVAL)
"""Vertices of the contour whose displacements determine the field."""

# The contour without the chin, which the jaw moves: the movement of the skull.
SKULL = (10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 93, 234, 127, 162, 21, 54, 103, 67, 109, 132, 361)
# Bending stiffness relative to stretching (cells squared), and the weight of constraints that hold exactly.
_BEND = 2.0
_HEAVY = 1e3
# Mean displacement of the contour, as a share of the face's height, at which the wide field begins to replace the tight
# one, and over which it does.
WIDE_FROM, WIDE_OVER = 0.015, 0.05
# Fixed-point iteration that inverts the field: its steps, and the weights of the new and the previous estimate, whose
# average halves the overshoot where the field is steep.
INVERSION_STEPS, NEW, PREVIOUS = 8, 0.7, 0.3


class BackgroundWarp:
    """Displacement of everything outside the face mesh, linear in the displacement of its contour.

    Args:
        region: uint8 RGB [h, w, 3], the part of the photo that may move.
        vertices: float32 [478, 3] in its pixels.
    """

    def __init__(self, region: np.ndarray, vertices: np.ndarray) -> None:
        height, width = region.shape[:2]
        self._cell = max(height, width) / GRID
        self.shape = (max(round(height / self._cell), 4), max(round(width / self._cell), 4))
        # Pixels -> grid nodes: node i is in the middle of cell i, as in cv2.resize.
        self.scale = np.array([self.shape[1] / width, self.shape[0] / height], np.float64)
        points = (vertices[:, :2].astype(np.float64) + 0.5) * self.scale - 0.5
        self.face_height = float(np.ptp(vertices[HANDLES, 1]))
        person = _person_mask(region, points, self.shape)
        head, neck = _head_weight(person, points)
        self.similarity = _similarity_fit(points[list(SKULL)]).astype(np.float32)
        # Hold and stiffness. Small movements: the background is still right up to the hair. Large ones stretch it.
        tight = (0.3 * (1 - person) + 0.03 * neck, np.where(person > 0.5, 1.0, 0.35))
        wide = (0.002 * (1 - person) + 0.008 * neck, np.where(person > 0.5, 1.0, 0.8))
        self.weights = [_solve(points, head, hold, stiffness) for hold, stiffness in (tight, wide)]
        self._nodes = pixel_grid((0, 0, self.shape[1], self.shape[0]))

    def forward(self, displacement: np.ndarray) -> np.ndarray:
        """Map the displacement of the vertices [478, 2] to that of the grid's nodes float32 [gh, gw, 2], in pixels."""
        displacement = displacement.astype(np.float32)
        handles = displacement[HANDLES]
        # Slopes are per cell of the grid, displacements in pixels.
        a, b = self.similarity @ displacement[list(SKULL)].ravel()
        controls = np.concatenate([handles, np.array([[a, b], [-b, a]], np.float32)])
        amount = float(np.sqrt((handles**2).sum(-1).mean())) / max(self.face_height, 1.0)
        mix = np.float32(smoothstep((amount - WIDE_FROM) / WIDE_OVER))
        tight, wide = self.weights
        field = tight @ controls
        if mix:
            field += mix * (wide @ controls - field)
        return field.reshape(*self.shape, 2)

    def backward(self, displacement: np.ndarray, size: tuple[int, int]) -> np.ndarray:
        """Return where each pixel comes from, minus where it is, by fixed-point inversion of the forward field.

        Args:
            displacement: of the vertices, [478, 2] in pixels of the region.
            size: (width, height) of the map.

        Returns:
            float32 [2, height, width] in pixels of the region.
        """
        scale = self.scale.astype(np.float32)
        forward = self.forward(displacement) * scale
        inverse = -forward
        for _ in range(INVERSION_STEPS):
            where = cv2.add(self._nodes, inverse)
            found = cv2.remap(forward, where, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
            inverse = cv2.addWeighted(found, -NEW, inverse, PREVIOUS, 0)
        return np.stack([cv2.resize(axis, size, interpolation=cv2.INTER_CUBIC) for axis in cv2.split(inverse / scale)])


def _person_mask(region: np.ndarray, points: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Mask float [gh, gw], 1 on the person and 0 on the background; an ellipse where segmentation finds no head."""
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    oval = points[list(FACE_OVAL)]
    center, low, high = oval.mean(0), oval.min(0), oval.max(0)
    half = (high - low) / 2
    face = np.zeros(shape, np.uint8)
    cv2.fillPoly(face, [np.round(oval).astype(np.int32)], 1)
    person = cv2.resize(person_probability(region), shape[::-1], interpolation=cv2.INTER_AREA)
    person = np.nan_to_num(person)
    if person[face > 0].mean() < 0.7 or person.mean() > 0.97:
        ellipse = ((columns - center[0]) / (1.35 * half[0])) ** 2 + (
            (rows - center[1] + 0.2 * half[1]) / (1.4 * half[1])
        ) ** 2
        below = (rows > center[1]) & (abs(columns - center[0]) < 0.9 * half[0])
        person = np.maximum((ellipse < 1), below).astype(np.float32)
    person = np.maximum(smoothstep((person - 0.2) / 0.6), face)
    # A small margin: the soft rim of hair belongs to the head, not to the background.
    person = cv2.dilate(person.astype(np.float32), np.ones((3, 3), np.uint8))
    return cv2.GaussianBlur(person, (0, 0), 0.8).astype(np.float64)


def _head_weight(person: np.ndarray, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Masks of what moves with the skull and of the shoulders, which do not, both [gh, gw] in 0..1."""
    rows, columns = np.mgrid[: person.shape[0], : person.shape[1]]
    oval = points[list(FACE_OVAL)]
    center, half = (oval.min(0) + oval.max(0)) / 2, np.ptp(oval, axis=0) / 2
    chin = center[1] + half[1]
    radius = np.hypot((columns - center[0]) / half[0], (rows - center[1]) / half[1])
    above = 1 - smoothstep((rows - center[1] - 0.3 * half[1]) / (0.9 * half[1]))
    head = person * above * (1 - smoothstep((radius - 1.5) / 0.9))
    shoulders = person * smoothstep((rows - chin - 0.05 * half[1]) / (0.9 * half[1]))
    return head, shoulders


def _similarity_fit(points: np.ndarray) -> np.ndarray:
    """Linear map [2, 2n] from displacements (x0, y0, x1, ...) to the a, b of their least-squares similarity field.

    The field is (a x - b y + tx, b x + a y + ty).
    """
    x, y = points.T
    one, zero = np.ones_like(x), np.zeros_like(x)
    design = np.empty((2 * len(points), 4))
    design[0::2] = np.stack([x, -y, one, zero], -1)
    design[1::2] = np.stack([y, x, zero, one], -1)
    return np.linalg.pinv(design)[:2]


def _differences(shape: tuple[int, int]) -> tuple[sparse.csr_matrix, sparse.csr_matrix]:
    """Matrices of the differences along x and y between neighbours of the grid, one row for each edge."""

    def line(count: int) -> sparse.dia_matrix:
        return sparse.diags([-np.ones(count - 1), np.ones(count - 1)], [0, 1], shape=(count - 1, count))

    height, width = shape
    along_x = sparse.kron(sparse.identity(height), line(width))
    along_y = sparse.kron(line(height), sparse.identity(width))
    return along_x.tocsr(), along_y.tocsr()


def _interpolation(points: np.ndarray, shape: tuple[int, int]) -> sparse.csr_matrix:
    """Matrix [n, gh * gw] of the bilinear interpolation of a field of the grid at points [n, 2]."""
    points = np.clip(points, 0, np.array(shape[::-1]) - 1.001)
    corner = np.floor(points).astype(int)
    fx, fy = (points - corner).T
    first = corner[:, 1] * shape[1] + corner[:, 0]
    columns = np.stack([first, first + 1, first + shape[1], first + shape[1] + 1], -1)
    values = np.stack([(1 - fx) * (1 - fy), fx * (1 - fy), (1 - fx) * fy, fx * fy], -1)
    rows = np.repeat(np.arange(len(points)), 4)
    return sparse.csr_matrix((values.ravel(), (rows, columns.ravel())), shape=(len(points), shape[0] * shape[1]))


def _handle_samples(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Points [m, 2] along the contour, where the field is fixed to the mesh, and each handle's weight [m, handles]."""
    here = np.eye(len(HANDLES))
    following = np.roll(here, 1, axis=1)
    part = np.concatenate([(1 - t) * here + t * following for t in (0, 0.25, 0.5, 0.75)])
    return part @ points[HANDLES], part


def _solve(points: np.ndarray, head: np.ndarray, hold: np.ndarray, stiffness: np.ndarray) -> np.ndarray:
    """Solve for the field of each control.

    Args:
        points: vertices in grid nodes [478, 2].
        head: what moves with the skull, [gh, gw].
        hold: weight that fixes a node, [gh, gw].
        stiffness: weight of stretching, [gh, gw].

    Returns:
        float32 [gh * gw, handles + 2]: the field for a unit displacement of each handle along one axis, then for unit
        slopes along x and y of the head's similarity.
    """
    shape = head.shape[0], head.shape[1]
    along_x, along_y = _differences(shape)
    mean_x, mean_y = abs(along_x) / 2, abs(along_y) / 2
    stiff_x, stiff_y = (sparse.diags(mean @ stiffness.ravel()) for mean in (mean_x, mean_y))
    laplace = -(along_x.T @ along_x + along_y.T @ along_y)
    edge = np.zeros(shape)
    edge[[0, -1]], edge[:, [0, -1]] = 1, 1
    samples, part = _handle_samples(points)
    tie = _interpolation(samples, shape)
    energy = (
        along_x.T @ stiff_x @ along_x
        + along_y.T @ stiff_y @ along_y
        + _BEND * laplace.T @ laplace
        + sparse.diags(hold.ravel() + _HEAVY * edge.ravel())
        + _HEAVY * tie.T @ tie
    )
    slope_x = along_x.T @ stiff_x @ (mean_x @ head.ravel())
    slope_y = along_y.T @ stiff_y @ (mean_y @ head.ravel())
    right = np.concatenate([_HEAVY * (tie.T @ part), slope_x[:, None], slope_y[:, None]], 1)
    return splu(energy.tocsc()).solve(right).astype(np.float32)
