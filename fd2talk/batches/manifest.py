"""Reads the rows of a batch from a CSV file; a row may be a product of photos and recordings."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import click

from fd2talk.batches.checks import check_files
from fd2talk.batches.sources import SOUNDS, Sources
from fd2talk.batches.table import read_table
from fd2talk.cli_config import read_yaml
from fd2talk.request import FILE_OPTIONS, NAMES, OPTIONS, request_from
from fd2talk.suffixes import PHOTOS
from shared.errors import InputError, UsageError

_COLUMNS = ("photo", "audio", "output")
_OPTIONS = {str(option.name) for option in OPTIONS}


@dataclass(frozen=True)
class Row:
    """One video of the table, not yet checked.

    Args:
        number: line of the table where the row begins, the header's being 1; of the second of several videos of row 3:
            `3.2`.
        photo: absolute path.
        audio: absolute path.
        output: name in the output folder, or an empty string.
        values: options of `fd2talk generate` by name, with `_`.
        own: those of them that the row itself gives, without defaults.
        error: why the row is invalid, or an empty string.
    """

    number: str
    photo: str
    audio: str
    output: str = ""
    values: Mapping[str, object] = field(default_factory=dict)
    own: Mapping[str, object] = field(default_factory=dict)
    error: str = ""


def read_manifest(path: str, defaults: Mapping[str, object] | None = None) -> list[Row]:
    """Read the rows of a table, see `read_table`.

    Args:
        path: columns `photo` and `audio`, optionally `output`, and any options of `fd2talk generate`. A photo or
            recording may be a folder or a pattern such as `photos/*.jpg`: each photo of the row with each recording.
            Paths count from the file's folder. An empty cell is the default.
        defaults: options of all rows, which the cells of a row replace.

    Returns:
        In the file's order. What is wrong with a single row is its `error`.

    Raises:
        InputError: the file cannot be read, has no rows, lacks a column, or has one that does not exist.
    """
    table = read_table(path)
    _check(path, table.columns)
    sources = Sources(Path(os.path.abspath(path)).parent)
    rows: list[Row] = []
    for line, cells in table.rows:
        rows += _rows(str(line), table.columns, cells, sources, defaults or {})
    return rows


def read_defaults(path: str) -> dict[str, object]:
    """Read options of all rows from a YAML file of lines `option: value`.

    Raises:
        UsageError: the file cannot be read, an option is unknown to `fd2talk generate`, or names a missing file.
    """
    values = {str(name).replace("-", "_"): value for name, value in read_yaml(path).items() if value is not None}
    try:
        request_from("", "", values)
        found = _found(values, Sources(Path(os.path.abspath(path)).parent))
        check_files(request_from("", "", found))
    except (InputError, UsageError) as error:
        raise UsageError(f"{path}: {error}") from None
    return found


def _check(path: str, columns: list[str]) -> None:
    """Raises InputError: a column is missing, unknown, or repeated."""
    if missing := [name for name in ("photo", "audio") if name not in columns]:
        raise InputError(f"{path}: there is no column {missing[0]}; a table needs the columns photo and audio")
    for name in columns:
        if columns.count(name) > 1:
            raise InputError(f"{path}: there are two columns {name or 'without a name'}")
        if name not in _COLUMNS and not _is_option(name):
            known = ", ".join(NAMES)
            raise InputError(f"{path}: there is no option {name or 'without a name'} for a column (there are: {known})")


def _is_option(name: str) -> bool:
    if name in _OPTIONS:
        return True
    try:  # the negative name of a switch: crop, no-ease
        request_from("", "", {name: False})
    except UsageError:
        return False
    return True


def _rows(number: str, columns: list[str], cells: list[str], sources: Sources, defaults: Mapping) -> Iterator[Row]:
    """The videos of one row of the table."""
    given = dict(zip(columns, cells))
    photo, audio, output = (given.pop(name, "") for name in _COLUMNS)
    try:
        if len(cells) > len(columns) and any(cells[len(columns) :]):
            raise InputError(f"{len(cells)} cells, but the table has {len(columns)} columns")
        if missing := next((name for name, cell in (("photo", photo), ("audio", audio)) if not cell), None):
            raise InputError(f"no {missing} is named")
        own = _found({name: _value(name, cell) for name, cell in given.items() if cell}, sources)
        photos, sounds = sources.find(photo, PHOTOS, "photos"), sources.find(audio, SOUNDS, "recordings")
        pairs = [(one, other) for one in photos for other in sounds]
        if output and len(pairs) > 1:
            raise InputError(f"{output} is the name of one video, but the row makes {len(pairs)}")
    except (InputError, UsageError) as error:
        yield Row(number, photo, audio, output, error=str(error))
        return
    except (OSError, ValueError) as error:  # no permission, a name that is too long, a null byte
        name = f"{file}: " if (file := getattr(error, "filename", None)) else ""
        yield Row(number, photo, audio, output, error=f"{name}{getattr(error, 'strerror', None) or error}")
        return
    values = {**defaults, **own}
    for index, (one, other) in enumerate(pairs, 1):
        yield Row(number if len(pairs) == 1 else f"{number}.{index}", one, other, output, values, own)


def _value(name: str, cell: str) -> object:
    """The value of a cell; a boolean for the negative name of a switch, such as `crop`."""
    if name in _OPTIONS:
        return cell
    try:
        return click.BOOL.convert(cell, None, None)
    except click.BadParameter:
        raise UsageError(f"{name.replace('_', '-')} takes true or false, not {cell!r}") from None


def _found(values: dict[str, object], sources: Sources) -> dict[str, object]:
    """Resolve paths relative to the table; a `style` that is no such file may be the name of a style."""
    found = dict(values)
    for name in FILE_OPTIONS:
        if isinstance(value := values.get(name), str) and value:
            path = sources.place(value)
            if name != "style" or os.path.exists(path) or value.startswith("~"):
                found[name] = str(path)
    return found
