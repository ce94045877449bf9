"""Tracking of the mesh of a face in photos and videos with the network of `face_tracker`."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace

import cv2
import numpy as np
from PIL import Image

from shared.errors import FaceNotFoundError, InputError
from shared.faces.crop import Crop
from shared.faces.cuts import CutDetector
from shared.faces.detection import FaceBox, detect_faces, large_faces, largest_face
from shared.faces.face_tracker import FaceTracker, open_face_tracker

# A face of lower height has too few pixels on the lips for a reliable track.
MIN_FACE_PIXELS = 56
# Frames up to this size are head crops or nearly so: a search before tracking improves nothing.
_SMALL_FRAME = 400
# Other faces of this share of the largest one's side, and of this score, are worth a note.
_AS_LARGE, _SURE = 0.6, 0.75
# The input of the mesh network is a square around the face, from the detector at first and from its own last result
# afterwards. The detector's square differs, and the mesh found in it is 2 % smaller: the network is applied again until
# the points (mean shift over the eye distance) no longer move, which takes three to six passes.
_SETTLED, _MAX_PASSES = 5e-4, 12
# The network reduces faces to 192 pixels by skipping pixels of larger ones: head crops are averaged to this side first.
_MAX_CROP = 512


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


def _reduced(image: np.ndarray, side: int) -> tuple[np.ndarray, float]:
    scale = min(1.0, side / max(image.shape[:2]))
    if scale == 1.0:
        return image, 1.0
    size = [max(1, round(n * scale)) for n in image.shape[1::-1]]
    return np.asarray(Image.fromarray(image).resize(size, Image.Resampling.BOX)), scale


def _square(image: np.ndarray, left: int, top: int, side: int, size: int) -> np.ndarray:
    """A square of the picture, padded with its mean colour beyond the edges, resized to size x size."""
    height, width = image.shape[:2]
    x0, y0, x1, y1 = max(left, 0), max(top, 0), min(left + side, width), min(top + side, height)
    part = image[y0 : max(y1, y0), x0 : max(x1, x0)]
    pixels = part if part.size else image
    # The exact mean; numpy's takes a second for a face of 4000 pixels.
    fill = tuple(int(total / (pixels.shape[0] * pixels.shape[1])) for total in cv2.sumElems(pixels)[:3])
    canvas = Image.new("RGB", (side, side), fill)
    if part.size:
        canvas.paste(Image.fromarray(part), (x0 - left, y0 - top))
    return np.asarray(canvas if size == side else canvas.resize((size, size), Image.Resampling.BILINEAR))


def choose_face(
    image: np.ndarray,
    face_index: int | None = None,
    face_box: tuple[float, float, float, float] | None = None,
    detect: Callable[[np.ndarray], list[FaceBox]] | None = None,
    warn: bool = False,
) -> FaceBox:
    """Return where a face of a still picture is.

    Args:
        image: uint8 [H, W, 3].
        face_index: its number among the faces in reading order, as `detect_faces` returns them; None: the largest.
        face_box: left, top, right, bottom in pixels, for faces that the detector misses.
        detect: another detector, which returns faces in reading order.
        warn: say so when the largest is used and there are others of nearly its size.

    Returns:
        Its box; where none is detected, as in drawings, the whole picture with a score of 0: the mesh network often
            finds those faces.

    Raises:
        InputError: no face of that number, or no such box.
        FaceNotFoundError: no face of that number, and none is detected.
    """
    if face_box is not None:
        box = FaceBox(*face_box)
        if box.side < 4 or box.left >= box.right or box.top >= box.bottom:
            raise InputError(f"face box {face_box}: it must be left, top, right, bottom in pixels")
        check_inside(box, image.shape[1], image.shape[0])
        return box
    whole = FaceBox(0, 0, image.shape[1], image.shape[0], score=0)
    if face_index is None:
        if detect is None:
            faces = large_faces(image, upside_down=True)
            if warn and any(box.side >= _AS_LARGE * faces[0].side and box.score >= _SURE for box in faces[1:]):
                warnings.warn(
                    "the photo shows several faces; the largest is used (`fd2talk faces` lists them, --face-index "
                    "takes another)",
                    stacklevel=2,
                )
            return faces[0] if faces else whole
        return max(detect(image), key=lambda box: box.side, default=whole)
    boxes = detect(image) if detect else detect_faces(image, upside_down=True)
    count = len(boxes or [whole])
    if not 0 <= face_index < count:
        message = f"the photo shows {count} face(s); there is no face {face_index} (`fd2talk faces` lists them)"
        raise InputError(message) if boxes else FaceNotFoundError(message)
    return (boxes or [whole])[face_index]


def check_inside(box: FaceBox, width: int, height: int) -> None:
    """Raise InputError when a box lies wholly outside a picture of that size."""
    if box.right <= 0 or box.bottom <= 0 or box.left >= width or box.top >= height:
        edges = ",".join(f"{edge:.0f}" for edge in (box.left, box.top, box.right, box.bottom))
        raise InputError(f"the face box {edges} lies outside the picture of {width} x {height} pixels")


def track_photo(
    image: np.ndarray, *, face_index: int | None = None, face_box: tuple[float, float, float, float] | None = None
) -> np.ndarray:
    """Track the mesh of the face that `choose_face` returns with these arguments; see `track_face`."""
    return track_face(image, choose_face(image, face_index, face_box))


def track_face(
    image: np.ndarray, box: FaceBox, *, upside_down: bool = False, least: float = MIN_FACE_PIXELS
) -> np.ndarray:
    """Track the mesh of one face of a still picture.

    Args:
        image: uint8 [H, W, 3].
        box: about where the face is.
        upside_down: the face is turned by about 180 degrees. Of such a face the network finds a mesh whose mouth is on
            the forehead, unless it is told.
        least: height in pixels below which a face is refused.

    Returns:
        float32 [478, 3] in pixels of the image (z negative towards the camera).

    Raises:
        InputError: no face, or a face too small.
    """
    mesh = open_face_tracker()
    try:
        points = _locate(mesh, image, box, upside_down)
    finally:
        mesh.close()
    if points is None:
        raise FaceNotFoundError
    height = float(np.ptp(points[:468, 1]))
    if height < least:
        raise InputError(f"the face is only {height:.0f} pixels high; at least {least:.0f} are needed")
    return points


def _locate(mesh: FaceTracker, image: np.ndarray, box: FaceBox, upside_down: bool) -> np.ndarray | None:
    """The mesh near a box; found twice, the second time in the head crop of the first result."""
    for factor in (2.0, 1.4, 3.0):
        points = _in_square(mesh, image, box.middle, box.side * factor, upside_down)
        if points is not None:
            break
    else:
        return None
    crop = Crop.around(points)
    again = _in_square(mesh, image, (crop.center_x, crop.center_y), crop.side, upside_down)
    return points if again is None else again


def _in_square(
    mesh: FaceTracker, image: np.ndarray, center: tuple[float, float], side: float, upside_down: bool
) -> np.ndarray | None:
    left, top = (round(c - side / 2) for c in center)
    whole = max(1, round(side))
    size = int(np.clip(whole, 128, _MAX_CROP))
    square = _square(image, left, top, whole, size)
    points = _settled_points(mesh, square[::-1, ::-1] if upside_down else square)
    if points is None:
        return None
    if upside_down:
        points[:, :2] = size - points[:, :2]
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
        face = largest_face(frame)
        if face is not None and face.side * 4 < max(height, width):
            # Three faces wide: room for the head to move, with little else in the network's input.
            (x, y), half = face.middle, 1.5 * face.side
            return _Window(
                int(max(0, x - half)), int(max(0, y - half)), int(min(width, x + half)), int(min(height, y + half))
            )
    return _Window(0, 0, width, height)
