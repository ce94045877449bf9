"""Map-style access to a folder of shards: any frames of any clip by one read, from several threads and processes."""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from shared.errors import InputError
from shared.shards.checksums import Checksum, check_end, check_whole
from shared.shards.format import INDEX, PLAN, Part, metadata_of, pyarrow, shard_metadata, shard_name

# Files that are kept open; a process may often have no more than 1024.
_OPEN_FILES = 256
_OWN = "@"
"""Prefix of the index's own columns; the others are those of index.csv."""

CHECK_VARIABLE = "FD2TALK_CHECK_SHARDS"
"""Environment variable: 1 checks all bytes of a shard when it is first opened, instead of its size and footer."""


class Shards:
    """A folder of shards; see the package for its files.

    Columns of the index are read when they are first used. It pickles as its path.

    Attributes:
        folder: the folder.
        index_path: its index.
        parts: name -> type of a clip's arrays.
        checksums: name of a file -> its checksum; empty for shards without checksums.
        metadata: all metadata of the index.
    """

    def __init__(self, folder: str | Path) -> None:
        """Open a folder. Raises InputError: it has no index of this version; Fd2TalkError: pyarrow is missing."""
        self.folder, self.index_path = Path(folder), Path(folder) / INDEX
        arrow, path = pyarrow(), self.index_path
        try:
            self._index = arrow.parquet.ParquetFile(path, memory_map=True, page_checksum_verification=True)
        except (OSError, arrow.ArrowException) as error:
            raise InputError(f"{path}: not an index of shards ({' '.join(str(error).split())[:80]})") from error
        self.metadata = metadata_of(self._index, path)
        try:
            self.parts = {name: Part.from_json(values) for name, values in self.metadata["parts"].items()}
            self.checksums = checksums_in(self.metadata)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise InputError(f"{path}: damaged ({error!r:.80}); remove it, and run `fd2talk shard` again") from error
        self._columns: dict[str, np.ndarray] = {}
        self._texts: dict[str, Any] = {}
        self._files = OpenFiles(self.checksums)
        self._places: dict[str, int] | None = None

    def __reduce__(self) -> tuple[Any, ...]:
        return Shards, (self.folder,)

    def __len__(self) -> int:
        return self._index.metadata.num_rows

    def _read(self, names: list[str], group: int | None = None) -> Any:
        """Columns of the index, of one row group or all. Raises InputError: its bytes have changed."""
        try:
            return self._index.read(names) if group is None else self._index.read_row_group(group, names)
        except (OSError, pyarrow().ArrowException) as error:
            why = " ".join(str(error).split())[:80]
            raise InputError(f"{self.index_path}: damaged ({why}); remove it, and run `fd2talk shard` again") from error

    def check_index(self) -> None:
        """Read the whole index, a part at a time. Raises InputError: its bytes have changed."""
        for group in range(self._index.metadata.num_row_groups):
            for name in self._index.schema_arrow.names:
                self._read([name], group)

    @property
    def columns(self) -> list[str]:
        """Names of the text columns, those of index.csv."""
        return [name for name in self._index.schema_arrow.names if not name.startswith(_OWN)]

    def rows(self) -> list[dict[str, str]]:
        """All rows as `shared.prepared.read_index` returns them; slow and large for many hours, as Python objects."""
        return self._read(self.columns).to_pylist()

    def numbers(self, name: str) -> np.ndarray:
        """A column of numbers, [clips]; cached."""
        if name not in self._columns:
            self._columns[name] = self._read([f"{_OWN}{name}"]).column(0).to_numpy()
        return self._columns[name]

    def labels(self, name: str) -> tuple[np.ndarray, list[str]]:
        """A column of text as codes int32 [clips] and their labels, in order of first appearance."""
        column = self._read([name]).column(0).combine_chunks().dictionary_encode()
        if isinstance(column, pyarrow().ChunkedArray):
            column = column.combine_chunks()
        return column.indices.to_numpy(zero_copy_only=False).astype(np.int32), column.dictionary.to_pylist()

    def name(self, clip: int) -> str:
        """Name of a clip."""
        return self.texts("name")[clip].as_py()

    def texts(self, name: str) -> Any:
        """A column of text, a pyarrow array; cached."""
        if name not in self._texts:
            self._texts[name] = self._read([name]).column(0)
        return self._texts[name]

    def place(self, name: str) -> int:
        """The row of a clip by its name. Raises InputError: there is none."""
        if self._places is None:
            self._places = {name: place for place, name in enumerate(self.texts("name").to_pylist())}
        try:
            return self._places[name]
        except KeyError:
            raise InputError(f"{self.folder}: no clip {name}") from None

    def lengths(self, part: str) -> np.ndarray:
        """Number of rows of an array of each clip, int [clips]."""
        return self.numbers(f"{part}.rows")

    def path(self, clip: int, part: str) -> Path:
        """The file with an array of a clip."""
        return self.folder / shard_name(self.parts[part].group, int(self.numbers("shard")[clip]))

    def read(self, clip: int, part: str, start: int = 0, stop: int | None = None) -> np.ndarray:
        """Read rows of an array of a clip; with the default, all of them.

        Args:
            clip: its row in the index.
            part: the array's name.
            start: the first row.
            stop: one behind the last row.

        Returns:
            [stop - start, *shape], read-only.

        Raises:
            InputError: the file is missing, damaged, or was replaced.
        """
        kind = self.parts[part]
        length = int(self.lengths(part)[clip])
        start, stop, _ = slice(start, stop).indices(length)
        count = max(stop - start, 0)
        if not count:
            return np.zeros((0, *kind.shape), kind.dtype)
        path = self.path(clip, part)
        at = int(self.numbers(f"{part}.at")[clip]) + start * kind.row_bytes
        data = self._files.read(path, at, count * kind.row_bytes)
        return np.frombuffer(data, kind.dtype).reshape(count, *kind.shape)


