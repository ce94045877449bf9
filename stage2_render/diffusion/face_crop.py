"""The face crop: the square, upright on the skull, in which the diffusion renderer works; from an image and back."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np

from shared.faces.crop import Crop
from stage2_render.warp.compositing import invert_affine, smoothstep

SIZE = 256
"""Side of the crop in pixels."""

FRAMINGS = ("face", "head")
"""What the crop contains: the face, upright on the skull in every frame, or the head crop, fixed over the clip, as in
the paper."""

# Template positions of points that jaw, lids and brows do not move: those of the bundled face model's mean from the
# front, 120 px between the outer corners of the eyes and the middle of these at (128, 62). Nose bridge, then under the
# nose, then the corners of the eyes.
_TEMPLATE = {
    168: (128.0, 53.6), 6: (128.0, 64.0), 197: (128.0, 73.2), 195: (128.0, 81.7),
    2: (128.0, 121.6), 97: (117.6, 121.4), 326: (138.4, 121.4),
    33: (68.0, 62.0), 133: (104.6, 63.7), 362: (151.4, 63.7), 263: (188.0, 62.0),
}  # fmt: skip
# Pixels before each border over which the opacity falls to 0.
_FADE = 24
# Points whose squared distances from their mean sum to less than this (pixels^2) coincide.
_MIN_SPREAD = 1e-6
# Paint and cover below this are less than a quarter of a grey level.
_VISIBLE = 1 / 1024
# An image is reduced before sampling when the crop is smaller than this share of it; above it aliasing is negligible.
_REDUCE_BELOW = 0.9


@dataclass(frozen=True)
class FaceCrop:
    """The crop of one image.

    Attributes:
        matrix: float32 [2, 3], the similarity from the image's pixels to the crop's (pixel centres at integers).
    """

    matrix: np.ndarray

    @classmethod
    def around(cls, vertices: np.ndarray) -> FaceCrop:
        """Return the crop of a face mesh [478, 2 or 3] in pixels: least squares from skull-fixed points to a template.

        Raises:
            ValueError: the points are not finite or coincide.
        """
        points = np.asarray(vertices, np.float64)[list(_TEMPLATE), :2]
        # Similarities are complex affine functions: w = turn * z + shift.
        z, w = (p[:, 0] + 1j * p[:, 1] for p in (points, np.array(list(_TEMPLATE.values()))))
        spread = z - z.mean()
        size = float((spread * spread.conj()).real.sum())
        if not np.isfinite(size) or size < _MIN_SPREAD:
            raise ValueError("these vertices are no face")
        turn = (spread.conj() @ w) / size
        shift = w.mean() - turn * z.mean()
        return cls(np.array([[turn.real, -turn.imag, shift.real], [turn.imag, turn.real, shift.imag]], np.float32))

    @classmethod
    def of_crop(cls, crop: Crop) -> FaceCrop:
        """Return the face crop that covers exactly the head crop."""
        scale = SIZE / crop.side
        shift = [SIZE / 2 - 0.5 - scale * at for at in (crop.center_x, crop.center_y)]
        return cls(np.array([[scale, 0, shift[0]], [0, scale, shift[1]]], np.float32))

    @classmethod
    def framed(cls, framing: str, vertices: np.ndarray, head: Crop) -> FaceCrop:
        """Return the crop of one of `FRAMINGS` for a frame with this mesh, in a clip with this head crop."""
        return cls.of_crop(head) if framing == "head" else cls.around(vertices)

    @property
    def scale(self) -> float:
        """Crop pixels per pixel of the image."""
        return float(np.hypot(self.matrix[0, 0], self.matrix[1, 0]))

    def points(self, vertices: np.ndarray) -> np.ndarray:
        """Map image pixels [..., 2 or 3] to crop pixels float32 [..., 2]."""
        return (np.asarray(vertices)[..., :2] @ self.matrix[:, :2].T + self.matrix[:, 2]).astype(np.float32)

    def take(self, image: np.ndarray) -> np.ndarray:
        """Cut the crop, uint8 [256, 256, 3], out of an image uint8 [H, W, 3], whose border is repeated outside it."""
        x0, y0, x1, y1 = self._box((0, 0, SIZE, SIZE), image.shape, margin=4)
        # A crop wholly outside the image repeats the nearest border.
        x0, y0 = min(x0, image.shape[1] - 1), min(y0, image.shape[0] - 1)
        part = image[y0 : max(y1, y0 + 1), x0 : max(x1, x0 + 1)]
        part, to_part = _reduced(part, self.scale)
        matrix = _compose(self.matrix, invert_affine(_compose(to_part, _shifted(-x0, -y0))))
        return cv2.warpAffine(part, matrix, (SIZE, SIZE), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)

    def paste(self, frame: np.ndarray, content: np.ndarray, opacity: np.ndarray) -> None:
        """Blend content over the image that this is a crop of, in place; pixels outside the crop do not change.

        Args:
            frame: the image uint8 [H, W, 3].
            content: float32 [256, 256, 3] (0..255).
            opacity: float32 [256, 256] (0..1).
        """
        self.lay(frame, content * opacity[..., None], opacity)

    def lay(self, frame: np.ndarray, paint: np.ndarray, cover: np.ndarray) -> None:
        """Compute (1 - cover) * frame + paint in place, at the image's resolution; only pixels in the crop change.

        Args:
            frame: the image uint8 [H, W, 3].
            paint: float32 [256, 256, 3], of either sign.
            cover: float32 [256, 256], 0..1.
        """
        present = cv2.transform(cv2.absdiff(paint, 0.0), np.ones((1, 3))) + cover > _VISIBLE
        rows, columns = (np.flatnonzero(present.any(axis)) for axis in (1, 0))
        if not len(rows):
            return
        covered = (columns[0] - 1, rows[0] - 1, columns[-1] + 2, rows[-1] + 2)
        x0, y0, x1, y1 = self._box(covered, frame.shape, margin=2)
        if min(x1 - x0, y1 - y0) < 1:
            return
        back = _compose(_shifted(-x0, -y0), invert_affine(self.matrix))
        size = (x1 - x0, y1 - y0)
        paint, to_paint = _reduced(paint, 1 / self.scale)
        cover, to_cover = _reduced(cover, 1 / self.scale)
        # The same filter for both, or flat colours would not stay flat. On floats: bytes are three times slower.
        paint = cv2.warpAffine(paint, _compose(back, invert_affine(to_paint)), size, flags=cv2.INTER_CUBIC)
        uncovered = 1 - cv2.warpAffine(cover, _compose(back, invert_affine(to_cover)), size, flags=cv2.INTER_CUBIC)
        below = frame[y0:y1, x0:x1]
        cv2.add(cv2.multiply(below, cv2.merge([uncovered] * 3), dtype=cv2.CV_32F), paint, dst=below, dtype=cv2.CV_8U)

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


@lru_cache(maxsize=1)
def window() -> np.ndarray:
    """Return a mask float32 [256, 256] that falls smoothly from 1 to 0 over the last 24 pixels before each border."""
    ramp = smoothstep(np.minimum(np.arange(SIZE), np.arange(SIZE)[::-1]) / _FADE)
    whole = np.outer(ramp, ramp).astype(np.float32)
    whole.setflags(write=False)
    return whole


def _reduced(image: np.ndarray, scale: float) -> tuple[np.ndarray, np.ndarray]:
    """The image reduced by about `scale` by averaging (unchanged when that is near 1 or more), and the map to it."""
    height, width = image.shape[:2]
    if scale >= _REDUCE_BELOW:
        return image, _shifted(0, 0)
    size = (max(round(width * scale), 1), max(round(height * scale), 1))
    x, y = size[0] / width, size[1] / height
    # Pixel centres at integers: p -> (p + 1/2) x - 1/2.
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.array([[x, 0, x / 2 - 0.5], [0, y, y / 2 - 0.5]])


def _shifted(x: float, y: float) -> np.ndarray:
    return np.array([[1.0, 0.0, x], [0.0, 1.0, y]])


def _compose(second: np.ndarray, first: np.ndarray) -> np.ndarray:
    """The affine motion [2, 3] that is `first`, then `second`."""
    linear = second[:, :2] @ first[:, :2]
    return np.concatenate([linear, second[:, :2] @ first[:, 2:] + second[:, 2:]], 1)
