"""The Diffusion UNet of FD2Talk (§3.3): a frame's clean latent from its noisy one, the reference and the motion.

Coefficients and appearance live in different domains, so each has a cross-attention of its own: phi_1 over tokens of
(beta, p) (eq. 6), then phi_2 over the reference latent (eq. 7). The paper's ablation, one attention over both together,
is `conditions: concatenated`.

Geometry guidance (not in the paper) adds to the input what the mesh knows: the latent of the warped photo, the
reference latent, and maps of both meshes. The network then predicts what to add to the warped latent.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn


@dataclass(frozen=True)
class UNetConfig:
    """latent_channels, size: of a latent [latent_channels, size, size].

    coefficients: length of (beta, p). channels: per level, each at half the size of the one above. blocks: residual
    blocks per level. attention: whether a level attends. motion_tokens: tokens that (beta, p) is projected to.
    reference_patch: side in latent cells of one reference token. conditions: "separate" (phi_1, then phi_2) or
    "concatenated". guidance: whether the network is given the warp; maps: number of guidance maps, map_size: their
    side.
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
    conditions: str = "separate"
    guidance: bool = True
    maps: int = 9
    map_size: int = 64

    def __post_init__(self) -> None:
        object.__setattr__(self, "channels", tuple(self.channels))
        object.__setattr__(self, "attention", tuple(self.attention))
        if len(self.channels) != len(self.attention):
            raise ValueError("channels and attention must be given for the same levels")
        if self.conditions not in ("separate", "concatenated"):
            raise ValueError(f"conditions must be separate or concatenated, not {self.conditions!r}")
        if self.guidance and self.map_size % self.size:
            raise ValueError("maps must be a whole number of times as large as latents")

    def to_dict(self) -> dict:
        """As plain values, for JSON."""
        return asdict(self)


class UNet(nn.Module):
    """x0-prediction (eq. 16): (J_t, t, beta, p, x) -> J_0."""

    def __init__(self, config: UNetConfig) -> None:
        super().__init__()
        self.config = config
        latent, channels = config.latent_channels, config.channels
        width = config.time_width
        self.time = nn.Sequential(nn.Linear(channels[0], width), nn.SiLU(), nn.Linear(width, width))
        self.motion = nn.Linear(config.coefficients, config.motion_tokens * channels[-1])
        self.reference = nn.Linear(latent * config.reference_patch**2, channels[-1])
        # Coefficients are centred and scaled as in the training set.
        self.register_buffer("coefficient_mean", torch.zeros(config.coefficients))
        self.register_buffer("coefficient_std", torch.ones(config.coefficients))
        fine = config.map_size // config.size if config.guidance else 1
        seen = latent + (2 * latent + config.maps * fine**2 if config.guidance else 0)
        self.enter = nn.Conv2d(seen, channels[0], 3, padding=1)
        self.down = nn.ModuleList(
            Level(channels[max(level - 1, 0)], size, width, config, level) for level, size in enumerate(channels)
        )
        self.middle = ResidualBlock(channels[-1], channels[-1], width)
        above = [*channels[1:], channels[-1]]
        self.up = nn.ModuleList(
            Level(above[level] + size, size, width, config, level)
            for level, size in reversed(list(enumerate(channels)))
        )
        self.shrink = nn.ModuleList(nn.Conv2d(size, size, 3, stride=2, padding=1) for size in channels[:-1])
        now = channels[0]
        self.leave = nn.Sequential(nn.GroupNorm(8, now), nn.SiLU(), nn.Conv2d(now, latent, 3, padding=1))
        nn.init.zeros_(self.leave[-1].weight)
        nn.init.zeros_(self.leave[-1].bias)

    def forward(
        self,
        noisy: Tensor,
        timesteps: Tensor,
        coefficients: Tensor,
        reference: Tensor,
        warped: Tensor | None = None,
        maps: Tensor | None = None,
        guided: Tensor | None = None,
    ) -> Tensor:
        """Noisy latents [B, C, S, S], timesteps [B] in [0, 1000), (beta, p) [B, D], reference latents [B, C, S, S]
        -> clean latents [B, C, S, S].

        warped [B, C, S, S], maps [B, M, map_size, map_size]: geometry guidance, if the network was made for it. guided:
        bool [B], frames that have it (None: all); the others get zeros in its place.
        """
        config = self.config
        parts = [noisy]
        if config.guidance:
            guide = torch.ones_like(noisy[:, :1, :1, :1])
            if guided is not None:
                guide = guided.view(-1, 1, 1, 1).to(noisy)
            warped = warped * guide
            fine = F.pixel_unshuffle(maps, config.map_size // config.size)
            parts += [warped, reference * guide, fine * guide]
        time = self.time(_sinusoids(timesteps, config.channels[0]))
        motion = (coefficients - self.coefficient_mean) / self.coefficient_std
        motion = self.motion(motion).unflatten(-1, (config.motion_tokens, -1))
        appearance = self.reference(F.pixel_unshuffle(reference, config.reference_patch).flatten(2).transpose(1, 2))
        x = self.enter(torch.cat(parts, 1))
        skips = []
        for level, shrink in zip(self.down, [*self.shrink, None]):
            x = level(x, time, motion, appearance)
            skips.append(x)
            x = shrink(x) if shrink is not None else x
        x = self.middle(x, time)
        for level in self.up:
            skip = skips.pop()
            if x.shape[-1] != skip.shape[-1]:
                x = F.interpolate(x, size=skip.shape[-2:], mode="nearest")
            x = level(torch.cat([x, skip], 1), time, motion, appearance)
        x = self.leave(x)
        return x + warped if config.guidance else x


class Level(nn.Module):
    """The residual blocks of one size on the way down or up, each followed by the conditions if the level attends."""

    def __init__(self, given: int, channels: int, time: int, config: UNetConfig, level: int) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(
            ResidualBlock(given if index == 0 else channels, channels, time) for index in range(config.blocks)
        )
        attends = config.attention[level]
        self.conditions = nn.ModuleList(
            Conditions(channels, config.channels[-1], config) for _ in range(config.blocks if attends else 0)
        )

    def forward(self, x: Tensor, time: Tensor, motion: Tensor, appearance: Tensor) -> Tensor:
        """[B, given, H, W], embedded time [B, width], tokens of motion and reference -> [B, channels, H, W]."""
        for index, block in enumerate(self.blocks):
            x = block(x, time)
            if self.conditions:
                x = self.conditions[index](x, motion, appearance)
        return x


class ResidualBlock(nn.Module):
    """Two 3 x 3 convolutions; the time scales and shifts in between."""

    def __init__(self, given: int, channels: int, time: int) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.GroupNorm(8, given), nn.SiLU(), nn.Conv2d(given, channels, 3, padding=1))
        self.time = nn.Linear(time, 2 * channels)
        self.norm = nn.GroupNorm(8, channels)
        self.second = nn.Conv2d(channels, channels, 3, padding=1)
        self.skip = nn.Conv2d(given, channels, 1) if given != channels else nn.Identity()
        nn.init.zeros_(self.second.weight)
        nn.init.zeros_(self.second.bias)

    def forward(self, x: Tensor, time: Tensor) -> Tensor:
        """[B, given, H, W], embedded time [B, width] -> [B, channels, H, W]."""
        scale, shift = self.time(F.silu(time))[..., None, None].chunk(2, 1)
        inner = self.norm(self.first(x)) * (1 + scale) + shift
        return self.skip(x) + self.second(F.silu(inner))


