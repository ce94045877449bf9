"""The Diffusion UNet of FD2Talk (§3.3): predicts a frame's clean latent J_0 from the noisy one J_t.

Motion coefficients and appearance are different domains, so each is a condition of its own cross-attention: phi_1 over
tokens of (beta, p) (eq. 6), then phi_2 over the reference latent x (eq. 7). The paper's ablation, one attention over
both conditions, is `conditions: concatenated`.

Geometry conditioning (not in the paper) is optional: `GeometryConditioning` computes further input channels from the
warped photo and the face meshes, and the network predicts the difference from the warped latent.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

_GROUPS = 8  # of every group normalisation; each number of channels is a multiple
_MAX_PERIOD = 10_000  # longest period of the sinusoidal embeddings (Vaswani et al. 2017)
_GRID = 100  # length of a latent's side in positions: grids of any resolution share one scale
# More keys than this go to the fused kernel. On a CPU its backward pass takes three times as long for fewer.
_MAX_EXPLICIT_KEYS = 512


@dataclass(frozen=True)
class UNetConfig:
    """Sizes of the network.

    Attributes:
        latent_channels: C of a latent [C, S, S].
        size: S of a latent.
        coefficients: length D of (beta, p).
        channels: of each level; a level has half the resolution of the previous one.
        blocks: residual blocks in each level.
        attention: for each level, whether it has cross-attention.
        heads: of each cross-attention.
        time_width: of the timestep embedding.
        motion_tokens: number of tokens that (beta, p) is projected to.
        reference_patch: side in latent cells of one token of the reference.
        conditions: "separate" (phi_1, then phi_2) or "concatenated".
        geometry_conditioning: whether the network has `GeometryConditioning`.
        maps: number of conditioning maps.
        map_size: side of a conditioning map, a multiple of `size`.
    """

    latent_channels: int
    size: int
    coefficients: int
    channels: tuple[int, ...] = (128, 160, 192)
    blocks: int = 1
    attention: tuple[bool, ...] = (False, True, True)
    heads: int = 4
    time_width: int = 128
    motion_tokens: int = 8
    reference_patch: int = 2
    conditions: Literal["separate", "concatenated"] = "separate"
    geometry_conditioning: bool = True
    maps: int = 9
    map_size: int = 64

    def __post_init__(self) -> None:
        object.__setattr__(self, "channels", tuple(self.channels))
        object.__setattr__(self, "attention", tuple(self.attention))
        if len(self.channels) != len(self.attention):
            raise ValueError("channels and attention must have one value for each level")
        if self.conditions not in ("separate", "concatenated"):
            raise ValueError(f"conditions must be separate or concatenated, not {self.conditions!r}")
        if self.geometry_conditioning and self.map_size % self.size:
            raise ValueError("map_size must be a multiple of size")


class UNet(nn.Module):
    """theta_unet of eq. 16, which predicts x0: (J_t, t, beta, p, x) -> J_0.

    In the shape comments C, S and D are as in `UNetConfig`, c_0 and c_L are the channels of the first and the last
    level, N is the number of motion tokens and P the side of a reference token.
    """

    coefficient_mean: Tensor
    coefficient_std: Tensor

    def __init__(self, config: UNetConfig) -> None:
        super().__init__()
        self.config = config
        latent, channels, width = config.latent_channels, config.channels, config.time_width
        self.time_embedding = nn.Sequential(nn.Linear(channels[0], width), nn.SiLU(), nn.Linear(width, width))
        self.motion_projection = nn.Linear(config.coefficients, config.motion_tokens * channels[-1])
        self.reference_projection = nn.Linear(latent * config.reference_patch**2, channels[-1])
        # Coefficients are normalised with the statistics of the training set.
        self.register_buffer("coefficient_mean", torch.zeros(config.coefficients))
        self.register_buffer("coefficient_std", torch.ones(config.coefficients))
        self.geometry = GeometryConditioning(config) if config.geometry_conditioning else None
        inputs = latent + (self.geometry.channels if self.geometry else 0)
        self.conv_in = nn.Conv2d(inputs, channels[0], 3, padding=1)
        self.down_blocks = nn.ModuleList(
            UNetBlock(channels[max(level - 1, 0)], size, config, level) for level, size in enumerate(channels)
        )
        self.mid_block = ResidualBlock(channels[-1], channels[-1], width)
        below = [*channels[1:], channels[-1]]
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
        warped: Tensor | None = None,
        maps: Tensor | None = None,
        geometry_drop_mask: Tensor | None = None,
    ) -> Tensor:
        """Predict clean latents J_0.

        Args:
            noisy: J_t, [B, C, S, S].
            timesteps: t, int64 [B] in [0, 1000).
            coefficients: (beta, p), [B, D].
            reference: x, latents of the reference image [B, C, S, S].
            warped: see `GeometryConditioning`; not used by a network without it, as the next two.
            maps: see `GeometryConditioning`.
            geometry_drop_mask: see `GeometryConditioning`.

        Returns:
            [B, C, S, S].
        """
        time = self.time_embedding(_sinusoids(timesteps, self.config.channels[0]))  # [B, time_width]
        motion = self.motion_projection((coefficients - self.coefficient_mean) / self.coefficient_std)  # [B, N c_L]
        motion = motion.unflatten(-1, (self.config.motion_tokens, -1))  # [B, N, c_L]
        appearance = F.pixel_unshuffle(reference, self.config.reference_patch)  # [B, C P^2, S / P, S / P]
        appearance = self.reference_projection(appearance.flatten(2).transpose(1, 2))  # [B, (S / P)^2, c_L]
        x = noisy
        if self.geometry is not None:
            geometry = self.geometry(warped, reference, maps, geometry_drop_mask)
            x = torch.cat([noisy, geometry], 1)  # [B, C + geometry.channels, S, S]
        x = self.conv_in(x)  # [B, c_0, S, S]
        skips = []
        for block, downsample in zip(self.down_blocks, self.downsamplers):
            x = block(x, time, motion, appearance)  # [B, c_l, S / 2^l, S / 2^l]
            skips.append(x)
            x = downsample(x)  # [B, c_l, S / 2^(l + 1), S / 2^(l + 1)], but for the last level
        x = self.mid_block(x, time)
        for block in self.up_blocks:
            skip = skips.pop()
            if x.shape[-1] != skip.shape[-1]:
                x = F.interpolate(x, size=skip.shape[-2:], mode="nearest")  # [B, c_(l + 1), S / 2^l, S / 2^l]
            x = block(torch.cat([x, skip], 1), time, motion, appearance)  # [B, c_l, S / 2^l, S / 2^l]
        x = self.conv_out(x)  # [B, C, S, S]
        return x if self.geometry is None else x + geometry[:, : self.config.latent_channels]


class GeometryConditioning(nn.Module):
    """Further input channels of the UNet, from what the warp and the meshes provide (not in the paper).

    Attributes:
        channels: 2 C + M f^2, where f is how many times larger maps are than latents. The first C are the warped
            latent, to which the UNet adds its prediction.
    """

    def __init__(self, config: UNetConfig) -> None:
        super().__init__()
        self.factor = config.map_size // config.size
        self.channels = 2 * config.latent_channels + config.maps * self.factor**2

    def forward(self, warped: Tensor, reference: Tensor, maps: Tensor, drop_mask: Tensor | None = None) -> Tensor:
        """Lay out warped latent, reference latent and maps as channels.

        Args:
            warped: latents of the warped photo [B, C, S, S].
            reference: latents of the reference image [B, C, S, S].
            maps: [B, M, f S, f S], see `conditioning_maps`.
            drop_mask: bool [B], frames whose geometry conditioning is replaced by zeros; None: none of them.

        Returns:
            [B, channels, S, S].
        """
        maps = F.pixel_unshuffle(maps, self.factor)  # [B, M f^2, S, S]
        channels = torch.cat([warped, reference, maps], 1)  # [B, 2 C + M f^2, S, S]
        return channels if drop_mask is None else channels * ~drop_mask.view(-1, 1, 1, 1)


class UNetBlock(nn.Module):
    """The residual blocks of one level on the way down or up, each followed by cross-attention if the level has it."""

    def __init__(self, channels_in: int, channels: int, config: UNetConfig, level: int) -> None:
        super().__init__()
        self.residual_blocks = nn.ModuleList(
            ResidualBlock(channels_in if index == 0 else channels, channels, config.time_width)
            for index in range(config.blocks)
        )
        self.attentions = nn.ModuleList(
            ConditionAttention(channels, config.channels[-1], config)
            for _ in range(config.blocks if config.attention[level] else 0)
        )

    def forward(self, x: Tensor, time: Tensor, motion: Tensor, appearance: Tensor) -> Tensor:
        """Apply the level.

        Args:
            x: [B, channels_in, H, W].
            time: timestep embedding [B, time_width].
            motion: tokens of (beta, p) [B, N, c_L].
            appearance: tokens of the reference [B, (S / P)^2, c_L].

        Returns:
            [B, channels, H, W].
        """
        for index, block in enumerate(self.residual_blocks):
            x = block(x, time)  # [B, channels, H, W]
            if self.attentions:
                x = self.attentions[index](x, motion, appearance)
        return x


class ResidualBlock(nn.Module):
    """Two 3 x 3 convolutions; the timestep scales and shifts the features between them."""

    def __init__(self, channels_in: int, channels: int, time_width: int) -> None:
        super().__init__()
        self.conv_1 = nn.Sequential(
            nn.GroupNorm(_GROUPS, channels_in), nn.SiLU(), nn.Conv2d(channels_in, channels, 3, padding=1)
        )
        self.time_projection = nn.Linear(time_width, 2 * channels)
        self.norm_2 = nn.GroupNorm(_GROUPS, channels)
        self.conv_2 = nn.Conv2d(channels, channels, 3, padding=1)
        self.shortcut = nn.Conv2d(channels_in, channels, 1) if channels_in != channels else nn.Identity()
        zero_initialised(self.conv_2)

    def forward(self, x: Tensor, time: Tensor) -> Tensor:
        """Map [B, channels_in, H, W] and the timestep embedding [B, time_width] to [B, channels, H, W]."""
        scale, shift = self.time_projection(F.silu(time))[..., None, None].chunk(2, 1)  # each [B, channels, 1, 1]
        inner = self.norm_2(self.conv_1(x)) * (1 + scale) + shift  # [B, channels, H, W]
        return self.shortcut(x) + self.conv_2(F.silu(inner))


class ConditionAttention(nn.Module):
    """phi_1 and phi_2 of eq. 6 and 7, or one attention over both conditions together (FD2Talk Table 2)."""

    def __init__(self, channels: int, context_channels: int, config: UNetConfig) -> None:
        super().__init__()
        self.phi_1 = CrossAttention(channels, context_channels, config.heads)
        separate = config.conditions == "separate"
        self.phi_2 = CrossAttention(channels, context_channels, config.heads) if separate else None

    def forward(self, x: Tensor, motion: Tensor, appearance: Tensor) -> Tensor:
        """Add what the features x [B, C, H, W] attend to in tokens of (beta, p) and of the reference [B, N, c_L]."""
        rows, columns = x.shape[-2:]
        x = x.flatten(2).transpose(1, 2)  # [B, H W, C]
        positions = _positions((rows, columns), x.shape[-1]).to(x)  # [H W, C]
        side = math.isqrt(appearance.shape[1])
        appearance = appearance + _positions((side, side), appearance.shape[-1]).to(appearance)
        if self.phi_2 is not None:
            x = x + self.phi_1(x, motion)  # m_1 of eq. 6
            x = x + self.phi_2(x + positions, appearance)  # m_2 of eq. 7
        else:
            x = x + self.phi_1(x + positions, torch.cat([motion, appearance], 1))
        return x.transpose(1, 2).unflatten(2, (rows, columns))  # [B, C, H, W]


class CrossAttention(nn.Module):
    """Queries from the frame, keys and values from the condition; the output is zero before training."""

    def __init__(self, channels: int, context_channels: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm, self.context_norm = nn.LayerNorm(channels), nn.LayerNorm(context_channels)
        self.query = nn.Linear(channels, channels, bias=False)
        self.key_value = nn.Linear(context_channels, 2 * channels, bias=False)
        self.output = zero_initialised(nn.Linear(channels, channels))

    def forward(self, tokens: Tensor, context: Tensor) -> Tensor:
        """Attend from tokens [B, N, C] to the context [B, M, c_L]; returns the residual [B, N, C]."""
        query = self.query(self.norm(tokens))  # [B, N, C]
        key, value = self.key_value(self.context_norm(context)).chunk(2, -1)  # each [B, M, C]
        query, key, value = (x.unflatten(-1, (self.heads, -1)).transpose(1, 2) for x in (query, key, value))
        if key.shape[-2] <= _MAX_EXPLICIT_KEYS:
            scores = (query @ key.transpose(-1, -2)) * query.shape[-1] ** -0.5  # [B, heads, N, M]
            mixed = scores.softmax(-1).to(value.dtype) @ value  # [B, heads, N, C / heads]
        else:
            mixed = F.scaled_dot_product_attention(query, key, value)  # [B, heads, N, C / heads]
        return self.output(mixed.transpose(1, 2).flatten(2))  # [B, N, C]


def zero_initialised(layer: nn.Module) -> nn.Module:
    """Set weight and bias to zero, so that a residual branch adds nothing before training; returns the layer."""
    for parameter in layer.parameters():
        nn.init.zeros_(parameter)
    return layer


def _sinusoids(values: Tensor, channels: int) -> Tensor:
    """Sines and cosines of decreasing frequency (Vaswani et al. 2017): [...] -> [..., channels]."""
    half = channels // 2
    frequencies = torch.exp(-math.log(_MAX_PERIOD) * torch.arange(half, device=values.device) / half)
    angles = values.float()[..., None] * frequencies  # [..., channels / 2]
    return torch.cat([angles.sin(), angles.cos()], -1)


def _positions(size: tuple[int, int], channels: int) -> Tensor:
    """Positional encoding float32 [rows * columns, channels], equal at equal places of grids of any resolution."""
    rows, columns = (_GRID * (torch.arange(n) + 0.5) / n for n in size)
    half = channels // 2
    row = _sinusoids(rows, half)[:, None].expand(-1, size[1], -1)
    column = _sinusoids(columns, channels - half)[None].expand(size[0], -1, -1)
    return torch.cat([row, column], -1).flatten(0, 1)
