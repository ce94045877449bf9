"""ICT-FaceKit, written here in the layout of its publication."""

import json

import numpy as np
import pytest
from foreign_face_models import MESH_68, check_convention

from shared.errors import InputError
from shared.face_model.ict import _LANDMARKS as ICT_LANDMARKS
from shared.face_model.ict import expression_names
from shared.face_model.loaders import load_face_model


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
        ("generic_neutral_mesh.obj", "v 0 0 0\nf 1 2 3\n", "refers to a missing vertex"),
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
