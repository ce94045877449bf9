"""The attentions of the Diffusion UNet: phi_1 and phi_2 of FD2Talk eq. 6 and 7, and attention to its own features."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from stage2_render.diffusion.head_positions import HeadPositions, cell_centres

if TYPE_CHECKING:
    from stage2_render.diffusion.unet import UNetConfig

_MAX_PERIOD = 10_000  # longest period of the sinusoidal embeddings (Vaswani et al. 2017)
_GRID = 100  # length of a latent's side in positions: grids of any resolution share one scale


@dataclass(frozen=True)
class Condition:
    """What the cross-attentions attend to.

    Attributes:
        motion: tokens of (beta, p) [B, N, c_L].
        appearance: tokens of the reference [B, (S / P)^2, c_L].
        pose: rotation and translation p [B, 6].
        reference_pose: those of the reference image [B, 6], or None.
    """

    motion: Tensor
    appearance: Tensor
    pose: Tensor
    reference_pose: Tensor | None


class ConditionAttention(nn.Module):
    """phi_1 and phi_2 of eq. 6 and 7, or one attention over both conditions together (FD2Talk Table 2)."""

    def __init__(self, channels: int, config: UNetConfig, level: int) -> None:
        super().__init__()
        context_channels = config.channels[-1]
        self.phi_1 = CrossAttention(channels, context_channels, config.heads)
        separate = config.conditions == "separate"
        self.phi_2 = CrossAttention(channels, context_channels, config.heads) if separate else None
        located = config.positions != "encoding"
        self.positions = HeadPositions(channels, config.heads, config, level) if located else None
        self.view = config.view

    def forward(self, x: Tensor, condition: Condition) -> Tensor:
        """Add what the features x [B, C, H, W] attend to in the condition."""
        rows, columns = x.shape[-2:]
        x = x.flatten(2).transpose(1, 2)  # [B, H W, C]
        encoding = encoded_positions((rows, columns), x.shape[-1]).to(x)  # [H W, C]
        appearance = condition.appearance
        side = math.isqrt(appearance.shape[1])
        appearance = appearance + encoded_positions((side, side), appearance.shape[-1]).to(appearance)
        if self.phi_2 is not None:
            x = x + self.phi_1(x, condition.motion)  # m_1 of eq. 6
            x = x + self.phi_2(x + encoding, appearance, self._locations(x, (rows, columns), side, condition))  # eq. 7
        else:
            tokens = torch.cat([condition.motion, appearance], 1)
            locations = self._locations(x, (rows, columns), side, condition)
            x = x + self.phi_1(x + encoding, tokens, locations)
        return x.transpose(1, 2).unflatten(2, (rows, columns))  # [B, C, H, W]

    def _locations(
        self, x: Tensor, size: tuple[int, int], side: int, condition: Condition
    ) -> tuple[Tensor, Tensor] | None:
        """Further channels of queries and keys whose products are the scores' positional part; None: there is none."""
        if self.positions is None:
            return None
        keys = cell_centres((side, side), self.view, x.device)  # [(S / P)^2, 2]
        queries = cell_centres(size, self.view, x.device)  # [H W, 2]
        return self.positions(x, queries, keys, condition.pose, condition.reference_pose)


class CrossAttention(nn.Module):
    """Queries from the frame, keys and values from the condition."""

    def __init__(self, channels: int, context_channels: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm, self.context_norm = nn.LayerNorm(channels), nn.LayerNorm(context_channels)
        self.query = nn.Linear(channels, channels, bias=False)
        self.key_value = nn.Linear(context_channels, 2 * channels, bias=False)
        self.output = nn.Linear(channels, channels)

    def forward(self, tokens: Tensor, context: Tensor, locations: tuple[Tensor, Tensor] | None = None) -> Tensor:
        """Attend from tokens to the context.

        Args:
            tokens: [B, N, C].
            context: [B, M, c_L].
            locations: see `HeadPositions`: further channels of queries [B, heads, N, 4] and of the last keys [M', 4].

        Returns:
            The residual [B, N, C].
        """
        query = self.query(self.norm(tokens))  # [B, N, C]
        key, value = self.key_value(self.context_norm(context)).chunk(2, -1)  # each [B, M, C]
        query, key, value = (x.unflatten(-1, (self.heads, -1)).transpose(1, 2) for x in (query, key, value))
        mixed = _attend(query, key, value, locations)  # [B, heads, N, C / heads]
        return self.output(mixed.transpose(1, 2).flatten(2))  # [B, N, C]


class SelfAttention(nn.Module):
    """Attention of features to themselves, as in latent diffusion models (Rombach et al. 2022)."""

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        self.attention = CrossAttention(channels, channels, heads)

    def forward(self, x: Tensor) -> Tensor:
        """Map [B, C, H, W] to the same shape."""
        tokens = x.flatten(2).transpose(1, 2)  # [B, H W, C]
        placed = tokens + encoded_positions((x.shape[-2], x.shape[-1]), x.shape[1]).to(tokens)
        return x + self.attention(placed, placed).transpose(1, 2).unflatten(2, x.shape[-2:])


def _attend(query: Tensor, key: Tensor, value: Tensor, locations: tuple[Tensor, Tensor] | None) -> Tensor:
    """Attention with a positional part of the scores.

    Args:
        query: [B, heads, N, E].
        key: [B, heads, M, E].
        value: [B, heads, M, V].
        locations: see `HeadPositions`: further channels of queries [B, heads, N, 4] and of the last keys [M', 4].

    Returns:
        [B, heads, N, V].
    """
    scale = query.shape[-1] ** -0.5
    if locations is None:
        return F.scaled_dot_product_attention(query, key, value, scale=scale)
    # In float32: scores are differences of products in the hundreds.
    where, places = locations
    places = F.pad(places, (0, 0, key.shape[2] - len(places), 0)).expand(*key.shape[:2], -1, -1)
    query = torch.cat([query.float() * scale, where.float()], -1)  # [B, heads, N, E + 4]
    key = torch.cat([key.float(), places.float()], -1)  # [B, heads, M, E + 4]
    padded = F.pad(value.float(), (0, key.shape[-1] - value.shape[-1]))  # the fused kernel wants one width
    with torch.autocast(query.device.type, enabled=False):
        return F.scaled_dot_product_attention(query, key, padded, scale=1.0)[..., : value.shape[-1]]


def sinusoids(values: Tensor, channels: int) -> Tensor:
    """Return sines and cosines of decreasing frequency (Vaswani et al. 2017): [...] -> [..., channels]."""
    half = channels // 2
    frequencies = torch.exp(-math.log(_MAX_PERIOD) * torch.arange(half, device=values.device) / half)
    angles = values.float()[..., None] * frequencies  # [..., channels / 2]
    return torch.cat([angles.sin(), angles.cos()], -1)


def encoded_positions(size: tuple[int, int], channels: int) -> Tensor:
    """Return a positional encoding float32 [rows * columns, channels], equal at equal places on grids of any size."""
    rows, columns = (_GRID * (torch.arange(n) + 0.5) / n for n in size)
    half = channels // 2
    row = sinusoids(rows, half)[:, None].expand(-1, size[1], -1)
    column = sinusoids(columns, channels - half)[None].expand(size[0], -1, -1)
    return torch.cat([row, column], -1).flatten(0, 1)
