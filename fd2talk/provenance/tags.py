"""The tags that every video carries, beyond those of `shared.video_writer`."""

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
    """Which program made a video, and from what.

    Args:
        source: of its motion (`Motion.source`). That of a tracked clip is a path, of which only the last part is kept:
            folders tell more of a person than of a video.
    """
    name = re.split(r"[\\/]", source)[-1].strip()
    return {"software": f"fd2talk {version()}".strip()} | ({"source": name} if name else {})
