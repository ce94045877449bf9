"""TFHP (Sun et al., DiffPoseTalk, 2024): data/TH_NNNNN/NNN.mp4, unpacked from TFHP_raw.zip, and the authors' lists.

The release also holds FLAME coefficients of these videos and of HDTF's in a database (HDTF_TFHP-lmdb). They are of
another tracker and another face model, and are not read: the videos are tracked. The lists beside the database,
train.txt, val.txt and test.txt with lines PERSON/NNN, are the published split.
"""

from __future__ import annotations

import re
from pathlib import Path

from fd2talk.datasets.found import VIDEO_SUFFIXES, Found, Reading, files_below
from shared.errors import InputError

EXPECTED = "data/TH_00000/000.mp4, as in TFHP_raw.zip"

_PERSON, _CLIP = re.compile(r"TH_?\d+"), re.compile(r"\d{3}")
_DATABASE = "data.mdb"


def read(folder: Path) -> Reading:
    """Find the videos of the release, and their places in the authors' lists.

    Raises:
        InputError: only the database of coefficients is there.
    """
    reading, keys = Reading(folder), {}
    lists = _lists(folder)
    for path in files_below(folder, VIDEO_SUFFIXES):
        person = path.parent.name
        if _PERSON.fullmatch(person) and _CLIP.fullmatch(path.stem):
            keys[path] = (person, path.stem)
            reading.clips.append(Found(path, person, lists.get(f"{person}/{path.stem}", "")))
    if not reading.clips and next(folder.rglob(_DATABASE), None):
        what = f"coefficients of another face model ({_DATABASE}), not the videos that are read"
        raise InputError(f"{folder}: holds {what}")
    reading.without_duplicates(keys)
    there = {"/".join(key) for key in keys.values()}
    reading.note(
        "{clips of TFHP's lists are|clip of TFHP's lists is} not there",
        (c for c in lists if c.startswith("TH") and c not in there),
    )
    return reading


def _lists(folder: Path) -> dict[str, str]:
    """PERSON/NNN -> split, where the authors' lists are there."""
    found: dict[str, str] = {}
    for split in ("train", "val", "test"):
        for path in (p for p in files_below(folder, (".txt",)) if p.name == f"{split}.txt"):
            try:
                lines = path.read_text(encoding="utf-8").split()
            except (OSError, UnicodeError) as error:
                raise InputError(f"cannot read {path}: {' '.join(str(error).split())}") from None
            found |= dict.fromkeys(lines, split)
    return found
