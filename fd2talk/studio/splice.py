"""The sound of an edit: parts of files, which cuts divide and inserts come between."""

from __future__ import annotations

from shared.spliced_sound import Part

Sound = tuple[Part, ...]
"""Parts that are heard one after the other; empty: the sound of the motion, or none."""

_LEAST = 1e-6


def cut_out(sound: Sound, start: float, stop: float) -> Sound:
    """The sound without what lies between two moments, in seconds."""
    return _between(sound, 0, start) + _between(sound, stop, _length(sound))


def put_in(sound: Sound, at: float, path: str, seconds: float) -> Sound:
    """The sound with a file inserted at a moment; of nothing nothing comes."""
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
