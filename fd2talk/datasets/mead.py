"""MEAD (Wang et al., ECCV 2020): M003/video/VIEW/EMOTION/level_N/NNN.mp4, M003/audio/EMOTION/level_N/NNN.m4a."""

from __future__ import annotations

import re
from pathlib import Path

from fd2talk.datasets.found import SOUND_SUFFIXES, Found, Reading, files_below

EXPECTED = "M003/video/front/angry/level_1/001.mp4"

_CLIP = re.compile(r"(?:.*/)?(([MW])\d{3})/video/([^/]+)/([^/]+)/level_(\d)/([^/]+)\.mp4")
_FRONT = "front"
_GENDERS = {"M": "m", "W": "f"}


def read(folder: Path) -> Reading:
    """Find the clips seen from the front. Sounds lie in a tree of their own."""
    reading, keys, aside = Reading(folder), {}, []
    for path in files_below(folder, (".mp4",)):
        match = _CLIP.fullmatch(path.as_posix())
        if match is None:
            continue
        actor, gender, view, emotion, level, number = match.groups()
        if view != _FRONT:
            aside.append(reading.name(path))
            continue
        keys[path] = (actor, emotion, level, number)
        sound = path.parents[4] / "audio" / emotion / f"level_{level}" / number
        sounds = (found for suffix in SOUND_SUFFIXES if (found := sound.with_suffix(suffix)).is_file())
        facts = {"emotion": emotion, "level": level, "gender": _GENDERS[gender]}
        reading.clips.append(Found(path, actor, sound=next(sounds, None), facts=facts))
    reading.without_duplicates(keys)
    if reading.clips:
        reading.note("{clips of other views than the front are|clip of another view than the front is} left out", aside)
    return reading