class OpenFiles:
    """A thread-safe pool of open files for random access; the least recently used are closed.

    When a shard is first opened, its size and footer are compared with its checksum, which takes less than a
    millisecond, or all of its bytes if `CHECK_VARIABLE` is set.
    """

    def __init__(self, checksums: Mapping[str, Checksum] | None = None, most: int = _OPEN_FILES) -> None:
        """Begin with no file open.

        Args:
            checksums: by name of the file; other files are not checked.
            most: number of open files.
        """
        self._checksums, self._most, self._lock = checksums or {}, most, threading.Lock()
        self._whole = os.environ.get(CHECK_VARIABLE) == "1"
        self._open: OrderedDict[Path, _File] = OrderedDict()
        self._checked: set[Path] = set()

    def read(self, path: Path, at: int, size: int) -> bytes:
        """Read bytes of a file. Raises InputError: it is missing, damaged, or too short."""
        if path not in self._checked:  # at worst several threads check it at once
            self._check(path)
            self._checked.add(path)
        with self._lock:
            file = self._open.get(path)
            if file is None:
                file = self._open[path] = _File(path)
            self._open.move_to_end(path)
            while len(self._open) > self._most:
                self._open.popitem(last=False)  # closed when the last thread has read from it
        return file.read(at, size)

    def _check(self, path: Path) -> None:
        expected = self._checksums.get(path.name)
        if expected is None:
            return
        check_end(path, expected)
        if self._whole:
            check_whole(path, expected, shard_metadata(path).get("sha256"))


class _File:
    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            self._file = open(path, "rb", buffering=0)
        except OSError as error:
            raise InputError(f"{path}: cannot be read ({error.strerror})") from error
        self._lock = threading.Lock()

    def read(self, at: int, size: int) -> bytes:
        try:
            if hasattr(os, "pread"):  # needs no lock; Windows has none
                data = os.pread(self._file.fileno(), size, at)
            else:
                with self._lock:
                    self._file.seek(at)
                    data = self._file.read(size)
        except OSError as error:
            raise InputError(f"{self._path}: cannot be read ({error.strerror})") from error
        if len(data) != size:
            raise InputError(f"{self._path}: damaged: it ends before what the index says is in it")
        return data


def checksums_in(metadata: Mapping[str, Any]) -> dict[str, Checksum]:
    """Return the checksums of files from the metadata of an index or a description."""
    return {name: Checksum(*values) for name, values in metadata.get("checksums", {}).items()}


def is_sharded(folder: str | Path) -> bool:
    """Whether a folder has shards. Raises InputError: they are unfinished."""
    folder = Path(folder)
    if (folder / INDEX).is_file():
        return True
    if (folder / PLAN).is_file():
        raise InputError(f"{folder}: these shards are not finished; run the same `fd2talk shard` again, which goes on")
    return False


def open_shards(folder: str | Path) -> Shards:
    """Open a folder; cached until its index changes."""
    path = Path(folder).resolve()
    return _opened(path, (path / INDEX).stat().st_mtime_ns)


@lru_cache(maxsize=4)
def _opened(folder: Path, version: int) -> Shards:
    return Shards(folder)
