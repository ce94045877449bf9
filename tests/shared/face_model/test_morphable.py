"""The face model: equation 1, its file, its fingerprint, and the bundled one."""

import numpy as np
import pytest
from safetensors.numpy import save_file

from shared.errors import InputError, UsageError
from shared.face_model import MorphableModel
from shared.face_model import mediapipe_mesh as mesh
from shared.face_model.morphable import GROUPS
from shared.face_model.training.learn import mirror_index


def test_vertices_are_linear(model, random):
    identity, expression = random.normal(size=model.num_identity), random.normal(size=(5, model.num_expression))
    vertices = model.vertices(identity, expression)
    assert vertices.shape == (5, model.num_vertices, 3)
    wanted = model.mean.astype(float)
    wanted = wanted + sum(a * b for a, b in zip(identity, model.id_basis.astype(float)))
    wanted = wanted + sum(a * b for a, b in zip(expression[2], model.exp_basis.astype(float)))
    np.testing.assert_allclose(vertices[2], wanted, atol=1e-3)
    np.testing.assert_array_equal(model.vertices(identity * 0, expression[0] * 0), model.mean)


def test_save_and_load(model, tmp_path):
    path = tmp_path / "model.safetensors"
    model.save(path)
    again = MorphableModel.load(path)
    assert again.fingerprint == model.fingerprint and again.name == model.name
    for name in ("mean", "id_basis", "exp_basis", "triangles"):
        np.testing.assert_array_equal(getattr(again, name), getattr(model, name))
    assert again.groups.keys() == model.groups.keys() and again.extra.keys() == model.extra.keys()
    for name in model.groups:
        np.testing.assert_array_equal(again.groups[name], model.groups[name])
    with pytest.raises(UsageError, match="already exists"):
        model.save(path)
    model.save(path, overwrite=True)


def test_fingerprint_tells_models_apart(model):
    name, digest = model.fingerprint.split(":")
    assert name == model.name and len(digest) == 16
    changed = model.exp_basis.copy()
    changed[3, 4, 1] += 0.01
    other = MorphableModel(**{**_fields(model), "exp_basis": changed})
    assert other.fingerprint != model.fingerprint
    assert MorphableModel(**_fields(model)).fingerprint == model.fingerprint


def _fields(model: MorphableModel) -> dict:
    names = ("name", "mean", "id_basis", "exp_basis", "triangles", "groups", "extra")
    return {name: getattr(model, name) for name in names}


def test_load_refuses_other_files(tmp_path):
    with pytest.raises(InputError, match="no such file"):
        MorphableModel.load(tmp_path / "none.safetensors")
    (tmp_path / "text").write_text("hello")
    save_file({"mean": np.zeros((3, 3), np.float32)}, tmp_path / "other")
    save_file({"mean": np.zeros((3, 3), np.float32)}, tmp_path / "part", metadata={"morphable_model": '{"name": "x"}'})
    for name in ("text", "other", "part"):
        with pytest.raises(InputError, match="not a morphable face model"):
            MorphableModel.load(tmp_path / name)


def test_bundled_model_keeps_the_convention(model):
    right, left = (model.mean[i] for i in mesh.OUTER_EYE_CORNERS)
    # People's outer eye corners are 90 mm apart before what their expressions have in common is taken out.
    assert np.linalg.norm(left - right) == pytest.approx(90, abs=1.5) and left[0] > 0 > right[0]
    np.testing.assert_allclose((left + right) / 2, 0, atol=1.5)
    assert model.mean[10, 1] > 0 > model.mean[152, 1]  # forehead above, chin below
    assert model.mean[4, 2] > model.mean[:468, 2].max() - 1  # the tip of the nose is nearest to the camera
    mirror = mirror_index(model.mean)
    np.testing.assert_allclose(model.mean[mirror] * [-1, 1, 1], model.mean, atol=1e-2)
    for component in model.exp_basis:  # each is even or odd
        image = component[mirror] * [-1, 1, 1]
        assert (
            min(np.abs(image - component).max(), np.abs(image + component).max())
            < 0.02 + 0.02 * np.abs(component).max()
        )
    assert set(model.groups) == set(GROUPS)
