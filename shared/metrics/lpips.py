"""LPIPS, the learned perceptual distance, version 0.1: the published weights in plain PyTorch."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from shared.errors import InputError
from shared.metrics.checkpoints import load_into, read_tensors
from shared.metrics.image import Box
from shared.metrics.perceptual import enlarged

# ImageNet's mean and standard deviation, for images in -1..1.
_SHIFT = (-0.030, -0.088, -0.188)
_SCALE = (0.458, 0.448, 0.450)

_EPSILON = 1e-10  # added to the norm, for positions where all channels are zero

SMALLEST = 32
"""The least side in pixels of a whole image: in smaller ones the trunks have no positions left."""


class _Trunk(nn.Module):
    """The convolutions of a classifier under torchvision's names (`features.N`); returns the output of some ReLUs."""

    def __init__(self, layers: list[nn.Module], taps: tuple[int, ...]) -> None:
        super().__init__()
        self.features = nn.Sequential(*layers)
        self._taps = taps

    def forward(self, x: Tensor) -> list[Tensor]:
        found = []
        for index, layer in enumerate(self.features):
            x = layer(x)
            if index in self._taps:
                found.append(x)
        return found


def _alexnet() -> _Trunk:
    """Krizhevsky 2014; after each of its five convolutions."""
    # [B, 3, H, W] -> [B, 64, H / 4, W / 4] -> pooled to H / 8
    layers: list[nn.Module] = [nn.Conv2d(3, 64, 11, stride=4, padding=2), nn.ReLU(), nn.MaxPool2d(3, stride=2)]
    # [B, 192, H / 8, W / 8] -> pooled to H / 16
    layers += [nn.Conv2d(64, 192, 5, padding=2), nn.ReLU(), nn.MaxPool2d(3, stride=2)]
    for inputs, outputs in ((192, 384), (384, 256), (256, 256)):
        layers += [nn.Conv2d(inputs, outputs, 3, padding=1), nn.ReLU()]  # [B, outputs, H / 16, W / 16]
    return _Trunk(layers, (1, 4, 7, 9, 11))


def _vgg16() -> _Trunk:
    """Simonyan & Zisserman 2015, configuration D; after the last convolution before each pool."""
    layers: list[nn.Module] = []
    taps: list[int] = []
    inputs = 3
    for outputs, count in ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3)):
        if taps:
            layers.append(nn.MaxPool2d(2))  # [B, inputs, h / 2, w / 2]
        for _ in range(count):
            layers += [nn.Conv2d(inputs, outputs, 3, padding=1), nn.ReLU()]  # [B, outputs, h, w]
            inputs = outputs
        taps.append(len(layers) - 1)
    return _Trunk(layers, tuple(taps))


# Trunk, and the channels of the layers that are compared.
_NETS = {"alex": (_alexnet, (64, 192, 384, 256, 256)), "vgg": (_vgg16, (64, 128, 256, 512, 512))}


class LPIPS(nn.Module):
    """Zhang et al. 2018, "The unreasonable effectiveness of deep features as a perceptual metric", eq. 1.

        d(a, b) = sum over layers of the mean over positions of  w . (f(a)/|f(a)| - f(b)/|f(b)|)^2

    the norm over a position's channels, w the layer's learned weights; lower is better, 0 for equal images. `alex` is
    the variant that the authors recommend for measuring; the two variants' numbers are not comparable. Frozen.

    Args:
        net: "alex" or "vgg".
        trunk: torchvision's classifier (`alexnet-owt-7be5be79.pth`, `vgg16-397923af.pth`; its last layers are ignored).
        linear: the authors' `alex.pth` or `vgg.pth` of v0.1.

    Raises:
        InputError: a file is something else.
    """

    _shift: Tensor
    _scale: Tensor

    def __init__(self, net: Literal["alex", "vgg"], trunk: str | Path, linear: str | Path) -> None:
        super().__init__()
        build, channels = _NETS[net]
        self.trunk = build()
        state = {name: value for name, value in read_tensors(trunk).items() if name.startswith("features.")}
        load_into(self.trunk, state, trunk, f"torchvision's {'AlexNet' if net == 'alex' else 'VGG-16'}")
        # The published names are those of a dropout (0) and a 1 x 1 convolution (1) in a row.
        heads: dict[str, nn.Module]
        heads = {f"lin{i}": nn.ModuleDict({"model": nn.ModuleDict({"1": _head(c)})}) for i, c in enumerate(channels)}
        self.heads = nn.ModuleDict(heads)
        load_into(self.heads, read_tensors(linear), linear, f"the LPIPS v0.1 weights for {net}")
        self.register_buffer("_shift", torch.tensor(_SHIFT).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("_scale", torch.tensor(_SCALE).view(1, 3, 1, 1), persistent=False)
        self.eval().requires_grad_(False)

    def forward(self, generated: Tensor, real: Tensor) -> Tensor:
        """Distances [B] of two batches of RGB [B, 3, H, W] in -1..1."""
        total = generated.new_zeros(len(generated))  # [B]
        features = self._unit_features(generated), self._unit_features(real)
        heads: Iterable[Any] = self.heads.values()
        for head, a, b in zip(heads, *features, strict=True):
            total = total + head["model"]["1"](torch.square(a - b)).mean((1, 2, 3))  # [B, C, h, w] -> [B]
        return total

    def _unit_features(self, images: Tensor) -> list[Tensor]:
        layers = self.trunk((images - self._shift) / self._scale)  # five of [B, C, h, w]
        return [x / (x.square().sum(1, keepdim=True).sqrt() + _EPSILON) for x in layers]

    @torch.no_grad()
    def distances(self, generated: np.ndarray, real: np.ndarray) -> np.ndarray:
        """Distances float32 [B] of images uint8 [B, H, W, 3] at their own size.

        Raises:
            InputError: not such arrays of one shape, or sides under 32 pixels.
        """
        if generated.shape != real.shape or generated.ndim != 4 or generated.shape[-1] != 3:
            shapes = f"{list(generated.shape)} and {list(real.shape)}"
            raise InputError(f"LPIPS needs two [B, H, W, 3] of one shape, not {shapes}")
        if generated.dtype != np.uint8 or real.dtype != np.uint8:
            raise InputError(f"LPIPS needs images of uint8, not {generated.dtype} and {real.dtype}")
        height, width = generated.shape[1:3]
        if min(height, width) < SMALLEST:
            raise InputError(f"LPIPS needs images of {SMALLEST} pixels a side, not {width} x {height}")
        pair = (
            torch.from_numpy(np.ascontiguousarray(x)).permute(0, 3, 1, 2) for x in (generated, real)
        )  # [B, 3, H, W]
        return self(*(x / 127.5 - 1 for x in pair)).numpy()

    def distance(self, generated: np.ndarray, real: np.ndarray, box: Box | None = None) -> float:
        """Distance of two images at their own size, or of one box of them.

        Boxes are resized to 128 x 128 in both images, as for `shared.metrics.perceptual.picture_distance`: their
        figures are not comparable with those of whole images, nor with LPIPS of crops at another size.

        Args:
            generated: uint8 [H, W, 3].
            real: uint8 [H, W, 3].
            box: (x0, y0, x1, y1) in pixels.

        Raises:
            InputError: as `distances`.
        """
        if box is not None:
            generated, real = enlarged(generated, box), enlarged(real, box)
        return float(self.distances(generated[None], real[None])[0])


def _head(channels: int) -> nn.Conv2d:
    return nn.Conv2d(channels, 1, 1, bias=False)
