"""The layout of the files of shards: arrays of clips as columns of Parquet whose bytes can be found without Parquet."""

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
"""Name of the file that says what shards are made of; it is written before all others."""

_KEY = b"fd2talk"
_VERSION = 1
# Bytes of the clips in one row group, which the writer holds in memory; a page, and so a column of a group, must stay
# below 2 GB.
_GROUP_BYTES = 64 << 20
_MAX_PAGE = 1 << 30
_UNKNOWN_LAYOUT = "this version of pyarrow lays out Parquet pages in a way that is not known"


@dataclass(frozen=True)
class Part:
    """One of the arrays of a clip, [rows, *shape].

    Attributes:
        group: of the files that it lies in.
        dtype: as numpy writes it, little-endian.
        shape: of a row; rows are frames, samples, or one for what does not change.
    """

    group: str
    dtype: str
    shape: tuple[int, ...] = ()

    @property
    def row_bytes(self) -> int:
        """Size of a row."""
        return np.dtype(self.dtype).itemsize * int(np.prod(self.shape, dtype=int))

    def to_bytes(self, values: np.ndarray | None) -> bytes:
        """The bytes of an array; of None, for a clip that has none, no bytes.

        Raises:
            InputError: the array has another shape, or numbers that this type does not hold.
        """
        if values is None:
            return b""
        stored = np.ascontiguousarray(values, self.dtype)
        if stored.shape[1:] != self.shape or not np.array_equal(stored, values, equal_nan=stored.dtype.kind == "f"):
            raise InputError(f"shards: an array {values.dtype} {list(values.shape)} is not {self.dtype} {self.shape}")
        return stored.tobytes()

    def to_json(self) -> dict[str, Any]:
        """For the index."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Part:
        """The way back."""
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
    """Read what fd2talk wrote into an open file's metadata. Raises InputError: not ours, or of another version."""
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
        clips: of each its name and its arrays.
        metadata: what `shard_metadata` shall return besides `sha256`, a dict that may be filled while clips are read.
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
    """Names and bytes of each part, of so many clips as make a row group."""
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
    """What a file of arrays says about itself. Raises InputError: it is damaged or not ours."""
    return metadata_of(_open(path), path)


def shard_ranges(path: Path, parts: Sequence[str]) -> tuple[list[str], dict[str, tuple[np.ndarray, np.ndarray]]]:
    """Names of a file's clips, and of each part where its bytes begin in the file and how many they are, int64 [n]."""
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
            # The page ends with the values, each behind its length of four bytes.
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
    """Compare the bytes at the computed places with what Parquet reads: a writer might lay pages out otherwise."""
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
