import pytest


@pytest.mark.parametrize("name", ["new/curves.csv", "new/mesh.glb", "new/mesh.ply"])
def test_export_writes_what_the_suffix_names(run, tmp_path, motion_file, name):
    code, printed, err = run("export", motion_file, "-o", tmp_path / name)
    assert (code, printed.strip(), err) == (0, str(tmp_path / name), "")
    assert (tmp_path / name.removesuffix(".ply")).exists()


def test_other_suffixes_and_files_are_refused(refused, tmp_path, motion_file, photo):
    refused("export", motion_file, "-o", tmp_path / "a.fbx", folder=tmp_path, saying=".glb or .csv")
    refused("export", tmp_path / "none.npz", "-o", tmp_path / "a.glb", folder=tmp_path, saying="none.npz")
    (tmp_path / "text.txt").write_text("no motion")
    refused("export", tmp_path / "text.txt", "-o", tmp_path / "a.glb", folder=tmp_path, saying="not a motion file")
