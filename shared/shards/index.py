"""Writes the index of a folder of shards: the offset and length of each array of each clip."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from shared.errors import InputError
from shared.files import atomic_output
from shared.shards.checksums import Checksum, checksum_of, checksum_of_all
from shared.shards.format import INDEX, INDEX_SUM, PLAN, Part, pyarrow, shard_name, shard_ranges, with_metadata
from shared.weights import sha256

# Rows of the index in a row group.
_GROUP_ROWS = 1 << 17


def write_index(
    folder: Path,
    rows: list[dict[str, str]],
    shards: Mapping[str, int],
    parts: Mapping[str, Part],
    numbers: Mapping[str, np.ndarray],
    metadata: Mapping[str, Any],
    files: Iterable[Path] = (),
) -> None:
    """Write the index, which makes the folder complete.

    Args:
        folder: of the shards.
        rows: of index.csv.
        shards: name of a clip -> number of its shard, in all groups.
        parts: the arrays.
        numbers: further columns of numbers, [clips] each.
        metadata: further entries of `Shards.metadata`.
        files: further files of the folder, whose checksums the index gets.

    Raises:
        InputError: a shard lacks a clip, or is damaged.
    """
    checksums: dict[str, Checksum] = {path.name: checksum_of_all(path) for path in files}
    place = {row["name"]: number for number, row in enumerate(rows)}
    places = {part: (np.full(len(rows), -1, np.int64), np.zeros(len(rows), np.int64)) for part in parts}
    groups: dict[str, list[str]] = {}
    for name, part in parts.items():
        groups.setdefault(part.group, []).append(name)
    for group, of_group in groups.items():
        for number in sorted(set(shards.values())):
            path = folder / shard_name(group, number)
            names, ranges = shard_ranges(path, of_group)
            checksums[path.name] = checksum_of(path)
            at = np.array([place[name] for name in names], np.int64)
            for name in of_group:
                starts, sizes = ranges[name]
                places[name][0][at], places[name][1][at] = starts, sizes // parts[name].row_bytes
    if missing := [row["name"] for row, at in zip(rows, places[next(iter(parts))][0]) if at < 0]:
        raise InputError(f"{folder}: the shards lack the clip {missing[0]}; remove them and start again")
    columns: dict[str, Any] = {name: [row.get(name) or "" for row in rows] for name in rows[0]}
    columns |= {f"@{name}": values for name, values in numbers.items()}
    columns["@shard"] = np.array([shards[row["name"]] for row in rows], np.int32)
    for name, (starts, counts) in places.items():
        columns[f"@{name}.at"], columns[f"@{name}.rows"] = starts, counts.astype(np.int32)
    write_columns(folder, columns, parts, {**metadata, "checksums": checksums})


def write_columns(
    folder: Path, columns: Mapping[str, Any], parts: Mapping[str, Part], metadata: Mapping[str, Any]
) -> None:
    """Write the columns of an index: text as in index.csv, and numbers, whose names begin with @."""
    arrow = pyarrow()
    table = arrow.table({name: values for name, values in columns.items()})
    described = {"parts": {name: part.to_json() for name, part in parts.items()}, **metadata}
    table = table.replace_schema_metadata(with_metadata(table.schema, described).metadata)
    (folder / INDEX_SUM).unlink(missing_ok=True)  # it belongs to the previous index
    with atomic_output(folder / INDEX, overwrite=True) as temporary:
        settings = {"compression": "zstd", "write_page_checksum": True}
        arrow.parquet.write_table(table, temporary, row_group_size=_GROUP_ROWS, **settings)
    with atomic_output(folder / INDEX_SUM, overwrite=True) as temporary:
        Path(temporary).write_text(f"{sha256(folder / INDEX)}  {INDEX}\n", encoding="ascii")  # as `sha256sum` has it


def read_plan(folder: Path) -> dict[str, Any] | None:
    """Read the settings that the shards of a folder are made with; None: there are none.

    Raises:
        InputError: the file is damaged.
    """
    path = folder / PLAN
    try:
        plan = json.loads(path.read_text(encoding="utf-8")) if path.exists() else None
    except ValueError as error:
        raise InputError(f"{path}: damaged ({' '.join(str(error).split())[:80]}); remove {folder}") from error
    if plan is not None and not isinstance(plan, dict):
        raise InputError(f"{path}: damaged (it is no object); remove {folder}")
    return plan


def write_plan(folder: Path, plan: Mapping[str, Any]) -> None:
    """Write the settings that the shards are made with."""
    with atomic_output(folder / PLAN, overwrite=True) as temporary:
        temporary.write_text(json.dumps(plan, indent=1) + "\n", encoding="utf-8")
