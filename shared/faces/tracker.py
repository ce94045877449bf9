"""Detection of faces and tracking of their mesh in photos and videos, with the networks of `face_tracker`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

import numpy as np
from PIL import Image

from shared.errors import InputError
from shared.faces.crop import Crop
from shared.faces.cuts import CutDetector
from shared.faces.face_tracker import FaceTracker, face_detectors, open_face_tracker

# A face of lower height has too few pixels on the lips for a reliable track.
MIN_FACE_PIXELS = 56
# The detectors reduce the whole picture to about 200 pixels; halves and thirds of a larger one are searched too.
_SEARCH_SIDE = 1280
# Frames up to this size are head crops or nearly so: a search before tracking improves nothing.
_SMALL_FRAME = 400
# The input of the mesh network is a square around the face, from the detector at first and from its own last result
# afterwards. The detector's square differs, and the mesh found in it is 2 % smaller: the network is applied again until
# the points (mean shift over the eye distance) no longer move, which takes three to six passes.
_SETTLED, _MAX_PASSES = 5e-4, 12
# The network reduces faces to 192 pixels by skipping pixels of larger ones: head crops are averaged to this side first.
_MAX_CROP = 512


@dataclass(frozen=True)
class FaceBox:
    """A detected face: left, top, right, bottom in pixels, and the detector's score in [0, 1]."""

    left: float
    top: float
    right: float
    bottom: float
    score: float = 1.0

    @property
    def side(self) -> float:
        """The longer side, in pixels."""
        return max(self.right - self.left, self.bottom - self.top)

    def overlap(self, other: FaceBox) -> float:
        """Return the intersection over the area of the smaller box."""
        width = min(self.right, other.right) - max(self.left, other.left)
        height = min(self.bottom, other.bottom) - max(self.top, other.top)
        smaller = min((b.right - b.left) * (b.bottom - b.top) for b in (self, other))
        return max(width, 0) * max(height, 0) / max(smaller, 1e-6)


def _settled_points(mesh: FaceTracker, image: np.ndarray) -> np.ndarray | None:
    """The mesh of a face, independent of the previous input of `mesh`: [478, 3] in pixels of `image`, or None."""
    mesh.track(np.zeros((64, 64, 3), np.uint8))  # contains no face, so that the whole next picture is searched
    points = mesh.track(image)
    for _ in range(_MAX_PASSES - 1):
        if points is None:
            break
        before, points = points, mesh.track(image)
        if points is not None and _shift(before, points) < _SETTLED:
            break
    return points


def _shift(before: np.ndarray, after: np.ndarray) -> float:
    """Mean distance in the picture between two meshes [478, 3], over the distance of the outer eye corners."""
    eyes = np.linalg.norm(after[33, :2] - after[263, :2])
    return float(np.linalg.norm((after - before)[:, :2], axis=1).mean() / max(eyes, 1e-6))


def detect_faces(image: np.ndarray) -> list[FaceBox]:
    """Return all faces of a picture [H, W, 3] uint8 RGB, the largest first; an empty list when there are none."""
    found: list[FaceBox] = []
    with face_detectors() as detectors:
        for left, top, tile in _tiles(image):
            for detector in detectors:
                for x0, y0, x1, y1, score in detector.detect(tile):
                    found.append(FaceBox(left + x0, top + y0, left + x1, top + y1, score))
    kept: list[FaceBox] = []
    for box in sorted(found, key=lambda b: -b.score):
        if all(box.overlap(other) < 0.5 for other in kept):
            kept.append(box)
    return sorted(kept, key=lambda b: -b.side)


