"""LPIPS, the learned perceptual distance, version 0.1: the authors' package with a published trunk."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from shared.errors import InputError
from shared.metrics.checkpoints import load_into, read_tensors
from shared.metrics.image import Box
from shared.metrics.perceptual import SMALLEST, enlarged


class LPIPS(nn.Module):
    """Zhang et al. 2018, "The unreasonable effectiveness of deep features as a perceptual metric", eq. 1.

        d(a, b) = sum over layers of the mean over positions of  w . (f(a)/|f(a)| - f(b)/|f(b)|)^2

    the norm over a position's channels, w the layer's learned weights; lower is better, 0 for equal images. `alex` is
    the variant that the authors recommend for measuring, `vgg` the one for training; their numbers are not comparable.
    Network and linear weights are those of the package `lpips`, which would download the trunk unchecked. Frozen;
    gradients reach the inputs alone.

    Args:
        net: "alex" or "vgg".
        trunk: torchvision's classifier (`alexnet-owt-7be5be79.pth`, `vgg16-397923af.pth`; its last layers are ignored).

    Raises:
        InputError: the file is something else, or the package is not installed.
    """

    def __init__(self, net: Literal["alex", "vgg"], trunk: str | Path) -> None:
        super().__init__()
        try:
            import lpips
        except ImportError as error:
            raise InputError(f'LPIPS needs the package lpips ({error}): pip install "fd2talk[metrics]"') from error
        self.network = lpips.LPIPS(net=net, pnet_rand=True, verbose=False)
        published = {name: value for name, value in read_tensors(trunk).items() if name.startswith("features.")}
        # The package splits torchvision's `features` into slices and keeps the numbers of their layers.
        names = {f"features.{name.split('.', 1)[1]}": name for name in self.network.net.state_dict()}
        state = {names.get(name, name): value for name, value in published.items()}
        load_into(self.network.net, state, trunk, f"torchvision's {'AlexNet' if net == 'alex' else 'VGG-16'}")
        self.network.net.register_forward_hook(_never_zero)
        self.eval().requires_grad_(False)

    def forward(self, generated: Tensor, real: Tensor) -> Tensor:
        """Distance float32 [B] of two batches of RGB [B, 3, H, W] in 0..1; for training (eq. 14) use its mean."""
        with torch.autocast(generated.device.type, enabled=False):
            return self.network(generated.float(), real.float(), normalize=True).flatten()

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
        return self(*(x / 255 for x in pair)).numpy()

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


def _never_zero(_: nn.Module, __: Any, layers: Any) -> Any:
    """Add to the features what changes no distance, but makes the gradient of a norm 0 where all of them are 0."""
    return type(layers)(*(layer + 1e-12 for layer in layers))
