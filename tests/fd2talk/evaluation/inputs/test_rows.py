"""Rows of a report."""

import pytest

from fd2talk.evaluation.inputs.protocol import load_protocol
from fd2talk.evaluation.inputs.rows import read_reference, read_rows
from shared.errors import InputError, UsageError


def touch(root, *names):
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"")
    return root


def test_a_path_may_contain_an_equals_sign(tmp_path, monkeypatch):
    touch(tmp_path, "lr=3/v1.5/a.mp4", "here/a.mp4")
    monkeypatch.chdir(tmp_path / "here")
    folder = "../lr=3/v1.5"
    names = [row.name for row in read_rows([folder, f"ours={folder}", f"a=b={folder}", "."], None, None)]
    assert names == ["v1.5", "ours", "a=b", "here"]
    with pytest.raises(UsageError, match="cannot be the name of a row"):
        read_rows([f"../x={folder}"], None, None)


def test_clips_are_chosen_by_the_size_of_the_face(tmp_path):
    touch(tmp_path, "a.mp4", "b.mp4", "c.mp4", "d.mp4")
    table = "file,person,face_px\na.mp4,p,109\nb.mp4,p,110\nc.mp4,p,300\nd.mp4,q,\n"
    (tmp_path / "manifest.csv").write_text(table)
    assert list(read_reference(str(tmp_path), None, None, None, 1, 110)[0]) == ["b", "d"]
    with pytest.raises(InputError, match="no clips with usable audio and a face of 400 pixels"):
        (tmp_path / "manifest.csv").write_text(table.replace("d.mp4,q,\n", ""))
        read_reference(str(tmp_path), None, None, None, None, 400)
    (tmp_path / "manifest.csv").write_text(table.replace("109", "wide"))
    with pytest.raises(InputError, match="'wide' in the column `face_px`"):
        read_reference(str(tmp_path), None, None, None, None, 110)


def test_clips_without_usable_audio_are_only_for_what_needs_no_speech(tmp_path):
    touch(tmp_path, "a.mp4", "b.mp4")
    (tmp_path / "manifest.csv").write_text("file,audio\na.mp4,no\nb.mp4,ok\n")
    assert list(read_reference(str(tmp_path), None, None, None, None)[0]) == ["b"]
    assert list(read_reference(str(tmp_path), None, None, None, None, speech=False)[0]) == ["a", "b"]


def test_a_protocol_s_split_holds_where_a_manifest_has_splits(tmp_path):
    touch(tmp_path, "a.mp4", "b.mp4")
    protocol = load_protocol("fd2talk")
    assert read_reference(str(tmp_path), None, protocol, None, None)[1] is None
    (tmp_path / "manifest.csv").write_text("file,person\na.mp4,anna\nb.mp4,bob\n")
    assert [len(found or "") for found in read_reference(str(tmp_path), None, protocol, None, None)] == [2, 0]
    (tmp_path / "manifest.csv").write_text("file,split\na.mp4,val\nb.mp4,train\n")
    items, split = read_reference(str(tmp_path), None, protocol, None, None)
    assert (list(items), split) == (["a"], "val")
