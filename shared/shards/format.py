"""The layout of shards: arrays of clips as binary columns of Parquet files, whose byte offsets are known."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from shared.errors import Fd2TalkError, InputError
from shared.files import atomic_output
from shared.shards.checksums import HashedFile, footer_start

INDEX = "index.parquet"
"""Name of the index; a folder without it is incomplete, or no folder of shards."""
INDEX_SUM = f"{INDEX}.sha256"
"""Name of the file with the checksum of the index, written after it."""
PLAN = "plan.json"
"""Name of the file with the settings that shards are made with; written before all others."""

_KEY = b"fd2talk"
_VERSION = 1
# Bytes of the clips in a row group, which the writer holds in memory; a page, which is a column of a group, must be
# smaller than 2 GB.
_GROUP_BYTES = 64 << 20
_MAX_PAGE = 1 << 30
_UNKNOWN_LAYOUT = "this version of pyarrow lays out Parquet pages in a way that is not known"


@dataclass(frozen=True)
class Part:
    """The type of an array of a clip, [rows, *shape].

    Attributes:
        group: of the files that have it.
        dtype: numpy's code, little-endian.
        shape: of a row; rows are frames or samples, or a single one for constants.
    """

    group: str
    dtype: str
    shape: tuple[int, ...] = ()

    @property
    def row_bytes(self) -> int:
        """Size of a row."""
        return np.dtype(self.dtype).itemsize * int(np.prod(self.shape, dtype=int))

    def to_bytes(self, values: np.ndarray | None) -> bytes:
        """The bytes of an array; empty for None, a clip without it.

        Raises:
            InputError: the array has another shape, or values that this type cannot represent.
        """
        if values is None:
            return b""
        stored = np.ascontiguousarray(values, self.dtype)
        if stored.shape[1:] != self.shape or not np.array_equal(stored, values, equal_nan=stored.dtype.kind == "f"):
            raise InputError(f"shards: an array {values.dtype} {list(values.shape)} is not {self.dtype} {self.shape}")
        return stored.tobytes()

    def from_bytes(self, rows: Iterable[bytes]) -> np.ndarray:
        """Join stored arrays to one, [rows, *shape]."""
        return np.frombuffer(b"".join(rows), self.dtype).reshape(-1, *self.shape)

    def to_json(self) -> dict[str, Any]:
        """As JSON, for the index."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Part:
        """The inverse of `to_json`."""
        return cls(values["group"], values["dtype"], tuple(values["shape"]))


def pyarrow() -> ModuleType:
    """Import pyarrow with its parts for Parquet and for computing. Raises Fd2TalkError: it is not installed."""
    try:
        import pyarrow
        import pyarrow.compute
        import pyarrow.parquet  # noqa: F401
    except ModuleNotFoundError as error:
        raise Fd2TalkError("shards need pyarrow: pip install 'fd2talk[cluster]'") from error
    return pyarrow


def shard_name(group: str, number: int) -> str:
    """Name of a file of arrays."""
    return f"{group}-{number:05d}.parquet"


def metadata_of(file: Any, path: str | Path) -> dict[str, Any]:
    """Read the metadata of an open file. Raises InputError: it is not of `fd2talk shard`, or of another version."""
    try:
        found = json.loads((file.metadata.metadata or {})[_KEY])
    except (KeyError, ValueError):
        raise InputError(f"{path}: not written by `fd2talk shard`") from None
    if found.get("version") != _VERSION:
        raise InputError(f"{path}: shards of version {found.get('version')}, this is fd2talk for version {_VERSION}")
    return found


def with_metadata(schema: Any, values: Mapping[str, Any]) -> Any:
    """A schema with metadata for `metadata_of`."""
    return schema.with_metadata({_KEY: json.dumps({**values, "version": _VERSION}).encode()})


