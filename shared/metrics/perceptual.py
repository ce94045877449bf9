"""A perceptual distance: the distance of two images in the features of a network trained for recognition."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from shared.errors import InputError
from shared.metrics.checkpoints import load_into, read_tensors

# Input of the published training: BGR, 0..255, minus these means.
_MEAN_BGR = (103.939, 116.779, 123.68)

# Added to the squared norm. A position's norm is 10 to 1200 on photographs, so this changes nothing there; where all
# channels are zero, the gradient of the normalisation is finite (at most 1), not 0 / 0.
_EPSILON = 1.0

BOX_SIDE = 128
"""Boxes are enlarged (or reduced) to this side in pixels before the network is applied."""


SMALLEST = 32
"""The least side in pixels of a whole image: in smaller ones the network has no positions left."""


class _Fire(nn.Module):
    """SqueezeNet's block: squeeze to few channels, expand by a 1 x 1 and a 3 x 3 convolution in parallel."""

    def __init__(self, channels: int, squeezed: int, expanded: int) -> None:
        super().__init__()
        self.squeeze = nn.Conv2d(channels, squeezed, 1)
        self.expand1x1 = nn.Conv2d(squeezed, expanded, 1)
        self.expand3x3 = nn.Conv2d(squeezed, expanded, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.squeeze(x))  # [B, squeezed, h, w]
        return F.relu(torch.cat([self.expand1x1(x), self.expand3x3(x)], 1))  # [B, 2 expanded, h, w]


class SqueezeDistance(nn.Module):
    """Squared distance of unit-normalised SqueezeNet 1.1 features; lower is better, 0 for equal images.

    d(a, b) = mean over layers of the mean over positions of |f(a)/|f(a)| - f(b)/|f(b)||^2, the norm over a position's
    channels (features are not negative, so each layer contributes 0 to 2). Layers: the first convolution and the last
    fire module before each halving of the resolution and at the end (64, 128, 256, 512 channels).

    This is the construction of LPIPS (Zhang et al. 2018, eq. 1) with every channel weighted equally and with other
    weights (the original Caffe release of SqueezeNet): **not LPIPS**, and not comparable with its numbers.

    Frozen; gradients reach the inputs alone. May run under bf16 autocast: the normalisation and everything after it
    stays float32.

    Args:
        weights: safetensors with torchvision's names (`features.3.squeeze.weight`).

    Raises:
        InputError: the file is not such a network.
    """

    _mean: Tensor

    def __init__(self, weights: str | Path) -> None:
        super().__init__()

        def halve() -> nn.Module:
            return nn.MaxPool2d(3, stride=2, ceil_mode=True)

        self.features = nn.Sequential(
            *(nn.Conv2d(3, 64, 3, stride=2), nn.ReLU(), halve()),  # [B, 64, H / 2, W / 2], halved
            *(_Fire(64, 16, 64), _Fire(128, 16, 64), halve()),  # [B, 128, H / 4, W / 4], halved
            *(_Fire(128, 32, 128), _Fire(256, 32, 128), halve()),  # [B, 256, H / 8, W / 8], halved
            *(_Fire(256, 48, 192), _Fire(384, 48, 192)),  # [B, 384, H / 16, W / 16]
            *(_Fire(384, 64, 256), _Fire(512, 64, 256)),  # [B, 512, H / 16, W / 16]
        )
        self._taps = (1, 4, 7, 12)
        self.register_buffer("_mean", torch.tensor(_MEAN_BGR).view(1, 3, 1, 1), persistent=False)
        load_into(self, read_tensors(weights), weights, "the weights of a SqueezeNet 1.1 trunk")
        self.requires_grad_(False)

    def unit_features(self, images: Tensor) -> list[Tensor]:
        """Compute the unit-normalised features of each layer, float32.

        Args:
            images: RGB [B, 3, H, W] in 0..1, at least 32 pixels a side.
        """
        x = images.float().flip(1) * 255 - self._mean  # BGR [B, 3, H, W]
        found = []
        for index, layer in enumerate(self.features):
            x = layer(x)
            if index in self._taps:
                with torch.autocast(x.device.type, enabled=False):
                    wide = x.float()  # [B, C, h, w]
                    found.append(wide * torch.rsqrt(wide.square().sum(1, keepdim=True) + _EPSILON))
        return found

    def forward(self, generated: Tensor, real: Tensor) -> Tensor:
        """Distance float32 [B] of two batches of RGB [B, 3, H, W] in 0..1; for training use its mean."""
        pairs = zip(self.unit_features(generated), self.unit_features(real), strict=True)
        layers = [(a - b).square().sum(1).mean((1, 2)) for a, b in pairs]  # per layer [B, C, h, w] -> [B]
        return torch.stack(layers).mean(0)  # [B]


@torch.no_grad()
def picture_distance(
    network: SqueezeDistance, generated: np.ndarray, real: np.ndarray, box: tuple[int, int, int, int] | None = None
) -> float:
    """`SqueezeDistance` of two images, or of one box of them; lower is better.

    Boxes are resized to 128 x 128 (bicubic; area when they are larger) in both images: a mouth of 40 pixels would
    otherwise shrink to one or two positions. Figures of boxes are therefore not comparable with those of whole images,
    which are measured at their own size.

    Args:
        network: the frozen network.
        generated: uint8 [H, W, 3].
        real: uint8 [H, W, 3].
        box: (x0, y0, x1, y1) in pixels.

    Raises:
        InputError: different sizes, or sides under 32 pixels.
    """
    if box is not None:
        generated, real = (enlarged(picture, box) for picture in (generated, real))
    height, width = generated.shape[:2]
    if generated.shape != real.shape:
        sizes = f"{width} x {height} and {real.shape[1]} x {real.shape[0]}"
        raise InputError(f"the squeeze distance needs images of one size, not {sizes}")
    if min(height, width) < SMALLEST:
        raise InputError(f"the squeeze distance needs images of {SMALLEST} pixels a side, not {width} x {height}")
    pair = torch.from_numpy(np.stack([generated, real])).permute(0, 3, 1, 2).float().div_(255)  # [2, 3, H, W]
    return float(network(pair[:1], pair[1:])[0])


def enlarged(picture: np.ndarray, box: tuple[int, int, int, int]) -> np.ndarray:
    """Resize a box (x0, y0, x1, y1; the last two exclusive) of an image uint8 [H, W, 3] to [128, 128, 3]."""
    x0, y0, x1, y1 = box
    shrinks = min(x1 - x0, y1 - y0) > BOX_SIDE
    method = cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC
    return cv2.resize(np.ascontiguousarray(picture[y0:y1, x0:x1]), (BOX_SIDE, BOX_SIDE), interpolation=method)
