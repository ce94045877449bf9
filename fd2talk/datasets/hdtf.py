"""HDTF (Zhang et al., CVPR 2021): videos named after the speaker, cut into clips at listed times.

The authors publish lists (`HDTF_dataset/XX_annotion_time.txt`, ...) with a download script that writes
SUBSET_VIDEO_NNN.mp4; their instructions name the clips VIDEO_N.mp4. Both are read, at any depth. The script downloads
pictures only: sounds of the same names (such as `audios/RD_Radio1_000.wav`) are taken for them.
"""

from __future__ import annotations

import re
from pathlib import Path

from fd2talk.datasets.found import SOUND_SUFFIXES, VIDEO_SUFFIXES, Found, Reading, files_below
from shared.errors import InputError

EXPECTED = "RD_Radio11_000.mp4, as the authors' script names clips, or Radio11_0.mp4"

_CLIP = re.compile(r"(?:(RD|WDA|WRA)_)?([A-Za-z][A-Za-z-]*?)(\d*)_(\d{1,3})")
_LIST = "annotion_time.txt"  # so spelt
# Whole videos, as they were downloaded.
_WHOLE = "_videos_raw"
# People whom the lists call by two names.
_ALSO = {"WhipJimClyburn": "JamesClyburn"}


def read(folder: Path) -> Reading:
    """Find the clips. The speaker is the name of the video without its number (`AmyKlobuchar1`: AmyKlobuchar)."""
    reading, keys, others = Reading(folder), {}, []
    sounds = {_key(path): path for path in files_below(folder, SOUND_SUFFIXES) if _key(path)}
    for path in files_below(folder, VIDEO_SUFFIXES):
        key = _key(path)
        if key and _WHOLE not in path.parts:
            keys[path] = key
            speaker = _speaker(key[0])
            reading.clips.append(Found(path, speaker, sound=sounds.get(key), facts={"subset": _subset(path)}))
        elif _WHOLE not in path.parts:
            others.append(reading.name(path))
    if not reading.clips:
        return reading
    reading.without_duplicates(keys)
    reading.note(
        "{videos are|video is} left out, because {their names are not those|its name is not that} of HDTF's clips",
        others,
    )
    listed = _listed(folder)
    there = set(keys.values())
    reading.note(
        "{clips that HDTF's lists name are|clip that HDTF's lists name is} not there",
        (f"{name}_{number}" for name, number in listed - there),
    )
    if listed:
        reading.note(
            "{clips are not in HDTF's lists; they are|clip is not in HDTF's lists; it is} taken",
            (f"{n}_{k}" for n, k in there - listed),
        )
    return reading


def _key(path: Path) -> tuple[str, int] | None:
    """Name of the video and number of the clip, however the file is called."""
    match = _CLIP.fullmatch(path.stem)
    return (match[2] + match[3], int(match[4])) if match else None


def _speaker(video: str) -> str:
    name = video.rstrip("0123456789")
    return _ALSO.get(name, name)


def _subset(path: Path) -> str:
    match = _CLIP.fullmatch(path.stem)
    return (match[1] or "") if match else ""


def _listed(folder: Path) -> set[tuple[str, int]]:
    """Video and number of each clip of the lists, where they are in the folder."""
    listed = set()
    for path in files_below(folder, (".txt",)):
        if path.name.endswith(_LIST):
            try:
                lines = path.read_text(encoding="utf-8").splitlines()
            except (OSError, UnicodeError) as error:
                raise InputError(f"cannot read {path}: {' '.join(str(error).split())}") from None
            for video, *times in (line.split() for line in lines if line.strip()):
                listed |= {(video.removesuffix(".mp4"), number) for number in range(len(times))}
    return listed
