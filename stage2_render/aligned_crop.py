"""A rectangle of an image, turned and scaled with the face in it: cut out of the image, and painted back into it."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from stage2_render.warp.compositing import chain, invert_affine

# An image is reduced before sampling when the crop is smaller than this share of it; above it aliasing is negligible.
REDUCE_BELOW = 0.9
# Paint and cover below this are less than a quarter of a grey level.
_VISIBLE = 1 / 1024


@dataclass(frozen=True)
class AlignedCrop:
    """The crop of one image.

    Attributes:
        matrix: float64 [2, 3], the similarity from the image's pixels to the crop's (pixel centres at integers).
        size: width and height of the crop in pixels.
    """

    matrix: np.ndarray
    size: tuple[int, int]

    @property
    def scale(self) -> float:
        """Crop pixels per pixel of the image."""
        return float(np.hypot(self.matrix[0, 0], self.matrix[1, 0]))

    def points(self, vertices: np.ndarray) -> np.ndarray:
        """Map image pixels [..., 2 or 3] to crop pixels float32 [..., 2]."""
        return (np.asarray(vertices)[..., :2] @ self.matrix[:, :2].T + self.matrix[:, 2]).astype(np.float32)

    def take(self, image: np.ndarray) -> np.ndarray:
        """Cut the crop, uint8 [h, w, 3], out of an image uint8 [H, W, 3], whose border is repeated outside it."""
        x0, y0, x1, y1 = self._box((0, 0, *self.size), image.shape, margin=4)
        # A crop wholly outside the image repeats the nearest border.
        x0, y0 = min(x0, image.shape[1] - 1), min(y0, image.shape[0] - 1)
        part = image[y0 : max(y1, y0 + 1), x0 : max(x1, x0 + 1)]
        part, to_part = _reduced(part, self.scale)
        matrix = chain(self.matrix, invert_affine(chain(to_part, _shifted(-x0, -y0))))
        return cv2.warpAffine(part, matrix, self.size, flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)

    def lay(self, frame: np.ndarray, paint: np.ndarray, cover: np.ndarray) -> None:
        """Compute (1 - cover) * frame + paint in place, at the image's resolution; only pixels in the crop change.

        Args:
            frame: the image uint8 [H, W, 3].
            paint: float32 [h, w, 3], of either sign.
            cover: float32 [h, w], 0..1.
        """
        present = cv2.transform(cv2.absdiff(paint, 0.0), np.ones((1, 3))) + cover > _VISIBLE
        rows, columns = (np.flatnonzero(present.any(axis)) for axis in (1, 0))
        if not len(rows):
            return
        part = (columns[0] - 1, rows[0] - 1, columns[-1] + 2, rows[-1] + 2)
        x0, y0, x1, y1 = self._box(part, frame.shape, margin=2)
        if min(x1 - x0, y1 - y0) < 1:
            return
        back = chain(_shifted(-x0, -y0), invert_affine(self.matrix))
        size = (x1 - x0, y1 - y0)
        # The same filter for both, or flat colours would not stay flat. On floats: bytes are three times slower.
        both, to_both = _reduced(cv2.merge([*cv2.split(paint), cover]), 1 / self.scale)
        both = cv2.warpAffine(both, chain(back, invert_affine(to_both)), size, flags=cv2.INTER_CUBIC)
        red, green, blue, covered = cv2.split(both)
        below = frame[y0:y1, x0:x1]
        kept = cv2.multiply(below, cv2.merge([1 - covered] * 3), dtype=cv2.CV_32F)
        below[:] = cv2.add(kept, cv2.merge([red, green, blue]), dtype=cv2.CV_8U)

    def _box(self, of_crop: tuple[int, int, int, int], shape: tuple[int, ...], margin: int) -> tuple[int, ...]:
        """Integer box (x0, y0, x1, y1) of the image that a box of the crop covers, within the image."""
        left, top, right, bottom = of_crop
        corners = np.array([[left, top], [right, top], [left, bottom], [right, bottom]], np.float32)
        back = invert_affine(self.matrix)
        corners = corners @ back[:, :2].T + back[:, 2]
        size = (shape[1], shape[0])
        low = np.clip(np.floor(corners.min(0)) - margin, 0, size).astype(int)
        high = np.clip(np.ceil(corners.max(0)) + margin + 1, 0, size).astype(int)
        return int(low[0]), int(low[1]), int(high[0]), int(high[1])


def _shifted(x: float, y: float) -> np.ndarray:
    """Return the translation by (x, y), float64 [2, 3]."""
    return np.array([[1.0, 0.0, x], [0.0, 1.0, y]])


def _reduced(image: np.ndarray, scale: float) -> tuple[np.ndarray, np.ndarray]:
    """The image reduced by about `scale` by averaging (unchanged when that is near 1 or more), and the map to it."""
    height, width = image.shape[:2]
    if scale >= REDUCE_BELOW:
        return image, _shifted(0, 0)
    size = (max(round(width * scale), 1), max(round(height * scale), 1))
    x, y = size[0] / width, size[1] / height
    # Pixel centres at integers: p -> (p + 1/2) x - 1/2.
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.array([[x, 0, x / 2 - 0.5], [0, y, y / 2 - 0.5]])