class Conditions(nn.Module):
    """phi_1 and phi_2 of eq. 6 and 7, or one attention over both conditions together (FD2Talk Table 2)."""

    def __init__(self, channels: int, context: int, config: UNetConfig) -> None:
        super().__init__()
        self.separate = config.conditions == "separate"
        self.phi_1 = CrossAttention(channels, context, config.heads)
        self.phi_2 = CrossAttention(channels, context, config.heads) if self.separate else None

    def forward(self, x: Tensor, motion: Tensor, appearance: Tensor) -> Tensor:
        """[B, C, H, W], tokens of (beta, p) and of the reference [B, N, context] -> [B, C, H, W]."""
        size = x.shape[-2:]
        tokens = x.flatten(2).transpose(1, 2)
        here = _positions(size, tokens.shape[-1]).to(tokens)
        side = math.isqrt(appearance.shape[1])
        there = appearance + _positions((side, side), appearance.shape[-1]).to(appearance)
        if self.separate:
            tokens = tokens + self.phi_1(tokens, motion)
            tokens = tokens + self.phi_2(tokens + here, there)
        else:
            tokens = tokens + self.phi_1(tokens + here, torch.cat([motion, there], 1))
        return tokens.transpose(1, 2).unflatten(2, size)


class CrossAttention(nn.Module):
    """Queries from the frame, keys and values from the condition; what it adds starts at zero."""

    def __init__(self, channels: int, context: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm, self.context_norm = nn.LayerNorm(channels), nn.LayerNorm(context)
        self.query = nn.Linear(channels, channels, bias=False)
        self.key_value = nn.Linear(context, 2 * channels, bias=False)
        self.leave = nn.Linear(channels, channels)
        nn.init.zeros_(self.leave.weight)
        nn.init.zeros_(self.leave.bias)

    def forward(self, tokens: Tensor, context: Tensor) -> Tensor:
        """[B, N, C], [B, M, context] -> what to add [B, N, C]."""
        query = self.query(self.norm(tokens))
        key, value = self.key_value(self.context_norm(context)).chunk(2, -1)
        query, key, value = (x.unflatten(-1, (self.heads, -1)).transpose(1, 2) for x in (query, key, value))
        # Written out: over a few hundred tokens the fused kernel's backward pass takes three times as long on a CPU.
        if key.shape[-2] <= 512:
            scores = (query @ key.transpose(-1, -2)) * query.shape[-1] ** -0.5
            mixed = scores.softmax(-1).to(value.dtype) @ value
        else:
            mixed = F.scaled_dot_product_attention(query, key, value)
        return self.leave(mixed.transpose(1, 2).flatten(2))


def _sinusoids(values: Tensor, channels: int) -> Tensor:
    """[...] -> [..., channels]: sines and cosines of falling frequency (Vaswani et al. 2017)."""
    half = channels // 2
    frequencies = torch.exp(-math.log(10_000) * torch.arange(half, device=values.device) / half)
    angles = values.float()[..., None] * frequencies
    return torch.cat([angles.sin(), angles.cos()], -1)


def _positions(size: tuple[int, int], channels: int) -> Tensor:
    """float32 [rows * columns, channels]: where a cell is, the same for a grid of any fineness."""
    rows, columns = (100 * (torch.arange(n) + 0.5) / n for n in size)
    half = channels // 2
    row = _sinusoids(rows, half)[:, None].expand(-1, size[1], -1)
    column = _sinusoids(columns, channels - half)[None].expand(size[0], -1, -1)
    return torch.cat([row, column], -1).flatten(0, 1)
