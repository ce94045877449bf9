import csv
import json

import numpy as np
import pytest

from shared.motion import Motion

WRITTEN = {
    "new/curves.csv": "52 ARKit curves, head and eye angles in radians, 10 frames at 25 fps",
    "new/mesh.glb": "52 ARKit morph targets, head, jaw and eyes as nodes, no texture (--photo), 10 frames at 25 fps",
    "new/talk.json": "TalkingHead animation: ARKit curves and visemes, 10 frames at 25 fps",
    "new/motion.vrma": "VRM animation: head and neck, five mouths, blinks and gaze, 10 frames at 25 fps",
    "new/mesh.ply": "10 meshes of 478 vertices in millimetres",
}


@pytest.mark.parametrize("name", WRITTEN)
def test_export_writes_what_the_suffix_names_and_says_what(run, tmp_path, motion_file, name):
    code, printed, err = run("export", motion_file, "-o", tmp_path / name)
    written = tmp_path / name.removesuffix(".ply")
    assert code == 0 and written.exists()
    assert printed.strip() == str(written) and err.startswith("fd2talk: ") and err.endswith(f"{WRITTEN[name]}\n")


def test_options_reach_the_formats(run, tmp_path, motion_file, photo):
    assert run("export", motion_file, "-o", tmp_path / "a.csv", "--fps", 60, "--start-timecode", "01:00:00:10")[0] == 0
    rows = list(csv.reader(open(tmp_path / "a.csv")))
    assert [row[0] for row in rows[1:3]] == ["01:00:00:10.000", "01:00:00:11.000"] and len(rows) == 1 + 24
    assert run("export", motion_file, "-o", tmp_path / "v.csv", "--curves", "visemes")[0] == 0
    assert (tmp_path / "v.csv").read_text().startswith("time,sil,PP,FF,")
    assert run("export", motion_file, "-o", tmp_path / "t.json", "--fps", 50)[0] == 0
    assert json.loads((tmp_path / "t.json").read_text())["anim"]["dt"][0] == 20
    code, _, err = run("export", motion_file, "-o", tmp_path / "m.glb", "--photo", photo, "--morphs", "expression")
    assert code == 0 and "64 morph targets of the face model" in err and "the photo as texture" in err


@pytest.mark.situation(
    "Exports",
    "an option of another format, or an unknown format",
    "one line that says which formats it is for",
)
def test_other_suffixes_files_and_options_are_refused(refused, tmp_path, motion_file, photo):
    for name in ("a.fbx", "a", "a.vrm"):
        refused("export", motion_file, "-o", tmp_path / name, folder=tmp_path, saying=".glb or .csv or .json")
    refused("export", tmp_path / "none.npz", "-o", tmp_path / "a.glb", folder=tmp_path, saying="none.npz")
    (tmp_path / "text.txt").write_text("no motion")
    refused("export", tmp_path / "text.txt", "-o", tmp_path / "a.glb", folder=tmp_path, saying="not a motion file")
    for name, *options in (
        ("a.csv", "--morphs", "expression"),
        ("a.csv", "--photo", photo),
        ("a.glb", "--fps", "60"),
        ("a.json", "--start-timecode", "00:00:00:00"),
        ("a.vrma", "--keep-expression"),
        ("a.ply", "--keep-expression"),
        ("a.glb", "--curves", "visemes"),
    ):
        command = ("export", motion_file, "-o", tmp_path / name, *options)
        refused(*command, folder=tmp_path, saying=f"{options[0]} is for")
    refused(
        "export", motion_file, "-o", tmp_path / "a.csv", "--start-timecode", "noon", folder=tmp_path, saying="timecode"
    )
    refused("export", motion_file, "-o", tmp_path / "a.csv", "--fps", "0", folder=tmp_path, saying="--fps")
    refused("export", motion_file, "-o", tmp_path / "a.glb", "--face-index", "0", folder=tmp_path, saying="--photo")
    refused(
        "export", motion_file, "-o", tmp_path / "a.glb", "--morphs", "expression", "--keep-expression",
        folder=tmp_path, saying="--morphs arkit",
    )  # fmt: skip


@pytest.mark.situation(
    "Exports",
    "a capture made with a phone",
    "`fd2talk import` makes a motion of it, which drives a portrait",
)
def test_curves_come_back_with_sound(run, tmp_path, motion_file, audio):
    curves = tmp_path / "curves.csv"
    run("export", motion_file, "-o", curves)
    code, printed, err = run("import", curves, "-o", tmp_path / "new" / "m.npz", "--audio", audio)
    assert (code, printed.strip()) == (0, str(tmp_path / "new" / "m.npz")) and "10 frames at 25 fps" in err
    back = Motion.load(tmp_path / "new" / "m.npz")
    assert len(back) == 10 and len(back.audio) == 6400 and np.ptp(back.expression, axis=0).max() > 0.5
    assert run("import", curves, "-o", tmp_path / "fast.npz", "--fps", "50")[0] == 0
    assert Motion.load(tmp_path / "fast.npz").fps == 50
    Motion.load(motion_file).at(0).save(tmp_path / "one.npz")
    for source, target in (("one.npz", "one.csv"), ("one.csv", "back.npz")):
        _, _, err = run("export" if target == "one.csv" else "import", tmp_path / source, "-o", tmp_path / target)
        assert "1 frame at " in err


@pytest.mark.situation(
    "Exports",
    "a table without ARKit's names, or no table",
    "one line",
)
def test_bad_curves_are_one_line(refused, tmp_path, motion_file, audio):
    empty, picture, table = (tmp_path / name for name in ("empty.csv", "picture.csv", "table.csv"))
    empty.write_bytes(b"")
    picture.write_bytes(b"\x89PNG\r\n\x1a\n\0\xff")
    table.write_text("a,b\n1,2\n")
    for file, saying in (
        (empty, "empty"),
        (picture, "not a CSV"),
        (table, "no column"),
        (tmp_path / "none.csv", "none"),
    ):
        refused("import", file, "-o", tmp_path / "m.npz", folder=tmp_path, saying=saying)
    refused("import", motion_file, "-o", tmp_path / "m.npz", folder=tmp_path, saying="not a CSV")
    refused("import", audio, "-o", tmp_path / "m.npz", folder=tmp_path, saying="not a CSV")
    refused("import", table, "-o", tmp_path / "m.csv", folder=tmp_path, saying=".npz")
    refused("import", table, "-o", table, folder=tmp_path, saying=".npz")
