"""The Inception-v3 that defines the Frechet Inception distance: TensorFlow's of 2015, as ported by pytorch-fid.

Szegedy et al. 2016, "Rethinking the Inception architecture for computer vision", with the three peculiarities of the
network that the FID authors used (they differ from torchvision's, and change the numbers): average pools do not count
their padding, the last block pools with a maximum, and there are 1008 classes.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from shared.errors import InputError
from shared.metrics.checkpoints import load_into, read_tensors

SIDE = 299
"""Images are resized to this side in pixels (bilinear, without antialiasing; their aspect ratio is not kept)."""

_BATCH = 16  # images at a time: about 0.5 GB


class _Conv(nn.Module):
    """Convolution without bias, batch normalisation, ReLU."""

    def __init__(
        self, inputs: int, outputs: int, kernel: int | tuple[int, int], stride: int = 1, padding: int | tuple = 0
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride, padding, bias=False)
        self.bn = nn.BatchNorm2d(outputs, eps=0.001)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.bn(self.conv(x)))


def _row(inputs: int, outputs: int, width: int) -> _Conv:
    return _Conv(inputs, outputs, (1, width), padding=(0, width // 2))


def _column(inputs: int, outputs: int, height: int) -> _Conv:
    return _Conv(inputs, outputs, (height, 1), padding=(height // 2, 0))


def _average(x: Tensor) -> Tensor:
    return F.avg_pool2d(x, 3, stride=1, padding=1, count_include_pad=False)


class _BlockA(nn.Module):
    """35 x 35 positions: 1 x 1, 5 x 5, two 3 x 3, and a pool of `pooled` channels, in parallel."""

    def __init__(self, inputs: int, pooled: int) -> None:
        super().__init__()
        self.branch1x1 = _Conv(inputs, 64, 1)
        self.branch5x5_1 = _Conv(inputs, 48, 1)
        self.branch5x5_2 = _Conv(48, 64, 5, padding=2)
        self.branch3x3dbl_1 = _Conv(inputs, 64, 1)
        self.branch3x3dbl_2 = _Conv(64, 96, 3, padding=1)
        self.branch3x3dbl_3 = _Conv(96, 96, 3, padding=1)
        self.branch_pool = _Conv(inputs, pooled, 1)

    def forward(self, x: Tensor) -> Tensor:
        five = self.branch5x5_2(self.branch5x5_1(x))  # [B, 64, h, w]
        three = self.branch3x3dbl_3(self.branch3x3dbl_2(self.branch3x3dbl_1(x)))  # [B, 96, h, w]
        # [B, 64 + 64 + 96 + pooled, h, w]
        return torch.cat([self.branch1x1(x), five, three, self.branch_pool(_average(x))], 1)


class _BlockB(nn.Module):
    """35 x 35 to 17 x 17: strided 3 x 3, two 3 x 3, and a maximum."""

    def __init__(self, inputs: int) -> None:
        super().__init__()
        self.branch3x3 = _Conv(inputs, 384, 3, stride=2)
        self.branch3x3dbl_1 = _Conv(inputs, 64, 1)
        self.branch3x3dbl_2 = _Conv(64, 96, 3, padding=1)
        self.branch3x3dbl_3 = _Conv(96, 96, 3, stride=2)

    def forward(self, x: Tensor) -> Tensor:
        double = self.branch3x3dbl_3(self.branch3x3dbl_2(self.branch3x3dbl_1(x)))  # [B, 96, h / 2, w / 2]
        return torch.cat([self.branch3x3(x), double, F.max_pool2d(x, 3, stride=2)], 1)  # [B, 768, h / 2, w / 2]


class _BlockC(nn.Module):
    """17 x 17 positions: 7 x 7 as rows and columns, of `narrow` channels inside."""

    def __init__(self, inputs: int, narrow: int) -> None:
        super().__init__()
        self.branch1x1 = _Conv(inputs, 192, 1)
        self.branch7x7_1 = _Conv(inputs, narrow, 1)
        self.branch7x7_2 = _row(narrow, narrow, 7)
        self.branch7x7_3 = _column(narrow, 192, 7)
        self.branch7x7dbl_1 = _Conv(inputs, narrow, 1)
        self.branch7x7dbl_2 = _column(narrow, narrow, 7)
        self.branch7x7dbl_3 = _row(narrow, narrow, 7)
        self.branch7x7dbl_4 = _column(narrow, narrow, 7)
        self.branch7x7dbl_5 = _row(narrow, 192, 7)
        self.branch_pool = _Conv(inputs, 192, 1)

    def forward(self, x: Tensor) -> Tensor:
        single = self.branch7x7_3(self.branch7x7_2(self.branch7x7_1(x)))  # [B, 192, h, w]
        double = self.branch7x7dbl_3(self.branch7x7dbl_2(self.branch7x7dbl_1(x)))  # [B, narrow, h, w]
        double = self.branch7x7dbl_5(self.branch7x7dbl_4(double))  # [B, 192, h, w]
        return torch.cat([self.branch1x1(x), single, double, self.branch_pool(_average(x))], 1)  # [B, 768, h, w]


class _BlockD(nn.Module):
    """17 x 17 to 8 x 8: strided 3 x 3, 7 x 7 before a strided 3 x 3, and a maximum."""

    def __init__(self, inputs: int) -> None:
        super().__init__()
        self.branch3x3_1 = _Conv(inputs, 192, 1)
        self.branch3x3_2 = _Conv(192, 320, 3, stride=2)
        self.branch7x7x3_1 = _Conv(inputs, 192, 1)
        self.branch7x7x3_2 = _row(192, 192, 7)
        self.branch7x7x3_3 = _column(192, 192, 7)
        self.branch7x7x3_4 = _Conv(192, 192, 3, stride=2)

    def forward(self, x: Tensor) -> Tensor:
        seven = self.branch7x7x3_3(self.branch7x7x3_2(self.branch7x7x3_1(x)))  # [B, 192, h, w]
        three = self.branch3x3_2(self.branch3x3_1(x))  # [B, 320, h / 2, w / 2]
        return torch.cat([three, self.branch7x7x3_4(seven), F.max_pool2d(x, 3, stride=2)], 1)  # [B, 1280, h / 2, w / 2]


class _BlockE(nn.Module):
    """8 x 8 positions: 3 x 3 split into a row and a column in parallel; pools with a maximum if `maximum`."""

    def __init__(self, inputs: int, maximum: bool) -> None:
        super().__init__()
        self.branch1x1 = _Conv(inputs, 320, 1)
        self.branch3x3_1 = _Conv(inputs, 384, 1)
        self.branch3x3_2a = _row(384, 384, 3)
        self.branch3x3_2b = _column(384, 384, 3)
        self.branch3x3dbl_1 = _Conv(inputs, 448, 1)
        self.branch3x3dbl_2 = _Conv(448, 384, 3, padding=1)
        self.branch3x3dbl_3a = _row(384, 384, 3)
        self.branch3x3dbl_3b = _column(384, 384, 3)
        self.branch_pool = _Conv(inputs, 192, 1)
        self._maximum = maximum

    def forward(self, x: Tensor) -> Tensor:
        single = self.branch3x3_1(x)  # [B, 384, h, w]
        double = self.branch3x3dbl_2(self.branch3x3dbl_1(x))  # [B, 384, h, w]
        pooled = F.max_pool2d(x, 3, stride=1, padding=1) if self._maximum else _average(x)
        branches = [
            self.branch1x1(x),
            self.branch3x3_2a(single),
            self.branch3x3_2b(single),
            self.branch3x3dbl_3a(double),
            self.branch3x3dbl_3b(double),
            self.branch_pool(pooled),
        ]
        return torch.cat(branches, 1)  # [B, 320 + 4 x 384 + 192 = 2048, h, w]


class Inception(nn.Module):
    """Images -> the 2048 numbers of the last average pool ("pool3"), the features of FID.

    Names and shapes are those of the published `pt_inception-2015-12-05-6726825d.pth`.
    """

    def __init__(self) -> None:
        super().__init__()
        self.Conv2d_1a_3x3 = _Conv(3, 32, 3, stride=2)
        self.Conv2d_2a_3x3 = _Conv(32, 32, 3)
        self.Conv2d_2b_3x3 = _Conv(32, 64, 3, padding=1)
        self.Conv2d_3b_1x1 = _Conv(64, 80, 1)
        self.Conv2d_4a_3x3 = _Conv(80, 192, 3)
        self.Mixed_5b = _BlockA(192, 32)
        self.Mixed_5c = _BlockA(256, 64)
        self.Mixed_5d = _BlockA(288, 64)
        self.Mixed_6a = _BlockB(288)
        self.Mixed_6b = _BlockC(768, 128)
        self.Mixed_6c = _BlockC(768, 160)
        self.Mixed_6d = _BlockC(768, 160)
        self.Mixed_6e = _BlockC(768, 192)
        self.Mixed_7a = _BlockD(768)
        self.Mixed_7b = _BlockE(1280, maximum=False)
        self.Mixed_7c = _BlockE(2048, maximum=True)
        self.fc = nn.Linear(2048, 1008)  # in the file, but not used by FID

    @classmethod
    def load(cls, path: str | Path) -> Inception:
        """Load the published network, frozen.

        Raises:
            InputError: the file is something else.
        """
        network = cls()
        load_into(network, read_tensors(path), path, "the Inception-v3 of pytorch-fid")
        return network.eval().requires_grad_(False)

    def forward(self, images: Tensor) -> Tensor:
        """Compute the features [B, 2048] of RGB [B, 3, 299, 299] in -1..1."""
        x = self.Conv2d_2b_3x3(self.Conv2d_2a_3x3(self.Conv2d_1a_3x3(images)))  # [B, 64, 147, 147]
        x = self.Conv2d_3b_1x1(F.max_pool2d(x, 3, stride=2))  # [B, 80, 73, 73]
        x = F.max_pool2d(self.Conv2d_4a_3x3(x), 3, stride=2)  # [B, 192, 35, 35]
        x = self.Mixed_5d(self.Mixed_5c(self.Mixed_5b(x)))  # [B, 288, 35, 35]
        x = self.Mixed_6c(self.Mixed_6b(self.Mixed_6a(x)))  # [B, 768, 17, 17]
        x = self.Mixed_6e(self.Mixed_6d(x))  # [B, 768, 17, 17]
        x = self.Mixed_7c(self.Mixed_7b(self.Mixed_7a(x)))  # [B, 2048, 8, 8]
        return x.mean((2, 3))  # [B, 2048]

    @torch.no_grad()
    def features(self, images: np.ndarray) -> np.ndarray:
        """Compute the features of RGB images.

        Args:
            images: uint8 [B, H, W, 3] of any one size.

        Returns:
            float32 [B, 2048].

        Raises:
            InputError: other arrays.
        """
        if images.dtype != np.uint8 or images.ndim != 4 or images.shape[-1] != 3 or not images.size:
            raise InputError(f"images must be uint8 [B, H, W, 3], not {images.dtype} {list(images.shape)}")
        found = []
        for start in range(0, len(images), _BATCH):
            batch = torch.from_numpy(np.ascontiguousarray(images[start : start + _BATCH]))
            batch = batch.permute(0, 3, 1, 2).float() / 255  # [B, 3, H, W]
            batch = F.interpolate(batch, size=(SIDE, SIDE), mode="bilinear", align_corners=False)  # [B, 3, 299, 299]
            found.append(self(2 * batch - 1))
        return torch.cat(found).numpy()
