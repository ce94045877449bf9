"""VoxCeleb2 (Chung et al., Interspeech 2018): dev|test/mp4/idSPEAKER/VIDEO/NNNNN.mp4, and vox2_meta.csv."""

from __future__ import annotations

import csv
import re
from pathlib import Path

from fd2talk.datasets.found import Found, Reading, files_below
from shared.errors import InputError

EXPECTED = "dev/mp4/id00012/21Uxsk56VDQ/00001.mp4"

_CLIP = re.compile(r"(?:.*/)?(id\d{5})/([^/]+)/(\d{5})\.mp4")
_SPLITS = {"dev": "train", "test": "test"}
_META = "vox2_meta.csv"


def read(folder: Path) -> Reading:
    """Find the clips, which have their sound inside; `dev` counts as train."""
    reading, keys = Reading(folder), {}
    genders = _genders(folder)
    for path in files_below(folder, (".mp4",)):
        match = _CLIP.fullmatch(path.as_posix())
        if match is None:
            continue
        keys[path] = match.groups()
        speaker, above = match[1], (folder.name, *path.relative_to(folder).parts[:-3])
        split = next((_SPLITS[part] for part in reversed(above) if part in _SPLITS), "")
        facts = {"gender": genders[speaker]} if speaker in genders else {}
        reading.clips.append(Found(path, speaker, split, facts=facts))
    reading.without_duplicates(keys)
    return reading


def _genders(folder: Path) -> dict[str, str]:
    """Speaker -> m or f, from the table that lies beside `dev` and `test`, or above the folder."""
    path = next((place / _META for place in (folder, folder.parent) if (place / _META).is_file()), None)
    if path is None:
        return {}
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeError) as error:
        raise InputError(f"cannot read {path}: {' '.join(str(error).split())}") from None
    # Published with commas and with tabs, and with blanks before them.
    delimiter = "\t" if lines and "\t" in lines[0] else ","
    try:
        rows = [[cell.strip() for cell in row] for row in csv.reader(lines, delimiter=delimiter) if row]
        column = [name.lower() for name in rows[0]].index("gender")
        return {row[0]: row[column] for row in rows[1:]}
    except (ValueError, IndexError, csv.Error):
        raise InputError(f"{path}: not VoxCeleb2's table (it lacks a column Gender, or has shorter rows)") from None
