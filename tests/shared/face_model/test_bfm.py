"""The Basel Face Model, written here in the layout of its publication."""

import numpy as np
import pytest
from foreign_face_models import MESH_68, check_convention, write_bfm

from shared.errors import InputError
from shared.face_model.loaders import load_face_model


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
