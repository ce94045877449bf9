"""Topology of the tracker's mesh: mediapipe's 468 face points and 10 iris points."""

from __future__ import annotations

from collections import defaultdict
from functools import lru_cache

import numpy as np

from shared.faces.face_tracker import mesh_edges

NUM_VERTICES = 478

# Rings, each in order. Lips from the person's right corner along the top to the left corner, then back below.
INNER_LIPS = (78, 191, 80, 81, 82, 13, 312, 311, 310, 415, 308, 324, 318, 402, 317, 14, 87, 178, 88, 95)
OUTER_LIPS = (61, 185, 40, 39, 37, 0, 267, 269, 270, 409, 291, 375, 321, 405, 314, 17, 84, 181, 91, 146)
RIGHT_EYE = (33, 246, 161, 160, 159, 158, 157, 173, 133, 155, 154, 153, 145, 144, 163, 7)
LEFT_EYE = (263, 466, 388, 387, 386, 385, 384, 398, 362, 382, 381, 380, 374, 373, 390, 249)
FACE_OVAL = (
    10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377,
    152, 148, 176, 149, 150, 136, 172, 58, 132, 93, 234, 127, 162, 21, 54, 103, 67, 109,
)  # fmt: skip
RIGHT_IRIS = (468, 469, 470, 471, 472)  # centre first
LEFT_IRIS = (473, 474, 475, 476, 477)
OUTER_EYE_CORNERS = (33, 263)  # the person's right, left
INNER_LIP_CENTRES = (13, 14)  # upper, lower

_BROWS = (46, 52, 53, 55, 63, 65, 66, 70, 105, 107, 276, 282, 283, 285, 293, 295, 296, 300, 334, 336)
_NOSE = (1, 2, 4, 5, 6, 19, 45, 48, 64, 94, 97, 98, 115, 168, 195, 197, 220, 275, 278, 294, 326, 327, 344, 440)
# Vertices where skin hardly moves on the skull: forehead, nose bridge, outer and inner eye corners, temples.
_RIGID = (10, 338, 109, 151, 9, 8, 168, 6, 197, 195, 33, 133, 362, 263, 127, 356, 162, 389, 67, 297, 234, 454)
# Cliques of the edge list that are not faces: each spans the three triangles beside a nostril.
_NOT_FACES = ({279, 294, 358}, {49, 64, 129})


@lru_cache(maxsize=1)
def triangles() -> np.ndarray:
    """Return int32 [898, 3]: the 852 of the face surface, then 14 + 14 across the eyes and 18 across the mouth opening.

    Oriented so that the normals of a frontal face point to the camera (x right, y up, z to the camera).
    """
    edges = mesh_edges()
    neighbours: dict[int, set[int]] = defaultdict(set)
    for a, b in edges:
        neighbours[a].add(b)
        neighbours[b].add(a)
    faces = {tuple(sorted((a, b, c))) for a, b in edges for c in neighbours[a] & neighbours[b]}
    surface = sorted(face for face in faces if set(face) not in _NOT_FACES)
    openings = [face for ring in (RIGHT_EYE, LEFT_EYE, INNER_LIPS) for face in _zip_ring(ring)]
    return _orient(np.array(surface + openings, np.int32))


def _zip_ring(ring: tuple[int, ...]) -> list[tuple[int, int, int]]:
    """Triangulate a ring between its corners 0 and n/2; upper points are matched with the opposite lower ones."""
    count = len(ring)
    upper = list(ring[: count // 2 + 1])
    lower = [ring[0], *reversed(ring[count // 2 :])]
    faces = []
    for i in range(count // 2):
        faces += [(upper[i], upper[i + 1], lower[i + 1]), (upper[i], lower[i + 1], lower[i])]
    return [face for face in faces if len(set(face)) == 3]


def _orient(faces: np.ndarray) -> np.ndarray:
    """Orient all faces consistently, starting from a face on the nose bridge of known orientation."""
    by_edge: dict[tuple[int, int], list[int]] = defaultdict(list)
    for index, face in enumerate(faces):
        for k in range(3):
            a, b = int(face[k]), int(face[(k + 1) % 3])
            by_edge[min(a, b), max(a, b)].append(index)
    faces = faces.copy()
    # 122 is on the image's left of the nose bridge 6 (below) to 168 (above): 6 -> 168 -> 122 is counter-clockwise.
    start = next(i for i, face in enumerate(faces) if set(face.tolist()) == {6, 122, 168})
    faces[start] = (6, 168, 122)
    done, queue = {start}, [start]
    while queue:
        index = queue.pop()
        face = faces[index]
        for k in range(3):
            a, b = int(face[k]), int(face[(k + 1) % 3])
            for other in by_edge[min(a, b), max(a, b)]:
                if other in done:
                    continue
                ring = faces[other].tolist()
                if (a, b) in zip(ring, ring[1:] + ring[:1]):  # neighbours must follow a shared edge in opposite ways
                    faces[other] = ring[::-1]
                done.add(other)
                queue.append(other)
    return faces


def groups() -> dict[str, np.ndarray]:
    """Return the named vertex groups of every MorphableModel, for this mesh."""
    around_mouth = {57, 43, 106, 182, 83, 18, 313, 406, 335, 273, 287, 410, 322, 391, 393, 164, 167, 165, 92, 186}
    lips = set(INNER_LIPS) | set(OUTER_LIPS) | {
        62, 76, 77, 90, 180, 85, 16, 315, 404, 320, 307, 292, 408, 304, 303, 302, 11, 72, 73, 74, 184, 183,
        96, 89, 179, 86, 15, 316, 403, 319, 325, 306, 407, 272, 271, 268, 12, 38, 41, 42,
    }  # fmt: skip
    lid_rings = {
        247, 30, 29, 27, 28, 56, 190, 243, 112, 26, 22, 23, 24, 110, 25, 130,
        467, 260, 259, 257, 258, 286, 414, 463, 341, 256, 252, 253, 254, 339, 255, 359,
    }  # fmt: skip
    eyes = set(RIGHT_EYE) | set(LEFT_EYE) | lid_rings
    jaw = {
        152, 148, 176, 149, 150, 136, 172, 58, 132, 377, 400, 378, 379, 365, 397, 288, 361,
        175, 199, 200, 201, 208, 171, 140, 170, 169, 32, 194, 204, 211, 210, 135, 214, 192,
        421, 428, 396, 369, 395, 394, 262, 418, 424, 431, 430, 364, 434, 416,
    }  # fmt: skip
    upper = set(_BROWS) | eyes | {151, 9, 8, 108, 337, 69, 299, 104, 333, 68, 298, 71, 301, 10, 109, 338, 67, 297}
    named = {
        "lips": lips,
        "inner_lips": set(INNER_LIPS),
        "mouth": lips | around_mouth,
        "jaw": jaw,
        "eyes": eyes,
        "brows": set(_BROWS),
        "upper_face": upper,
        "nose": set(_NOSE),
        "rigid": set(_RIGID),
        "contour": set(FACE_OVAL),
    }
    return {name: np.array(sorted(members), np.int32) for name, members in named.items()}
