"""Rendered frames, kept without loss on disk, so that only frames whose motion changed are rendered again.

A frame is found by the numbers of its motion, whichever its place in time: after cuts, inserts and undo it is still
there. Files hold the difference from the first frame (modulo 256), as PNG: wherever the picture stands still that is
nothing.
"""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Callable, Container, Iterator
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np

from shared.motion import Motion

MOST_BYTES = 300_000_000

Render = Callable[[Motion], Iterator[np.ndarray]]
"""Motion of K frames -> uint8 [H, W, 3] each, of one size. A frame depends on its own coefficients alone."""


class Room:
    """What several caches may take on disk together.

    Args:
        most_bytes: of all files of all of them.
    """

    def __init__(self, most_bytes: int = MOST_BYTES) -> None:
        self.most = most_bytes
        self.lock = threading.RLock()
        self.caches: list[FrameCache] = []

    @property
    def taken(self) -> int:
        """Bytes of all files."""
        return sum(cache.size for cache in self.caches)

    def used(self, cache: FrameCache) -> None:
        """This one is needed now: the others make room for it, those that were needed longest ago first."""
        with self.lock:
            self.caches = [*(other for other in self.caches if other is not cache), cache]

    def left(self, cache: FrameCache) -> None:
        """The files of this one are gone."""
        with self.lock:
            self.caches = [other for other in self.caches if other is not cache]


class FrameCache:
    """Frames of one photo, one renderer and one size.

    Args:
        folder: for the files; made when it is needed. It is its owner who removes it.
        render: draws what is missing.
        room: for the files. Frames that are no longer in the motion make room, those that were needed longest ago
            first, then those of other caches; what does not fit even so is rendered each time.
    """

    def __init__(self, folder: Path, render: Render, room: Room | None = None) -> None:
        self._folder, self._render, self.room = folder, render, room or Room()
        self._sizes: OrderedDict[str, int] = OrderedDict()
        self._first: np.ndarray | None = None
        self._lock = self.room.lock

    @property
    def size(self) -> int:
        """Bytes of its files."""
        return sum(self._sizes.values())

    def missing(self, motion: Motion) -> int:
        """How many frames of a motion would have to be rendered."""
        with self._lock:
            return len({name for name in frame_names(motion) if name not in self._sizes})

    def frames(self, motion: Motion, told: Callable[[int], None] = lambda rendered: None) -> Iterator[np.ndarray]:
        """Yield all frames of a motion, in order; those that are missing are rendered on the way.

        Args:
            motion: T frames.
            told: called with the number of frames rendered so far, whenever there is one more.
        """
        self.room.used(self)
        names = frame_names(motion)
        with self._lock:
            known = {name for name in names if name in self._sizes}
            for name in known:
                self._sizes.move_to_end(name)
        # Each once, where it comes first.
        first = {name: at for at, name in reversed([*enumerate(names)])}
        todo = sorted(at for name, at in first.items() if name not in known)
        arrays = {name: getattr(motion, name)[todo] for name in ("expression", "rotation", "translation")}
        confidence = None if motion.confidence is None else motion.confidence[todo]
        drawn = self._render(replace(motion, **arrays, confidence=confidence, audio=None)) if todo else iter(())
        rendered = 0
        try:
            for at, name in enumerate(names):
                if rendered < len(todo) and todo[rendered] == at:
                    frame = next(drawn)
                    self._keep(name, frame, first)
                    rendered += 1
                    told(rendered)
                    yield frame
                else:
                    stored = self._read(name)
                    yield self._again(motion, at) if stored is None else stored
        finally:
            if hasattr(drawn, "close"):  # its threads end now, not when it is collected
                drawn.close()

    def _again(self, motion: Motion, at: int) -> np.ndarray:
        """A frame whose file is gone, or that comes once more and was not kept."""
        return next(self._render(motion.at(at)))

    def _keep(self, name: str, frame: np.ndarray, wanted: Container[str]) -> None:
        with self._lock:
            if self._first is None:
                self._first = frame.copy()
            data = cv2.imencode(".png", frame - self._first, [cv2.IMWRITE_PNG_COMPRESSION, 1])[1]
            while self.room.taken + len(data) > self.room.most:
                others = (other for other in self.room.caches if other is not self)
                # Without one that can be spared nothing is kept: frames of one video would drive out each other.
                if not self._spare(wanted) and not any(other._spare(()) for other in others):
                    return
            self._folder.mkdir(parents=True, exist_ok=True)
            (self._folder / f"{name}.png").write_bytes(data.tobytes())
            self._sizes[name] = len(data)

    def _spare(self, wanted: Container[str]) -> bool:
        """Remove one frame that is not wanted, if there is one."""
        spare = next((name for name in self._sizes if name not in wanted), None)
        if spare is None:
            return False
        del self._sizes[spare]
        (self._folder / f"{spare}.png").unlink(missing_ok=True)
        return True

    def _read(self, name: str) -> np.ndarray | None:
        with self._lock:
            if name not in self._sizes or self._first is None:
                return None
            first = self._first
        stored = cv2.imread(str(self._folder / f"{name}.png"), cv2.IMREAD_COLOR)
        # The order of the colours does not matter: it is written as it is read.
        return None if stored is None else stored + first


def frame_names(motion: Motion) -> list[str]:
    """A name for each frame, the same for the same coefficients and for those alone."""
    rows = np.concatenate([motion.expression, motion.rotation, motion.translation], axis=1).astype("<f4")
    return [hashlib.sha256(row.tobytes()).hexdigest()[:32] for row in rows]
