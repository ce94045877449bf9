"""Follow one chosen person through a video that shows several: the others are hidden from the tracker."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from shared.errors import InputError
from shared.face_model import load_bundled
from shared.faces.cuts import CutDetector
from shared.faces.detection import FaceBox, detect_faces
from shared.faces.tracker import track_photo, track_video
from shared.tracking import neutral_bones

# Of a lost face, how far away it may be found again in the same shot, over its height; and in the next frame.
_NEAR, _STEP = 1.5, 0.5
# Half the side of what the tracker is shown, over the height of the face.
_AROUND = 1.1
# Frames after which a person who was lost may be anywhere in the picture.
_FORGOTTEN = 25
# How unlike two faces are: root mean square distance in mm of their neutral shapes, plus so many times the distance of
# their colours (logarithm of RGB). Two frames of one of 36 filmed people exceed the limit in 5 % of the cases; those of
# two people fall below it in 30 %, where the one most alike is taken.
_COLOUR_WEIGHT, _OTHER_PERSON = 6.0, 4.0
# The person's look is the mean over so many frames, so many apart.
_LOOKS, _LOOK_STEP = 5, 10


class FaceFollower:
    """Tracks a chosen face through a video.

    Args:
        index: which face, in reading order, of the first frame that shows so many. Without it, that of `box`.
        box: left, top, right, bottom in pixels of the first frame, of a face that is not detected.
        cuts: a new detector, whose `changes` can be read afterwards.
    """

    def __init__(self, index: int | None, box: tuple[float, ...] | None, cuts: CutDetector) -> None:
        self._index, self._cuts = index or 0, cuts
        self._given = None if box is None else FaceBox(*box)
        self._found = _Announced()  # cuts for the tracker, of which it shall look for the face anew
        self._last: np.ndarray | None = None
        self._lost, self._most, self._tracked = 0, 0, 0
        self._frame: np.ndarray | None = None
        self._looks: list[np.ndarray] = []

    def track(self, frames: Iterable[np.ndarray]) -> Iterator[np.ndarray | None]:
        """Yield for each frame, uint8 [H, W, 3], the mesh [478, 3] of the chosen face, or None, as `track_video`."""
        for points in track_video(self._alone(frames), self._found):
            if points is not None and self._last is not None and self._lost == 0:
                if _distance(points, self._last) > _STEP:  # the tracker switched to a neighbour
                    points = None
            self._lost = self._lost + 1 if points is None else 0
            if points is not None:
                if len(self._looks) < _LOOKS and self._tracked % _LOOK_STEP == 0:
                    assert self._frame is not None  # the one that has just been tracked
                    self._looks.append(_look(self._frame, points))
                self._tracked += 1
                self._last = points
            yield points

    def check(self) -> None:
        """Raise InputError when no frame has shown so many faces."""
        if not self._looks and self._given is None:
            raise InputError(f"no frame shows more than {self._most} face(s); there is no face {self._index}")

    def _alone(self, frames: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
        """Each frame with everything hidden but the chosen face."""
        for frame in frames:
            self._frame, cut = frame, self._cuts.is_cut(frame)
            if cut:
                self._last = None
            self._found.now = False
            box: tuple[int, int, int, int] | None = None
            if self._last is not None and self._lost == 0:
                height = np.ptp(self._last[:468, 1])
                box = _around(self._last[:468, :2].mean(0), _AROUND * height)
            elif cut or self._lost & (self._lost - 1) == 0 or self._lost % 8 == 0:
                chosen = self._search(frame)
                self._found.now = chosen is not None
                if chosen is not None:  # detected boxes are lower than the mesh
                    box = _around(np.array(chosen.middle), 1.2 * _AROUND * chosen.side)
            yield _hidden(frame, box)

    def _search(self, frame: np.ndarray) -> FaceBox | None:
        """The chosen face in a frame where it is not known to be."""
        if not self._looks and self._given is not None:
            return self._given
        boxes = detect_faces(frame)
        self._most = max(self._most, len(boxes))
        if not self._looks:
            return boxes[self._index] if self._index < len(boxes) else None
        if self._last is not None and self._lost < _FORGOTTEN:
            centre, height = self._last[:468, :2].mean(0), np.ptp(self._last[:468, 1])
            near = [box for box in boxes if np.linalg.norm(np.array(box.middle) - centre) < _NEAR * height]
            return min(near, key=lambda box: np.linalg.norm(np.array(box.middle) - centre), default=None)
        distances = [self._unlike(frame, box) for box in boxes]
        best = int(np.argmin(distances)) if boxes else 0
        return boxes[best] if boxes and distances[best] < _OTHER_PERSON else None

    def _unlike(self, frame: np.ndarray, box: FaceBox) -> float:
        """How unlike a face is to the person who is followed, see `_OTHER_PERSON`."""
        try:
            points = track_photo(frame, face_box=(box.left, box.top, box.right, box.bottom))
        except InputError:
            return np.inf
        offset = _look(frame, points) - np.mean(self._looks, axis=0)
        shape = np.sqrt(np.square(offset[:-1]).sum(-1).mean())
        return float(shape + _COLOUR_WEIGHT * np.linalg.norm(offset[-1]))


def _look(frame: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Bones of the neutral face in mm, and in the last row the logarithm of the face's colour: [n + 1, 3]."""
    x, y = (np.clip(points[:468, k].astype(int), 0, frame.shape[1 - k] - 1) for k in (0, 1))
    colour = np.log(np.median(frame[y, x], axis=0) + 8)  # 8 grey levels: in the dark, differences are noise
    return np.vstack([neutral_bones(load_bundled(), points[None]), colour])


class _Announced(CutDetector):
    """Tells the tracker to search where it is told to."""

    now = False

    def is_cut(self, frame: np.ndarray) -> bool:
        return self.now


def _distance(points: np.ndarray, before: np.ndarray) -> float:
    """Distance of two meshes over the height of the second."""
    shift = points[:468, :2].mean(0) - before[:468, :2].mean(0)
    return float(np.linalg.norm(shift) / max(np.ptp(before[:468, 1]), 1e-6))


def _around(centre: np.ndarray, half: float) -> tuple[int, int, int, int]:
    (left, top), (right, bottom) = np.maximum(centre - half, 0), np.maximum(centre + half, 0)
    return int(left), int(top), int(right), int(bottom)


def _hidden(frame: np.ndarray, box: tuple[int, int, int, int] | None) -> np.ndarray:
    """The frame with its mean colour outside of left, top, right, bottom; all of it without a box."""
    plain = np.empty_like(frame)
    plain[:] = frame.mean((0, 1)).astype(np.uint8)
    if box is not None:
        left, top, right, bottom = box
        plain[top:bottom, left:right] = frame[top:bottom, left:right]
    return plain
