"""Face models of other projects, in the layout of their publication, and the convention that they are brought to."""

import json
import pickle
import sys
import types
from pathlib import Path

import numpy as np
import pytest
from scipy.io import savemat
from scipy.sparse import csc_matrix

from shared.face_model import MorphableModel
from shared.face_model.flame import LANDMARKS as FLAME_LANDMARKS
from shared.face_model.morphable import GROUPS
from shared.faces.face_alignment_tracker import MESH_68


def check_convention(model: MorphableModel, landmarks: np.ndarray) -> None:
    right, left = model.mean[landmarks[36]], model.mean[landmarks[45]]
    np.testing.assert_allclose((left + right) / 2, 0, atol=1e-3)
    assert np.linalg.norm(left - right) == pytest.approx(90, abs=1e-2)
    assert left[0] > 0 and model.mean[landmarks[8], 1] < 0 and model.mean[landmarks[30], 2] > left[2]
    assert set(model.groups) == set(GROUPS)
    for name, members in model.groups.items():
        assert len(members) and members.dtype == np.int32 and members.max() < model.num_vertices, name
    assert set(landmarks[48:68]) <= set(model.groups["lips"])
    assert set(landmarks[60:68]) <= set(model.groups["inner_lips"]) <= set(model.groups["mouth"])
    assert set(landmarks[36:48]) <= set(model.groups["eyes"]) <= set(model.groups["upper_face"])
    assert landmarks[8] in model.groups["jaw"] and landmarks[8] in model.groups["contour"]
    assert not set(model.groups["lips"]) & set(model.groups["eyes"])
    assert set(model.groups["rigid"]).isdisjoint(model.groups["mouth"])


def write_bfm(path, face: MorphableModel, **changes) -> dict[str, np.ndarray]:
    count = face.num_vertices
    random = np.random.default_rng(0)
    data = {
        "meanshape": (face.mean / 100 + 0.3).reshape(1, -1).astype(np.float32),  # decimetres, off centre
        "meantex": np.full((1, 3 * count), 128, np.float32),
        "idBase": random.normal(0, 0.01, (3 * count, 80)).astype(np.float32),
        "exBase": random.normal(0, 0.01, (3 * count, 64)).astype(np.float32),
        "texBase": np.zeros((3 * count, 80), np.float32),
        "tri": (face.triangles + 1).astype(np.uint16),
        "keypoints": np.array(MESH_68, np.uint16)[None] + 1,
    }
    data = {name: value for name, value in (data | changes).items() if value is not None}
    savemat(path, data)
    return data


def _write_obj(path, vertices: np.ndarray, quads: np.ndarray) -> None:
    lines = ["# ICT FaceKit", "mtllib ICTFaceModelMaterial.mtl"]
    lines += [f"v {x:.6f} {y:.6f} {z:.6f}" for x, y, z in vertices]
    lines += ["vt 0.5 0.5", "usemtl M_Face"]
    lines += ["f " + " ".join(f"{i + 1}/1" for i in quad) for quad in quads]
    path.write_text("\n".join(lines) + "\n")


def write_ict(folder: Path, face: MorphableModel) -> None:
    """FaceXModel with the 68 points as its whole mesh."""
    folder.mkdir()
    mean = face.mean[list(MESH_68)] / 10 + [0, 1.0, 2.0]  # centimetres
    quads = np.array([[0, 1, 2, 3], [4, 5, 6, 7]])
    _write_obj(folder / "generic_neutral_mesh.obj", mean, quads)
    for number in range(3):
        _write_obj(folder / f"identity{number:03d}.obj", mean + [0.1 * (number + 1), 0, 0], quads)
    _write_obj(folder / "jawOpen.obj", mean - [0, 0.5, 0], quads)
    _write_obj(folder / "eyeBlink_L.obj", mean + [0, 0, 0.2], quads)
    _write_obj(folder / "PupilDilate_L.obj", mean, quads)
    index = {"expressions": ["eyeBlink_L", "jawOpen"], "idx_to_landmark_verts": list(range(68))}
    (folder / "vertex_indices.json").write_text(json.dumps(index))


def flame_arrays(face: MorphableModel) -> dict:
    random = np.random.default_rng(1)
    landmarks = np.array(FLAME_LANDMARKS)
    mean = random.uniform(-0.1, 0.1, (5023, 3)) + [0, 0, -0.3]
    mean[landmarks] = face.mean[list(MESH_68)] / 1000 + [0, 1.5, 0]
    shapedirs = np.zeros((5023, 3, 400))
    shapedirs[:, 0, 5] = 0.001  # identity 5
    shapedirs[:, 1, 302] = 0.002  # expression 2
    weights = np.zeros((5023, 5))
    weights[:, 0] = 1
    jaw_bone = landmarks[[8, 57, 66]]
    weights[jaw_bone, 0], weights[jaw_bone, 2] = 0, 1
    weights[3931:, 0], weights[3931:, 3] = 0, 1
    regressor = np.zeros((5, 5023))
    regressor[:, landmarks[[0, 16]]] = 0.5  # joints between the ears
    return {
        "f": np.array([[0, 1, 2], [16, 560, 728]], np.uint32),
        "v_template": mean,
        "shapedirs": shapedirs,
        "posedirs": np.zeros((5023, 3, 36)),
        "J_regressor": csc_matrix(regressor),
        "weights": weights,
        "kintree_table": np.array([[4294967295, 0, 1, 1, 1], [0, 1, 2, 3, 4]], np.uint32),
        "bs_style": "lbs",
        "bs_type": "lrotmin",
    }


def write_flame(path, arrays: dict) -> None:
    """Pickle as the model was published, from Python 2 with some arrays inside chumpy's Ch: an array under ``x`` beside
    bookkeeping. The module exists only while the file is written."""
    module = types.ModuleType("chumpy.ch")
    module.Ch = type("Ch", (), {"__module__": "chumpy.ch"})

    def wrapped(array):
        result = module.Ch()
        result.__dict__.update({"x": array, "_dirty_vars": set(), "_itr": None})
        return result

    data = {key: wrapped(a) if key in ("shapedirs", "v_template", "weights") else a for key, a in arrays.items()}
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "chumpy", types.ModuleType("chumpy"))
        patch.setitem(sys.modules, "chumpy.ch", module)
        path.write_bytes(pickle.dumps(data, protocol=2))
    assert "chumpy" not in sys.modules
