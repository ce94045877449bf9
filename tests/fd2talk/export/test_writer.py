"""Mesh sequences, and what happens to existing and unfinished outputs."""

import numpy as np
import pytest

from fd2talk.export.writer import MESH_FORMATS, export, posed_vertices
from shared.errors import InputError, UsageError
from shared.face_model.obj import read_obj


@pytest.mark.parametrize("name", ["meshes", "meshes.obj"])
def test_obj_sequence(tmp_path, motion, model, name):
    folder = export(motion, tmp_path / name).path
    assert folder == tmp_path / "meshes"
    files = sorted(folder.iterdir())
    assert [path.name for path in files] == [f"meshes_{i:05d}.obj" for i in range(len(motion))]
    vertices, triangles = read_obj(files[20])
    np.testing.assert_array_equal(triangles, model.triangles)
    np.testing.assert_allclose(vertices, posed_vertices(motion, model)[20], atol=1e-3)


def test_ply_sequence(tmp_path, motion, model):
    folder = export(motion.slice(0, 2), tmp_path / "take.ply").path
    content = (folder / "take_00001.ply").read_bytes()
    header, body = content.split(b"end_header\n", 1)
    assert b"element vertex 478" in header and b"element face 898" in header
    vertices = np.frombuffer(body, "<f4", 478 * 3).reshape(-1, 3)
    np.testing.assert_array_equal(vertices, posed_vertices(motion.slice(0, 2), model)[1])
    faces = np.frombuffer(body, [("n", "u1"), ("corners", "<i4", 3)], offset=478 * 12)
    assert (faces["n"] == 3).all()
    np.testing.assert_array_equal(faces["corners"], model.triangles)


@pytest.mark.parametrize("name", ["a.glb", "a.csv", "a.json", "a.vrma", "a.obj"])
def test_existing_outputs(tmp_path, motion, name):
    short = motion.slice(0, 3)
    output = export(motion, tmp_path / name).path
    with pytest.raises(UsageError, match="already exists"):
        export(short, tmp_path / name)
    assert output.is_file() or len(list(output.iterdir())) == len(motion)
    export(short, tmp_path / name, overwrite=True)
    assert output.is_file() or len(list(output.iterdir())) == 3
    assert [path.name for path in tmp_path.iterdir()] == [output.name]


def test_a_folder_with_other_things_is_never_replaced(tmp_path, motion):
    (tmp_path / "holiday").mkdir()
    (tmp_path / "holiday" / "photo.jpg").write_text("dear")
    with pytest.raises(UsageError, match="other files"):
        export(motion, tmp_path / "holiday", overwrite=True)
    assert (tmp_path / "holiday" / "photo.jpg").read_text() == "dear"


def test_refusals(tmp_path, motion):
    with pytest.raises(UsageError, match="not .fbx"):
        export(motion, tmp_path / "a.fbx")
    for name in ("none/a.glb", "none/a.obj"):
        with pytest.raises(UsageError, match="does not exist"):
            export(motion, tmp_path / name)
    foreign = motion.at(0)
    foreign.face_model = "flame:0000000000000000"
    with pytest.raises(InputError, match="flame:0000000000000000"):
        export(foreign, tmp_path / "a.glb")
    assert not list(tmp_path.iterdir())


def test_a_failure_in_the_middle_leaves_nothing(tmp_path, motion, monkeypatch):
    calls = []

    def fail_at_the_third(vertices, triangles, comment):
        calls.append(0)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return b"x"

    monkeypatch.setitem(MESH_FORMATS, ".ply", fail_at_the_third)
    with pytest.raises(KeyboardInterrupt):
        export(motion, tmp_path / "a.ply")
    assert len(calls) == 3 and not list(tmp_path.iterdir())
