"""Where the files of a service lie; what belongs to no row of its tables is removed when it starts."""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import shutil
from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from fd2talk.service.errors import Refused, disk_full
from fd2talk.service.limits import Limits
from shared.errors import UsageError

_KEPT = re.compile(r"[^A-Za-z0-9._-]+")
_LONGEST_NAME = 60


@dataclass(frozen=True)
class Received:
    """A file that has arrived completely: where it lies, its harmless name, its size and SHA-256."""

    path: Path
    name: str
    bytes: int
    sha256: str


class Folders:
    """The folder of a service and those in it.

    `incoming` holds files that are being received, `uploads` those that wait to be used, `inputs` those of videos that
    are not made yet, `work` unfinished videos, and `results` complete ones.

    Args:
        folder: which is made where there is none.
        limits: of which `upload_bytes` and `free_bytes` count.

    Raises:
        UsageError: it cannot be made or written to.
    """

    def __init__(self, folder: Path, limits: Limits) -> None:
        self.folder, self._limits = folder.absolute(), limits
        self.incoming, self.uploads, self.inputs, self.work, self.results = (
            self.folder / name for name in ("incoming", "uploads", "inputs", "work", "results")
        )
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            for one in (self.incoming, self.uploads, self.inputs, self.work, self.results):
                one.mkdir(mode=0o700, exist_ok=True)
            for one in (self.folder, self.incoming, self.results):  # as good as any question whether it may be done
                probe = one / f".probe-{secrets.token_hex(8)}"  # several processes may ask at the same moment
                probe.touch()
                probe.unlink()
        except OSError as error:
            raise UsageError(f"cannot use the folder {folder}: {error.strerror}") from error

    @property
    def database(self) -> Path:
        """The file of SQLite."""
        return self.folder / "service.db"

    @property
    def claim(self) -> Path:
        """The file that is locked while a service uses the folder."""
        return self.folder / "lock.db"

    @property
    def free(self) -> int:
        """Bytes of the disk that are free."""
        return shutil.disk_usage(self.folder).free

    @property
    def has_room(self) -> bool:
        """Whether more of the disk is free than must be."""
        return self.free >= self._limits.free_bytes

    def check_room(self) -> None:
        """Refuse to take anything. Raises Refused."""
        if not self.has_room:
            raise disk_full()

    def sweep(self, results: set[str], processes: Collection[str] = ()) -> int:
        """Remove unfinished videos, and complete ones that are not named here: they were never published.

        Args:
            results: names of those that were.
            processes: names of those that make videos now; what is theirs stays.

        Returns:
            How many files and folders.
        """
        return _swept(self.work, set(), processes) + _swept(self.results, results, processes)

    def sweep_received(self, inputs: set[str], uploads: set[str]) -> int:
        """Remove what was received and is not named here, before anything is being received. Returns as `sweep`."""
        return _swept(self.incoming, set()) + _swept(self.inputs, inputs) + _swept(self.uploads, uploads)

    def incoming_file(self, name: str) -> Incoming:
        """A file that is about to be received; `name` is what its sender calls it."""
        return Incoming(self.incoming / secrets.token_hex(16), harmless(name), self._limits.upload_bytes)

    def copy_of_upload(self, name: str, file_name: str, size: int, sha256: str) -> Received:
        """A further name for the file of an upload, which stays when that is removed.

        Raises:
            Refused: it has just been removed.
        """
        path = self.incoming / secrets.token_hex(16)
        source = self.uploads / name
        try:
            try:
                os.link(source, path)
            except FileNotFoundError:
                raise
            except OSError:  # a file system without links
                shutil.copyfile(source, path)
        except FileNotFoundError as error:
            raise Refused(404, "not_found", f"there is no upload {name}; it may have expired") from error
        except BaseException:  # a full disk: a part of it is there
            remove(path)
            raise
        return Received(path, file_name, size, sha256)

    def keep_upload(self, received: Received, name: str) -> None:
        """Make a received file that of an upload."""
        os.replace(received.path, self.uploads / name)
        sync_folder(self.uploads)

    def keep_inputs(self, files: dict[str, Received]) -> str:
        """Put the files of a video into a folder of their own; returns its name.

        Args:
            files: by what they are for, such as `photo`.
        """
        name = secrets.token_hex(16)
        try:
            for role, received in files.items():
                folder = self.inputs / name / role
                folder.mkdir(parents=True)
                os.replace(received.path, folder / received.name)
                sync_folder(folder)
                sync_folder(folder.parent)
            sync_folder(self.inputs)
        except BaseException:  # a full disk: some of them are there already
            remove(self.inputs / name)
            raise
        return name

    def input_paths(self, folder: str, files: dict[str, str]) -> dict[str, Path]:
        """Where the files of a video lie, by what they are for."""
        return {role: self.inputs / folder / role / name for role, name in files.items()}


class Incoming:
    """A file that is being received; whatever ends that before `finish`, `discard` removes it.

    Args:
        path: of it.
        name: harmless.
        most: bytes.
    """

    def __init__(self, path: Path, name: str, most: int) -> None:
        self._path, self._name, self._most = path, name, most
        self._file: BinaryIO = path.open("xb")
        self._bytes, self._hash = 0, hashlib.sha256()

    def write(self, data: bytes) -> None:
        """Append. Raises Refused: it is too large."""
        self._bytes += len(data)
        if self._bytes > self._most:
            raise Refused(413, "file_too_large", f"{self._name} is larger than {self._most / 2**20:g} MB")
        self._hash.update(data)
        self._file.write(data)

    def finish(self) -> Received:
        """All of it is there, and on the disk."""
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        return Received(self._path, self._name, self._bytes, self._hash.hexdigest())

    def discard(self) -> None:
        """Remove it, unless it was put elsewhere."""
        with suppress(OSError):  # what is buffered may not fit on the disk
            self._file.close()
        remove(self._path)


def _swept(folder: Path, kept: set[str], processes: Collection[str] = ()) -> int:
    theirs = tuple(f"{name}-" for name in processes)
    paths = [path for path in folder.iterdir() if path.name not in kept and not path.name.startswith(theirs)]
    for path in paths:
        remove(path)
    return len(paths)


def harmless(name: str) -> str:
    """What of a file's own name can be used here, and be named in sentences."""
    plain = _KEPT.sub("_", os.path.basename(name.replace("\\", "/"))).lstrip(".")
    stem, suffix = os.path.splitext(plain)
    return f"{stem[:_LONGEST_NAME] or 'file'}{suffix[:10]}"


def remove(path: Path) -> None:
    """Remove a file or a folder, or what is left of it."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with suppress(OSError):
            path.unlink()


def sync_folder(folder: Path) -> None:
    """Have names in a folder on the disk, where the system can do that."""
    if os.name == "posix":
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
