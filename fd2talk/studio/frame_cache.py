"""A lossless cache of rendered frames on disk, so that only frames whose motion changed are rendered again.

The key of a frame is a hash of its coefficients, not its time, so that it is found again after cuts, inserts and undo.
Files hold the difference from the first frame (modulo 256) as PNG, which is small where the picture does not move.
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
"""Motion of K frames -> K frames, uint8 [H, W, 3]. A frame must depend on its own coefficients only."""


class Room:
    """A limit of disk space that several caches share; the least recently used ones make room.

    Args:
        most_bytes: of the files of all caches together.
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
        """Mark a cache as the most recently used."""
        with self.lock:
            self.caches = [*(other for other in self.caches if other is not cache), cache]

    def left(self, cache: FrameCache) -> None:
        """Forget a cache whose files were removed."""
        with self.lock:
            self.caches = [other for other in self.caches if other is not cache]


class FrameCache:
    """Frames of one photo, one renderer and one size.

    Args:
        folder: for the files; created when needed, and removed by the caller.
        render: renders missing frames.
        room: limit of the files. The least recently used frames that the motion does not have make room first, then
            those of other caches; frames that do not fit are rendered each time.
    """

    def __init__(self, folder: Path, render: Render, room: Room | None = None) -> None:
        self._folder, self._render, self.room = folder, render, room or Room()
        self._sizes: OrderedDict[str, int] = OrderedDict()
        self._first: np.ndarray | None = None
        self._lock = self.room.lock

    @property
    def size(self) -> int:
        """Bytes of all files of this cache."""
        return sum(self._sizes.values())

    def missing(self, motion: Motion) -> int:
        """Number of frames of a motion that are not in the cache."""
        with self._lock:
            return len({name for name in frame_names(motion) if name not in self._sizes})

    def frames(self, motion: Motion, on_rendered: Callable[[int], None] = lambda count: None) -> Iterator[np.ndarray]:
        """Yield all frames of a motion in order, rendering those that are missing.

        Args:
            motion: T frames.
            on_rendered: called with the number of frames rendered so far.
        """
        self.room.used(self)
        names = frame_names(motion)
        with self._lock:
            known = {name for name in names if name in self._sizes}
            for name in known:
                self._sizes.move_to_end(name)
        # A frame that occurs several times is rendered where it occurs first.
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
                    on_rendered(rendered)
                    yield frame
                else:
                    stored = self._read(name)
                    yield self._render_one(motion, at) if stored is None else stored
        finally:
            if hasattr(drawn, "close"):  # ends its threads now instead of at garbage collection
                drawn.close()

    def _render_one(self, motion: Motion, at: int) -> np.ndarray:
        """Render a single frame whose file is missing, or that did not fit into the cache."""
        return next(self._render(motion.at(at)))

    def _keep(self, name: str, frame: np.ndarray, wanted: Container[str]) -> None:
        with self._lock:
            if self._first is None:
                self._first = frame.copy()
            data = cv2.imencode(".png", frame - self._first, [cv2.IMWRITE_PNG_COMPRESSION, 1])[1]
            while self.room.taken + len(data) > self.room.most:
                others = (other for other in self.room.caches if other is not self)
                # Frames of the same video must not evict each other: then this one is not kept.
                if not self._evict(wanted) and not any(other._evict(()) for other in others):
                    return
            self._folder.mkdir(parents=True, exist_ok=True)
            (self._folder / f"{name}.png").write_bytes(data.tobytes())
            self._sizes[name] = len(data)

    def _evict(self, wanted: Container[str]) -> bool:
        """Evict the least recently used frame that is not wanted. False: there is none."""
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
        # OpenCV writes and reads BGR, so the order of the channels is that of the frame again.
        return None if stored is None else stored + first


def frame_names(motion: Motion) -> list[str]:
    """The key of each frame: a hash of its coefficients."""
    rows = np.concatenate([motion.expression, motion.rotation, motion.translation], axis=1).astype("<f4")
    return [hashlib.sha256(row.tobytes()).hexdigest()[:32] for row in rows]
