"""Which clips are measured: those of a folder or a manifest, or a single file, each paired with its reference.

A clip is a video, a motion file (.npz of `fd2talk track`, `motion` or `prepare`), or both under one name. Folders are
matched by name: a/b.mp4 and a__b.npz are the same clip. With repeats, a folder has subfolders 0, 1, 2 ... of clips.
A manifest is a CSV with the columns generated and reference (or only file), and optionally name, person, audio and
repeat; its paths are relative to it.
"""

from __future__ import annotations

import csv
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from fd2talk.commands.prepare import MANIFEST
from fd2talk.suffixes import VIDEOS
from shared.errors import InputError, UsageError

_MOTION = ".npz"
# Values of a manifest's column `audio` with which lip synchronisation can be measured.
_USABLE_AUDIO = ("", "ok")


@dataclass(frozen=True)
class ClipFiles:
    """The files of one clip, with its name and person.

    Args:
        name: what the clip is called in reports.
        person: whose face it shows.
        video: the video file, if there is one.
        motion: the motion file, if there is one.
        audio: the speech, where it is a file of its own.
        frames: chosen frames that a system rendered instead of a video: arrays `frames` [n, H, W, 3] and `landmarks`
            [n, 478, 3].
    """

    name: str
    person: str
    video: Path | None = None
    motion: Path | None = None
    audio: Path | None = None
    frames: Path | None = None

    @property
    def has_images(self) -> bool:
        """Whether there is a video, or frames of one."""
        return bool(self.video or self.frames)


@dataclass(frozen=True)
class Pair:
    """A generated clip (None: a system still has to generate it) and its reference clip, if there is one.

    Args:
        half: whether motion is measured in the second half only, because a style is read from the first.
    """

    system: str
    repeat: int
    name: str
    person: str
    generated: ClipFiles | None
    reference: ClipFiles | None
    half: bool = False


def read_folder(
    folder: str | Path, split: str | None = None, min_face: int = 0, speech: bool = True
) -> dict[str, ClipFiles]:
    """Find the clips of a folder; a path to a single video or motion file is also accepted.

    Args:
        folder: where to look.
        split: only clips that the folder's manifest.csv assigns to this split.
        min_face: only clips whose `face_px` in the manifest is at least this (or empty).
        speech: of a manifest with a column `audio`, only clips with `ok`.

    Returns:
        Name -> clip, in the order of the manifest, or else sorted by path.

    Raises:
        UsageError: the folder does not exist, or no manifest defines the split.
        InputError: there are no clips, or none of the split.
    """
    root = Path(folder)
    if root.is_file() and _is_clip(root) and not split:
        return _named([(root, "")], root.parent)
    if not root.is_dir():
        raise UsageError(f"cannot read {folder}: there is no such folder, video or motion")
    manifest = root / MANIFEST
    if not manifest.is_file():
        if split:
            raise UsageError(f"{folder}: without a {MANIFEST} with a column `split` there is no split {split}")
        files = sorted(p for p in root.rglob("*") if _is_clip(p) and p.is_file() and not _hidden(p.relative_to(root)))
        if not files:
            raise InputError(f"{folder}: contains neither videos nor motions (.npz)")
        return _named([(file, "") for file in files], root)
    rows = [row for row in _rows(manifest) if row.get("file")]
    if not rows:
        raise InputError(f"{manifest}: names no clips in a column `file`")
    usable = [row for row in rows if not speech or row.get("audio", "") in _USABLE_AUDIO]
    of_split = [row for row in usable if not split or row.get("split") == split]
    of_split = [row for row in of_split if _number(row.get("face_px"), manifest, min_face) >= min_face]
    if not of_split:
        other = f" in split {split} (--split selects another)" if split else ""
        needed = ["usable audio"] * speech + [f"a face of {min_face} pixels"] * bool(min_face)
        raise InputError(f"{manifest}: no clips{' with ' * bool(needed)}{' and '.join(needed)}{other}")
    return _named(((root / row["file"], row.get("person", "")) for row in of_split), root)


def _number(text: str | None, manifest: Path, default: int) -> float:
    try:
        return float(text or default)
    except ValueError:
        raise InputError(f"{manifest}: {text!r} in the column `face_px` is not a number of pixels") from None


def has_splits(folder: str | Path) -> bool:
    """Return whether the folder has a manifest that assigns clips to splits."""
    manifest = Path(folder) / MANIFEST
    return manifest.is_file() and any(row.get("split") for row in _rows(manifest))


def read_repeats(folder: str | Path, repeats: int | None) -> list[dict[str, ClipFiles]]:
    """Find the clips of a folder of generated ones, for each repeat.

    Args:
        folder: a folder of clips, or of subfolders 0, 1, 2 ... of clips.
        repeats: the number of repeats needed; None for as many as there are.

    Returns:
        For each repeat what `read_folder` returns.

    Raises:
        UsageError: as `read_folder`.
        InputError: as `read_folder`, or some of the subfolders 0 to `repeats` - 1 are missing.
    """
    root = Path(folder)
    if not root.is_dir():
        return [read_folder(root)]
    numbered = sorted((p for p in root.iterdir() if p.is_dir() and p.name.isdigit()), key=lambda p: int(p.name))
    only_numbers = numbered and all(p in numbered or p.name.startswith(".") for p in root.iterdir())
    if not only_numbers or (not repeats and [p.name for p in numbered] != [str(n) for n in range(len(numbered))]):
        if repeats and repeats > 1:
            raise InputError(f"{folder}: {repeats} repeats need subfolders 0 to {repeats - 1}")
        return [read_folder(root)]
    if repeats and [int(p.name) for p in numbered[:repeats]] != list(range(repeats)):
        raise InputError(f"{folder}: some of the subfolders 0 to {repeats - 1} for the repeats are missing")
    return [read_folder(p) for p in numbered[:repeats]]


