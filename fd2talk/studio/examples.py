"""The bundled portraits and sounds, to begin with."""

from __future__ import annotations

import io
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from PIL import Image

from shared.weights import bundled


@dataclass(frozen=True)
class Example:
    """A bundled file, and what it is called on the page."""

    path: Path
    title: str


def _of(names: dict[str, str]) -> dict[str, Example]:
    return {name: Example(bundled("demo") / name, title) for name, title in names.items()}


PORTRAITS = _of(
    {
        "portrait_woman.jpg": "Woman 1",
        "portrait_man.jpg": "Man 1",
        "portrait_woman_2.jpg": "Woman 2",
        "portrait_man_2.jpg": "Man 2",
    }
)
SOUNDS = _of(
    {
        f"sense_and_sensibility_01_austen_64kb-{number}.wav": title
        for number, title in (("0880", "Reading 1"), ("0870", "Reading 2"), ("0890", "Reading 3"))
    }
)


@lru_cache(maxsize=8)
def thumbnail(name: str) -> bytes:
    """A small JPEG of a bundled portrait."""
    with Image.open(PORTRAITS[name].path) as image:
        image.thumbnail((160, 160))
        buffer = io.BytesIO()
        image.convert("RGB").save(buffer, "JPEG", quality=85)
    return buffer.getvalue()