def write_shard(
    path: Path,
    parts: Mapping[str, Part],
    clips: Iterable[tuple[str, Mapping[str, np.ndarray | None]]],
    metadata: dict[str, Any],
) -> None:
    """Write one file of arrays, atomically: a file that exists is complete.

    Args:
        path: the file.
        parts: the columns.
        clips: (name, arrays) of each clip.
        metadata: of `shard_metadata`, besides `sha256`; the dict may be filled while clips are read.
    """
    arrow = pyarrow()
    fields = [arrow.field("name", arrow.string(), nullable=False)]
    fields += [arrow.field(part, arrow.binary(), nullable=False) for part in parts]
    schema = arrow.schema(fields)
    with atomic_output(path, overwrite=True) as temporary:
        # One page for each column of a row group, whatever its size, and nothing between its values but lengths.
        settings = {"compression": "NONE", "use_dictionary": False, "write_statistics": False}
        with (
            HashedFile(temporary) as raw,
            arrow.parquet.ParquetWriter(raw, schema, data_page_size=_MAX_PAGE, **settings) as file,
        ):
            for names, columns in _groups(parts, clips):
                arrays = [arrow.array(names, arrow.string())]
                arrays += [arrow.array(columns[part], arrow.binary()) for part in parts]
                file.write_table(arrow.table(arrays, schema=schema), row_group_size=len(names))
            described = {**metadata, "sha256": raw.hexdigest(), "version": _VERSION}
            file.add_key_value_metadata({_KEY: json.dumps(described).encode()})
            written = raw.tell()
        if footer_start(temporary) != written:
            raise Fd2TalkError(_UNKNOWN_LAYOUT)
        _check(temporary, parts)


def _groups(
    parts: Mapping[str, Part], clips: Iterable[tuple[str, Mapping[str, np.ndarray | None]]]
) -> Iterator[tuple[list[str], dict[str, list[bytes]]]]:
    """Group clips to row groups: their names, and the bytes of each part."""
    names: list[str] = []
    columns: dict[str, list[bytes]] = {part: [] for part in parts}
    size = 0
    for name, arrays in clips:
        if size > _GROUP_BYTES:
            yield names, columns
            names, columns, size = [], {part: [] for part in parts}, 0
        names.append(name)
        for part, kind in parts.items():
            columns[part].append(kind.to_bytes(arrays.get(part)))
            size += len(columns[part][-1])
    if names:
        yield names, columns


def shard_metadata(path: Path) -> dict[str, Any]:
    """Read the metadata of a shard. Raises InputError: it is damaged, or not of `fd2talk shard`."""
    return metadata_of(_open(path), path)


def shard_ranges(path: Path, parts: Sequence[str]) -> tuple[list[str], dict[str, tuple[np.ndarray, np.ndarray]]]:
    """Names of a shard's clips, and for each part the offsets and sizes of their bytes in the file, int64 [n] each."""
    file, arrow = _open(path), pyarrow()
    names: list[str] = []
    found: dict[str, list[tuple[np.ndarray, np.ndarray]]] = {part: [] for part in parts}
    columns = {name: place for place, name in enumerate(file.schema_arrow.names)}
    for number in range(file.num_row_groups):
        table = file.read_row_group(number)
        names += table["name"].to_pylist()
        for part in parts:
            sizes = arrow.compute.binary_length(table[part]).to_numpy().astype(np.int64)
            column = file.metadata.row_group(number).column(columns[part])
            # A page ends with the values, each preceded by its length in four bytes.
            end = column.data_page_offset + column.total_compressed_size
            starts = end - (sizes + 4).sum() + np.concatenate([[0], np.cumsum(sizes + 4)[:-1]]) + 4
            found[part].append((starts.astype(np.int64), sizes))
    joined = {part: (_joined([s for s, _ in of]), _joined([n for _, n in of])) for part, of in found.items()}
    return names, joined


def _joined(arrays: list[np.ndarray]) -> np.ndarray:
    return np.concatenate(arrays) if arrays else np.zeros(0, np.int64)


def _open(path: Path) -> Any:
    arrow = pyarrow()
    try:
        return arrow.parquet.ParquetFile(path, memory_map=True)
    except (OSError, arrow.ArrowException) as error:
        raise InputError(f"{path}: not a shard ({' '.join(str(error).split())[:80]})") from error


def _check(path: Path, parts: Mapping[str, Part]) -> None:
    """Compare the bytes at the computed offsets with what Parquet reads, as writers may lay out pages differently."""
    _, ranges = shard_ranges(path, list(parts))
    file, at = _open(path), 0
    with open(path, "rb") as raw:
        for number in range(file.num_row_groups):
            table = file.read_row_group(number)
            for part in parts:
                starts, sizes = (values[at : at + table.num_rows] for values in ranges[part])
                for place in {0, table.num_rows // 2, table.num_rows - 1}:
                    raw.seek(starts[place])
                    if raw.read(sizes[place]) != table[part][place].as_py():
                        raise Fd2TalkError(_UNKNOWN_LAYOUT)
            at += table.num_rows