def read_manifest(path: str | Path) -> list[tuple[int, ClipFiles, ClipFiles | None]]:
    """Read the rows of a manifest of pairs.

    Args:
        path: the CSV file.

    Returns:
        (repeat, generated clip, reference clip or None) of each row.

    Raises:
        UsageError: the file cannot be read, or a name is not usable.
        InputError: a column or a file is missing, a name occurs twice, or there are no rows.
    """
    manifest = Path(path)
    pairs: list[tuple[int, ClipFiles, ClipFiles | None]] = []
    lines: dict[tuple[str, int], int] = {}

    def existing(entry: str) -> Path:
        if not (manifest.parent / entry).is_file():
            raise InputError(f"{path}: line {number}: {entry} does not exist")
        return manifest.parent / entry

    for number, row in enumerate(_rows(manifest), 2):
        generated = row.get("generated") or row.get("file")
        if not generated:
            raise InputError(f"{path}: line {number} names no file (columns: generated, reference)")
        name = possible_name(row.get("name") or clip_name(Path(generated)), "a clip")
        person, repeat = row.get("person") or name, row.get("repeat") or "0"
        if not repeat.isdigit():
            raise InputError(f"{path}: line {number}: {repeat!r} is not the number of a repeat")
        if lines.setdefault((name, int(repeat)), number) != number:
            raise InputError(
                f"{path}: lines {lines[name, int(repeat)]} and {number} are both called {name} (distinguish clips in a "
                "column `name`, samples of one clip in a column `repeat`)"
            )
        speech = existing(row["audio"]) if row.get("audio") else None
        clip = replace(_clip(name, person, [existing(generated)]), audio=speech)
        reference = _clip(name, person, [existing(row["reference"])]) if row.get("reference") else None
        pairs.append((int(repeat), clip, reference))
    if not pairs:
        raise InputError(f"{path}: no rows")
    return pairs


def match(
    system: str, repeat: int, generated: dict[str, ClipFiles], references: dict[str, ClipFiles] | None
) -> tuple[list[Pair], list[str]]:
    """Pair generated and reference clips of the same name.

    A single generated and a single reference clip are paired whatever their names. Without references every generated
    clip is a pair of its own.

    Args:
        system: name of the row.
        repeat: number of the repeat.
        generated: name -> generated clip.
        references: name -> reference clip, or None.

    Returns:
        The pairs, and the names of the references that have no generated clip.

    Raises:
        InputError: no name occurs on both sides.
    """
    if references is None:
        return [Pair(system, repeat, name, clip.person, clip, None) for name, clip in generated.items()], []
    if len(generated) == len(references) == 1:
        generated = dict(zip(references, generated.values()))
    pairs = [
        Pair(system, repeat, name, reference.person, generated[name], reference)
        for name, reference in references.items()
        if name in generated
    ]
    if not pairs:
        raise InputError(
            f"{system}: no clip has the name of a reference (the first clip: {next(iter(generated))}, "
            f"the first reference: {next(iter(references))})"
        )
    return pairs, [name for name in references if name not in generated]


def clip_name(path: Path) -> str:
    """``a/b.mp4`` and ``../a/b.mp4`` -> ``a__b``, in Unicode's composed form whatever the file system stores."""
    parts = [part for part in path.with_suffix("").parts if part not in (path.anchor, "..")]
    return unicodedata.normalize("NFC", "__".join(parts)).lstrip(".")


def possible_name(name: str, owner: str) -> str:
    """Return `name` if a report's files can have it.

    Args:
        name: the name.
        owner: what is called so, for the error message.

    Raises:
        UsageError: they cannot.
    """
    if not name or name.startswith(".") or "/" in name or "\\" in name or not name.isprintable():
        raise UsageError(f"{name!r} cannot be the name of {owner} (no slashes, no leading dot, only printable)")
    return name


def _is_clip(path: Path) -> bool:
    return path.suffix.lower() in (*VIDEOS, _MOTION) and not _hidden(Path(path.name))


def _hidden(path: Path) -> bool:
    return any(part.startswith(".") for part in path.parts)


def _rows(path: Path) -> list[dict[str, str]]:
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:  # spreadsheet programs write a byte order mark
            return [{k: v or "" for k, v in row.items() if k} for row in csv.DictReader(file)]
    except (OSError, UnicodeError, csv.Error) as error:
        raise UsageError(f"cannot read {path}: {getattr(error, 'strerror', None) or error}") from error


def _named(files: Iterable[tuple[Path, str]], root: Path) -> dict[str, ClipFiles]:
    """(file, person) -> name -> clip; a video and a motion of the same name are one clip."""
    grouped: dict[str, list[Path]] = {}
    people: dict[str, str] = {}
    for file, person in files:
        name = possible_name(clip_name(file.relative_to(root) if file.is_relative_to(root) else file), "a clip")
        grouped.setdefault(name, []).append(file)
        people[name] = person or name.split("__")[0]
    return {name: _clip(name, people[name], paths) for name, paths in grouped.items()}


def _clip(name: str, person: str, paths: list[Path]) -> ClipFiles:
    videos = [p for p in paths if p.suffix.lower() in VIDEOS]
    motions = [p for p in paths if p.suffix.lower() == _MOTION]
    if len(videos) > 1 or len(motions) > 1 or not (videos or motions):
        raise InputError(f"{name}: {', '.join(map(str, paths))}: a clip is one video, one motion (.npz), or both")
    return ClipFiles(name, person, next(iter(videos), None), next(iter(motions), None))
