"""What is to be measured: clips in folders or in a manifest, or a single one, each with its reference.

A clip is a video, a motion file (.npz of `fd2talk track`, `motion` or `prepare`), or both under one name. Folders are
matched by name: a/b.mp4 and a__b.npz are the same clip. With repeats, a folder holds subfolders 0, 1, 2 ... of clips.
A manifest is a CSV with the columns generated, reference (or neither, but file), and where wanted name, person, audio
and repeat; its paths are relative to it.
"""

from __future__ import annotations

import csv
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from fd2talk.commands.prepare import MANIFEST, VIDEOS
from shared.errors import InputError, UsageError

_MOTION = ".npz"
# What a reference's manifest may say of a clip's sound; the others cannot be judged for lip synchronisation.
_USABLE_AUDIO = ("", "ok")


@dataclass(frozen=True)
class Item:
    """One clip of one side: what it is called, whose it is, and its files; audio: its speech, where that is a file of
    its own."""

    name: str
    person: str
    video: Path | None = None
    motion: Path | None = None
    audio: Path | None = None


@dataclass(frozen=True)
class Pair:
    """A made clip and, where there is one, the real one. made: None where a system still has to make it."""

    system: str
    repeat: int
    name: str
    person: str
    made: Item | None
    real: Item | None


def read_folder(folder: str | Path, split: str | None = None) -> dict[str, Item]:
    """Name -> clip, in the order of the folder's manifest.csv or of the names; also of a single video or motion.

    split: only the clips that the manifest puts there (a folder without a manifest has none). Of a manifest that says
    how well the sound fits (column audio), only clips with `ok`.
    Raises UsageError: no such folder. InputError: nothing in it, or nothing of the split.
    """
    root = Path(folder)
    if root.is_file() and _is_clip(root) and not split:
        return _named([(root, "")], root.parent)
    if not root.is_dir():
        raise UsageError(f"cannot read {folder}: there is no such folder, video or motion")
    manifest = root / MANIFEST
    rows = _rows(manifest) if manifest.is_file() else None
    if rows is None:
        if split:
            raise UsageError(f"{folder}: without a {MANIFEST} with a column `split` there is no split {split}")
        files = sorted(p for p in root.rglob("*") if _is_clip(p) and p.is_file() and not _hidden(p.relative_to(root)))
        found = _named([(file, "") for file in files], root)
        if not found:
            raise InputError(f"{folder}: neither videos nor motions (.npz) in it")
        return found
    usable = [row for row in rows if row.get("file") and row.get("audio", "") in _USABLE_AUDIO]
    of_split = [row for row in usable if not split or row.get("split") == split]
    if not of_split:
        if not any(row.get("file") for row in rows):
            raise InputError(f"{manifest}: names no clips in a column `file`")
        other = f" in split {split} (--split names another)" if split else ""
        raise InputError(f"{manifest}: no clips with usable sound{other}")
    return _named(((root / row["file"], row.get("person", "")) for row in of_split), root)


def has_splits(folder: str | Path) -> bool:
    """Whether the folder has a manifest that says which clip is in which split."""
    manifest = Path(folder) / MANIFEST
    return manifest.is_file() and any(row.get("split") for row in _rows(manifest))


def read_repeats(folder: str | Path, repeats: int | None) -> list[dict[str, Item]]:
    """The clips of a folder of generated ones, for each repeat. repeats: how many there have to be (None: as found).

    Raises UsageError, InputError: as `read_folder`, and where subfolders 0 .. repeats - 1 are asked for but missing.
    """
    root = Path(folder)
    if not root.is_dir():
        return [read_folder(root)]
    numbered = sorted((p for p in root.iterdir() if p.is_dir() and p.name.isdigit()), key=lambda p: int(p.name))
    only_numbers = numbered and all(p in numbered or p.name.startswith(".") for p in root.iterdir())
    if not only_numbers or (not repeats and [p.name for p in numbered] != [str(n) for n in range(len(numbered))]):
        if repeats and repeats > 1:
            raise InputError(f"{folder}: {repeats} repeats are to lie in subfolders 0 to {repeats - 1}")
        return [read_folder(root)]
    if repeats and [int(p.name) for p in numbered[:repeats]] != list(range(repeats)):
        raise InputError(f"{folder}: of the subfolders 0 to {repeats - 1} for the repeats some are missing")
    return [read_folder(p) for p in numbered[:repeats]]


