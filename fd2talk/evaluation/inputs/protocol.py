"""Protocols: a paper's metrics, split, units and printed tables, as YAML files in configs/protocols.

A file has name, title, paper, split, settings (`SETTINGS`), columns and published tables. A column is a metric of the
catalogue under the paper's label and unit, to which our values are converted. Published rows are copied digit by digit
as the paper prints them, with an interval as `9.44 ± 0.008` and null for a blank cell. Optional targets are what a
system should reach, in the catalogue's units.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from fd2talk.evaluation.metrics.catalogue import CATALOGUE
from shared.errors import InputError, UsageError
from shared.schema import unknown_key
from shared.weights import bundled_config

_CONFIGS = "protocols"
_LENGTH = re.compile(r"(?:1?×10([⁻⁰¹²³⁴⁵⁶⁷⁸⁹]+) )?(mm|cm|m)(²?)")
_SUPERSCRIPTS = str.maketrans("⁻⁰¹²³⁴⁵⁶⁷⁸⁹", "-0123456789")
_METRES = {"mm": -3, "cm": -2, "m": 0}  # powers of ten
_PRINTED = re.compile(r"(-?\d+(?:\.\d+)?)(?: ± (\d+(?:\.\d+)?))?")

SETTINGS: dict[str, type[int] | type[float] | tuple[str, ...]] = {
    "fps": float,  # frames per second of the paper's data; motions of this rate are measured at it, others at 25
    "max_shift": int,  # frames to either side, for audio-visual synchronisation
    "beat_sigma": float,  # seconds, the width of a beat's neighbourhood
    "motion": ("video", "file"),  # tracked in the rendered video, or the system's own Motion
    "identity": ("own", "real"),  # identity of the compared meshes: the clip's own, or the reference's
    "style": ("held-out",),  # people with one clip give their style in its first half and are measured in the second
    "photo": ("first",),  # the frame of the reference that a system animates
}
"""Key -> allowed values: a positive number of this type, or one of these words."""


@dataclass(frozen=True)
class Column:
    """A metric as the paper prints it.

    Args:
        metric: key of the catalogue.
        label: the paper's name of it.
        unit: the paper's unit; empty where it prints none.
        group: the heading above the column, or empty.
        note: a caveat for comparisons.
    """

    metric: str
    label: str
    unit: str = ""
    group: str = ""
    note: str = ""

    @property
    def header(self) -> str:
        """Label and unit, such as `LVE (mm)`; unique within a protocol."""
        return f"{self.label} ({self.unit})" if self.unit else self.label

    @property
    def factor(self) -> float:
        """Our value, in the catalogue's unit, times this is in the column's unit."""
        return conversion(CATALOGUE[self.metric].unit, self.unit)


@dataclass(frozen=True)
class Printed:
    """A printed number: its text, its value, and the half width of its interval where it has one."""

    text: str
    value: float
    half_width: float | None = None


@dataclass(frozen=True)
class PublishedTable:
    """A paper's table: its number, title and data set, headers of its columns, and rows by method (None: blank)."""

    table: str
    title: str
    data: str
    columns: tuple[str, ...]
    rows: dict[str, tuple[Printed | None, ...]]


@dataclass(frozen=True)
class Target:
    """What a row's mean should reach.

    Args:
        metric: key of the catalogue.
        system: name of the row.
        at_least: the smallest value that meets the target, or None.
        at_most: the largest value that meets the target, or None.
        over: name of another row from which the difference is taken; empty for the value itself.
        share: the difference as a share of the other row's value.
    """

    metric: str
    system: str
    at_least: float | None = None
    at_most: float | None = None
    over: str = ""
    share: bool = False


@dataclass(frozen=True)
class Protocol:
    """The contents of a protocol's file; settings has keys of `SETTINGS`."""

    name: str
    title: str
    paper: str
    split: str
    settings: dict[str, Any]
    columns: tuple[Column, ...]
    published: tuple[PublishedTable, ...] = ()
    targets: tuple[Target, ...] = ()

    @property
    def metrics(self) -> list[str]:
        """Keys of the catalogue without repetition, in the order of the columns."""
        return list(dict.fromkeys(column.metric for column in self.columns))


def conversion(ours: str, theirs: str) -> float:
    """Return the factor from one unit to another.

    Args:
        ours: the unit of a value, such as `mm` or `mm²`.
        theirs: the unit wanted, such as `×10⁻⁵ m`; empty: the same.

    Raises:
        ValueError: the units are neither the same nor lengths, nor both squares of lengths.
    """
    if theirs in ("", ours):
        return 1.0
    lengths = [length for unit in (ours, theirs) if (length := _LENGTH.fullmatch(unit))]
    if len(lengths) < 2 or lengths[0][3] != lengths[1][3]:
        raise ValueError(f"a value in {ours or 'no unit'} cannot be printed in {theirs}")
    exponents = [
        int((power or "⁰").translate(_SUPERSCRIPTS)) + _METRES[unit] * (2 if square else 1)
        for power, unit, square in (length.groups() for length in lengths)
    ]
    return 10.0 ** (exponents[0] - exponents[1])


def protocols() -> list[str]:
    """Return the names of the bundled protocols."""
    return sorted(path.stem for path in bundled_config(_CONFIGS).glob("*.yaml"))


