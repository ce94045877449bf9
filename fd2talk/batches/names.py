"""Output names of rows: given by the table, or built from the row's contents, independently of the order of rows."""

from __future__ import annotations

import hashlib
import json
import os
import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from fd2talk.batches.manifest import Row
from fd2talk.request import FILE_OPTIONS, OPTIONS
from shared.errors import UsageError

_LONGEST_NAME = 100
"""Bytes of a generated name."""
_LONGEST_PART = 255
"""Bytes that file systems allow in a name."""

# Options with a value, and the values of switches that mean true.
_VALUED = {option.name for option in OPTIONS if not option.is_flag}
_YES = ("true", "yes", "on", "1", "t", "y")
# Suffixes of other kinds of files; anything else, as in `talk v1.2`, is part of the name.
_OTHERS = re.compile(r"\.(avi|mov|mkv|webm|m4v|mpe?g|wmv|flv|gif|webp|png|jpe?g|wav|mp3|npz|csv)$", re.IGNORECASE)


def names(rows: Sequence[Row], out: Path) -> dict[str, str | UsageError]:
    """Name the videos of rows.

    Args:
        rows: of the table.
        out: folder of the videos, absolute.

    Returns:
        Row number -> name in the folder, with `/`, or the error of an invalid or duplicate name. Generated names that
        are equal get a hash of the row's photo, recording and options.
    """
    wanted = {row.number: row.output or _default(row) for row in rows if not row.error}
    first: dict[str, str] = {}  # the first row of each content
    doubles = {row.number: first.setdefault(_contents(row, row.output), row.number) for row in rows if not row.error}
    single = [number for number, of in doubles.items() if number == of]
    often = Counter(_same(_with_suffix(wanted[number])) for number in single)
    found: dict[str, str | UsageError] = {}
    taken: dict[str, str] = {}
    for row in rows:
        if row.error:
            continue
        if (of := doubles[row.number]) != row.number:
            found[row.number] = UsageError(f"row {of} is the same")
            continue
        name = _with_suffix(wanted[row.number])
        if not row.output and often[_same(name)] > 1:
            name = f"{name.removesuffix('.mp4')}-{hashlib.sha256(_contents(row).encode()).hexdigest()[:8]}.mp4"
        try:
            found[row.number] = _checked(name, out, taken, row.number)
        except UsageError as error:
            found[row.number] = error
    return found


def _contents(row: Row, output: str = "") -> str:
    own = {key: str(value) for key, value in row.own.items()}
    return json.dumps([row.photo, row.audio, own, output][: 4 if output else 3], sort_keys=True)


def _with_suffix(name: str) -> str:
    ends = name.lower().endswith((".mp4", "/")) or _OTHERS.search(name)
    return name if ends else f"{name}.mp4"


def _checked(name: str, out: Path, taken: dict[str, str], number: str) -> str:
    """The normalised name. Raises UsageError: it is invalid, or taken.

    Args:
        name: with its suffix.
        out: folder of the videos.
        taken: names and folders (ending in `/`) of earlier rows -> number of the row; updated here.
        number: of this row.
    """
    shown = f"output {name[:80] + '…' if len(name) > 80 else name}"
    if any(unicodedata.category(letter) in ("Cc", "Zl", "Zp") for letter in name):
        raise UsageError(f"{' '.join(shown.split())}: a name has no line breaks and other control characters")
    if name.endswith("/"):
        raise UsageError(f"{shown}: it names a folder; name a file in it, such as {name}talk.mp4")
    if not name.lower().endswith(".mp4"):
        raise UsageError(f"{shown}: its name must end in .mp4")
    parts = PurePosixPath(name).parts
    if Path(name).is_absolute() or ".." in parts:
        raise UsageError(f"{shown}: it must lie in the output folder")
    if any(part.startswith(".") for part in parts):
        raise UsageError(f"{shown}: names that begin with a dot are not for videos")
    if max(len(os.fsencode(part)) for part in parts) > _LONGEST_PART:
        raise UsageError(f"{shown}: the name is too long")
    try:
        place = (out / name).resolve()
        if not place.is_relative_to(out.resolve()):
            raise UsageError(f"{shown}: it must lie in the output folder")
        if place.is_dir():
            raise UsageError(f"{shown}: there is a folder of this name")
        if above := next((up for up in place.parents if os.path.lexists(up)), None):
            if not above.is_dir():
                raise UsageError(f"{shown}: {above} is not a folder")
    except (OSError, RuntimeError) as error:  # RuntimeError: links in a circle
        raise UsageError(f"{shown}: {getattr(error, 'strerror', None) or error}") from None
    name = Path(name).as_posix()
    if (other := taken.setdefault(_same(name), number)) != number:
        raise UsageError(f"{shown}: row {other} has the same")
    above_it = [f"{_same(str(above))}/" for above in PurePosixPath(name).parents]
    if clash := taken.get(f"{_same(name)}/") or next((taken[of[:-1]] for of in above_it if of[:-1] in taken), None):
        raise UsageError(f"{shown}: the video of row {clash} cannot be a folder, or lie in a video")
    for folder in above_it:
        taken.setdefault(folder, number)
    return name


def _default(row: Row) -> str:
    """A name from photo, recording and the row's own options, such as `anna-hello-seed-7.mp4`."""
    words = [Path(row.photo).stem, Path(row.audio).stem]
    for name, value in sorted(row.own.items()):
        shown = Path(str(value)).stem if name in FILE_OPTIONS else value
        option = name.replace("_", "-")
        words.append(option if name not in _VALUED and str(value).lower() in _YES else f"{option}-{shown}")
    name = re.sub(r"[^\w.-]+", "_", "-".join(words))
    name = name.lstrip(".") or "video"
    if len(name.encode()) > _LONGEST_NAME:
        tail = hashlib.sha256(name.encode()).hexdigest()[:8]
        name = name.encode()[: _LONGEST_NAME - 9].decode(errors="ignore") + f"-{tail}"
    return f"{name}.mp4"


def _same(name: str) -> str:
    """The key of a name: equal for names that some file systems do not distinguish (case, Unicode form)."""
    return unicodedata.normalize("NFC", Path(name).as_posix()).casefold()
