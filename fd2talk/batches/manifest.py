"""The table of a batch: a CSV file with a row, or a product of photos and recordings, for each video."""

from __future__ import annotations

import csv
import glob
import io
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import click

from fd2talk.request import OPTIONS, request_from
from shared.errors import InputError, UsageError

PHOTOS = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff", ".heic", ".avif")
SOUNDS = (".wav", ".mp3", ".flac", ".ogg", ".opus", ".m4a", ".aac", ".aiff", ".wma", ".mp4", ".mov", ".mkv", ".webm")
"""Names of files in a folder that a row names in the place of a photo, or of a recording; files with sound are one."""

_COLUMNS = ("photo", "audio", "output")
_NAMES = {str(option.name) for option in OPTIONS}


@dataclass(frozen=True)
class Row:
    """One video as the table asks for it, not yet checked.

    Args:
        number: of the row, from 1; of the second of several videos of row 3: `3.2`.
        photo: absolute path.
        audio: absolute path.
        output: name in the output folder, or an empty string.
        values: options of `fd2talk generate` by name, with `_`; `own` are those that the row itself gives.
        own: likewise.
        error: why there can be no such video, or an empty string.
    """

    number: str
    photo: str
    audio: str
    output: str = ""
    values: Mapping[str, object] = field(default_factory=dict)
    own: Mapping[str, object] = field(default_factory=dict)
    error: str = ""


def read_manifest(path: str, defaults: Mapping[str, object] | None = None) -> list[Row]:
    """Read the rows of a CSV file (UTF-8, commas or semicolons).

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
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            text = file.read()
        header = text.partition("\n")[0]
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=";" if "," not in header else ",", strict=True)
        table = [cells for cells in reader if any(cell.strip() for cell in cells)]
    except (OSError, UnicodeError, csv.Error) as error:
        raise InputError(f"cannot read {path}: {getattr(error, 'strerror', None) or error}") from None
    if len(table) < 2:
        raise InputError(f"{path}: no rows; a table with the columns photo and audio is needed")
    columns = [cell.strip().replace("-", "_") for cell in table[0]]
    _check(path, columns)
    folder = Path(os.path.abspath(path)).parent
    rows: list[Row] = []
    for number, cells in enumerate(table[1:], 1):
        rows += _rows(str(number), columns, [cell.strip() for cell in cells], folder, defaults or {})
    return rows


def read_defaults(path: str) -> dict[str, object]:
    """Read options of all rows from a YAML file of lines `option: value`.

    Raises:
        UsageError: the file cannot be read, or `fd2talk generate` has no such options.
    """
    import yaml

    try:
        with open(path, encoding="utf-8") as file:
            values = yaml.safe_load(file) or {}
    except (OSError, UnicodeError, yaml.YAMLError) as error:
        reason = getattr(error, "strerror", None) or " ".join(str(error).split())
        raise UsageError(f"cannot read {path}: {reason}") from error
    if not isinstance(values, dict):
        raise UsageError(f"{path}: not a config; it must consist of lines `option: value`")
    values = {str(name).replace("-", "_"): value for name, value in values.items()}
    try:
        request_from("", "", values)
    except UsageError as error:
        raise UsageError(f"{path}: {error}") from None
    return _found(values, Path(os.path.abspath(path)).parent)


def _check(path: str, columns: list[str]) -> None:
    """Refuse a table whose columns are not what they must be. Raises InputError."""
    if missing := [name for name in ("photo", "audio") if name not in columns]:
        raise InputError(f"{path}: there is no column {missing[0]}; a table needs the columns photo and audio")
    for name in columns:
        if columns.count(name) > 1:
            raise InputError(f"{path}: there are two columns {name or 'without a name'}")
        if name not in _COLUMNS and not _is_option(name):
            known = ", ".join(sorted(_NAMES)).replace("_", "-")
            raise InputError(f"{path}: there is no option {name or 'without a name'} for a column (there are: {known})")


def _is_option(name: str) -> bool:
    if name in _NAMES:
        return True
    try:  # the opposite of one: crop, no-ease
        request_from("", "", {name: False})
    except UsageError:
        return False
    return True


def _rows(number: str, columns: list[str], cells: list[str], folder: Path, defaults: Mapping) -> Iterator[Row]:
    """The videos of one row of the table."""
    given = dict(zip(columns, cells))
    photo, audio, output = (given.pop(name, "") for name in _COLUMNS)
    if len(cells) > len(columns) and any(cells[len(columns) :]):
        yield Row(number, photo, audio, error=f"{len(cells)} cells, but the table has {len(columns)} columns")
        return
    if missing := next((name for name, cell in (("photo", photo), ("audio", audio)) if not cell), None):
        yield Row(number, photo, audio, error=f"no {missing} is named")
        return
    try:
        own = _found({name: _value(name, cell) for name, cell in given.items() if cell}, folder)
        photos, sounds = _files(folder, photo, PHOTOS, "photos"), _files(folder, audio, SOUNDS, "recordings")
        pairs = [(one, other) for one in photos for other in sounds]
        if output and len(pairs) > 1:
            raise InputError(f"{output} is the name of one video, but the row makes {len(pairs)}")
    except (InputError, UsageError) as error:
        yield Row(number, photo, audio, error=str(error))
        return
    values = {**defaults, **own}
    for index, (one, other) in enumerate(pairs, 1):
        yield Row(number if len(pairs) == 1 else f"{number}.{index}", one, other, output, values, own)


def _value(name: str, cell: str) -> object:
    """A cell's value; of the opposite of a switch, such as `crop`, a truth value: text is for options themselves."""
    if name in _NAMES:
        return cell
    try:
        return click.BOOL.convert(cell, None, None)
    except click.BadParameter:
        raise UsageError(f"{name.replace('_', '-')} takes true or false, not {cell!r}") from None


def _found(values: dict[str, object], folder: Path) -> dict[str, object]:
    """Let paths count from a folder; what is no file there, for `style`, may be the name of a style."""
    found = dict(values)
    for name in ("pose_from", "person", "style"):
        if isinstance(value := values.get(name), str) and (name != "style" or (folder / value).exists()):
            found[name] = str(folder / value)
    return found


def _files(folder: Path, cell: str, suffixes: tuple[str, ...], kind: str) -> list[str]:
    """The files that a cell stands for: one, those of a folder, or those of a pattern. Raises InputError for none."""
    path = folder / cell
    if path.is_dir():
        files = sorted(file for file in path.iterdir() if file.suffix.lower() in suffixes and file.is_file())
        if not files:
            raise InputError(f"{cell}: no {kind} in this folder")
        return [str(file) for file in files]
    if glob.has_magic(cell) and not path.exists():
        names = sorted(glob.glob(str(Path(glob.escape(str(folder))) / cell), recursive=True))
        if not (names := [name for name in names if os.path.isfile(name)]):
            raise InputError(f"{cell}: no file has such a name")
        return names
    return [str(path)]
