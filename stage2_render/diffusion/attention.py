"""The attentions of the Diffusion UNet: phi_1 and phi_2 of FD2Talk eq. 6 and 7, and attention to its own features."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from stage2_render.diffusion.head_positions import HeadPositions, cell_centres, places_on_head

if TYPE_CHECKING:
    from stage2_render.diffusion.unet import UNetConfig

_MAX_PERIOD = 10_000  # longest period of the sinusoidal embeddings (Vaswani et al. 2017)
_GRID = 100  # length of a latent's side in positions: grids of any resolution share one scale
_HEAD = 30  # 100 mm on a head, about a third of the side, in positions


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
        self.view, self.on_head = config.view, config.positions == "pose"

    def forward(self, x: Tensor, condition: Condition) -> Tensor:
        """Add what the features x [B, C, H, W] attend to in the condition."""
        size, side = (x.shape[-2], x.shape[-1]), math.isqrt(condition.appearance.shape[1])
        queries, keys = (cell_centres(one, self.view, x.device) for one in (size, (side, side)))  # [H W, 2], [M, 2]
        x = x.flatten(2).transpose(1, 2)  # [B, H W, C]
        encoding = self._encoded(queries, condition.pose, size, x)  # [B or 1, H W, C]
        appearance = condition.appearance
        appearance = appearance + self._encoded(keys, condition.reference_pose, (side, side), appearance)

        def locations(x: Tensor) -> tuple[Tensor, Tensor] | None:
            if self.positions is None:
                return None
            return self.positions(x, queries, keys, condition.pose, condition.reference_pose)

        if self.phi_2 is not None:
            x = x + self.phi_1(x + encoding if self.on_head else x, condition.motion)  # m_1 of eq. 6
            x = x + self.phi_2(x + encoding, appearance, locations(x))  # m_2 of eq. 7
        else:
            tokens = torch.cat([condition.motion, appearance], 1)
            x = x + self.phi_1(x + encoding, tokens, locations(x))
        return x.transpose(1, 2).unflatten(2, size)  # [B, C, H, W]

    def _encoded(self, places: Tensor, pose: Tensor | None, size: tuple[int, int], tokens: Tensor) -> Tensor:
        """Positional encoding of a grid's cells, on the head or in the image: [B or 1, N, C], of the tokens' type."""
        if not self.on_head:
            return encoded_grid(size, tokens.shape[-1])[None].to(tokens)
        assert pose is not None
        return encoded_on_head(places, pose, tokens.shape[-1]).to(tokens)


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
        placed = tokens + encoded_grid((x.shape[-2], x.shape[-1]), x.shape[1]).to(tokens)
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


def encoded_grid(size: tuple[int, int], channels: int) -> Tensor:
    """Return a positional encoding float32 [rows * columns, channels], equal at equal places on grids of any size."""
    return _encoded(_GRID / 2 * (cell_centres(size, (0.0, 0.0, 1.0), torch.device("cpu")) + 1), channels)


def encoded_on_head(places: Tensor, pose: Tensor, channels: int) -> Tensor:
    """Return the encoding float32 [B, N, channels] of what of the head is seen at places; see `places_on_head`."""
    return _encoded(_HEAD * places_on_head(places, pose), channels)


def _encoded(places: Tensor, channels: int) -> Tensor:
    """Sinusoids of y and x: [..., N, 2] -> [..., N, channels]."""
    half = channels // 2
    return torch.cat([sinusoids(places[..., 1], half), sinusoids(places[..., 0], channels - half)], -1)
