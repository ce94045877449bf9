"""Random changes of the images of a training pair, of all of them alike."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from shared.training.batches import own_of

# Random changes of colour relative to those of brightness.
_COLOUR = 0.7


def recolour(
    batch: dict[str, Tensor],
    images: Sequence[str],
    generator: torch.Generator,
    strength: float,
    count: int | None = None,
) -> None:
    """Change brightness, contrast and colour in place; some pairs become grey.

    Args:
        batch: with images [B, 3, H, W] in [-1, 1].
        images: their names.
        generator: of the random numbers.
        strength: standard deviation of the logarithm of the gain, and share of the pairs that become grey.
        count: of the whole batch, where this one has the rows of a process alone; None: it is the whole batch.
    """
    count = len(batch[images[0]]) if count is None else count

    def normal(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator)

    gain = (strength * (normal(count, 1, 1, 1) + _COLOUR * normal(count, 3, 1, 1))).exp()
    offset = strength * normal(count, 1, 1, 1)
    grey = torch.rand(count, 1, 1, 1, generator=generator) < strength
    if len(batch[images[0]]) != count:
        gain, offset, grey = own_of(gain), own_of(offset), own_of(grey)
    for name in images:
        pictures = batch[name]
        pictures = torch.where(grey, pictures.mean(1, keepdim=True).expand_as(pictures), pictures)
        batch[name] = (pictures * gain + offset).clamp_(-1, 1)


def sharpen(
    batch: dict[str, Tensor], images: Sequence[str], generator: torch.Generator, most: float, count: int | None = None
) -> None:
    """Amplify what is finer than a few pixels by a random factor of up to 1 + `most`, in place: unsharp masking.

    `count` as of `recolour`.
    """
    if not most:
        return
    there = len(batch[images[0]])
    amount = most * torch.rand(there if count is None else count, 1, 1, 1, generator=generator)
    amount = amount if len(amount) == there else own_of(amount)
    for name in images:
        detail = batch[name] - _blurred(batch[name])
        batch[name] = (batch[name] + amount * detail).clamp_(-1, 1)


def _blurred(images: Tensor) -> Tensor:
    """Images [B, 3, H, W] under a binomial filter of 7 x 7 pixels, a standard deviation of 1.2."""
    row = torch.tensor([1.0, 6.0, 15.0, 20.0, 15.0, 6.0, 1.0]) / 64
    for kernel in (row.view(1, 1, 1, 7), row.view(1, 1, 7, 1)):
        height, width = kernel.shape[-2:]
        padded = F.pad(images, (width // 2, width // 2, height // 2, height // 2), mode="replicate")
        images = F.conv2d(padded, kernel.expand(3, 1, -1, -1), groups=3)
    return images
