"""When the phones of clips are spoken, as `scripts/align_speech.py` writes it."""

from __future__ import annotations

import json
from collections.abc import Collection
from pathlib import Path

from fd2talk.evaluation.inputs.pairs import clip_name
from shared.errors import InputError
from shared.files import check_input

BILABIALS = ("B", "P", "M")
Spoken = list[tuple[str, float]]


def read_phones(path: str | Path) -> dict[str, Spoken]:
    """Read which phones are spoken, and when.

    Args:
        path: JSON lines {"file", "phones": [[phone, from, to]]}, times in seconds.

    Returns:
        Clip name -> phones, each with the second of its middle.

    Raises:
        InputError: the file is not an alignment.
    """
    try:
        lines = check_input(path).read_text(encoding="utf-8").splitlines()
    except UnicodeError:
        raise InputError(f"{path}: not an alignment (expected a text file of JSON lines)") from None
    spoken = {}
    for number, line in enumerate(lines, 1):
        try:
            clip = json.loads(line)
            middles = [(str(phone), (float(start) + float(end)) / 2) for phone, start, end in clip["phones"]]
            spoken[clip_name(Path(clip["file"]))] = middles
        except (ValueError, KeyError, TypeError) as error:
            raise InputError(f"{path}: line {number} is not an alignment ({error})") from None
    return spoken


def seconds_of(spoken: Spoken, phones: Collection[str]) -> tuple[float, ...]:
    """Return the seconds of these phones."""
    return tuple(second for phone, second in spoken if phone in phones)
