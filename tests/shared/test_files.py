"""Atomic writing, and outputs that are refused."""

import errno
import os

import numpy as np
import pytest
from media_files import leftovers

from shared.errors import Fd2TalkError, InputError, UsageError
from shared.files import atomic_output, check_input, check_output, new_folders
from shared.video_writer import VideoWriter


def test_full_disk_in_any_other_file(tmp_path):
    with pytest.raises(Fd2TalkError) as error, atomic_output(tmp_path / "a.npz"):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    assert str(error.value) == f"cannot write {tmp_path / 'a.npz'}: No space left on device"
    assert error.value.exit_code == 1 and leftovers(tmp_path) == []


def test_atomic_output(tmp_path):
    path = tmp_path / "a.npz"
    with atomic_output(path) as temporary:
        assert temporary.suffix == ".npz" and temporary.parent == tmp_path and not path.exists()
        np.savez(temporary, x=np.arange(3))
    assert leftovers(tmp_path) == ["a.npz"] and np.load(path)["x"].tolist() == [0, 1, 2]
    with pytest.raises(UsageError, match="already exists"), atomic_output(path):
        raise AssertionError("must not get here")
    with atomic_output(path, overwrite=True) as temporary:
        temporary.write_bytes(b"new")
    assert path.read_bytes() == b"new" and leftovers(tmp_path) == ["a.npz"]


def test_a_folder_in_which_no_file_can_be_created(tmp_path, monkeypatch):
    """As /proc, in which the system reports a missing file."""

    def refuse(path, *_):
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), os.fspath(path))

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(Fd2TalkError) as error, atomic_output(tmp_path / "a.npz"):
        pass
    assert str(error.value) == f"cannot write {tmp_path / 'a.npz'}: no file can be created in the folder {tmp_path}"


def test_output_has_ordinary_permissions(tmp_path):
    mask = os.umask(0o027)
    try:
        with atomic_output(tmp_path / "a") as temporary:
            temporary.write_bytes(b"x")
    finally:
        os.umask(mask)
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o640


def test_an_error_that_is_not_of_the_disk_passes_unchanged(tmp_path):
    with pytest.raises(FileNotFoundError), atomic_output(tmp_path / "a"):
        open(tmp_path / "another", "rb")
    assert leftovers(tmp_path) == []


def test_a_file_that_appears_meanwhile_is_kept(tmp_path):
    with pytest.raises(UsageError, match="already exists"), atomic_output(tmp_path / "a"):
        (tmp_path / "a").write_bytes(b"theirs")
    assert leftovers(tmp_path) == ["a"] and (tmp_path / "a").read_bytes() == b"theirs"


def test_outputs_that_are_refused_before_any_work(tmp_path, monkeypatch):
    (tmp_path / "old.mp4").write_bytes(b"old")
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    refused = {
        tmp_path / "old.mp4": "already exists",
        tmp_path / "folder": "is a folder",
        tmp_path / "pipe": "not a plain file",
        tmp_path / "none" / "v.mp4": "does not exist",
        tmp_path / "old.mp4" / "v.mp4": "does not exist",
        tmp_path / ("n" * 300 + ".mp4"): "too long",
        "": "is a folder",
        "v\0.mp4": "null",
    }
    for path, reason in refused.items():
        with pytest.raises(UsageError, match=reason) as error:
            check_output(path)
        assert "\n" not in str(error.value) and error.value.exit_code == 2
    with pytest.raises(UsageError, match="already exists"):
        VideoWriter(tmp_path / "old.mp4", (32, 32))
    for path in ("folder", "pipe"):  # overwriting does not help there
        with pytest.raises(UsageError):
            check_output(tmp_path / path, overwrite=True)
    assert check_output(str(tmp_path / "new.mp4")) == tmp_path / "new.mp4"
    assert check_output(tmp_path / "old.mp4", overwrite=True) == tmp_path / "old.mp4"
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(UsageError, match="not writable"):
        check_output(tmp_path / "new.mp4")


def test_no_name_and_one_that_is_too_long():
    with pytest.raises(InputError, match="a file without a name"):
        check_input("")
    with pytest.raises(InputError) as caught:
        check_input("x" * 5000)
    assert len(str(caught.value)) < 300 and "too long" in str(caught.value)
    with pytest.raises(UsageError) as caught:
        check_output("x" * 5000)
    assert len(str(caught.value)) < 300 and "too long" in str(caught.value)


def test_new_folders_go_again_when_nothing_comes_into_them(tmp_path):
    (tmp_path / "old" / "empty").mkdir(parents=True)
    made = (tmp_path / "old" / "a" / "b", tmp_path / "old" / "c", tmp_path / "old" / "empty")
    with pytest.raises(KeyboardInterrupt), new_folders(*made):
        assert all(folder.is_dir() for folder in made)
        (made[1] / "file").touch()
        raise KeyboardInterrupt
    assert leftovers(tmp_path) == ["old"] and leftovers(tmp_path / "old") == ["c", "empty"]  # not what was there
    with new_folders(made[0]):
        pass
    assert made[0].is_dir()


def test_folders_that_cannot_be_made_leave_none(tmp_path):
    (tmp_path / "file").touch()
    for place in (tmp_path / "file", tmp_path / "file" / "a", tmp_path / "new" / ("x" * 300)):
        with pytest.raises(UsageError, match="cannot write to "), new_folders(tmp_path / "other", place):
            raise AssertionError("must not get here")
        assert leftovers(tmp_path) == ["file"]
