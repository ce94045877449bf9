"""Cuts, dissolves and jump zooms of a video, detected from the change between frames."""

from __future__ import annotations

from collections import deque

import cv2
import numpy as np

# Pictures are compared at this size, in grey levels of the mean absolute difference of the channels.
_SIZE = 32
# A cut stands out from the frames around it: its difference is this many times theirs, which is at least the noise's.
_RATIO, _NOISE = 4.0, 0.5
# Number of neighbouring frames on each side; the difference of a clear cut; the least difference of a possible cut.
_NEIGHBOURS, _CLEAR, _LEAST = 8, 8.0, 2.5
# A smaller difference is a cut where the face jumps: mean shift of its points over its height, change of log scale.
_JUMP, _ZOOM = 0.04, 0.04
# In a dissolve a frame is the mean of those so many before and after it, up to this share of their difference, which is
# at least so many grey levels; in at least so many frames in a row. Of what moves the mean is two pictures at once.
_APART, _OF_DIFFERENCE, _DIFFERENT, _IN_A_ROW = 4, 0.15, 5.0, 2
# No head moves so far from one frame to the next: the tracker has switched to another face.
_OTHER_FACE = 0.25


class CutDetector:
    """Measure the change between consecutive frames of a video."""

    def __init__(self) -> None:
        self._before: np.ndarray | None = None
        self._changes: list[float] = []
        self._recent: deque[np.ndarray] = deque(maxlen=2 * _APART + 1)
        self._count, self._blended = 0, 0  # frames so far; frames in a row up to `_APART` ago that are blended
        self._dissolves: list[tuple[int, int]] = []

    @property
    def changes(self) -> np.ndarray:
        """Difference of each frame except the first from its predecessor: float32 [T - 1] after T frames."""
        return np.array(self._changes, np.float32)

    @property
    def dissolves(self) -> list[tuple[int, int]]:
        """First frame of each dissolve, and the first one behind it, as far as they have ended."""
        return self._dissolves

    def is_cut(self, frame: np.ndarray) -> bool:
        """Return whether the video was possibly cut before this frame, uint8 [H, W, 3], from the past alone.

        `find_cuts`, which also uses the following frames, is more reliable: the start of a fast movement looks the
        same. A dissolve counts where it has ended.
        """
        small = cv2.resize(frame, (_SIZE, _SIZE), interpolation=cv2.INTER_AREA).astype(np.float32)
        dissolved = self._dissolve_ends(small)
        before, self._before = self._before, small
        if before is None:
            return False
        change = float(np.abs(small - before).mean())
        past = self._changes[-_NEIGHBOURS:]
        self._changes.append(change)
        usual = float(np.median(past)) if past else change
        return dissolved or change > _LEAST and change > _RATIO * max(usual, _NOISE)

    def _dissolve_ends(self, small: np.ndarray) -> bool:
        """Whether the last frame of a dissolve has just been seen."""
        self._recent.append(small)
        self._count += 1
        if len(self._recent) == self._recent.maxlen:
            first, middle, last = self._recent[0], self._recent[_APART], self._recent[-1]
            difference = np.abs(last - first).mean()
            if difference > _DIFFERENT and np.abs(middle - (first + last) / 2).mean() < _OF_DIFFERENCE * difference:
                self._blended += 1
                return False
        run, self._blended = self._blended, 0
        if run >= _IN_A_ROW:  # the last such window ended before this frame
            self._dissolves.append((self._count - 1 - run - 2 * _APART, self._count - 1))
        return run >= _IN_A_ROW


def find_cuts(changes: np.ndarray, landmarks: np.ndarray) -> list[int]:
    """Return the frames before which a clip was cut, in rising order.

    Args:
        changes: [T - 1], of `CutDetector`.
        landmarks: [T, 478, 3] in pixels, without gaps.
    """
    points = landmarks[:, :468, :2]
    height = np.ptp(points[..., 1], axis=1)
    jump = np.linalg.norm(np.diff(points, axis=0), axis=-1).mean(-1) / height[1:]
    zoom = np.abs(np.diff(np.log(height)))
    cuts = []
    for index, change in enumerate(changes):
        past, future = changes[max(0, index - _NEIGHBOURS) : index], changes[index + 1 : index + 1 + _NEIGHBOURS]
        # A movement lasts: of the nearest four frames two or more change as well. A cut is one frame (two if blended).
        nearest = np.sort([*past[-2:], *future[:2]])[:-1]
        usual = max([_NOISE, *nearest, *(float(np.median(side)) for side in (past, future) if len(side))])
        jumps = jump[index] > _JUMP or zoom[index] > _ZOOM
        stands_out = change > _RATIO * usual and (change > _CLEAR or (change > _LEAST and jumps))
        if stands_out or jump[index] > _OTHER_FACE:
            cuts.append(index + 1)
    return cuts
