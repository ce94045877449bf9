"""Points and affine motions of a batch of frames: what `warp.compositing` has for one.

They are float64, as there: a few hundred numbers a frame. Images are float32.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from stage2_render.on_device.prepared import PreparedModule
from stage2_render.warp.compositing import curve_weights


def apply_affine(motion: Tensor, points: Tensor) -> Tensor:
    """Move points [B, n, 2] by motions [B, 2, 3]."""
    return points @ motion[..., :2].mT + motion[..., None, :, 2]


def invert_affine(motion: Tensor) -> Tensor:
    """Return the inverse motions [B, 2, 3]. In closed form: a general solver would wait for the device."""
    (a, b), (c, d) = (motion[..., row, :2].unbind(-1) for row in range(2))
    linear = torch.stack([torch.stack([d, -b], -1), torch.stack([-c, a], -1)], -2) / (a * d - b * c)[..., None, None]
    return torch.cat([linear, -(linear @ motion[..., 2:])], -1)


def chain(outer: Tensor, inner: Tensor) -> Tensor:
    """Return the motions [B, 2, 3] `inner`, and `outer` after it."""
    linear = outer[..., :2] @ inner[..., :2]
    return torch.cat([linear, outer[..., :2] @ inner[..., 2:] + outer[..., 2:]], -1)


def scaled(factor: Tensor, shift: Tensor) -> Tensor:
    """Return the motions [B, 2, 3] that scale along x and y by `factor` [B, 2], then add `shift` [B, 2]."""
    return torch.cat([torch.diag_embed(factor), shift[..., None]], -1)


def follow(linear: Tensor, source: Tensor, target: Tensor) -> Tensor:
    """Return motions with linear parts [B, 2, 2] that map the mean of points [n, 2] to the mean of others [B, n, 2]."""
    offset = target.mean(1, keepdim=True).mT - linear @ source.mean(0)[:, None]
    return torch.cat([linear, offset], -1)


def smoothstep(value: Tensor) -> Tensor:
    """Return 0 below 0, 1 above 1 and a cubic between them."""
    value = value.clamp(0, 1)
    return value * value * (3 - 2 * value)


def perpendicular(across: Tensor) -> Tensor:
    """Return unit vectors [B, 2] at right angles to vectors, downwards for one to the right."""
    turned = torch.stack([-across[..., 1], across[..., 0]], -1)
    return turned / across.norm(dim=-1, keepdim=True).clamp_min(1e-6)


def along(points: Tensor, direction: Tensor) -> Tensor:
    """Return the coordinates [B, n] of points [B, n, 2] along directions [B, 2]."""
    return (points * direction[:, None]).sum(-1)


def interpolate(at: Tensor, places: Tensor, values: Tensor) -> Tensor:
    """Interpolate rows of values linearly, as `numpy.interp`.

    Args:
        at: where, [B, m].
        places: ascending places of the values, [B, n].
        values: [B, n, k].

    Returns:
        [B, m, k].
    """
    right = torch.searchsorted(places.contiguous(), at.contiguous(), right=True).clamp(1, places.shape[-1] - 1)
    x0, x1 = places.gather(1, right - 1), places.gather(1, right)
    share = ((at - x0) / or_one(x1 - x0)).clamp(0, 1)[..., None]
    index = right[..., None].expand(-1, -1, values.shape[-1])
    before, after = values.gather(1, index - 1), values.gather(1, index)
    return before + share * (after - before)


def or_one(value: Tensor) -> Tensor:
    """Return a divisor: 1 where it is 0. Here as elsewhere no `torch.where` of a number, which would wait for a GPU."""
    return value.masked_fill(value == 0, 1)


class Rims(PreparedModule):
    """The two rims of an opening.

    Args:
        ring: vertices from the left corner along the upper rim to the right corner, and back along the lower rim.
    """

    upper: Tensor
    lower: Tensor
    weights: Tensor

    def __init__(self, ring: np.ndarray) -> None:
        super().__init__()
        half = len(ring) // 2
        lower = np.concatenate([ring[:1], ring[half:][::-1]])
        self.keep(upper=ring[: half + 1], lower=lower, weights=curve_weights(half + 1, 4))

    def forward(self, points: Tensor) -> Tensor:
        """Return the smooth outline [B, m, 2] of the opening in meshes [B, 478, 2], as `compositing.opening`."""
        upper, lower = points[:, self.upper], points[:, self.lower]
        down = perpendicular(upper[:, -1] - upper[:, 0])
        crossed = along(lower - upper, down).clamp_max(0)[..., None] / 2 * down[:, None]
        upper, lower = self.weights @ (upper + crossed), self.weights @ (lower - crossed)
        return torch.cat([upper, lower[:, 1:-1].flip(1)], 1)
