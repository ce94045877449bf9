"""Detection of faces of any size, in pictures of any size, with the detectors of `face_tracker`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import cv2
import numpy as np

from shared.faces.face_tracker import FaceDetector, face_detectors

# The detectors reduce their input to 128 and 192 pixels. In the first a face must be an eighth as high as the picture,
# in the second a sixteenth, with certainty a twelfth: of 17 portraits in squares of so many times the height of the
# face the first found 17, the second 16 and 17. The picture is therefore searched in tiles, each level half as large as
# the one before, down to a side in which the smallest face that can be tracked is a twelfth; an eighth where mediapipe
# has the first detector alone.
_LEAST_TILE, _LEAST_TILE_OF_ONE = 640, 448
_CERTAIN = 8
# Neighbouring tiles overlap by this share: more than the faces that the next larger tiles may have missed.
_OVERLAP = 0.25
# What the detectors receive is averaged to this side: they skip pixels of larger pictures.
_INPUT_SIDE = 256
# In tiles, of which there are many, a detection below the first score must be confirmed in a close-up, of so many times
# the side of the box, with the second; the box in the close-up, which is more exact, takes its place.
_SURE, _CONFIRMED, _CLOSE_UP = 0.75, 0.6, 2.5
_ROW = 0.8


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

    @property
    def middle(self) -> tuple[float, float]:
        """Of the box: x, y in pixels."""
        return (self.left + self.right) / 2, (self.top + self.bottom) / 2

    def overlap(self, other: FaceBox) -> float:
        """Return the intersection over the area of the smaller box."""
        width = min(self.right, other.right) - max(self.left, other.left)
        height = min(self.bottom, other.bottom) - max(self.top, other.top)
        smaller = min((b.right - b.left) * (b.bottom - b.top) for b in (self, other))
        return max(width, 0) * max(height, 0) / max(smaller, 1e-6)


def detect_faces(image: np.ndarray, *, upside_down: bool = False) -> list[FaceBox]:
    """Return all faces of a picture uint8 [H, W, 3] RGB in reading order: rows from the top, each from the left.

    Of faces that are upside down the detectors find the large ones; with `upside_down` the others too, in twice the
    time.
    """
    found = _turned(detect_faces, image) if upside_down else []
    with _detectors(image) as (tiles, detect):
        for tile in tiles:
            found += detect(tile)
    return in_reading_order(_distinct(found))


def largest_face(image: np.ndarray, *, upside_down: bool = False) -> FaceBox | None:
    """Return the largest face of a picture uint8 [H, W, 3] RGB, None without one; smaller ones are not looked for.

    `upside_down` is that of `detect_faces`.
    """
    return next(iter(large_faces(image, upside_down=upside_down)), None)


def large_faces(image: np.ndarray, *, upside_down: bool = False) -> list[FaceBox]:
    """Return the largest face of a picture and what else is found on the way to it, the largest first.

    Args:
        image: uint8 [H, W, 3] RGB.
        upside_down: that of `detect_faces`.
    """
    found = _turned(lambda turned: large_faces(turned)[:1], image) if upside_down else []
    with _detectors(image) as (tiles, detect):
        side = max(image.shape[:2])
        for tile in tiles:
            if tile.side != side:  # the first one of the next level
                if any(box.side * _CERTAIN > side for box in found):
                    break
                side = tile.side
            found += detect(tile)
    return sorted(_distinct(found), key=lambda box: box.side, reverse=True)


def _turned(detect: Callable[[np.ndarray], list[FaceBox]], image: np.ndarray) -> list[FaceBox]:
    """What a function detects in the picture upside down, in pixels of the picture."""
    height, width = image.shape[:2]
    boxes = detect(np.ascontiguousarray(image[::-1, ::-1]))
    return [FaceBox(width - b.right, height - b.bottom, width - b.left, height - b.top, b.score) for b in boxes]


@dataclass(frozen=True)
class _Tile:
    """A part of the picture, of a level whose tiles are squares of this side unless the picture is narrower."""

    left: int
    top: int
    right: int
    bottom: int
    side: int


@contextmanager
def _detectors(image: np.ndarray) -> Iterator[tuple[Iterator[_Tile], Callable[[_Tile], list[FaceBox]]]]:
    """The tiles of a picture, and a function that detects the faces of a tile, in pixels of the picture."""
    with face_detectors() as detectors:
        least = _LEAST_TILE if len(detectors) > 1 else _LEAST_TILE_OF_ONE

        def detect(tile: _Tile) -> list[FaceBox]:
            if tile.side == max(image.shape[:2]):
                return [box for detector in detectors for box in _found(detector, image, tile)]
            # What the first detector finds in the smallest tiles the second has found in the larger ones.
            used = detectors if tile.side > least else detectors[-1:]
            boxes = [box for detector in used for box in _found(detector, image, tile) if not _is_cut(box, tile, image)]
            return [box for box in map(confirmed, boxes) if box]

        def confirmed(box: FaceBox) -> FaceBox | None:
            if box.score >= _SURE:
                return box
            (x, y), half = box.middle, _CLOSE_UP / 2 * box.side
            left, top, right, bottom = (max(0, round(v)) for v in (x - half, y - half, x + half, y + half))
            close_up = _Tile(left, top, right, bottom, round(2 * half))
            seen = [again for again in _found(detectors[0], image, close_up) if again.overlap(box) > 0.5]
            best = max(seen, key=lambda again: again.score, default=None)
            return best if best and best.score >= _CONFIRMED else None

        yield _tiles(image, least), detect


def _found(detector: FaceDetector, image: np.ndarray, tile: _Tile) -> list[FaceBox]:
    """What a detector finds in a tile of a picture, in pixels of the picture."""
    part = image[tile.top : tile.bottom, tile.left : tile.right]
    height, width = part.shape[:2]
    scale = min(1.0, _INPUT_SIDE / max(height, width))
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    x, y = width / size[0], height / size[1]
    return [
        FaceBox(tile.left + x * x0, tile.top + y * y0, tile.left + x * x1, tile.top + y * y1, score)
        for x0, y0, x1, y1, score in detector.detect(cv2.resize(part, size, interpolation=cv2.INTER_AREA))
    ]


def _is_cut(box: FaceBox, tile: _Tile, image: np.ndarray) -> bool:
    """Whether the tile ends within the face and the picture does not: the next tile shows it whole."""
    height, width = image.shape[:2]
    return bool(
        (box.left < tile.left and tile.left > 0)
        or (box.top < tile.top and tile.top > 0)
        or (box.right > tile.right and tile.right < width)
        or (box.bottom > tile.bottom and tile.bottom < height)
    )


def _tiles(image: np.ndarray, least: int) -> Iterator[_Tile]:
    """The whole picture, then overlapping tiles of half the side, and so on down to tiles of `least`."""
    height, width = image.shape[:2]
    side = max(height, width)
    yield _Tile(0, 0, width, height, side)
    while side > least:
        side = max(side // 2, least)
        for top in _starts(height, side):
            for left in _starts(width, side):
                yield _Tile(left, top, min(left + side, width), min(top + side, height), side)


def _starts(length: int, side: int) -> list[int]:
    """Where tiles of one side begin along a length."""
    count = 1 + max(0, int(np.ceil((length - side) / (side * (1 - _OVERLAP)))))
    return [round(start) for start in np.linspace(0, max(length - side, 0), count)]


def _distinct(found: list[FaceBox]) -> list[FaceBox]:
    """Of boxes of one face the one with the highest score."""
    kept: list[FaceBox] = []
    for box in sorted(found, key=lambda b: -b.score):
        if all(box.overlap(other) < 0.5 for other in kept):
            kept.append(box)
    return kept


def in_reading_order(boxes: list[FaceBox]) -> list[FaceBox]:
    """Sort boxes by rows from the top, each from the left.

    Of one row are faces whose middle is less than `_ROW` sides below that of its highest one.
    """
    left, ordered = sorted(boxes, key=lambda box: box.middle[1]), []
    while left:
        row = [box for box in left if box.middle[1] < left[0].middle[1] + _ROW * left[0].side]
        ordered += sorted(row, key=lambda box: box.middle[0])
        left = [box for box in left if box not in row]
    return ordered
