"""Metadata tags of every video, besides those of `shared.video_writer`."""

from __future__ import annotations

import re
from importlib import metadata


def version() -> str:
    """Version of fd2talk; empty where it runs without being installed."""
    try:
        return metadata.version("fd2talk")
    except metadata.PackageNotFoundError:
        return ""


def tags(source: str = "") -> dict[str, str]:
    """Tags with the program and the source of a video.

    Args:
        source: of its motion (`Motion.source`). Of a path, as that of a tracked clip, only the file name is used, as
            names of folders may be private.
    """
    name = re.split(r"[\\/]", source)[-1].strip()
    return {"software": f"fd2talk {version()}".strip()} | ({"source": name} if name else {})
