"""The folders of a service; files that no row of its tables names are removed when it starts."""

from __future__ import annotations

import hashlib
import os
import secrets
import shutil
from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from fd2talk.file_names import safe_name
from fd2talk.service.errors import Refused, disk_full
from fd2talk.service.limits import Limits
from shared.errors import UsageError


@dataclass(frozen=True)
class Received:
    """A file that was received completely: its path, its sanitised name, its size and SHA-256."""

    path: Path
    name: str
    bytes: int
    sha256: str


class Folders:
    """The folder of a service and those in it.

    `incoming` holds files that are being received, `uploads` those for later requests, `inputs` those of queued videos,
    `work` unfinished videos, and `results` complete ones.

    Args:
        folder: created if it does not exist.
        limits: `upload_bytes` and `free_bytes` are used.

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
            for one in (self.folder, self.incoming, self.results):  # the only reliable test of permission
                probe = one / f".probe-{secrets.token_hex(8)}"  # several processes may probe at once
                probe.touch()
                probe.unlink()
        except OSError as error:
            raise UsageError(f"cannot use the folder {folder}: {error.strerror}") from error

    @property
    def database(self) -> Path:
        """Path of the SQLite database."""
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
        """Whether the disk has more free space than `free_bytes`."""
        return self.free >= self._limits.free_bytes

    def check_room(self) -> None:
        """Raises Refused: the disk is full."""
        if not self.has_room:
            raise disk_full()

    def sweep(self, results: set[str], processes: Collection[str] = ()) -> int:
        """Remove unfinished videos, and complete ones that were never published.

        Args:
            results: names of the published ones.
            processes: names of running workers, whose files stay.

        Returns:
            How many files and folders.
        """
        return _sweep(self.work, set(), processes) + _sweep(self.results, results, processes)

    def sweep_received(self, inputs: set[str], uploads: set[str]) -> int:
        """Remove received files that are not named here; call it before requests arrive. Returns as `sweep`."""
        return _sweep(self.incoming, set()) + _sweep(self.inputs, inputs) + _sweep(self.uploads, uploads)

    def incoming_file(self, name: str) -> Incoming:
        """Open a file to be received; `name` is the client's name of it."""
        return Incoming(self.incoming / secrets.token_hex(16), safe_name(name), self._limits.upload_bytes)

    def copy_of_upload(self, name: str, file_name: str, size: int, sha256: str) -> Received:
        """A hard link to (or a copy of) the file of an upload, which stays when the upload is removed.

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
            except OSError:  # a file system without hard links
                shutil.copyfile(source, path)
        except FileNotFoundError as error:
            raise Refused(404, "not_found", f"there is no upload {name}; it may have expired") from error
        except BaseException:  # a full disk may leave a partial copy
            remove(path)
            raise
        return Received(path, file_name, size, sha256)

    def keep_upload(self, received: Received, name: str) -> None:
        """Move a received file to the uploads."""
        os.replace(received.path, self.uploads / name)
        sync_folder(self.uploads)

    def keep_inputs(self, files: dict[str, Received]) -> str:
        """Put the files of a video into a folder of their own; returns its name.

        Args:
            files: by role, such as `photo`.
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
        """Paths of the files of a video, by role."""
        return {role: self.inputs / folder / role / name for role, name in files.items()}


class Incoming:
    """A file that is being received; `discard` removes it unless it was finished and moved.

    Args:
        path: to write to.
        name: sanitised.
        most: bytes it may have.
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
        """Flush it to the disk and close it."""
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        return Received(self._path, self._name, self._bytes, self._hash.hexdigest())

    def discard(self) -> None:
        """Close and remove it, unless it was moved."""
        with suppress(OSError):  # what is buffered may not fit on the disk
            self._file.close()
        remove(self._path)


def _sweep(folder: Path, kept: set[str], processes: Collection[str] = ()) -> int:
    in_use = tuple(f"{name}-" for name in processes)
    paths = [path for path in folder.iterdir() if path.name not in kept and not path.name.startswith(in_use)]
    for path in paths:
        remove(path)
    return len(paths)


def remove(path: Path) -> None:
    """Remove a file or a folder; errors are ignored."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with suppress(OSError):
            path.unlink()


def sync_folder(folder: Path) -> None:
    """Flush the entries of a folder to the disk (fsync), where the system supports it."""
    if os.name == "posix":
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
