"""The photo's tones, for a batch: `warp.tone`."""

from __future__ import annotations

import numpy as np
from torch import Tensor

from stage2_render.on_device.planar import interpolate
from stage2_render.on_device.prepared import PreparedModule
from stage2_render.warp.tone import LUMA, Tone


class DeviceTone(PreparedModule):
    """The tones of a photo; colours are [B, 3, h, w]."""

    darks: Tensor
    contrast: Tensor
    luma: Tensor
    levels: Tensor
    tints: Tensor

    def __init__(self, tone: Tone) -> None:
        super().__init__()
        self.is_tinted = tone.is_tinted
        one = np.ones((1, 3), np.float32)
        tints = one if tone.tints is None else tone.tints
        self.keep(
            darks=tone.darks[:, None, None], contrast=tone.contrast[:, None, None], luma=LUMA[:, None, None],
            levels=tone.levels.astype(np.float32), tints=tints.astype(np.float32),
        )  # fmt: skip

    def applied(self, colour: Tensor) -> Tensor:
        """Return colours of full contrast in the tones of the photo, and in its tint."""
        return self.tinted(self.darks + colour * self.contrast)

    def tinted(self, colour: Tensor) -> Tensor:
        """Return colours in the photo's tint if it has one, as they are if it has several."""
        if not self.is_tinted:
            return colour
        light = (colour * self.luma).sum(1).flatten()[None]
        found = interpolate(light, self.levels[None], self.tints[None])[0]
        return found.T.unflatten(1, (len(colour), *colour.shape[2:])).transpose(0, 1)
