"""The data sets whose folders can be read."""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

from fd2talk.datasets.found import Found, Reading, counted
from fd2talk.datasets.names import LAYOUTS, PUBLISHED, SHARES
from fd2talk.datasets.splits import NAMES, split_people
from shared.errors import InputError, UsageError


def read_layout(layout: str, folder: str | os.PathLike) -> Reading:
    """Find the clips of a data set in a folder.

    Args:
        layout: a key of `LAYOUTS`.
        folder: where it was downloaded or unpacked to.

    Raises:
        UsageError: no such folder.
        InputError: no clips of this data set are in it, or the files about them are damaged.
    """
    root = Path(os.path.abspath(folder))
    if not root.is_dir():
        raise UsageError(f"cannot read {folder}: there is no such folder")
    module = import_module(f"fd2talk.datasets.{layout}")
    try:
        reading: Reading = module.read(root)
    except OSError as error:
        raise InputError(f"cannot read {error.filename or folder}: {error.strerror}") from None
    _leave_out_unreadable_names(reading)
    if not reading.clips:
        raise InputError(f"{folder}: no clips of {LAYOUTS[layout]}{_other(layout, root)} (expected {module.EXPECTED})")
    return reading


def _other(layout: str, folder: Path) -> str:
    """`; it looks like NAME` where another data set is in the folder."""
    for other in LAYOUTS:
        if other != layout:
            read: Callable[[Path], Reading] = import_module(f"fd2talk.datasets.{other}").read
            try:
                if read(folder).clips:
                    return f"; it looks like {LAYOUTS[other]}"
            except Exception:  # a guess; what another reader makes of this folder is nobody's concern
                continue
    return ""


def _leave_out_unreadable_names(reading: Reading) -> None:
    """Names that are not UTF-8 cannot be written into a manifest."""
    kept, odd = [], []
    for clip in reading.clips:
        try:
            for name in (clip.person, reading.name(clip.file), reading.name(clip.sound or clip.file)):
                name.encode()
            kept.append(clip)
        except UnicodeEncodeError:
            odd.append(reading.name(clip.file))
    reading.clips = kept
    reading.note("{clips are left out, because their names are|clip is left out, because its name is} not UTF-8", odd)


def assign_splits(clips: list[Found], split: str | None, seed: int) -> tuple[list[str | None], list[str]]:
    """Decide which clip is in which split.

    Args:
        clips: of all data sets together.
        split: a key of `SHARES`, `published`, or None to leave it to `fd2talk prepare`.
        seed: of the draw.

    Returns:
        The split of each clip (empty: left open; None: the clip is to be left out, as it is in none of the published
            ones), and what is to be said about them.

    Raises:
        InputError: `published`, and none of the clips is in one, or a person is in two.
    """
    if split is None:
        return ["" for _ in clips], []
    if split == PUBLISHED:
        return _published(clips)
    people = split_people((clip.person for clip in clips), SHARES[split], seed)
    counts, notes = Counter(people.values()), []
    if len(people) != sum(SHARES[split]) and split != "fd2talk":
        wanted = "/".join(map(str, SHARES[split]))
        there = counted(len(people), "person", "people")
        notes.append(f"{there} instead of {sum(SHARES[split])}: split in the proportions {wanted}")
    if empty := [name for name in NAMES if not counts[name]]:
        few = "1 person is" if len(people) == 1 else f"{len(people)} people are"
        notes.append(f"{few} too few: nobody is in {' or '.join(empty)}")
    return [people[clip.person] for clip in clips], notes


def _published(clips: list[Found]) -> tuple[list[str | None], list[str]]:
    places, without = defaultdict(set), [clip for clip in clips if not clip.published]
    if len(without) == len(clips):
        raise InputError(f"{clips[0].file.as_posix()}: no split is published for this clip or any other")
    for clip in clips:
        if clip.published:
            places[clip.person].add(clip.published)
    for person, splits in sorted(places.items()):
        if len(splits) > 1:
            raise InputError(f"{person} is in the published splits {' and '.join(sorted(splits))}")
    notes = []
    if without:
        several = "1 clip is" if len(without) == 1 else f"{len(without)} clips are"
        notes.append(f"{several} in no published split and left out (such as {without[0].file.as_posix()})")
    return [clip.published or None for clip in clips], notes