def load_protocol(name_or_path: str | Path) -> Protocol:
    """Read a bundled protocol by its name, or one from a YAML file.

    Args:
        name_or_path: the name or the file.

    Raises:
        UsageError: neither the name of a bundled protocol nor a file.
        InputError: the file is not a protocol; the message names the faulty entry.
    """
    if str(name_or_path) in protocols():
        path = bundled_config(f"{_CONFIGS}/{name_or_path}.yaml")
    else:
        path = Path(name_or_path)
        if path.suffix.lower() not in (".yaml", ".yml") or not path.is_file():
            known = ", ".join(protocols())
            raise UsageError(f"there is no protocol {name_or_path}: give a YAML file or one of {known}")
    try:
        text = path.read_text(encoding="utf-8")
        content = yaml.safe_load(text)
        literal = yaml.load(text, yaml.BaseLoader)  # every scalar as text: 2.30 keeps its zero
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        reason = " ".join(str(error).split())
        raise InputError(f"cannot read the protocol {path}: {reason}") from error
    try:
        return _protocol(content, literal)
    except ValueError as error:
        raise InputError(f"{path} is not a protocol: {error}") from error


def _protocol(content: Any, literal: Any) -> Protocol:
    _check_keys(
        content,
        "the file",
        ("name", "title", "paper", "split", "settings", "columns"),
        optional=("published", "targets"),
    )
    texts = {key: _text(content[key], key) for key in ("name", "title", "paper", "split")}
    columns = tuple(_column(entry, i) for i, entry in enumerate(_list(content["columns"], "columns"), 1))
    headers = [column.header for column in columns]
    for header in headers:
        if headers.count(header) > 1:
            raise ValueError(f"two columns are both called {header}")
    tables = _list(literal["published"], "published") if "published" in content else []
    targets = _list(content["targets"], "targets") if "targets" in content else []
    measured = {column.metric for column in columns}
    return Protocol(
        **texts,
        settings=_settings(content["settings"]),
        columns=columns,
        published=tuple(_table(entry, i, headers) for i, entry in enumerate(tables, 1)),
        targets=tuple(_target(entry, f"target {i}", measured) for i, entry in enumerate(targets, 1)),
    )


def _settings(entry: Any) -> dict[str, Any]:
    _check_keys(entry, "settings", (), optional=tuple(SETTINGS))
    for key, value in entry.items():
        allowed = SETTINGS[key]
        if isinstance(allowed, tuple):
            if value not in allowed:
                raise ValueError(f"settings: {key} is one of {', '.join(allowed)}, not {value}")
        elif isinstance(value, bool) or not isinstance(value, (int, allowed)) or not value > 0:
            raise ValueError(f"settings: {key} is a number above 0, not {value}")
    return dict(entry)


def _column(entry: Any, number: int) -> Column:
    where = f"column {number}"
    _check_keys(entry, where, ("metric", "label"), optional=("unit", "group", "note"))
    column = Column(**{key: _text(value, f"{where}: {key}") for key, value in entry.items()})
    if column.metric not in CATALOGUE:
        raise ValueError(f"{where}: there is no metric {column.metric}")
    try:
        _ = column.factor
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from None
    return column


def _table(entry: Any, number: int, headers: list[str]) -> PublishedTable:
    where = f"published table {number}"
    _check_keys(entry, where, ("table", "title", "data", "columns", "rows"))
    texts = {key: _text(entry[key], f"{where}: {key}") for key in ("table", "title", "data")}
    columns = [_text(header, f"{where}: columns") for header in _list(entry["columns"], f"{where}: columns")]
    for header in columns:
        if header not in headers:
            raise ValueError(f"{where}: {header} is not one of the protocol's columns, {', '.join(headers)}")
    if not isinstance(entry["rows"], dict) or not entry["rows"]:
        raise ValueError(f"{where}: rows is method: [values]")
    rows = {}
    for method, values in entry["rows"].items():
        values = _list(values, f"{where}: {method}")
        if len(values) != len(columns):
            raise ValueError(f"{where}: {method} has {len(values)} values for {len(columns)} columns")
        rows[method] = tuple(_printed(value, f"{where}: {method}") for value in values)
    return PublishedTable(**texts, columns=tuple(columns), rows=rows)


def _target(entry: Any, where: str, measured: Collection[str]) -> Target:
    _check_keys(entry, where, ("metric", "system"), optional=("at_least", "at_most", "over", "share"))
    for key, value in entry.items():
        if key in ("at_least", "at_most"):
            if isinstance(value, bool) or not isinstance(value, (int, float)):
                raise ValueError(f"{where}: {key} is a number, not {value}")
        elif key == "share":
            if not isinstance(value, bool) or "over" not in entry:
                raise ValueError(f"{where}: share is true or false, of a target with over")
        else:
            _text(value, f"{where}: {key}")
    if entry["metric"] not in measured:
        raise ValueError(f"{where}: {entry['metric']} is not the metric of a column")
    if ("at_least" in entry) == ("at_most" in entry):
        raise ValueError(f"{where}: either at_least or at_most is needed")
    return Target(**entry)


def _printed(text: Any, where: str) -> Printed | None:
    if text == "null":
        return None
    match = _PRINTED.fullmatch(text) if isinstance(text, str) else None
    if not match:
        raise ValueError(f"{where}: {text} is neither a number, a number ± a number, nor null")
    value, half_width = match.groups()
    return Printed(text, float(value), float(half_width) if half_width else None)


def _check_keys(entry: Any, where: str, needed: tuple[str, ...], optional: tuple[str, ...] = ()) -> None:
    if not isinstance(entry, dict):
        raise ValueError(f"{where} is not a mapping of keys to values")
    for key in entry:
        if key not in needed + optional:
            raise ValueError(f"{where}: {unknown_key(str(key), needed + optional)}")
    for key in needed:
        if key not in entry:
            raise ValueError(f"{where}: {key} is missing")


def _list(value: Any, where: str) -> list:
    if not isinstance(value, list) or not value:
        raise ValueError(f"{where} is not a list, or is empty")
    return value


def _text(value: Any, where: str) -> str:
    if not isinstance(value, str) or not value.strip():
        raise ValueError(f"{where} is not a text")
    return value
