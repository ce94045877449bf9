"""`fd2talk faces`: the faces of a photo, with the numbers that `--face-index` takes."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from fd2talk.output import make_folder, require_output
from fd2talk.terminal import announce
from shared.errors import InputError
from shared.faces.detection import FaceBox
from shared.files import atomic_output
from shared.images import read_image
from shared.photo_fit import faces_of

# Longest side of the sheet in pixels; of a large photo with small faces it is the photo's own, up to the second number.
_SHEET_SIDE, _LARGEST_SHEET = 1600, 4000
# Height in pixels to which the smallest face of a sheet is drawn.
_LEAST_FACE = 60


def faces(photo: str, *, face_tracker: str, sheet: str | None, overwrite: bool) -> None:
    """Print where the faces of a photo are, in reading order, and draw them.

    Args:
        photo: the file.
        face_tracker: one of `shared.photo_fit.TRACKERS`.
        sheet: PNG file to draw them in, on the photo.
        overwrite: whether it may exist.

    Raises:
        InputError: not a photo, or no face in it.
        UsageError: as `require_output` and `faces_of`.
    """
    path = None if sheet is None else require_output(sheet, suffixes=(".png",), overwrite=overwrite, inputs=(photo,))
    image = read_image(photo)
    try:
        boxes = faces_of(image, face_tracker)
    except InputError as error:
        raise InputError(f"{photo}: {error}") from error
    largest = max(range(len(boxes)), key=lambda number: boxes[number].side)
    if path is not None:
        make_folder(path)
        with atomic_output(path, overwrite) as temporary:
            _drawn(image, boxes).save(temporary, format="PNG")
    for number, box in enumerate(boxes):
        edges = ",".join(str(round(edge)) for edge in (box.left, box.top, box.right, box.bottom))
        default = ", the largest: used without --face-index" if number == largest else ""
        announce(f"--face-index {number}: {box.side:.0f} pixels at {edges}{default}")


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
