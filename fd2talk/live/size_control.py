"""Controls the size of frames: smaller when the machine is too slow, larger again when it has time."""

from __future__ import annotations

from collections import deque

from shared.media import FPS

SIZES = (512, 384, 256)
"""Longer sides of frames in pixels, between which the size changes."""

_WINDOW, _MAX_LATE = 50, 15
"""If so many of the last frames are late, the size is lowered; half a second of them, as at the start of a call, is not
enough."""

_PROBE_FRAMES, _MAX_PROBE_FRAMES = 30 * FPS, 480 * FPS
"""Frames after which a larger size is tried, if at most `_LATE_SHARE` of them are late. Doubled up to the maximum each
time that the larger size could not be held as long."""

_LATE_SHARE = 0.02


class SizeControl:
    """Decides on a change of size from the late frames.

    Args:
        asked: the requested size in pixels, which is not exceeded.
    """

    def __init__(self, asked: int) -> None:
        self._recent: deque[bool] = deque(maxlen=_WINDOW)
        self._asked = self.size = asked
        self._probe_frames = _PROBE_FRAMES
        self._frames = self._late = 0  # at this size
        self._raised = False  # whether this size was tried as a larger one
        self._is_changing = False

    def ask(self, size: int) -> None:
        """Request a size, which is set at once."""
        self._asked, self._probe_frames = size, _PROBE_FRAMES
        self._change(size, raised=False)
        self.changed()

    def changed(self) -> None:
        """Frames have the new size from now on: start counting anew."""
        self._recent.clear()
        self._frames = self._late = 0
        self._is_changing = False

    def seen(self, late: bool) -> int | None:
        """Count a frame.

        Args:
            late: its picture was not ready.

        Returns:
            The new size that frames should get, after which `changed` must be called; None for no change.
        """
        if self._is_changing:
            return None
        self._recent.append(late)
        self._frames, self._late = self._frames + 1, self._late + late
        if len(self._recent) == _WINDOW and sum(self._recent) >= _MAX_LATE:
            return self._lower()
        if self._frames >= self._probe_frames and self.size < self._asked:
            if self._late <= _LATE_SHARE * self._frames:
                return self._change(min([size for size in SIZES if size > self.size] + [self._asked]), raised=True)
            self._frames = self._late = 0
        return None

    def _lower(self) -> int | None:
        smaller = next((size for size in SIZES if size < self.size), None)
        if smaller is None:
            self.changed()
            return None
        held = self._frames >= self._probe_frames
        self._probe_frames = (
            min(2 * self._probe_frames, _MAX_PROBE_FRAMES) if self._raised and not held else _PROBE_FRAMES
        )
        return self._change(smaller, raised=False)

    def _change(self, size: int, *, raised: bool) -> int:
        self.size, self._raised, self._is_changing = size, raised, True
        return size
