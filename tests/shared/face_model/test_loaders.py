"""Face models of every kind."""

import pytest

from shared.errors import InputError
from shared.face_model.loaders import load_face_model


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
