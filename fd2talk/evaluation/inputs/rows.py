"""The rows of a table: the real clips, folders and manifests, and systems that are run here."""

from __future__ import annotations

import warnings
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from fd2talk.evaluation.inputs.pairs import (
    Item,
    Pair,
    has_splits,
    match,
    possible_name,
    read_folder,
    read_manifest,
    read_repeats,
)
from fd2talk.evaluation.inputs.protocol import Protocol
from fd2talk.evaluation.systems import SYSTEMS
from shared.errors import InputError, UsageError

REAL, FOREIGN = "real", "real-shuffled"
ROWS = {
    REAL: "The reference clips themselves.",
    FOREIGN: "The reference clips with the sound of another person's: what sync measures give by chance.",
}
_DETERMINISTIC = ("static", "ground-truth")  # another seed gives the same clip


@dataclass
class Row:
    """A row of the table: what it is called and is, and its pairs."""

    name: str
    title: str
    kind: str
    pairs: list[Pair]


def read_reference(
    reference: str | None, split: str | None, protocol: Protocol | None, limit: int | None, per_person: int | None
) -> tuple[dict[str, Item] | None, str | None]:
    """The real clips by name, and which split they are. The protocol's holds for folders that say which clip is in
    which."""
    if reference is None:
        if split:
            raise UsageError("--split is of the reference: give --reference too")
        return None, None
    if split is None and protocol is not None and has_splits(reference):
        split = protocol.split
    items = read_folder(reference, split)
    count: dict[str, int] = defaultdict(int)
    kept = {}
    for name, item in items.items():
        count[item.person] += 1
        if per_person is None or count[item.person] <= per_person:
            kept[name] = item
    return dict(list(kept.items())[:limit]), split


def read_rows(generated: Sequence[str], reals: dict[str, Item] | None, repeats: int | None) -> list[Row]:
    """The real row first, then what was asked for. Raises UsageError, InputError."""
    rows: list[Row] = []
    for entry in generated:
        if entry == REAL:
            continue  # always there
        if entry in SYSTEMS or entry in ROWS:
            row = _system_row(entry, reals, repeats or 1)
        else:
            row = _given_row(*_named_path(entry), reals, repeats)
        if row.name == REAL or any(row.name == other.name for other in rows):
            raise UsageError(f"two rows are called {row.name}; NAME=PATH gives a path another name")
        rows.append(row)
    if reals is None:  # manifests bring theirs along
        reals = {pair.name: pair.real for row in rows for pair in row.pairs if pair.real is not None}
    pairs = [Pair(REAL, 0, name, item.person, item, None) for name, item in reals.items()]
    return [Row(REAL, ROWS[REAL], "real", pairs), *rows] if pairs else rows


def _named_path(entry: str) -> tuple[str, Path]:
    """`PATH`, called by its last part, or `NAME=PATH`, either of which may hold further `=`."""
    parts = entry.split("=")
    splits = [("", entry), *(("=".join(parts[:i]), "=".join(parts[i:])) for i in range(1, len(parts)))]
    name, path = next((split for split in splits if split[1] and Path(split[1]).exists()), splits[-1])
    own = Path(path).resolve() if path in (".", "..") or path.endswith("/..") else Path(path)
    return possible_name(name or (own.name if own.is_dir() else own.stem), "a row"), Path(path)


def _system_row(name: str, reals: dict[str, Item] | None, repeats: int) -> Row:
    if reals is None:
        raise UsageError(f"{name} is made from reference clips: give --reference")
    if name == FOREIGN:
        items = list(reals.values())
        pairs = [Pair(name, 0, i.name, i.person, replace(i, audio=_other(items, n)), None) for n, i in enumerate(items)]
        return Row(name, ROWS[name], "real", pairs)
    for item in reals.values():
        if item.video is None:
            raise InputError(f"{item.name}: {name} is made from videos, and there is none")
    count = 1 if name in _DETERMINISTIC else repeats
    pairs = [Pair(name, r, item.name, item.person, None, item) for r in range(count) for item in reals.values()]
    return Row(name, SYSTEMS[name], "system", pairs)


def _other(items: list[Item], index: int) -> Path:
    """Where the sound of the next clip of another person is (of the next one, where there is one person alone)."""
    order = [item for item in items[index + 1 :] + items[:index] if item.audio or item.video]
    foreign = [item for item in order if item.person != items[index].person] or order
    if not foreign:
        raise InputError(f"{FOREIGN} needs at least two clips with sound")
    return foreign[0].audio or foreign[0].video


def _given_row(name: str, path: Path, reals: dict[str, Item] | None, repeats: int | None) -> Row:
    """Clips of a folder or a manifest. Real ones of which there is no made one are told of once."""
    if path.suffix.lower() == ".csv":
        found = read_manifest(path)
        pairs = [
            Pair(name, r, made.name, made.person, made, real or (reals or {}).get(made.name)) for r, made, real in found
        ]
        return Row(name, str(path), "folder", pairs)
    if not path.exists():
        known = ", ".join([*SYSTEMS, FOREIGN])
        raise UsageError(f"{path}: neither a folder, a clip, a manifest (.csv), nor a system ({known})")
    pairs = []
    for repeat, made in enumerate(read_repeats(path, repeats)):
        matched, missing = match(name, repeat, made, reals)
        pairs += matched
        if missing:
            more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
            warnings.warn(f"{name}: no clip for the reference {missing[0]}{more}", stacklevel=1)
    return Row(name, str(path), "folder", pairs)
