"""Bring a foreign face model into the project's convention: millimetres, axes, origin, named vertex groups."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from scipy.spatial import ConvexHull, cKDTree

from shared.errors import InputError
from shared.face_model.morphable import EYE_CORNERS_MM, MorphableModel

# The 68 landmarks of Multi-PIE / iBUG 300-W; right and left are the person's.
_JAW_LINE = range(0, 17)
_RIGHT_BROW, _LEFT_BROW = range(17, 22), range(22, 27)
_NOSE_RIDGE, _NOSTRILS = range(27, 31), range(31, 36)
_RIGHT_EYE, _LEFT_EYE = range(36, 42), range(42, 48)
_OUTER_LIPS, _INNER_LIPS = range(48, 60), range(60, 68)
_RIGHT_CORNER, _LEFT_CORNER = 36, 45


def conventional(
    path: str | Path,
    name: str,
    mean: np.ndarray,
    id_basis: np.ndarray,
    exp_basis: np.ndarray,
    triangles: np.ndarray,
    landmarks: np.ndarray,
    skin: np.ndarray | None = None,
) -> MorphableModel:
    """Build the MorphableModel of a file whose axes are x to the person's left, y up, z to the camera.

    The model is scaled so that the outer eye corners of the mean are 90 mm apart, the origin is placed between them,
    and vertex groups are named by `landmark_groups`.

    Args:
        path: the file, for error messages.
        name: name of the model.
        mean: [N, 3].
        id_basis: [D_id, N, 3].
        exp_basis: [D_exp, N, 3].
        triangles: [F, 3].
        landmarks: [68] vertex indices.
        skin: indices of the outer skin, for meshes with more parts (eyeballs, teeth); all vertices by default.

    Raises:
        InputError: shapes disagree, a number is not finite, an index is out of range, or the face is not upright.
    """
    count = len(mean)
    shapes = {"mean": mean.shape[1:], "identity": id_basis.shape[1:], "expression": exp_basis.shape[1:]}
    wanted = {"mean": (3,), "identity": (count, 3), "expression": (count, 3)}
    for part, shape in shapes.items():
        if shape != wanted[part]:
            raise InputError(f"{path}: the {part} part has shape {list(shape)}, expected {list(wanted[part])}")
    for values in (mean, id_basis, exp_basis):
        if not np.isfinite(values).all():
            raise InputError(f"{path}: it contains a number that is not finite")
    if triangles.ndim != 2 or triangles.shape[1] != 3 or landmarks.shape != (68,):
        raise InputError(f"{path}: triangles or landmarks have a wrong shape")
    if min(triangles.min(), landmarks.min()) < 0 or max(triangles.max(), landmarks.max()) >= count:
        raise InputError(f"{path}: a triangle or landmark refers to a missing vertex")
    right, left = mean[landmarks[_RIGHT_CORNER]], mean[landmarks[_LEFT_CORNER]]
    chin = mean[landmarks[8]]
    if not (left[0] > right[0] and chin[1] < right[1]):
        raise InputError(f"{path}: the face is not upright with its left eye at larger x")
    scale = EYE_CORNERS_MM / np.linalg.norm(left - right)
    mean = ((mean - (left + right) / 2) * scale).astype(np.float32)
    return MorphableModel(
        name=name,
        mean=mean,
        id_basis=(id_basis * scale).astype(np.float32),
        exp_basis=(exp_basis * scale).astype(np.float32),
        triangles=triangles.astype(np.int32),
        groups=landmark_groups(mean, landmarks, np.arange(count) if skin is None else skin),
        extra={"landmarks": landmarks.astype(np.float32)},
    )


def landmark_groups(mean: np.ndarray, landmarks: np.ndarray, skin: np.ndarray) -> dict[str, np.ndarray]:
    """Derive the named vertex groups of a mesh from its 68 landmark vertices.

    Regions are the skin inside a ring of landmarks, in frontal view, and within some millimetres of it. `contour` is
    the jaw line alone, ear to ear, because the 68 landmarks have no hairline; `rigid` is the nose bridge, the eye
    corners, the ends of the jaw line and the middle of the forehead. Each group contains its landmarks, so none is
    empty.

    Args:
        mean: [N, 3] in mm.
        landmarks: [68] vertex indices.
        skin: indices of the outer skin.

    Returns:
        Group name -> int32 vertex indices.
    """
    points = mean[landmarks]
    surface = mean[skin]

    def where(chosen: np.ndarray) -> set[int]:
        return set(skin[chosen].tolist())

    def own(indices: range | list[int]) -> set[int]:
        return set(landmarks[list(indices)].tolist())

    def near(indices: range | list[int], distance: float, *, closed: bool = False) -> set[int]:
        line = _dense(points[list(indices)], closed)
        return where(cKDTree(line).query(surface)[0] <= distance) | own(indices)

    def inside(indices: range | list[int]) -> set[int]:
        ring = points[list(indices)]
        # Excludes the back of the head: no skin of a region is far behind its ring.
        return where(_in_polygon(surface[:, :2], ring[:, :2]) & (surface[:, 2] > ring[:, 2].min() - 15))

    lips = inside(_OUTER_LIPS) | near(_OUTER_LIPS, 1.5, closed=True) | own(_INNER_LIPS)
    eyes = set().union(*(inside(ring) | near(ring, 5, closed=True) for ring in (_RIGHT_EYE, _LEFT_EYE)))
    brows = near(_RIGHT_BROW, 5) | near(_LEFT_BROW, 5)
    nose_points = [*_NOSE_RIDGE, *_NOSTRILS]
    nose_hull = [nose_points[i] for i in ConvexHull(points[nose_points][:, :2]).vertices]
    nose = inside(nose_hull) | near(_NOSE_RIDGE, 5) | near(_NOSTRILS, 4)
    x, y, z = surface.T
    brow_top = points[17:27, 1].max()
    front = z > points[[_RIGHT_CORNER, _LEFT_CORNER], 2].min() - 10
    forehead = front & (y > brow_top + 10) & (y < brow_top + 45)
    contour = near(_JAW_LINE, 4)
    named = {
        "lips": lips,
        "inner_lips": near(_INNER_LIPS, 1.5, closed=True),
        "mouth": lips | near(_OUTER_LIPS, 12, closed=True),
        "jaw": (inside(_JAW_LINE) | contour) & where(y < points[57, 1]) | own(range(4, 13)),
        "eyes": eyes,
        "brows": brows,
        "upper_face": brows | eyes | where(front & (y > 0) & (y < brow_top + 45)),
        "nose": nose,
        "rigid": near([27, 28], 4) | own([0, 16, 36, 39, 42, 45]) | where(forehead & (np.abs(x) < 35)),
        "contour": contour,
    }
    return {name: np.array(sorted(members), np.int32) for name, members in named.items()}


def _dense(line: np.ndarray, closed: bool) -> np.ndarray:
    """Points at most a tenth of a segment apart along a polyline."""
    ends = np.roll(line, -1, axis=0) if closed else line[1:]
    starts = line if closed else line[:-1]
    weight = np.linspace(0, 1, 11)[:, None, None]
    return (starts * (1 - weight) + ends * weight).reshape(-1, 3)


def _in_polygon(points: np.ndarray, polygon: np.ndarray) -> np.ndarray:
    """Even-odd rule for points [n, 2]: bool [n]."""
    x, y = points.T
    result = np.zeros(len(points), bool)
    for (ax, ay), (bx, by) in zip(polygon, np.roll(polygon, -1, axis=0)):
        crosses = (ay > y) != (by > y)
        result[crosses] ^= x[crosses] < ax + (y[crosses] - ay) * (bx - ax) / (by - ay)
    return result
