"""Which size frames have: smaller while the machine is too slow, larger again when it has time."""

from __future__ import annotations

from collections import deque

from shared.media import FPS

SIZES = (512, 384, 256)
"""Longer sides of frames, in pixels, to which a machine that is too slow goes down."""

_WATCHED, _TOO_MANY = 50, 15
"""Of so many frames so many are late: the machine is too slow. A hiccup of half a second, as when a call begins, is no
reason."""

_CALM, _LONGEST_CALM = 30 * FPS, 480 * FPS
"""Frames of which at most `_RARELY` are late, then a larger size is tried; twice as many, to the longest, each time
that it was not held so long."""

_RARELY = 0.02


class SizeControl:
    """Told of each frame whether it was late, it says when another size is due.

    Args:
        asked: size in pixels that is wanted.
    """

    def __init__(self, asked: int) -> None:
        self._recent: deque[bool] = deque(maxlen=_WATCHED)
        self._asked = self.size = asked
        self._calm = _CALM
        self._frames = self._late = 0  # at this size
        self._raised = False  # to this size, not lowered or asked for
        self._is_changing = False

    def ask(self, size: int) -> None:
        """Somebody wants this size, and gets it, from now on."""
        self._asked, self._calm = size, _CALM
        self._change(size, raised=False)
        self.changed()

    def changed(self) -> None:
        """Frames have the size that was due: those before, while it was prepared, do not count."""
        self._recent.clear()
        self._frames = self._late = 0
        self._is_changing = False

    def seen(self, late: bool) -> int | None:
        """Count a frame.

        Args:
            late: its picture was not ready.

        Returns:
            Another size that frames should have; `changed` is called when they do. Or None.
        """
        if self._is_changing:
            return None
        self._recent.append(late)
        self._frames, self._late = self._frames + 1, self._late + late
        if len(self._recent) == _WATCHED and sum(self._recent) >= _TOO_MANY:
            return self._lower()
        if self._frames >= self._calm and self.size < self._asked:
            if self._late <= _RARELY * self._frames:
                return self._change(min([size for size in SIZES if size > self.size] + [self._asked]), raised=True)
            self._frames = self._late = 0
        return None

    def _lower(self) -> int | None:
        smaller = next((size for size in SIZES if size < self.size), None)
        if smaller is None:
            self.changed()
            return None
        held = self._frames >= self._calm
        self._calm = min(2 * self._calm, _LONGEST_CALM) if self._raised and not held else _CALM
        return self._change(smaller, raised=False)

    def _change(self, size: int, *, raised: bool) -> int:
        self.size, self._raised, self._is_changing = size, raised, True
        return size
