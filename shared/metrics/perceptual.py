"""A perceptual distance: how far apart two pictures are to a network that was trained to recognise things."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional as F

from shared.errors import InputError

# What the weights were trained on: BGR, 0..255, minus these means.
_MEAN_BGR = (103.939, 116.779, 123.68)

# Added to the squared norm. A position's norm is 10 to 1200 on photographs, so this changes nothing there, and where no
# channel fires at all the gradient of the normalisation is finite (at most 1), not 0 / 0.
_EPSILON = 1.0

BOX_SIDE = 128
"""Boxes are enlarged (or reduced) to this side in pixels before the network sees them."""


SMALLEST = 32
"""The least side in pixels of a whole picture: below it the network runs out of positions."""


class _Fire(nn.Module):
    """SqueezeNet's block: squeeze to few channels, expand by a 1 x 1 and a 3 x 3 convolution side by side."""

    def __init__(self, channels: int, squeezed: int, expanded: int) -> None:
        super().__init__()
        self.squeeze = nn.Conv2d(channels, squeezed, 1)
        self.expand1x1 = nn.Conv2d(squeezed, expanded, 1)
        self.expand3x3 = nn.Conv2d(squeezed, expanded, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.squeeze(x))
        return F.relu(torch.cat([self.expand1x1(x), self.expand3x3(x)], 1))


class SqueezeDistance(nn.Module):
    """Squared distance of unit-normalised SqueezeNet 1.1 features; lower is better, 0 for equal pictures.

    d(a, b) = mean over layers of the mean over positions of |f(a)/|f(a)| - f(b)/|f(b)||^2, the norm taken over a
    position's channels (features are not negative, so each layer gives 0 to 2). Layers: the first convolution and the
    last fire module before each halving of the resolution and at the end (64, 128, 256, 512 channels).

    This is the construction of LPIPS (Zhang et al. 2018, eq. 1) with every channel weighted equally and with other
    weights (the original Caffe release of SqueezeNet): **not LPIPS**, and not comparable with its numbers.

    weights: safetensors with torchvision's names (`features.3.squeeze.weight`). Frozen; gradients reach the inputs
    alone. May run under bf16 autocast: the normalisation and everything after it stays float32.
    Raises InputError: the file is no such network.
    """

    def __init__(self, weights: str | Path) -> None:
        super().__init__()

        def halve() -> nn.Module:
            return nn.MaxPool2d(3, stride=2, ceil_mode=True)

        self.features = nn.Sequential(
            nn.Conv2d(3, 64, 3, stride=2),
            nn.ReLU(),
            halve(),
            _Fire(64, 16, 64),
            _Fire(128, 16, 64),
            halve(),
            _Fire(128, 32, 128),
            _Fire(256, 32, 128),
            halve(),
            _Fire(256, 48, 192),
            _Fire(384, 48, 192),
            _Fire(384, 64, 256),
            _Fire(512, 64, 256),
        )
        self._taps = (1, 4, 7, 12)
        self.register_buffer("_mean", torch.tensor(_MEAN_BGR).view(1, 3, 1, 1), persistent=False)
        try:
            self.load_state_dict(load_file(str(weights)))
        except (OSError, SafetensorError, RuntimeError) as error:
            raise InputError(f"{weights}: not the weights of a SqueezeNet 1.1 trunk ({str(error)[:80]})") from None
        self.requires_grad_(False)

    def unit_features(self, images: Tensor) -> list[Tensor]:
        """RGB [B, 3, H, W] in 0..1, at least 32 pixels a side -> per layer unit-normalised features, float32."""
        x = images.float().flip(1) * 255 - self._mean
        found = []
        for index, layer in enumerate(self.features):
            x = layer(x)
            if index in self._taps:
                with torch.autocast(x.device.type, enabled=False):
                    wide = x.float()  # [B, C, h, w]
                    found.append(wide * torch.rsqrt(wide.square().sum(1, keepdim=True) + _EPSILON))
        return found

    def forward(self, made: Tensor, real: Tensor) -> Tensor:
        """Two batches of RGB [B, 3, H, W] in 0..1 -> distance float32 [B]. For training take its mean."""
        layers = [
            (a - b).square().sum(1).mean((1, 2))
            for a, b in zip(self.unit_features(made), self.unit_features(real), strict=True)
        ]
        return torch.stack(layers).mean(0)


@torch.no_grad()
def picture_distance(
    network: SqueezeDistance, made: np.ndarray, real: np.ndarray, box: tuple[int, int, int, int] | None = None
) -> float:
    """`SqueezeDistance` of two pictures uint8 [H, W, 3], or of one box (x0, y0, x1, y1) of them; lower is better.

    Boxes are resized to 128 x 128 (bicubic; area when they are larger) in both pictures before the network: a mouth of
    40 pixels would otherwise shrink to one or two positions. Boxes' figures are therefore not comparable with whole
    pictures', which are taken at their own size. Raises InputError: other sizes, or sides under 32 pixels.
    """
    if box is not None:
        made, real = (enlarged(picture, box) for picture in (made, real))
    if made.shape != real.shape:
        raise InputError(f"the squeeze distance needs pictures of one size, not {made.shape[:2]} and {real.shape[:2]}")
    if min(made.shape[:2]) < SMALLEST:
        height, width = made.shape[:2]
        raise InputError(f"the squeeze distance needs pictures of {SMALLEST} pixels a side, not {width} x {height}")
    pair = torch.from_numpy(np.stack([made, real])).permute(0, 3, 1, 2).float().div_(255)
    return float(network(pair[:1], pair[1:])[0])


def enlarged(picture: np.ndarray, box: tuple[int, int, int, int]) -> np.ndarray:
    """A box (x0, y0, x1, y1; the last two exclusive) of a picture uint8 [H, W, 3], brought to [128, 128, 3]."""
    x0, y0, x1, y1 = box
    shrinks = min(x1 - x0, y1 - y0) > BOX_SIDE
    method = cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC
    return cv2.resize(np.ascontiguousarray(picture[y0:y1, x0:x1]), (BOX_SIDE, BOX_SIDE), interpolation=method)
