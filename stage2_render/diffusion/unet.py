"""The Diffusion UNet of FD2Talk (§3.3): predicts a frame's clean latent J_0 from the noisy one J_t.

Motion coefficients and appearance are different domains, so each is a condition of its own cross-attention: phi_1 over
tokens of (beta, p) (eq. 6), then phi_2 over the reference latent x (eq. 7). The paper's ablation, one attention over
both conditions, is `conditions: concatenated`.

The paper says of phi_2 only that "positional encoding is introduced". That is what a small network trained on little
data needs most, so `positions: pose` (not in the paper) goes further: phi_2 prefers keys near to where the head showed
what belongs to a query (`head_positions`). It also gives the coefficients of the reference image to phi_1.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from stage2_render.diffusion.head_positions import HeadPositions, cell_centres
from stage2_render.diffusion.layers import zero_initialised
from stage2_render.diffusion.reference_copy import ReferenceCopy

_GROUPS = 8  # of every group normalisation; each number of channels is a multiple
_MAX_PERIOD = 10_000  # longest period of the sinusoidal embeddings (Vaswani et al. 2017)
_GRID = 100  # length of a latent's side in positions: grids of any resolution share one scale


@dataclass(frozen=True)
class UNetConfig:
    """Sizes of the network.

    Attributes:
        latent_channels: C of a latent [C, S, S].
        size: S of a latent.
        coefficients: length D of (beta, p).
        view: centre x, y and half of the side of the square that latents cover, in coordinates of the head crop.
        channels: of each level; a level has half the resolution of the previous one.
        blocks: residual blocks in each level.
        attention: for each level, whether it has cross-attention.
        self_attention: whether the middle block attends to its own features, as in latent diffusion models.
        heads: of each attention.
        time_width: of the timestep embedding.
        motion_tokens: number of tokens that (beta, p) is projected to.
        reference_patch: side in latent cells of one token of the reference.
        reference_blocks: residual blocks on the reference latent before it is divided into tokens; the paper has none.
        conditions: "separate" (phi_1, then phi_2) or "concatenated".
        positions: of phi_2: "encoding" (sinusoidal, added to queries and keys), "gaussian" (as well as a learned
            Gaussian of the distance) or "pose" (the Gaussian is centred where the pose says, see `head_positions`).
        copies: planes of the head from which latents of the reference are copied before the last level's blocks
            (`ReferenceCopy`); the network's output is added to them. 0: none, as in the paper.
    """

    latent_channels: int
    size: int
    coefficients: int
    view: tuple[float, float, float] = (0.0, 0.0, 1.0)
    channels: tuple[int, ...] = (128, 160, 192)
    blocks: int = 1
    attention: tuple[bool, ...] = (False, True, True)
    self_attention: bool = True
    heads: int = 4
    time_width: int = 128
    motion_tokens: int = 8
    reference_patch: int = 1
    reference_blocks: int = 1
    conditions: Literal["separate", "concatenated"] = "separate"
    positions: Literal["encoding", "gaussian", "pose"] = "pose"
    copies: int = 6

    def __post_init__(self) -> None:
        for name in ("view", "channels", "attention"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
        if self.copies and self.positions != "pose":
            raise ValueError("copies must be 0 unless positions are pose")
        if len(self.channels) != len(self.attention):
            raise ValueError("channels and attention must have one value for each level")
        if self.conditions not in ("separate", "concatenated"):
            raise ValueError(f"conditions must be separate or concatenated, not {self.conditions!r}")
        if self.positions not in ("encoding", "gaussian", "pose"):
            raise ValueError(f"positions must be encoding, gaussian or pose, not {self.positions!r}")


class UNet(nn.Module):
    """theta_unet of eq. 16, which predicts x0: (J_t, t, beta, p, x) -> J_0.

    In the shape comments C, S and D are as in `UNetConfig`, c_0 and c_L are the channels of the first and the last
    level, N is the number of motion tokens and P the side of a reference token.
    """

    coefficient_mean: Tensor
    coefficient_std: Tensor
    change_std: Tensor

    def __init__(self, config: UNetConfig) -> None:
        super().__init__()
        self.config = config
        latent, channels, width = config.latent_channels, config.channels, config.time_width
        self.time_embedding = nn.Sequential(nn.Linear(channels[0], width), nn.SiLU(), nn.Linear(width, width))
        self.motion_projection = nn.Linear(config.coefficients, config.motion_tokens * channels[-1])
        self.change_projection = (
            nn.Linear(config.coefficients, config.motion_tokens * channels[-1]) if config.positions == "pose" else None
        )
        self.reference_in = nn.Conv2d(latent, channels[0], 3, padding=1) if config.reference_blocks else nn.Identity()
        self.reference_blocks = nn.Sequential(
            *(ResidualBlock(channels[0], channels[0]) for _ in range(config.reference_blocks))
        )
        width_in = channels[0] if config.reference_blocks else latent
        self.reference_projection = nn.Linear(width_in * config.reference_patch**2, channels[-1])
        # Coefficients, and their change from the reference, are normalised with statistics of the training set.
        self.register_buffer("coefficient_mean", torch.zeros(config.coefficients))
        self.register_buffer("coefficient_std", torch.ones(config.coefficients))
        self.register_buffer("change_std", torch.ones(config.coefficients))
        self.conv_in = nn.Conv2d(latent, channels[0], 3, padding=1)
        self.down_blocks = nn.ModuleList(
            UNetBlock(channels[max(level - 1, 0)], size, config, level) for level, size in enumerate(channels)
        )
        self.mid_block = ResidualBlock(channels[-1], channels[-1], width)
        self.mid_attention = SelfAttention(channels[-1], config.heads) if config.self_attention else None
        below = [*channels[1:], channels[-1]]
        self.copy = ReferenceCopy(below[0] + channels[0], config) if config.copies else None
        self.up_blocks = nn.ModuleList(
            UNetBlock(below[level] + size, size, config, level) for level, size in reversed(list(enumerate(channels)))
        )
        downsamplers = [nn.Conv2d(size, size, 3, stride=2, padding=1) for size in channels[:-1]]
        self.downsamplers = nn.ModuleList([*downsamplers, nn.Identity()])
        convolution = nn.Conv2d(channels[0], latent, 3, padding=1)
        self.conv_out = nn.Sequential(nn.GroupNorm(_GROUPS, channels[0]), nn.SiLU(), zero_initialised(convolution))

    def forward(
        self,
        noisy: Tensor,
        timesteps: Tensor,
        coefficients: Tensor,
        reference: Tensor,
        reference_coefficients: Tensor | None = None,
        patches: Tensor | None = None,
    ) -> Tensor:
        """Predict clean latents J_0.

        Args:
            noisy: J_t, [B, C, S, S].
            timesteps: t, int64 [B] in [0, 1000).
            coefficients: (beta, p), [B, D].
            reference: x, latents of the reference image [B, C, S, S].
            reference_coefficients: (beta, p) of the reference image [B, D]; needed, and used, if positions are "pose".
            patches: latents of the reference's overlapping patches, see `ReferenceCopy`; needed, and used, for copies.

        Returns:
            [B, C, S, S].
        """
        time = self.time_embedding(_sinusoids(timesteps, self.config.channels[0]))  # [B, time_width]
        motion = self._motion_tokens(coefficients, reference_coefficients)  # [B, N or 2 N, c_L]
        x = self.reference_blocks(self.reference_in(reference))
        x = F.pixel_unshuffle(x, self.config.reference_patch)  # [B, C P^2, S / P, S / P]
        appearance = self.reference_projection(x.flatten(2).transpose(1, 2))  # [B, (S / P)^2, c_L]
        condition = Condition(motion, appearance, coefficients[:, -6:], _pose(reference_coefficients))
        x = self.conv_in(noisy)  # [B, c_0, S, S]
        skips = []
        for block, downsample in zip(self.down_blocks, self.downsamplers):
            x = block(x, time, condition)  # [B, c_l, S / 2^l, S / 2^l]
            skips.append(x)
            x = downsample(x)  # [B, c_l, S / 2^(l + 1), S / 2^(l + 1)], but for the last level
        x = self.mid_block(x, time)
        if self.mid_attention is not None:
            x = self.mid_attention(x)
        for block in self.up_blocks:
            skip = skips.pop()
            if x.shape[-1] != skip.shape[-1]:
                x = F.interpolate(x, size=skip.shape[-2:], mode="nearest")  # [B, c_(l + 1), S / 2^l, S / 2^l]
            x = torch.cat([x, skip], 1)
            if self.copy is not None and not skips:
                assert patches is not None and condition.reference_pose is not None
                x, copied = self.copy(x, patches, condition.pose, condition.reference_pose)
            x = block(x, time, condition)  # [B, c_l, S / 2^l, S / 2^l]
        x = self.conv_out(x)  # [B, C, S, S]
        return x if self.copy is None else x + copied

    def _motion_tokens(self, coefficients: Tensor, reference_coefficients: Tensor | None) -> Tensor:
        tokens = self.motion_projection((coefficients - self.coefficient_mean) / self.coefficient_std)  # [B, N c_L]
        tokens = tokens.unflatten(-1, (self.config.motion_tokens, -1))  # [B, N, c_L]
        if self.change_projection is None:
            return tokens
        assert reference_coefficients is not None
        change = self.change_projection((coefficients - reference_coefficients) / self.change_std)
        return torch.cat([tokens, change.unflatten(-1, (self.config.motion_tokens, -1))], 1)  # [B, 2 N, c_L]


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


class UNetBlock(nn.Module):
    """The residual blocks of one level on the way down or up, each followed by cross-attention if the level has it."""

    def __init__(self, channels_in: int, channels: int, config: UNetConfig, level: int) -> None:
        super().__init__()
        self.residual_blocks = nn.ModuleList(
            ResidualBlock(channels_in if index == 0 else channels, channels, config.time_width)
            for index in range(config.blocks)
        )
        self.attentions = nn.ModuleList(
            ConditionAttention(channels, config, level) for _ in range(config.blocks if config.attention[level] else 0)
        )

    def forward(self, x: Tensor, time: Tensor, condition: Condition) -> Tensor:
        """Apply the level to [B, channels_in, H, W], with a timestep embedding [B, time_width]: [B, channels, H, W]."""
        for index, block in enumerate(self.residual_blocks):
            x = block(x, time)  # [B, channels, H, W]
            if self.attentions:
                x = self.attentions[index](x, condition)
        return x


class ResidualBlock(nn.Module):
    """Two 3 x 3 convolutions; the timestep, if there is one, scales and shifts the features between them."""

    def __init__(self, channels_in: int, channels: int, time_width: int | None = None) -> None:
        super().__init__()
        self.conv_1 = nn.Sequential(
            nn.GroupNorm(_GROUPS, channels_in), nn.SiLU(), nn.Conv2d(channels_in, channels, 3, padding=1)
        )
        self.time_projection = nn.Linear(time_width, 2 * channels) if time_width else None
        self.norm_2 = nn.GroupNorm(_GROUPS, channels)
        self.conv_2 = nn.Conv2d(channels, channels, 3, padding=1)
        self.shortcut = nn.Conv2d(channels_in, channels, 1) if channels_in != channels else nn.Identity()
        zero_initialised(self.conv_2)

    def forward(self, x: Tensor, time: Tensor | None = None) -> Tensor:
        """Map [B, channels_in, H, W] and the timestep embedding [B, time_width] to [B, channels, H, W]."""
        inner = self.norm_2(self.conv_1(x))  # [B, channels, H, W]
        if self.time_projection is not None and time is not None:
            scale, shift = self.time_projection(F.silu(time))[..., None, None].chunk(2, 1)  # each [B, channels, 1, 1]
            inner = inner * (1 + scale) + shift
        return self.shortcut(x) + self.conv_2(F.silu(inner))


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
        encoding = _positions((rows, columns), x.shape[-1]).to(x)  # [H W, C]
        appearance = condition.appearance
        side = math.isqrt(appearance.shape[1])
        appearance = appearance + _positions((side, side), appearance.shape[-1]).to(appearance)
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
        placed = tokens + _positions((x.shape[-2], x.shape[-1]), x.shape[1]).to(tokens)
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


def _sinusoids(values: Tensor, channels: int) -> Tensor:
    """Sines and cosines of decreasing frequency (Vaswani et al. 2017): [...] -> [..., channels]."""
    half = channels // 2
    frequencies = torch.exp(-math.log(_MAX_PERIOD) * torch.arange(half, device=values.device) / half)
    angles = values.float()[..., None] * frequencies  # [..., channels / 2]
    return torch.cat([angles.sin(), angles.cos()], -1)


def _pose(coefficients: Tensor | None) -> Tensor | None:
    return None if coefficients is None else coefficients[:, -6:]


def _positions(size: tuple[int, int], channels: int) -> Tensor:
    """Positional encoding float32 [rows * columns, channels], equal at equal places of grids of any resolution."""
    rows, columns = (_GRID * (torch.arange(n) + 0.5) / n for n in size)
    half = channels // 2
    row = _sinusoids(rows, half)[:, None].expand(-1, size[1], -1)
    column = _sinusoids(columns, channels - half)[None].expand(size[0], -1, -1)
    return torch.cat([row, column], -1).flatten(0, 1)