def read_manifest(path: str | Path) -> list[tuple[int, Item, Item | None]]:
    """Rows of a manifest of pairs: repeat, made clip, real clip or None.

    Raises UsageError, InputError: no such file, columns missing, a file that is not there, one name twice.
    """
    file = Path(path)
    pairs, lines = [], {}
    for number, row in enumerate(_rows(file), 2):
        made = row.get("generated") or row.get("file")
        if not made:
            raise InputError(f"{path}: line {number} names no file (columns: generated, reference)")
        name, person = possible_name(row.get("name") or _key(Path(made)), "a clip"), row.get("person") or ""
        repeat = row.get("repeat") or "0"
        if not repeat.isdigit():
            raise InputError(f"{path}: line {number}: {repeat!r} is not the number of a repeat")
        if lines.setdefault((name, int(repeat)), number) != number:
            raise InputError(
                f"{path}: lines {lines[name, int(repeat)]} and {number} are both called {name} (a column `name` tells "
                "clips apart, a column `repeat` samples of one)"
            )
        speech = _there(file, row["audio"], number) if row.get("audio") else None
        item = replace(_item(name, person or name, [_there(file, made, number)]), audio=speech)
        real = row.get("reference")
        pairs.append((int(repeat), item, _item(name, person or name, [_there(file, real, number)]) if real else None))
    if not pairs:
        raise InputError(f"{path}: no rows")
    return pairs


def match(
    system: str, repeat: int, made: dict[str, Item], real: dict[str, Item] | None
) -> tuple[list[Pair], list[str]]:
    """Made and real clips of one name -> pairs, and the names of the real ones of which there is no made one.

    One made and one real clip belong together whatever their names. Without references every made clip is a pair of its
    own. Raises InputError: no name is on both sides.
    """
    if real is None:
        return [Pair(system, repeat, name, item.person, item, None) for name, item in made.items()], []
    if len(made) == len(real) == 1:
        made = dict(zip(real, made.values()))
    pairs = [Pair(system, repeat, name, real[name].person, made[name], real[name]) for name in real if name in made]
    if not pairs:
        raise InputError(
            f"{system}: no clip has the name of a reference (the first here: {next(iter(made))}, "
            f"the first reference: {next(iter(real))})"
        )
    return pairs, [name for name in real if name not in made]


def _is_clip(path: Path) -> bool:
    return path.suffix.lower() in (*VIDEOS, _MOTION) and not _hidden(Path(path.name))


def _hidden(path: Path) -> bool:
    return any(part.startswith(".") for part in path.parts)


def _rows(path: Path) -> list[dict[str, str]]:
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:  # spreadsheets begin with a mark
            return [{k: v or "" for k, v in row.items() if k} for row in csv.DictReader(file)]
    except (OSError, UnicodeError, csv.Error) as error:
        raise UsageError(f"cannot read {path}: {getattr(error, 'strerror', None) or error}") from error


def _named(files: Iterable[tuple[Path, str]], root: Path) -> dict[str, Item]:
    """Files with their people -> name -> clip; a video and a motion of one name are one clip."""
    together: dict[str, list[Path]] = {}
    people: dict[str, str] = {}
    for file, person in files:
        name = possible_name(_key(file.relative_to(root) if file.is_relative_to(root) else file), "a clip")
        together.setdefault(name, []).append(file)
        people[name] = person or name.split("__")[0]
    return {name: _item(name, people[name], paths) for name, paths in together.items()}


def _key(path: Path) -> str:
    """``a/b.mp4`` and ``../a/b.mp4`` -> ``a__b``; letters and accents composed, whatever the file system does."""
    parts = [part for part in path.with_suffix("").parts if part not in (path.anchor, "..")]
    return unicodedata.normalize("NFC", "__".join(parts)).lstrip(".")


def possible_name(name: str, whose: str) -> str:
    """`name`, if files in a report can be called so. Raises UsageError: they cannot."""
    if not name or name.startswith(".") or "/" in name or "\\" in name or not name.isprintable():
        raise UsageError(f"{name!r} cannot be the name of {whose} (no slashes, no dot in front, all printable)")
    return name


def _item(name: str, person: str, paths: list[Path]) -> Item:
    videos = [p for p in paths if p.suffix.lower() in VIDEOS]
    motions = [p for p in paths if p.suffix.lower() == _MOTION]
    if len(videos) > 1 or len(motions) > 1 or not (videos or motions):
        raise InputError(f"{name}: {', '.join(map(str, paths))}: a clip is one video, one motion (.npz), or both")
    return Item(name, person, next(iter(videos), None), next(iter(motions), None))


def _there(manifest: Path, entry: str, line: int) -> Path:
    path = manifest.parent / entry
    if not path.is_file():
        raise InputError(f"{manifest}: line {line}: {entry} is not there")
    return path
