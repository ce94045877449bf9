"""FLAME, written here in the layout of its publication."""

import pickle

import numpy as np
import pytest
from foreign_face_models import check_convention, flame_arrays, write_flame
from scipy.spatial.transform import Rotation

from shared.errors import InputError
from shared.face_model.flame import JAW_STEP
from shared.face_model.flame import LANDMARKS as FLAME_LANDMARKS
from shared.face_model.loaders import load_face_model


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
    with pytest.raises(InputError, match="not allowed in a face model"):
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
