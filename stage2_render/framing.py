"""What frames show of a photo, and in which size: the whole photo, or the square crop of the head."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np

from shared.faces.crop import Crop
from shared.photo_fit import PhotoFit

CROP_SIZE = 512
"""Side in pixels of the head crop; a smaller one keeps the size it has in the photo."""


def framed(photo: PhotoFit, full: bool, max_size: int) -> PhotoFit:
    """The whole photo or its head crop, in the size of the frames."""
    return _sized(photo, max_size) if full else _cropped(photo, max_size)


def _sized(photo: PhotoFit, max_size: int) -> PhotoFit:
    """The photo reduced to `max_size` where it is larger, with even sides."""
    return _scaled(photo, min(1.0, max_size / max(photo.image.shape[:2])))


def _cropped(photo: PhotoFit, max_size: int) -> PhotoFit:
    """The square head crop as a photo of its own, moved and reduced to fit inside the photo."""
    height, width = photo.image.shape[:2]
    side = int(min(photo.crop.side, height, width))
    left = int(np.clip(round(photo.crop.center_x - side / 2), 0, width - side))
    top = int(np.clip(round(photo.crop.center_y - side / 2), 0, height - side))
    inside = replace(
        photo,
        image=np.ascontiguousarray(photo.image[top : top + side, left : left + side]),
        landmarks=photo.landmarks - np.array([left, top, 0], np.float32),
        crop=replace(photo.crop, center_x=photo.crop.center_x - left, center_y=photo.crop.center_y - top),
    )
    return _scaled(inside, min(1.0, min(CROP_SIZE, max_size) / side))


def _scaled(photo: PhotoFit, scale: float) -> PhotoFit:
    """The photo reduced by a factor, with even sides: yuv420p has one colour sample per 2 x 2 pixels."""
    height, width = photo.image.shape[:2]
    if scale != 1.0:
        width, height = max(2, round(width * scale)), max(2, round(height * scale))
        # Sides are rounded to pixels and x and y have the same factor: less than half a pixel off at the far edge.
        photo = replace(
            photo,
            image=cv2.resize(photo.image, (width, height), interpolation=cv2.INTER_AREA),
            landmarks=(photo.landmarks * scale).astype(np.float32),
            crop=Crop(photo.crop.center_x * scale, photo.crop.center_y * scale, photo.crop.side * scale),
        )
    image = photo.image[: height - height % 2, : width - width % 2]
    return replace(photo, image=np.ascontiguousarray(image))
