"""Foreign face models, each written here in the layout of its publication."""

import json
import pickle
import sys
import types

import numpy as np
import pytest
from scipy.io import savemat
from scipy.sparse import csc_matrix
from scipy.spatial.transform import Rotation

from shared.errors import InputError
from shared.face_model import MorphableModel, load_bundled
from shared.face_model.flame import _LANDMARKS as FLAME_LANDMARKS
from shared.face_model.flame import JAW_STEP
from shared.face_model.ict import _LANDMARKS as ICT_LANDMARKS
from shared.face_model.ict import expression_names
from shared.face_model.loaders import load_face_model
from shared.face_model.morphable import GROUPS

# The vertices of the bundled mesh that lie where the 68 landmarks do: it lends the made-up models their face.
MESH_68 = (
    127, 234, 93, 58, 172, 136, 149, 148, 152, 377, 378, 365, 397, 288, 323, 454, 356,
    70, 63, 105, 66, 107, 336, 296, 334, 293, 300, 168, 197, 5, 4, 75, 97, 2, 326, 305,
    33, 160, 158, 133, 153, 144, 362, 385, 387, 263, 373, 380,
    61, 39, 37, 0, 267, 269, 291, 405, 314, 17, 84, 181, 78, 82, 13, 312, 308, 317, 14, 87,
)  # fmt: skip


@pytest.fixture(scope="module")
def face() -> MorphableModel:
    return load_bundled()


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


# -- BFM --------------------------------------------------------------------------------------------------------------


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


