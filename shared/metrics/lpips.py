"""LPIPS, the learned perceptual distance, version 0.1: the published weights in plain PyTorch."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn

from shared.errors import InputError
from shared.metrics.checkpoints import load_into, read_tensors
from shared.metrics.image import Box
from shared.metrics.perceptual import enlarged

# ImageNet's mean and standard deviation, for pictures in -1..1.
_SHIFT = (-0.030, -0.088, -0.188)
_SCALE = (0.458, 0.448, 0.450)

_EPSILON = 1e-10  # added to the norm, where no channel fires

SMALLEST = 32
"""The least side in pixels of a whole picture: below it the trunks run out of positions."""


class _Trunk(nn.Module):
    """The convolutions of a classifier under torchvision's names (`features.N`); tapped after some of its ReLUs."""

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
    layers = [nn.Conv2d(3, 64, 11, stride=4, padding=2), nn.ReLU(), nn.MaxPool2d(3, stride=2)]
    layers += [nn.Conv2d(64, 192, 5, padding=2), nn.ReLU(), nn.MaxPool2d(3, stride=2)]
    for inputs, outputs in ((192, 384), (384, 256), (256, 256)):
        layers += [nn.Conv2d(inputs, outputs, 3, padding=1), nn.ReLU()]
    return _Trunk(layers, (1, 4, 7, 9, 11))


def _vgg16() -> _Trunk:
    """Simonyan & Zisserman 2015, configuration D; after the last convolution before each pool."""
    layers, taps, inputs = [], [], 3
    for outputs, count in ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3)):
        if taps:
            layers.append(nn.MaxPool2d(2))
        for _ in range(count):
            layers += [nn.Conv2d(inputs, outputs, 3, padding=1), nn.ReLU()]
            inputs = outputs
        taps.append(len(layers) - 1)
    return _Trunk(layers, tuple(taps))


# Trunk and the channels at its taps.
_NETS = {"alex": (_alexnet, (64, 192, 384, 256, 256)), "vgg": (_vgg16, (64, 128, 256, 512, 512))}


class LPIPS(nn.Module):
    """Zhang et al. 2018, "The unreasonable effectiveness of deep features as a perceptual metric", eq. 1.

        d(a, b) = sum over layers of the mean over positions of  w . (f(a)/|f(a)| - f(b)/|f(b)|)^2

    the norm over a position's channels, w the layer's learned weights; lower is better, 0 for equal pictures. `alex`
    is the variant that the authors recommend for measuring; the two variants' numbers are not comparable.

    trunk: torchvision's classifier (`alexnet-owt-7be5be79.pth`, `vgg16-397923af.pth`; its last layers are ignored);
    linear: the authors' `alex.pth` or `vgg.pth` of v0.1. Frozen. Raises InputError: a file is something else.
    """

    def __init__(self, net: Literal["alex", "vgg"], trunk: str | Path, linear: str | Path) -> None:
        super().__init__()
        build, channels = _NETS[net]
        self.trunk = build()
        state = {name: value for name, value in read_tensors(trunk).items() if name.startswith("features.")}
        load_into(self.trunk, state, trunk, f"torchvision's {'AlexNet' if net == 'alex' else 'VGG-16'}")
        # The published names are those of a dropout (0) and a 1 x 1 convolution (1) in a row.
        heads = {f"lin{i}": nn.ModuleDict({"model": nn.ModuleDict({"1": _head(c)})}) for i, c in enumerate(channels)}
        self.heads = nn.ModuleDict(heads)
        load_into(self.heads, read_tensors(linear), linear, f"the LPIPS v0.1 weights for {net}")
        self.register_buffer("_shift", torch.tensor(_SHIFT).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("_scale", torch.tensor(_SCALE).view(1, 3, 1, 1), persistent=False)
        self.eval().requires_grad_(False)

    def forward(self, made: Tensor, real: Tensor) -> Tensor:
        """Two batches of RGB [B, 3, H, W] in -1..1 -> distances [B]."""
        total = made.new_zeros(len(made))
        for head, a, b in zip(self.heads.values(), self._unit_features(made), self._unit_features(real), strict=True):
            total = total + head["model"]["1"](torch.square(a - b)).mean((1, 2, 3))
        return total

    def _unit_features(self, images: Tensor) -> list[Tensor]:
        layers = self.trunk((images - self._shift) / self._scale)
        return [x / (x.square().sum(1, keepdim=True).sqrt() + _EPSILON) for x in layers]

    @torch.no_grad()
    def distances(self, made: np.ndarray, real: np.ndarray) -> np.ndarray:
        """Of pictures uint8 [B, H, W, 3], at their own size -> float32 [B].

        Raises InputError: not such arrays of one shape, or sides under 32 pixels.
        """
        if made.shape != real.shape or made.ndim != 4 or made.shape[-1] != 3:
            raise InputError(
                f"LPIPS needs two [B, H, W, 3] of one shape, not {list(made.shape)} and {list(real.shape)}"
            )
        if made.dtype != np.uint8 or real.dtype != np.uint8:
            raise InputError(f"LPIPS needs pictures of uint8, not {made.dtype} and {real.dtype}")
        if min(made.shape[1:3]) < SMALLEST:
            raise InputError(f"LPIPS needs pictures of {SMALLEST} pixels a side, not {made.shape[2]} x {made.shape[1]}")
        made, real = (torch.from_numpy(np.ascontiguousarray(p)).permute(0, 3, 1, 2) for p in (made, real))
        return self(made / 127.5 - 1, real / 127.5 - 1).numpy()

    def distance(self, made: np.ndarray, real: np.ndarray, box: Box | None = None) -> float:
        """Of two pictures uint8 [H, W, 3] at their own size, or of one box (x0, y0, x1, y1) of them.

        Boxes are resized to 128 x 128 in both pictures, as for `shared.metrics.perceptual.picture_distance`: their
        figures are not comparable with whole pictures', nor with LPIPS of crops at another size.
        Raises InputError: as `distances`.
        """
        if box is not None:
            made, real = enlarged(made, box), enlarged(real, box)
        return float(self.distances(made[None], real[None])[0])


def _head(channels: int) -> nn.Conv2d:
    return nn.Conv2d(channels, 1, 1, bias=False)