def _tiles(image: np.ndarray) -> Iterator[tuple[int, int, np.ndarray]]:
    """The whole picture, then overlapping quarters if it is so large that the detectors may miss faces."""
    height, width = image.shape[:2]
    yield 0, 0, image
    if max(height, width) >= 600:
        for top in (0, height // 3):
            for left in (0, width // 3):
                yield left, top, image[top : top + 2 * height // 3, left : left + 2 * width // 3]


def _reduced(image: np.ndarray, side: int) -> tuple[np.ndarray, float]:
    scale = min(1.0, side / max(image.shape[:2]))
    if scale == 1.0:
        return image, 1.0
    size = [max(1, round(n * scale)) for n in image.shape[1::-1]]
    return np.asarray(Image.fromarray(image).resize(size, Image.Resampling.BOX)), scale


def _square(image: np.ndarray, left: int, top: int, side: int, size: int) -> np.ndarray:
    """A square of the picture, padded with its mean colour beyond the edges, resized to size x size."""
    fill = tuple(int(v) for v in image.reshape(-1, 3).mean(0))
    canvas = Image.new("RGB", (side, side), fill)
    canvas.paste(Image.fromarray(image), (-left, -top))
    return np.asarray(canvas if size == side else canvas.resize((size, size), Image.Resampling.BILINEAR))


def track_photo(
    image: np.ndarray, *, face_index: int | None = None, face_box: tuple[float, float, float, float] | None = None
) -> np.ndarray:
    """Track the mesh of one face of a still picture.

    Args:
        image: uint8 [H, W, 3].
        face_index: which face, 0 is the largest.
        face_box: left, top, right, bottom in pixels, for faces that the detector misses.

    Returns:
        float32 [478, 3] in pixels of the image (z negative towards the camera).

    Raises:
        InputError: no face, no face of that index, or a face too small.
    """
    small, scale = _reduced(image, _SEARCH_SIDE)
    if face_box is not None:
        boxes = [FaceBox(*(v * scale for v in face_box))]
        if boxes[0].side < 4 or boxes[0].left >= boxes[0].right or boxes[0].top >= boxes[0].bottom:
            raise InputError(f"face box {face_box}: it must be left, top, right, bottom in pixels")
    else:
        boxes = detect_faces(small)
        if not boxes:  # drawings: the mesh network often finds faces that the detectors miss
            boxes = [FaceBox(0, 0, small.shape[1], small.shape[0])]
    index = face_index or 0
    if not 0 <= index < len(boxes):
        raise InputError(f"the photo shows {len(boxes)} face(s); there is no face {index}")
    mesh = open_face_tracker()
    try:
        points = _locate(mesh, image, boxes[index], scale)
    finally:
        mesh.close()
    if points is None:
        raise InputError(
            "no face found in the photo (a frontal face works best; --face-box LEFT,TOP,RIGHT,BOTTOM locates it)"
        )
    height = float(np.ptp(points[:468, 1]))
    if height < MIN_FACE_PIXELS:
        raise InputError(f"the face is only {height:.0f} pixels high; at least {MIN_FACE_PIXELS} are needed")
    return points


def _locate(mesh: FaceTracker, image: np.ndarray, box: FaceBox, scale: float) -> np.ndarray | None:
    """The mesh near a box; found twice, the second time in the head crop of the first result."""
    center = ((box.left + box.right) / 2 / scale, (box.top + box.bottom) / 2 / scale)
    side = box.side / scale
    for factor in (2.0, 1.4, 3.0):
        points = _in_square(mesh, image, center, side * factor)
        if points is not None:
            break
    else:
        return None
    crop = Crop.around(points)
    again = _in_square(mesh, image, (crop.center_x, crop.center_y), crop.side)
    return points if again is None else again


def _in_square(mesh: FaceTracker, image: np.ndarray, center: tuple[float, float], side: float) -> np.ndarray | None:
    left, top = (round(c - side / 2) for c in center)
    whole = max(1, round(side))
    size = int(np.clip(whole, 128, _MAX_CROP))
    points = _settled_points(mesh, _square(image, left, top, whole, size))
    if points is None:
        return None
    points *= whole / size
    points[:, :2] += (left, top)
    return points


def track_video(frames: Iterable[np.ndarray], cuts: CutDetector | None = None) -> Iterator[np.ndarray | None]:
    """Track the largest face through a video.

    The mesh network only finds faces that fill a fair part of its input. Of large frames its input is therefore a
    square around the detected face, which is detected again after the face was lost or the video was cut.

    Args:
        frames: uint8 [H, W, 3] each.
        cuts: a new detector, whose `changes` can be read afterwards.

    Yields:
        For each frame its mesh float32 [478, 3] in pixels of the frame (z negative towards the camera), None without a
            face.
    """
    mesh, cuts = open_face_tracker(), cuts or CutDetector()
    window, lost = None, 0
    try:
        for frame in frames:
            if cuts.is_cut(frame):
                window, lost = None, 0
            if window is None or (lost & (lost - 1) == 0 and lost > 0):  # after 1, 2, 4, 8... frames without a face
                window = _face_window(frame)
                points = _settled_points(mesh, window.of(frame))
                if points is not None:
                    window = window.fitted(points)
                    points = _settled_points(mesh, window.of(frame)) if window.scale < 1 else points
            else:
                points = mesh.track(window.of(frame))
            lost = lost + 1 if points is None else 0
            yield None if points is None else window.to_frame(points)
    finally:
        mesh.close()


@dataclass(frozen=True)
class _Window:
    """The part of a frame in which a face is tracked, in pixels of the frame, and the scale of the network's input."""

    left: int
    top: int
    right: int
    bottom: int
    scale: float = 1.0

    def of(self, frame: np.ndarray) -> np.ndarray:
        """Return the mesh network's input for a frame."""
        part = frame[self.top : self.bottom, self.left : self.right]
        return part if self.scale == 1 else _reduced(part, max(1, round(max(part.shape[:2]) * self.scale)))[0]

    def fitted(self, points: np.ndarray) -> _Window:
        """Return the window reduced so that the face of `points` (pixels at scale 1) is no larger than in photos."""
        return replace(self, scale=min(1.0, _MAX_CROP / Crop.around(points).side))

    def to_frame(self, points: np.ndarray) -> np.ndarray:
        """Convert points [478, 3] from pixels of the network's input to pixels of the frame."""
        return (points / self.scale + (self.left, self.top, 0)).astype(np.float32)


def _face_window(frame: np.ndarray) -> _Window:
    """The window in which the largest face of a frame is tracked."""
    height, width = frame.shape[:2]
    if max(height, width) > _SMALL_FRAME:
        small, scale = _reduced(frame, _SEARCH_SIDE)
        boxes = detect_faces(small)
        if boxes and boxes[0].side * 4 < max(small.shape[:2]):
            # Three faces wide: room for the head to move, with little else in the network's input.
            side = 3 * boxes[0].side / scale
            x, y = ((boxes[0].left + boxes[0].right) / 2 / scale, (boxes[0].top + boxes[0].bottom) / 2 / scale)
            left, top = (int(max(0, v - side / 2)) for v in (x, y))
            return _Window(left, top, int(min(width, x + side / 2)), int(min(height, y + side / 2)))
    return _Window(0, 0, width, height)
