"""The sound of an edit: a list of parts of files, split by cuts and inserts."""

from __future__ import annotations

import wave
from pathlib import Path

import numpy as np

from shared.audio import SAMPLE_RATE
from shared.motion import Motion
from shared.spliced_sound import Part

Sound = tuple[Part, ...]
"""Parts played one after the other; empty: the sound of the motion, or none."""

_LEAST = 1e-6


def sound_file(motion: Motion, path: Path) -> Sound:
    """Write a motion's sound to a WAV file, so that it can be cut like other files; empty if it has none."""
    if motion.audio is None:
        return ()
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(SAMPLE_RATE)
        file.writeframes(np.round(np.clip(motion.audio, -1, 1) * 32767).astype("<i2").tobytes())
    return (Part(str(path), 0.0, len(motion) / motion.fps),)


def cut_out(sound: Sound, start: float, stop: float) -> Sound:
    """The sound without the seconds from start to stop."""
    return _between(sound, 0, start) + _between(sound, stop, _length(sound))


def put_in(sound: Sound, at: float, path: str, seconds: float) -> Sound:
    """The sound with a file inserted at `at` seconds; an empty sound stays empty."""
    if not sound:
        return ()
    return (*_between(sound, 0, at), Part(path, 0.0, seconds), *_between(sound, at, _length(sound)))


def _between(sound: Sound, start: float, stop: float) -> Sound:
    parts, begins = [], 0.0
    for part in sound:
        first, last = max(start, begins), min(stop, begins + part.seconds)
        if last - first > _LEAST:
            parts.append(Part(part.path, part.start + first - begins, last - first))
        begins += part.seconds
    return tuple(parts)


def _length(sound: Sound) -> float:
    return sum(part.seconds for part in sound)
