"""`fd2talk faces`: the faces of a photo or video, with the numbers that `--face-index` takes."""

from __future__ import annotations

import warnings
from contextlib import suppress

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from fd2talk.commands.inputs import searching
from fd2talk.output import require_output
from fd2talk.progress import progress
from fd2talk.terminal import announce
from shared.errors import FaceNotFoundError, InputError, UsageError
from shared.faces.detection import FaceBox, detect_faces
from shared.faces.tracker import MIN_FACE_PIXELS, track_face
from shared.files import atomic_output, new_folders
from shared.images import is_photo, read_image
from shared.media import FPS, read_video
from shared.photo_fit import faces_of

# Longest side of the sheet in pixels; of a large photo with small faces it is the photo's own, up to the second number.
_SHEET_SIDE, _LARGEST_SHEET = 1600, 4000
# A detected box is not quite as high as the face, by whose mesh it is refused: below this side the mesh is measured.
_CLEARLY_LARGE = 1.4 * MIN_FACE_PIXELS
# Height in pixels to which the smallest face of a sheet is drawn.
_LEAST_FACE = 60


def faces(photo: str, *, face_tracker: str, sheet: str | None, overwrite: bool) -> None:
    """Print where the faces of a photo or of a video's first frame with faces are, in reading order, and draw them.

    Args:
        photo: the file.
        face_tracker: one of `shared.photo_fit.TRACKERS`.
        sheet: PNG file to draw them in, on the photo.
        overwrite: whether it may exist.

    Raises:
        InputError: neither photo nor video, or no face in it.
        UsageError: face-alignment for a video; as `require_output` and `faces_of`.
    """
    path = None if sheet is None else require_output(sheet, suffixes=(".png",), overwrite=overwrite, inputs=(photo,))
    if still := is_photo(photo):
        image = read_image(photo)
        try:
            with searching(image):
                boxes = faces_of(image, face_tracker)
        except InputError as error:
            raise InputError(f"{photo}: {error}") from error
    elif face_tracker == "face-alignment":
        raise UsageError("--face-tracker face-alignment is for photos")
    else:
        image, boxes = _first_with_faces(photo)
    default = max(range(len(boxes)), key=lambda number: boxes[number].side)
    if path is not None:
        with new_folders(path.parent), atomic_output(path, overwrite) as temporary:
            _drawn(image, boxes).save(temporary, format="PNG")
    for number, box in enumerate(boxes):
        edges = ",".join(str(round(edge)) for edge in (box.left, box.top, box.right, box.bottom))
        height = _height(image, box) if still else box.side
        note = ", the largest: used without --face-index" if number == default else ""
        if still and height < MIN_FACE_PIXELS:  # in videos faces of any size are tracked
            note = f", too small: at least {MIN_FACE_PIXELS} pixels are needed"
        announce(f"--face-index {number}: {height:.0f} pixels at {edges}{note}")


def _first_with_faces(video: str) -> tuple[np.ndarray, list[FaceBox]]:
    """The first frame of a video in which faces are found, and their boxes, numbered as `FaceFollower` does."""
    with progress(None, "looking for faces") as bar:
        for number, frame in enumerate(read_video(video)):
            if boxes := detect_faces(frame):
                warnings.warn(
                    f"{video} is a video: the faces of its first frame with any, at {number / FPS:.2f} s", stacklevel=2
                )
                return frame, boxes
            bar.update()
    raise InputError(f"{video}: no face found in the video")


def _height(image: np.ndarray, box: FaceBox) -> float:
    """The height of a face in pixels; of a small one that of its mesh, by which other commands refuse it."""
    if box.side < _CLEARLY_LARGE:
        with suppress(FaceNotFoundError):
            return float(np.ptp(track_face(image, box, least=0)[:468, 1]))
    return box.side


def _drawn(image: np.ndarray, boxes: list[FaceBox]) -> Image.Image:
    """The photo with the boxes and their numbers, reduced as far as they can still be seen."""
    side = np.clip(max(image.shape[:2]) * _LEAST_FACE / min(box.side for box in boxes), _SHEET_SIDE, _LARGEST_SHEET)
    scale = min(1.0, side / max(image.shape[:2]))
    picture = Image.fromarray(image)
    picture = picture.resize([max(1, round(n * scale)) for n in picture.size], Image.Resampling.BOX)
    draw, width = ImageDraw.Draw(picture), max(2, max(picture.size) // 500)
    font = ImageFont.load_default(max(14, max(picture.size) // 45))
    for number, box in enumerate(boxes):
        edges = [edge * scale for edge in (box.left, box.top, box.right, box.bottom)]
        draw.rectangle(edges, outline="yellow", width=width)
        corner = draw.textbbox((edges[0], edges[3]), f" {number} ", font=font)
        draw.rectangle(corner, fill="yellow")
        draw.text((edges[0], edges[3]), f" {number} ", fill="black", font=font)
    return picture
