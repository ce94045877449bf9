"""Closing lids in their own colour, for a batch: `warp.lids`."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from stage2_render.on_device.boxes import Boxes, Size
from stage2_render.on_device.masks import gaussian, soft_mask
from stage2_render.on_device.planar import along, interpolate, or_one, perpendicular, smoothstep
from stage2_render.on_device.prepared import PreparedModule, per_frame
from stage2_render.warp.compositing import curve_weights
from stage2_render.warp.lids import COLUMNS, DIFFERENCE, FEATHER, LASHES, SHADE, LidLayer


class DeviceLid(PreparedModule):
    """One lid of the photo.

    Args:
        lid: of the photo.
        image: width and height of the region.
    """

    rim: Tensor
    fold: Tensor
    weights: Tensor
    steps: Tensor
    raised: Tensor
    colours: Tensor
    kernel: Tensor

    def __init__(self, lid: LidLayer, image: Size) -> None:
        super().__init__()
        self._upper, self._image = lid.upper, image
        self._feather = max(FEATHER * lid.width, 0.3)
        steps = np.linspace(0, 1, COLUMNS)
        self.keep(
            rim=np.array(lid.rim), fold=np.array(lid.fold), weights=curve_weights(len(lid.rim), 4), steps=steps,
            raised=LASHES * lid.width * np.sin(np.pi * steps)[:, None] * lid.upper,
            colours=lid.colours.astype(np.float32), kernel=gaussian(self._feather),
        )  # fmt: skip

    def blend(self, images: Tensor, points: Tensor, strength: Tensor, size: Size) -> None:
        """Paint the lid over the warped region where that does not show it, in place.

        Args:
            images: the warped region, whole numbers [B, 3, H, W].
            points: meshes, float64 [B, 478, 2] in pixels of the region.
            strength: opacity [B].
            size: of the canvases.
        """
        rim, fold = (self._along(points[:, ring]) for ring in (self.rim, self.fold))
        across = rim[:, -1] - rim[:, 0]
        down = perpendicular(across)
        rim = rim - self.raised * down[:, None]
        band = torch.cat([fold, rim.flip(1)], 1)
        boxes = Boxes.around(band, 2 + 3 * self._feather, size, self._image)
        x, y = (pixel - rim[:, :1, axis, None].float() for axis, pixel in enumerate(boxes.pixels))
        step = across * ((COLUMNS - 1) / across.square().sum(1, keepdim=True).clamp_min(1e-6))
        step_x, step_y = step.float()[:, :, None, None].unbind(1)
        column = (x * step_x + y * step_y).clamp(0, COLUMNS - 1)  # [B, h, w]
        heights = torch.stack([along(rim - rim[:, :1], down), along(fold - rim[:, :1], down)], 2).float()
        values = torch.cat([heights, self.colours.expand(len(points), -1, -1)], 2)  # [B, columns, 2 + RGB]
        lower, higher, *colour = _over_columns(values, column).unbind(1)
        down_x, down_y = down.float()[:, :, None, None].unbind(1)
        height = (x * down_x + y * down_y - lower) / or_one(higher - lower)
        shade = 1 - SHADE * (2 * height.clamp(0, 1) - 1).square() * self._upper
        layer = torch.stack(colour, 1) * shade[:, None]
        brighter = boxes.cut(images).sum(1, keepdim=True) / layer.sum(1, keepdim=True).clamp_min(1) - 1
        # Of an upper lid a lash's gloss is painted over, too, but more slowly.
        other = torch.maximum(-brighter, brighter / 2) if self._upper else brighter
        mask = soft_mask(band, boxes, self.kernel)
        boxes.blend(images, layer, per_frame(strength.float()) * mask * smoothstep(other / DIFFERENCE))

    def _along(self, rim: Tensor) -> Tensor:
        """Points of rims [B, n, 2] at equal steps across, [B, COLUMNS, 2]."""
        dense, across = self.weights @ rim, rim[:, -1] - rim[:, 0]
        at = along(dense - rim[:, :1], across) / across.square().sum(1, keepdim=True).clamp_min(1e-6)
        return interpolate(self.steps.expand(len(rim), -1), at.clamp(0, 1).cummax(1).values, dense)


def _over_columns(values: Tensor, column: Tensor) -> Tensor:
    """Values of columns [B, n, k] at places among them [B, h, w], between them interpolated: [B, k, h, w]."""
    left = column.floor().clamp_max(values.shape[1] - 2)
    share = (column - left).flatten(1)[:, None]
    index = left.long().flatten(1)[:, None].expand(-1, values.shape[2], -1)
    before, after = (values.mT.gather(2, index + k) for k in range(2))
    return (before + share * (after - before)).unflatten(2, column.shape[1:])
