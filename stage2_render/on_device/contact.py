"""The line along which lids or lips meet."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from stage2_render.on_device.boxes import Boxes, Size
from stage2_render.on_device.masks import gaussian, soft_mask
from stage2_render.on_device.planar import along, perpendicular
from stage2_render.on_device.prepared import PreparedModule, per_frame
from stage2_render.warp.compositing import curve_weights


class DeviceSeam(PreparedModule):
    """`compositing.seam` for a batch.

    Args:
        count: points of each rim.
        colour: [3] in 0..255.
        thickness: half of the line's width in pixels.
        image: width and height of the region.
    """

    colour: Tensor
    weights: Tensor
    thinning: Tensor
    spread: Tensor
    kernel: Tensor

    def __init__(self, count: int, colour: np.ndarray, thickness: float, image: Size) -> None:
        super().__init__()
        self._thickness, self._image = thickness, image
        weights = curve_weights(count, 4)
        places = np.linspace(0, count - 1, len(weights))
        self.keep(
            colour=colour.astype(np.float32)[None, :, None, None],
            weights=weights,
            thinning=np.where(np.isin(np.arange(count), (0, count - 1)), 0.3, 1.0),
            spread=np.maximum(1 - abs(places[:, None] - np.arange(count)), 0),
            kernel=gaussian(0.8 * thickness),
        )

    def blend(self, images: Tensor, upper: Tensor, lower: Tensor, strength: Tensor, size: Size) -> None:
        """Draw the line over images, in place.

        Args:
            images: whole numbers [B, 3, H, W].
            upper: the upper rim, float64 [B, n, 2].
            lower: the lower rim, float64 [B, n, 2].
            strength: opacity [B].
            size: of the canvases.
        """
        line = self.weights @ ((upper + lower) / 2)
        boxes = Boxes.around(line, 2 + 5 * self._thickness, size, self._image)
        down = perpendicular(line[:, -1] - line[:, 0])
        thick = self._thickness + 0.5 * along(lower - upper, down).clamp_min(0)
        wide = ((thick * self.thinning) @ self.spread.T)[..., None] * down[:, None]
        band = torch.cat([line - wide, (line + wide).flip(1)], 1)
        boxes.blend(images, self.colour, per_frame(strength.float()) * soft_mask(band, boxes, self.kernel))
