"""Where the style of an evaluated clip comes from: not from what is measured of it."""

from __future__ import annotations

from collections.abc import Sequence

from shared.media import FPS
from shared.motion import Motion


def style_source(own: Motion, others: Sequence[Motion]) -> Motion | None:
    """Return the motion that gives a clip its style: the person's longest other clip, else the first half of this one.

    Where it is this one's, the clip is measured in its second half (`rows.halved`). None: it is shorter than a second.

    Args:
        own: the motion of the clip.
        others: those of the person's other clips.
    """
    source = max(others, key=len) if others else own.slice(0, len(own) // 2)
    return source if len(source) >= FPS else None
