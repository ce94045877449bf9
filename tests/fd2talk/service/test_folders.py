"""Files of clients: limits while they arrive, nothing left of what was not finished."""

import errno
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest

from fd2talk.service import folders as module
from fd2talk.service.errors import Refused, storing
from fd2talk.service.folders import Folders
from fd2talk.service.limits import Limits
from fd2talk.service.service import Service
from shared.errors import UsageError


@pytest.fixture
def folders(tmp_path):
    return Folders(tmp_path / "data", Limits(upload_bytes=100, free_bytes=0))


def test_a_file_that_is_too_large_is_refused_while_it_arrives(folders):
    incoming = folders.incoming_file("big.bin")
    incoming.write(b"x" * 100)
    with pytest.raises(Refused, match="big.bin is larger than") as raised:
        incoming.write(b"x")
    assert raised.value.status == 413
    incoming.discard()
    assert not [*folders.incoming.iterdir()]


def test_files_of_a_video_may_have_the_same_name(folders):
    files = {}
    for role in ("photo", "audio"):
        incoming = folders.incoming_file("same")
        incoming.write(role.encode())
        files[role] = incoming.finish()
    name = folders.keep_inputs(files)
    paths = folders.input_paths(name, {role: "same" for role in files})
    assert {role: path.read_bytes() for role, path in paths.items()} == {"photo": b"photo", "audio": b"audio"}
    assert not [*folders.incoming.iterdir()]


def test_what_belongs_to_nothing_is_swept_away(folders):
    (folders.work / "lease").mkdir()
    (folders.work / "lease" / ".fd2talk-0.mp4").write_bytes(b"half")
    for place in (folders.results / "kept.mp4", folders.results / "unknown.mp4", folders.incoming / "part"):
        place.write_bytes(b"x")
    (folders.uploads / "kept").write_bytes(b"x")
    (folders.uploads / "unknown").write_bytes(b"x")
    (folders.inputs / "unknown" / "photo").mkdir(parents=True)
    (folders.inputs / "kept").mkdir()
    assert folders.sweep({"kept.mp4"}) == 2
    assert folders.sweep_received({"kept"}, {"kept"}) == 3
    left = sorted(str(path.relative_to(folders.folder)) for path in folders.folder.rglob("*") if path.is_file())
    assert left == ["results/kept.mp4", "uploads/kept"] and (folders.inputs / "kept").is_dir()


def test_an_upload_that_expires_meanwhile_is_said(folders):
    with pytest.raises(Refused, match="there is no upload upload_1"):
        folders.copy_of_upload("upload_1", "name", 1, "0")
    assert not [*folders.incoming.iterdir()]


def test_a_copy_stays_when_its_upload_goes(folders, monkeypatch):
    (folders.uploads / "upload_1").write_bytes(b"content")
    first = folders.copy_of_upload("upload_1", "name", 7, "0")

    def no_links(*_):
        raise OSError(errno.EPERM, "this file system has no links")

    monkeypatch.setattr("os.link", no_links)
    second = folders.copy_of_upload("upload_1", "name", 7, "0")
    (folders.uploads / "upload_1").unlink()
    assert first.path.read_bytes() == second.path.read_bytes() == b"content"


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_is_said(number):
    with pytest.raises(Refused, match="the disk of the service is full") as raised, storing():
        raise OSError(number, "no")
    assert raised.value.status == 507
    with pytest.raises(PermissionError), storing():
        raise PermissionError(errno.EACCES, "no")


def test_little_room_is_no_room(tmp_path):
    folders = Folders(tmp_path / "data", Limits(free_bytes=2**60))
    assert not folders.has_room
    with pytest.raises(Refused, match="full"):
        folders.check_room()


def test_a_folder_that_cannot_be_made_is_said(tmp_path):
    (tmp_path / "file").write_bytes(b"x")
    with pytest.raises(UsageError, match="cannot use the folder"):
        Folders(tmp_path / "file" / "data", Limits())


def test_processes_may_open_a_folder_at_the_same_moment(tmp_path):
    def opened(_):
        for _ in range(50):
            Folders(tmp_path, Limits())

    with ThreadPoolExecutor(8) as pool:
        assert [*pool.map(opened, range(8))] == [None] * 8
    assert not [*tmp_path.rglob(".probe*")]


def test_nobody_else_reads_what_is_kept(tmp_path):
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "service.db").touch(0o644)
    for folder in (tmp_path / "new", tmp_path / "old"):
        with closing(Service(folder, Limits(free_bytes=0))):
            for path in folder.iterdir():
                assert not path.stat().st_mode & 0o077, path
    assert not (tmp_path / "new").stat().st_mode & 0o077


def test_what_other_processes_make_now_is_not_swept(tmp_path):
    folders = Folders(tmp_path, Limits())
    for folder in (folders.work, folders.results):
        for name in ("a-1", "b-1", "ab-1", "old"):
            (folder / name).mkdir()
    assert folders.sweep({"old"}, ["a"]) == 5
    assert sorted(path.name for path in folders.work.iterdir()) == ["a-1"]
    assert sorted(path.name for path in folders.results.iterdir()) == ["a-1", "old"]
    assert folders.sweep(set()) == 3


def full(*_, **__):
    raise OSError(errno.ENOSPC, "No space left on device")


def test_a_disk_that_fills_while_files_are_put_away_keeps_none_of_them(folders, monkeypatch):
    files = {}
    for role in ("photo", "audio"):
        incoming = folders.incoming_file(role)
        incoming.write(b"x")
        files[role] = incoming.finish()
    synced = []
    monkeypatch.setattr(module, "sync_folder", lambda folder: synced.append(folder) or (len(synced) > 2 and full()))
    with pytest.raises(OSError, match="No space"):
        folders.keep_inputs(files)
    assert len(synced) == 3 and not [*folders.inputs.iterdir()]


def test_a_copy_of_which_only_a_part_fits_is_removed(folders, monkeypatch):
    (folders.uploads / "upload").write_bytes(b"12345")

    def half(source, target):
        target.write_bytes(source.read_bytes()[:2])
        full()

    monkeypatch.setattr(module.os, "link", lambda *_: (_ for _ in ()).throw(OSError(errno.EPERM, "no links here")))
    monkeypatch.setattr(module.shutil, "copyfile", half)
    with pytest.raises(OSError, match="No space"):
        folders.copy_of_upload("upload", "a", 5, "")
    assert not [*folders.incoming.iterdir()]
