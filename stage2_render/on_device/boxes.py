"""A box of each frame of a batch, all cut out at one size, so that the device need not be asked how large they are."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from stage2_render.on_device.planar import chain, scaled
from stage2_render.on_device.prepared import per_frame

Size = tuple[int, int]
"""Width and height in pixels."""


@dataclass(frozen=True)
class Boxes:
    """A box of each frame, and a canvas that contains it.

    Attributes:
        low: first pixel x, y of each box, int64 [B, 2].
        high: the pixel after the last one, int64 [B, 2].
        start: first pixel of each canvas, int64 [B, 2].
        size: of the canvases.
    """

    low: Tensor
    high: Tensor
    start: Tensor
    size: Size

    @classmethod
    def around(cls, points: Tensor, margin: float, size: Size, image: Size, least: int = 0) -> Boxes:
        """Return the boxes around points [B, n, 2] with a margin, within an image, as `compositing.bounds`.

        Args:
            points: in pixels of the image.
            margin: in pixels.
            size: of the canvases; boxes that are larger are cut off.
            image: its width and height.
            least: pixels in a box that is outside the image, which are the nearest ones; 0 or 1.
        """
        size = min(size[0], image[0]), min(size[1], image[1])
        low = _within(torch.floor(points.amin(1) - margin), (image[0] - least, image[1] - least)).long()
        high = _within(torch.ceil(points.amax(1) + margin) + 1, image).long().maximum(low + least)
        start = torch.minimum(low, _within(low, (image[0] - size[0], image[1] - size[1])))
        return cls(low, high, start, size)

    @cached_property
    def pixels(self) -> tuple[Tensor, Tensor]:
        """Of the canvases: x [B, 1, w] and y [B, h, 1] of their pixels, int64."""
        x, y = (torch.arange(n, device=self.start.device) for n in self.size)
        return self.start[:, :1, None] + x, self.start[:, 1:, None] + y[:, None]

    def places(self, motion: Tensor) -> tuple[Tensor, Tensor]:
        """Return x and y, float32 [B, h, w], to which motions [B, 2, 3] take the pixels of the canvases."""
        start = self.start.to(motion.dtype)
        return places(chain(motion, scaled(torch.ones_like(start), start)), self.size)

    @cached_property
    def inside(self) -> Tensor:
        """Which pixels of the canvases are in the boxes, bool [B, 1, h, w]; none of boxes less than two pixels wide."""
        x, y = self.pixels
        (x0, y0), (x1, y1) = (corner[:, :, None, None].unbind(1) for corner in (self.low, self.high))
        inside = (x >= x0) & (x < x1) & (y >= y0) & (y < y1)
        return inside[:, None] & per_frame((self.high - self.low).amin(1) >= 2)

    def cut(self, images: Tensor) -> Tensor:
        """Cut the canvases [B, C, h, w] out of images [B, C, H, W]."""
        width, height = self.size
        found = images.flatten(2).gather(2, self._index(images))
        return found.view(*images.shape[:2], height, width)

    def paste(self, images: Tensor, content: Tensor) -> None:
        """Write canvases [B, C, h, w] to contiguous images [B, C, H, W], in place."""
        images.view(*images.shape[:2], -1).scatter_(2, self._index(images), content.flatten(2))

    def blend(self, images: Tensor, layer: Tensor, alpha: Tensor) -> None:
        """Blend layers [B, 3, h, w] with alpha [B, 1, h, w] over images, whole numbers [B, 3, H, W], in place."""
        below = self.cut(images)
        self.paste(images, (below + alpha * (layer - below)).round_().clamp_(0, 255))

    def _index(self, images: Tensor) -> Tensor:
        x, y = self.pixels
        return (y * images.shape[3] + x).flatten(1)[:, None].expand(-1, images.shape[1], -1)


def places(motion: Tensor, size: Size) -> tuple[Tensor, Tensor]:
    """Return x and y, float32 [B, h, w], to which motions [B, 2, 3] take the pixels of an image."""
    x, y = (torch.arange(n, device=motion.device, dtype=torch.float32) for n in size)
    (xx, xy, x0), (yx, yy, y0) = (row.unbind(1) for row in motion.float()[..., None, None].unbind(1))
    return xx * x + (xy * y[:, None] + x0), yx * x + (yy * y[:, None] + y0)


def _within(corner: Tensor, most: Size) -> Tensor:
    """Corners [B, 2] moved into 0 to `most`."""
    return torch.stack([corner[:, axis].clamp(0, most[axis]) for axis in range(2)], 1)
