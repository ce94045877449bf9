"""Follow one chosen person through a video that shows several: the others are hidden from the tracker."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from shared.errors import InputError
from shared.face_model import load_bundled
from shared.faces.cuts import CutDetector
from shared.faces.tracker import FaceBox, detect_faces, track_photo, track_video
from shared.tracking import neutral_bones

# Of a lost face, how far away it may be found again in the same shot, over its height; and in the next frame.
_NEAR, _STEP = 1.5, 0.5
# Half the side of what the tracker is shown, over the height of the face (in detected boxes a little less).
_AROUND = 1.1
# Frames after which a person who was lost may be anywhere in the picture.
_FORGOTTEN = 25
# Root mean square distance of the neutral faces of two single frames, mm, above which they belong to two people.
_OTHER_PERSON_MM = 2.5


class FaceFollower:
    """Tracks a chosen face through a video.

    Args:
        index: which face of the first frame that shows so many; 0 is the largest. Without it, that of `box`.
        box: left, top, right, bottom in pixels of the first frame, of a face that is not detected.
        cuts: a new detector, whose `changes` can be read afterwards.
    """

    def __init__(self, index: int | None, box: tuple[float, ...] | None, cuts: CutDetector) -> None:
        self._index, self._cuts = index or 0, cuts
        self._given = None if box is None else FaceBox(*box)
        self._found = _Announced()  # cuts for the tracker, of which it shall look for the face anew
        self._last: np.ndarray | None = None
        self._lost, self._most = 0, 0
        self._bones: np.ndarray | None = None

    def track(self, frames: Iterable[np.ndarray]) -> Iterator[np.ndarray | None]:
        """Yield for each frame, uint8 [H, W, 3], the mesh [478, 3] of the chosen face, or None, as `track_video`."""
        for points in track_video(self._alone(frames), self._found):
            if points is not None and self._last is not None and self._lost == 0:
                if _distance(points, self._last) > _STEP:  # the tracker switched to a neighbour
                    points = None
            self._lost = self._lost + 1 if points is None else 0
            if points is not None:
                if self._bones is None:
                    self._bones = neutral_bones(load_bundled(), points[None])
                self._last = points
            yield points

    def check(self) -> None:
        """Raise InputError when no frame has shown so many faces."""
        if self._bones is None and self._given is None:
            raise InputError(f"no frame shows more than {self._most} face(s); there is no face {self._index}")

    def _alone(self, frames: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
        """Each frame with everything hidden but the chosen face."""
        for frame in frames:
            cut = self._cuts.is_cut(frame)
            if cut:
                self._last = None
            self._found.now = False
            if self._last is not None and self._lost == 0:
                height = np.ptp(self._last[:468, 1])
                box = _around(self._last[:468, :2].mean(0), _AROUND * height)
            elif cut or self._lost & (self._lost - 1) == 0 or self._lost % 8 == 0:
                chosen = self._search(frame)
                self._found.now = chosen is not None
                box = None if chosen is None else _around(_centre(chosen), 1.2 * _AROUND * chosen.side)
            else:
                box = None
            yield _hidden(frame, box)

    def _search(self, frame: np.ndarray) -> FaceBox | None:
        """The chosen face in a frame where it is not known to be."""
        if self._bones is None and self._given is not None:
            return self._given
        boxes = detect_faces(frame)
        self._most = max(self._most, len(boxes))
        if self._bones is None:
            return boxes[self._index] if self._index < len(boxes) else None
        if self._last is not None and self._lost < _FORGOTTEN:
            centre, height = self._last[:468, :2].mean(0), np.ptp(self._last[:468, 1])
            near = [box for box in boxes if np.linalg.norm(_centre(box) - centre) < _NEAR * height]
            return min(near, key=lambda box: np.linalg.norm(_centre(box) - centre), default=None)
        distances = [self._unlike(frame, box) for box in boxes]
        best = int(np.argmin(distances)) if boxes else 0
        return boxes[best] if boxes and distances[best] < _OTHER_PERSON_MM else None

    def _unlike(self, frame: np.ndarray, box: FaceBox) -> float:
        """Distance in mm of a face's neutral shape from that of the person who is followed."""
        try:
            points = track_photo(frame, face_box=(box.left, box.top, box.right, box.bottom))
        except InputError:
            return np.inf
        return float(np.sqrt(np.square(neutral_bones(load_bundled(), points[None]) - self._bones).sum(-1).mean()))


class _Announced(CutDetector):
    """Tells the tracker to search where it is told to."""

    now = False

    def is_cut(self, frame: np.ndarray) -> bool:
        return self.now


def _centre(box: FaceBox) -> np.ndarray:
    return np.array([(box.left + box.right) / 2, (box.top + box.bottom) / 2])


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
