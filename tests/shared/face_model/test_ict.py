"""ICT-FaceKit, written here in the layout of its publication."""

import numpy as np
import pytest
from foreign_face_models import check_convention, write_ict

from shared.errors import InputError
from shared.face_model.ict import _LANDMARKS as ICT_LANDMARKS
from shared.face_model.ict import expression_names
from shared.face_model.loaders import load_face_model


@pytest.fixture
def ict_folder(tmp_path, face):
    write_ict(tmp_path / "FaceXModel", face)
    return tmp_path / "FaceXModel"


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
