"""`fd2talk manifest`: the folders of published data sets -> a manifest for `fd2talk prepare`."""

from __future__ import annotations

import csv
import io
import os
import shlex
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from fd2talk.datasets.found import Found, counted
from fd2talk.datasets.layouts import assign_splits, read_layout
from fd2talk.datasets.names import LAYOUTS
from fd2talk.datasets.splits import NAMES
from fd2talk.processes import in_processes
from fd2talk.terminal import announce, say
from shared.errors import Fd2TalkError, UsageError
from shared.files import atomic_output, check_output, make_folders, remove_empty

_COLUMNS = ("file", "person", "split", "dataset", "sound", "audio", "face_px")


def manifest(
    sources: Sequence[str],
    output: str,
    *,
    split: str | None = None,
    seed: int = 0,
    clips: str | None = None,
    workers: int | None = None,
    overwrite: bool = False,
) -> None:
    """Write the manifest, and make the clips that the data sets hold as pictures or meshes.

    Args:
        sources: LAYOUT=FOLDER each, see `fd2talk.datasets.layouts`.
        output: the manifest to write. Its paths are relative to the folder that holds all clips.
        split: see `assign_splits`.
        seed: of the split.
        clips: folder for the clips that are made, outside of the data sets'; those that are there already stay as they
            are.
        workers: number of processes that make clips; None for one per CPU core.
        overwrite: replace an existing manifest.

    Raises:
        UsageError: a source that is not LAYOUT=FOLDER, no `clips` where some have to be made, `clips` inside a data
            set, a name that is not UTF-8, or the output exists.
        InputError: as `read_layout` and `assign_splits`.
        Fd2TalkError: none of the clips could be made.
    """
    check_output(output, overwrite)
    named = [_source(text) for text in sources]
    if clips:
        _require_outside(clips, [folder for _, folder in named])
    readings = {name: read_layout(name, folder) for name, folder in named}
    if len(readings) < len(sources):
        raise UsageError("give each data set once")
    found = [(name, clip) for name, reading in readings.items() for clip in reading.clips]
    splits, said = assign_splits([clip for _, clip in found], split, seed)
    found = [pair for pair, chosen in zip(found, splits) if chosen is not None]
    splits = [chosen for chosen in splits if chosen is not None]
    made = [clip for _, clip in found if clip.make]
    if made and clips is None:
        sets = ", ".join(LAYOUTS[name] for name, reading in readings.items() if any(c.make for c in reading.clips))
        what = f"{counted(len(made), 'clip')} {'is' if len(made) == 1 else 'are'} pictures or meshes"
        raise UsageError(f"{sets}: {what}; give --clips FOLDER for what is made of them")
    for name, reading in readings.items():
        for note in reading.notes:
            say(f"note: {LAYOUTS[name]}: {note}", 0)
    for note in said:
        say(f"note: {note}", 0)
    place = Path(os.path.abspath(clips)) if clips else None
    usable = _make(made, place, workers) if place and made else set()
    folders = [reading.folder for reading in readings.values() if any(not clip.make for clip in reading.clips)]
    root = Path(os.path.commonpath([*folders, *([place] if place and made else [])]))
    rows = []
    for (name, clip), chosen in zip(found, splits):
        if clip.make and clip.file not in usable:
            continue
        file = place / clip.file if place and clip.make else clip.file
        sound = os.path.relpath(clip.sound, root) if clip.sound else ""
        row = {"file": os.path.relpath(file, root), "person": clip.person, "split": chosen or "", "dataset": name}
        rows.append(row | {"sound": sound} | clip.facts)
    if not rows:
        raise Fd2TalkError(f"none of the {counted(len(found), 'clip')} could be made")
    rows.sort(key=lambda row: row["file"])
    _write(output, rows, overwrite)
    say(_summary(rows), 0)
    say(f"next: fd2talk prepare {shlex.quote(str(root))} OUT --manifest {shlex.quote(os.fspath(output))}", 0)
    announce(output)


def _source(text: str) -> tuple[str, str]:
    layout, found, folder = text.partition("=")
    if not found or not folder or layout not in LAYOUTS:
        raise UsageError(f"{text}: give DATASET=FOLDER, with one of {', '.join(LAYOUTS)}")
    return layout, folder


def _require_outside(clips: str, folders: Sequence[str]) -> None:
    """Clips that are made must not be found as the data set's own the next time."""
    place = os.path.realpath(clips)
    for folder in folders:
        if Path(place).is_relative_to(os.path.realpath(folder)):
            raise UsageError(f"--clips {clips} lies in the data set's folder {folder}; give one outside of it")


def _make(clips: list[Found], folder: Path, workers: int | None) -> set[Path]:
    """Make the clips that are not there yet, and return those that are there then."""
    made: list[Path] = []
    try:
        for parent in dict.fromkeys((folder / clip.file).parent for clip in clips):
            made += make_folders(parent)
        jobs = [(clip, folder / clip.file) for clip in clips if not (folder / clip.file).exists()]
        in_processes(_make_clip, jobs, workers, "clips", "clip")
    finally:
        remove_empty(made)  # of people of whom no clip could be made
    return {clip.file for clip in clips if (folder / clip.file).exists()}


def _make_clip(clip: Found, path: Path) -> None:
    assert clip.make
    try:
        clip.make(path)
    except Fd2TalkError:
        raise
    except MemoryError:
        raise Fd2TalkError(f"{clip.file}: takes more memory than there is") from None
    except Exception as error:  # one damaged clip must not stop the others, however it fails
        raise Fd2TalkError(f"{clip.file}: cannot be made ({type(error).__name__}: {str(error)[:200]})") from None


def _write(output: str, rows: list[dict[str, str]], overwrite: bool) -> None:
    there = dict.fromkeys(key for row in rows for key, value in row.items() if value or key in ("file", "person"))
    columns = [*(key for key in _COLUMNS if key in there), *(key for key in there if key not in _COLUMNS)]
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, restval="", extrasaction="ignore")
    writer.writeheader()
    writer.writerows(rows)
    try:
        content = text.getvalue().encode()
    except UnicodeEncodeError:  # of the folders; clips with such names are left out before
        raise UsageError(f"cannot write {output}: a folder of the clips has a name that is not UTF-8") from None
    with atomic_output(output, overwrite) as temporary:
        temporary.write_bytes(content)


def _summary(rows: list[dict[str, str]]) -> str:
    people = {row["person"]: row["split"] for row in rows}
    counts = Counter(people.values())
    parts = ", ".join(f"{counts[name]} {name}" for name in NAMES if counts[name])
    return f"{counted(len(rows), 'clip')} of {counted(len(people), 'person', 'people')}{f' ({parts})' if parts else ''}"
