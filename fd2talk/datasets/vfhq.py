"""VFHQ (Xie et al., 2022): frames or videos named Clip+VIDEO+P0+C0+F100-200; published without sound, for stage two.

As published a clip is a folder of pictures, 00000001.png ..., below VFHQ-Train or VFHQ-Test; download scripts also
write videos of that name. Pictures become a video at the frame rate that the clip's file of facts names (Clip+....txt
of meta_info).
"""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path

from fd2talk.datasets.found import VIDEO_SUFFIXES, Found, Reading, files_below, folders_below
from fd2talk.datasets.frames import PICTURE_SUFFIXES, join_frames
from shared.errors import InputError

EXPECTED = "VFHQ-Train/.../Clip+VIDEO+P0+C0+F100-200, a folder of pictures or a video"

_CLIP = re.compile(r"Clip\+(.+)\+P(\d+)\+C(\d+)\+F(\d+)-(\d+)")
_SPLITS = {"VFHQ-Train": "train", "VFHQ-Test": "test"}
_RATE = 25.0  # where the facts are not there


def read(folder: Path) -> Reading:
    """Find the clips. A person is VIDEO+P0: who is the same in two videos is not published."""
    reading, keys, unknown, again = Reading(folder), {}, [], []
    videos = [path for path in files_below(folder, VIDEO_SUFFIXES) if _CLIP.fullmatch(path.stem)]
    names = {path.stem for path in videos}
    for path in videos:
        keys[path] = path.stem
        reading.clips.append(Found(path, _person(path.stem), _split(folder, path)))
    facts = {path.stem: path for path in files_below(folder, (".txt",)) if _CLIP.fullmatch(path.stem)}
    for place in _picture_folders(folder):
        if place.name in names:  # there as a video
            continue
        person = _person(place.name)
        target = Path(person, f"{place.name}.mp4")
        if target in keys:
            again.append(reading.name(place))
            continue
        rate = _rate(facts.get(place.name))
        if rate is None:
            unknown.append(place.name)
        make = partial(join_frames, place, rate or _RATE)
        keys[target] = place.name
        reading.clips.append(Found(target, person, _split(folder, place), facts={"audio": "none"}, make=make))
    reading.without_duplicates(keys)
    reading.note("{folders of pictures are|folder of pictures is} there twice; the second is left out", again)
    reading.note(f"{{clips have|clip has}} no file of facts; {_RATE:g} frames a second are assumed", unknown)
    return reading


def _picture_folders(folder: Path) -> list[Path]:
    """Folders that are named as clips and hold pictures."""
    return [
        place
        for place, names in folders_below(folder)
        if _CLIP.fullmatch(place.name) and any(Path(name).suffix.lower() in PICTURE_SUFFIXES for name in names)
    ]


def _person(name: str) -> str:
    match = _CLIP.fullmatch(name)
    assert match
    return f"{match[1]}+P{match[2]}"


def _split(folder: Path, path: Path) -> str:
    above = (folder.name, *path.relative_to(folder).parts)
    return next((_SPLITS[part] for part in above if part in _SPLITS), "")


def _rate(path: Path | None) -> float | None:
    """The frame rate that a file of facts names in its line FPS."""
    if path is None:
        return None
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
        rate = float(next(line.split()[-1] for line in lines if line.startswith("FPS")))
    except (OSError, UnicodeError, StopIteration, ValueError, IndexError):
        raise InputError(f"{path}: not the facts of a clip of VFHQ (it lacks a line FPS with a number)") from None
    if not 1 <= rate <= 240:
        raise InputError(f"{path}: {rate:g} frames a second is not a frame rate")
    return rate