def test_bfm(tmp_path, face):
    path = tmp_path / "BFM_model_front.mat"
    data = write_bfm(path, face)
    model = load_face_model(path)
    check_convention(model, np.array(MESH_68))
    assert (model.num_identity, model.num_expression) == (80, 64)
    np.testing.assert_array_equal(model.triangles, face.triangles)
    scale = 90 / np.linalg.norm(face.mean[263] - face.mean[33]) * 100  # decimetres to mm
    np.testing.assert_allclose(model.id_basis[7], data["idBase"][:, 7].reshape(-1, 3) * scale, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(model.exp_basis[3], data["exBase"][:, 3].reshape(-1, 3) * scale, rtol=1e-4, atol=1e-5)
    # Groups from landmarks find what the mesh's own groups name.
    assert len(set(model.groups["lips"]) & set(face.groups["lips"])) > 0.7 * len(face.groups["lips"])


@pytest.mark.parametrize(
    "changes",
    [
        {"exBase": None},
        {"keypoints": np.ones((1, 67))},
        {"keypoints": np.full((1, 68), 9999)},
        {"idBase": np.zeros((30, 80))},
        {"meanshape": np.zeros((1, 478 * 3))},
        {"meanshape": np.full((1, 478 * 3), np.nan)},
        {"meanshape": np.zeros((1, 100))},
    ],
)
def test_bfm_with_a_wrong_array(tmp_path, face, changes):
    path = tmp_path / "model.mat"
    write_bfm(path, face, **changes)
    with pytest.raises(InputError) as error:
        load_face_model(path)
    assert "\n" not in str(error.value) and "model.mat" in str(error.value)


# -- FLAME ------------------------------------------------------------------------------------------------------------


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


def test_flame(tmp_path, face):
    path = tmp_path / "generic_model.pkl"
    arrays = flame_arrays(face)
    write_flame(path, arrays)
    model = load_face_model(path)
    landmarks = np.array(FLAME_LANDMARKS)
    check_convention(model, landmarks)
    assert (model.num_vertices, model.num_identity, model.num_expression) == (5023, 300, 103)
    assert max(members.max() for members in model.groups.values()) < 3931  # no eyeballs
    scale = 90 / np.linalg.norm(face.mean[263] - face.mean[33]) * 1000
    np.testing.assert_allclose(model.id_basis[5], np.tile([0.001 * scale, 0, 0], (5023, 1)), rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(model.exp_basis[2], np.tile([0, 0.002 * scale, 0], (5023, 1)), rtol=1e-4, atol=1e-6)


def test_flame_jaw_is_the_derivative_of_its_rotation(tmp_path, face):
    path = tmp_path / "generic_model.pkl"
    arrays = flame_arrays(face)
    arrays["posedirs"] = np.random.default_rng(2).normal(0, 0.001, (5023, 3, 36))
    write_flame(path, arrays)
    model = load_face_model(path)
    mean = arrays["v_template"]
    joint = arrays["J_regressor"].toarray()[2] @ mean
    weights = arrays["weights"][:, 2:3]
    scale = 90 / np.linalg.norm(face.mean[263] - face.mean[33]) * 1000
    for axis in range(3):

        def posed(angle, axis=axis):
            turn = Rotation.from_rotvec(angle * np.eye(3)[axis]).as_matrix()
            bent = mean + arrays["posedirs"][:, :, 9:18] @ (turn - np.eye(3)).ravel()
            return bent * (1 - weights) + ((bent - joint) @ turn.T + joint) * weights

        derivative = (posed(1e-5) - posed(-1e-5)) / 2e-5
        np.testing.assert_allclose(model.exp_basis[100 + axis], derivative * JAW_STEP * scale, atol=2e-3)
    assert model.exp_basis[100, FLAME_LANDMARKS[8], 1] < -1  # a positive turn about x opens the mouth


def test_flame_pickle_runs_no_code(tmp_path, face):
    class Evil:
        def __reduce__(self):
            return (open, (str(tmp_path / "pwned"), "w"))

    path = tmp_path / "generic_model.pkl"
    path.write_bytes(pickle.dumps({"v_template": Evil()}, protocol=2))
    with pytest.raises(InputError, match="no place in a face model"):
        load_face_model(path)
    assert not (tmp_path / "pwned").exists()


def test_flame_with_wrong_content(tmp_path, face):
    arrays = flame_arrays(face)
    path = tmp_path / "model.pkl"
    arrays["shapedirs"] = arrays["shapedirs"][:, :, :10]
    write_flame(path, arrays)
    with pytest.raises(InputError, match="shapedirs has shape"):
        load_face_model(path)
    content = path.read_bytes()
    for wrong in (content[: len(content) // 2], b"", b"not a pickle", pickle.dumps([1, 2])):
        path.write_bytes(wrong)
        with pytest.raises(InputError, match="not a FLAME model"):
            load_face_model(path)
    path.write_bytes(pickle.dumps({"f": np.zeros(3)}))
    with pytest.raises(InputError, match="lacks 'v_template'"):
        load_face_model(path)


# -- ICT-FaceKit ------------------------------------------------------------------------------------------------------


def write_obj(path, vertices: np.ndarray, quads: np.ndarray) -> None:
    lines = ["# ICT FaceKit", "mtllib ICTFaceModelMaterial.mtl"]
    lines += [f"v {x:.6f} {y:.6f} {z:.6f}" for x, y, z in vertices]
    lines += ["vt 0.5 0.5", "usemtl M_Face"]
    lines += ["f " + " ".join(f"{i + 1}/1" for i in quad) for quad in quads]
    path.write_text("\n".join(lines) + "\n")


@pytest.fixture
def ict_folder(tmp_path, face):
    """FaceXModel with the 68 points as its whole mesh."""
    folder = tmp_path / "FaceXModel"
    folder.mkdir()
    mean = face.mean[list(MESH_68)] / 10 + [0, 1.0, 2.0]  # centimetres
    quads = np.array([[0, 1, 2, 3], [4, 5, 6, 7]])
    write_obj(folder / "generic_neutral_mesh.obj", mean, quads)
    for number in range(3):
        write_obj(folder / f"identity{number:03d}.obj", mean + [0.1 * (number + 1), 0, 0], quads)
    write_obj(folder / "jawOpen.obj", mean - [0, 0.5, 0], quads)
    write_obj(folder / "eyeBlink_L.obj", mean + [0, 0, 0.2], quads)
    write_obj(folder / "PupilDilate_L.obj", mean, quads)
    index = {"expressions": ["eyeBlink_L", "jawOpen"], "idx_to_landmark_verts": list(range(68))}
    (folder / "vertex_indices.json").write_text(json.dumps(index))
    return folder


def test_ict(ict_folder, face):
    model = load_face_model(ict_folder)
    check_convention(model, np.arange(68))
    assert (model.num_identity, model.num_expression) == (3, 2)
    scale = 90 / np.linalg.norm(face.mean[263] - face.mean[33]) * 10
    np.testing.assert_allclose(model.id_basis[1], np.tile([0.2 * scale, 0, 0], (68, 1)), atol=1e-3)
    np.testing.assert_allclose(model.exp_basis[1], np.tile([0, -0.5 * scale, 0], (68, 1)), atol=1e-3)
    assert model.triangles.tolist() == [[0, 1, 2], [0, 2, 3], [4, 5, 6], [4, 6, 7]]
    (ict_folder / "vertex_indices.json").unlink()
    assert expression_names(ict_folder) == ["PupilDilate_L", "eyeBlink_L", "jawOpen"]
    assert len(set(ICT_LANDMARKS)) == 68


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("jawOpen.obj", "v 0 0 0\n", "has 1 vertices"),
        ("jawOpen.obj", "v 0 0 x\n", "broken vertex"),
        ("generic_neutral_mesh.obj", "v 0 0 0\nf 1 2 3\n", "vertex that is not there"),
        ("generic_neutral_mesh.obj", "v 0 0 0\n", "without faces"),
        ("vertex_indices.json", "{", "cannot be read"),
        ("vertex_indices.json", "[]", "not the index"),
        ("vertex_indices.json", '{"expressions": ["smirk"]}', "smirk.obj: no such file"),
    ],
)
def test_ict_with_a_wrong_file(ict_folder, name, content, message):
    (ict_folder / name).write_text(content)
    with pytest.raises(InputError, match=message):
        load_face_model(ict_folder)


# -- every kind -------------------------------------------------------------------------------------------------------


def test_own_file(tmp_path, face):
    face.save(tmp_path / "own.safetensors")
    assert load_face_model(tmp_path / "own.safetensors").fingerprint == face.fingerprint


@pytest.mark.parametrize("name", ["a.safetensors", "a.mat", "a.pkl", "a.bin", "folder"])
def test_no_face_model(tmp_path, name):
    path = tmp_path / name
    with pytest.raises(InputError, match="no such file"):
        load_face_model(path)
    if name == "folder":
        path.mkdir()
    else:
        path.write_bytes(b"\x00\x01 something else entirely" * 10)
    with pytest.raises(InputError) as error:
        load_face_model(path)
    assert "\n" not in str(error.value)
