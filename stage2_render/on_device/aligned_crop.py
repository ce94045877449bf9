"""Turned and scaled crops of a batch of frames, cut out and painted back: `aligned_crop`, `face_crop`."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from stage2_render.aligned_crop import REDUCE_BELOW
from stage2_render.on_device.boxes import Boxes, Size, places
from stage2_render.on_device.planar import apply_affine, chain, invert_affine, scaled
from stage2_render.on_device.sampling import averaging, sample, sample_pixels


def template_similarity(points: Tensor, template: Tensor) -> Tensor:
    """Return the similarities [B, 2, 3] that map points [B, n, 2] to a template [n, 2] best, as `face_crop`."""
    spread = points - points.mean(1, keepdim=True)
    size = spread.square().sum((1, 2))
    # The turn is a complex number: the sum of conjugate points times the template's.
    real = (spread * template).sum((1, 2)) / size
    imaginary = (spread[..., 0] * template[:, 1] - spread[..., 1] * template[:, 0]).sum(1) / size
    linear = torch.stack([torch.stack([real, -imaginary], 1), torch.stack([imaginary, real], 1)], 1)
    shift = template.mean(0) - (linear @ points.mean(1)[..., None])[..., 0]
    return torch.cat([linear, shift[..., None]], 2)


@dataclass(frozen=True)
class DeviceCrops:
    """A crop of each frame.

    Attributes:
        matrix: float64 [B, 2, 3], from the frames' pixels to the crops'.
        size: width and height of the crops in pixels.
        canvas: width and height, at least those of a crop's bounds in a frame with 8 more pixels on each side.
    """

    matrix: Tensor
    size: Size
    canvas: Size

    def take(self, images: Tensor) -> Tensor:
        """Cut the crops [B, 3, h, w] out of images [B, 3, H, W], whose borders are repeated; all whole numbers."""
        back = invert_affine(self.matrix)
        boxes = self._boxes(back, images, margin=4)
        scale = self._scale
        count = (boxes.high - boxes.low).double()
        after = torch.where((scale < REDUCE_BELOW)[:, None], (count * scale[:, None]).round().clamp_min(1), count)
        width, height = boxes.size
        offset = boxes.low - boxes.start
        rows = averaging(count[:, 1], after[:, 1], (height, height), offset[:, 1])
        columns = averaging(count[:, 0], after[:, 0], (width, width), offset[:, 0])
        reduced = (rows[:, None] @ boxes.cut(images) @ columns.mT[:, None]).round_()
        ratio = after / count
        # Pixel centres at integers: p -> (p + 1/2) ratio - 1/2, counted from the box.
        to_reduced = scaled(ratio, ratio / 2 - 0.5 - ratio * boxes.low)
        return sample_pixels(reduced, places(chain(to_reduced, back), self.size))

    def lay(self, images: Tensor, paint: Tensor) -> None:
        """Compute (1 - cover) * image + paint, in place, at the images' resolution.

        Args:
            images: whole numbers [B, 3, H, W].
            paint: colours of either sign, and cover in 0..1, float32 [B, 4, h, w].
        """
        inverse = (1 / self._scale)[:, None]
        count = torch.stack([torch.full_like(inverse[:, 0], side) for side in self.size], 1)
        after = torch.where(inverse < REDUCE_BELOW, (count * inverse).round().clamp_min(1), count)
        columns, rows = (
            averaging(count[:, axis], after[:, axis], (side, side)) * _first(side, after[:, axis])
            for axis, side in enumerate(self.size)
        )
        reduced = rows[:, None] @ paint @ columns.mT[:, None]
        ratio = after / count
        boxes = self._boxes(invert_affine(self.matrix), images, margin=2)
        where = boxes.places(chain(scaled(ratio, ratio / 2 - 0.5), self.matrix))
        found = sample(reduced, where, mode="bicubic", border="zeros")
        below = boxes.cut(images)
        boxes.paste(images, (below * (1 - found[:, 3:]) + found[:, :3]).round_().clamp_(0, 255))

    @property
    def _scale(self) -> Tensor:
        """Crop pixels per pixel of the frames, [B]."""
        return torch.hypot(self.matrix[:, 0, 0], self.matrix[:, 1, 0])

    def _boxes(self, back: Tensor, images: Tensor, margin: int) -> Boxes:
        """The boxes of the images that the crops cover; at least one pixel."""
        height, width = images.shape[2:]
        corner = torch.arange(4, device=back.device)
        corners = torch.stack([corner % 2 * self.size[0], corner // 2 * self.size[1]], 1).to(back.dtype)
        return Boxes.around(apply_affine(back, corners), margin, self.canvas, (width, height), least=1)


def _first(rows: int, count: Tensor) -> Tensor:
    """1 for the first `count` [B] rows and 0 for the others, float32 [B, rows, 1]."""
    return (torch.arange(rows, device=count.device) < count[:, None]).float()[..., None]
