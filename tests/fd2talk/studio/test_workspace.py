import shutil

import pytest

from fd2talk.studio.workspace import Workspace
from shared.errors import UsageError


@pytest.fixture
def workspace(tmp_path):
    return Workspace(tmp_path / "anna", 1000)


def test_new_files_lie_inside_and_are_never_the_same(workspace):
    paths = {workspace.new(".mp4") for _ in range(20)}
    assert len(paths) == 20 and all(path.is_relative_to(workspace.folder) for path in paths)


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("a.png", "a.png"),
        ("../../a.png", "a.png"),
        ("..\\a.png", "a.png"),
        (".a", "a"),
        ("ä b.jpg", "_b.jpg"),
        ("", "file"),
        ("x" * 200 + ".wav", "x" * 60 + ".wav"),
        ("a." + "b" * 50, "a." + "b" * 9),
    ],
)
def test_names_are_kept_as_far_as_they_are_harmless(workspace, name, kept):
    path = workspace.of_name(name)
    assert path.name == kept and path.parent.parent == workspace.folder


def test_only_own_files_are_owned(workspace, tmp_path):
    own, foreign = workspace.new(".txt"), tmp_path / "anna2.txt"
    own.write_text("own")
    foreign.write_text("foreign")
    assert workspace.owns(own) == workspace.owns(str(own)) == own
    (own.parent / "link").symlink_to(foreign)
    (own.parent / "loop").symlink_to(own.parent / "loop")
    outside = [
        foreign,
        own.parent / "link",
        own.parent / "loop",
        own.parent,
        own.parent / ".." / ".." / "anna2.txt",
        "",
        "\0",
    ]
    for path in outside:
        with pytest.raises(UsageError, match="none of yours"):
            workspace.owns(path)


def test_files_are_limited(workspace):
    workspace.new(".bin").write_bytes(bytes(1001))
    with pytest.raises(UsageError, match="your files take more"):
        workspace.new(".bin")


def test_the_disk_is_not_filled(workspace, monkeypatch):
    monkeypatch.setattr("shutil.disk_usage", lambda _: shutil._ntuple_diskusage(10**12, 10**12 - 10**8, 10**8))
    with pytest.raises(UsageError, match="disk is nearly full"):
        workspace.new(".bin")


def test_discard_removes_own_files_only(workspace, tmp_path):
    own, foreign = workspace.new(".txt"), tmp_path / "other" / "x.txt"
    own.write_text("own")
    foreign.parent.mkdir()
    foreign.write_text("foreign")
    workspace.discard(own, foreign)
    assert not own.parent.exists() and foreign.exists()


def test_nothing_comes_after_remove(workspace):
    path = workspace.new(".txt")
    path.write_text("x")
    workspace.remove()
    assert not workspace.folder.exists()
    with pytest.raises(UsageError, match="reload"):
        workspace.new(".txt")
    path.parent.mkdir(parents=True)  # by work that had not stopped yet
    workspace.tidy()
    assert not workspace.folder.exists()
