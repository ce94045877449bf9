"""ICT-FaceKit (Li et al., "Learning Formation of Physically-Based Face Attributes", CVPR 2020)."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from shared.errors import InputError
from shared.face_model.convention import conventional
from shared.face_model.morphable import MorphableModel
from shared.face_model.obj import read_obj, read_vertices

# The first 9409 vertices are the face's skin; the rest is the head, eyes, teeth, lashes (the kit's own table).
_NUM_SKIN = 9409


# The 68 Multi-PIE landmarks in the kit's README, for copies of the folder without vertex_indices.json.
_LANDMARKS = (
    1225, 1888, 1052, 367, 1719, 1722, 2199, 1447, 966, 3661, 4390, 3927, 3924, 2608, 3272, 4088, 3443, 268, 493, 1914,
    2044, 1401, 3615, 4240, 4114, 2734, 2509, 978, 4527, 4942, 4857, 1140, 2075, 1147, 4269, 3360, 1507, 1542, 1537,
    1528, 1518, 1511, 3742, 3751, 3756, 3721, 3725, 3732, 5708, 5695, 2081, 0, 4275, 6200, 6213, 6346, 6461, 5518, 5957,
    5841, 5702, 5711, 5533, 6216, 6207, 6470, 5517, 5966,
)  # fmt: skip
_NEUTRAL = "generic_neutral_mesh.obj"


def load_ict(folder: str | Path) -> MorphableModel:
    """Read the kit's folder ``FaceXModel``.

    It contains generic_neutral_mesh.obj, identity000.obj ..., one OBJ per expression named as in ARKit
    (``jawOpen.obj``, ``eyeBlink_L.obj``), and vertex_indices.json. The kit uses centimetres and the project's axes.
    Identity modes are scaled so that coefficient 1 is one standard deviation. Expressions have no deviations:
    coefficient 1 is the full shape, as in ARKit, in the order of `expression_names`. Vertex groups are derived from the
    kit's 68 landmark vertices, on the skin alone. The corrective shapes of some rigs, products of expressions, do not
    exist in a linear model.

    Raises:
        InputError: not that folder, or a mesh is missing, broken or of another topology.
    """
    folder = Path(folder)
    names = expression_names(folder)
    mean, triangles = read_obj(folder / _NEUTRAL)
    identities = sorted(folder.glob("identity[0-9][0-9][0-9].obj"))
    if not identities or not names:
        raise InputError(f"{folder}: not an ICT-FaceKit model (no identity or no expression shapes)")
    bases = []
    for paths in (identities, [folder / f"{name}.obj" for name in names]):
        basis = np.empty((len(paths), *mean.shape), np.float32)
        for row, path in zip(basis, paths):
            vertices = read_vertices(path)
            if vertices.shape != mean.shape:
                raise InputError(f"{path}: has {len(vertices)} vertices, the neutral mesh {len(mean)}")
            row[:] = vertices - mean
        bases.append(basis)
    landmarks = np.array(_index(folder).get("idx_to_landmark_verts", _LANDMARKS), np.int64)
    skin = np.arange(min(_NUM_SKIN, len(mean)))
    return conventional(folder, "ict", mean, bases[0], bases[1], triangles, landmarks, skin)


def expression_names(folder: str | Path) -> list[str]:
    """Return the expressions in the order of the basis: the list in vertex_indices.json, or other OBJ files by name."""
    listed = _index(Path(folder)).get("expressions")
    if listed is not None:
        return [str(name) for name in listed]
    names = sorted(path.stem for path in Path(folder).glob("*.obj"))
    return [name for name in names if not name.startswith("identity") and f"{name}.obj" != _NEUTRAL]


def _index(folder: Path) -> dict:
    path = folder / "vertex_indices.json"
    try:
        index = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read ({error})") from None
    if not isinstance(index, dict):
        raise InputError(f"{path}: not the index of an ICT-FaceKit model")
    return index
