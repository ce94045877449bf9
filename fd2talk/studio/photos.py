"""The photo of a page: read within limits, its faces found and numbered, one of them fitted."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from fd2talk.media_checks import check_pixels, named
from fd2talk.studio.limits import Limits
from shared.errors import InputError
from shared.faces.detection import FaceBox
from shared.images import read_image
from shared.photo_fit import PhotoFit, faces_of

# Longest side in pixels of the picture that shows the faces.
_SHOWN = 640
# Longest side in pixels of the photo kept in memory; frames of videos are smaller.
_LONGEST_SIDE = 4096


@dataclass
class Photo:
    """A photo with its faces.

    Args:
        path: of the file.
        image: uint8 [H, W, 3].
        faces: in reading order.
        chosen: number of the one that is fitted.
        fit: of that face.
    """

    path: Path
    image: np.ndarray
    faces: list[FaceBox]
    chosen: int
    fit: PhotoFit

    @classmethod
    def read(cls, path: Path, limits: Limits) -> Photo:
        """Read a photo, and fit its largest face that can be used.

        Raises:
            InputError: no photo, too large a photo, or no usable face in it.
        """
        check_pixels(path, limits)
        image = named(lambda path: read_image(path, _LONGEST_SIDE), path)
        faces = faces_of(image)
        if len(faces) == 1:
            return cls(path, image, faces, 0, PhotoFit.fit(image))
        errors = []
        for number in sorted(range(len(faces)), key=lambda number: -faces[number].side):
            try:
                return cls(path, image, faces, number, PhotoFit.fit(image, face_index=number))
            except InputError as error:
                errors.append(error)
        raise errors[0]

    def choose(self, number: int) -> None:
        """Take another face. Raises InputError: it is too small, or in profile."""
        self.fit = PhotoFit.fit(self.image, face_index=number)
        self.chosen = number

    def numbered(self) -> Image.Image:
        """The photo, reduced, with a box and a number for each face; the chosen one's is filled."""
        scale = min(1.0, _SHOWN / max(self.image.shape[:2]))
        picture = Image.fromarray(self.image)
        picture = picture.resize([max(1, round(n * scale)) for n in picture.size], Image.Resampling.BOX)
        draw, font = ImageDraw.Draw(picture), ImageFont.load_default(30)
        for number, box in enumerate(self.faces):
            left, top, right, bottom = (edge * scale for edge in (box.left, box.top, box.right, box.bottom))
            here = number == self.chosen
            draw.rectangle((left, top, right, bottom), outline="#ffd54a" if here else "white", width=4 if here else 2)
            label = draw.textbbox((left, bottom), f" {number} ", font=font)
            draw.rectangle(label, fill="#ffd54a" if here else "white")
            draw.text((left, bottom), f" {number} ", fill="black", font=font)
        return picture
