"""The Diffusion UNet of FD2Talk (§3.3): predicts a frame's clean latent J_0 from the noisy one J_t.

Motion coefficients and appearance are different domains, so each is a condition of its own cross-attention: phi_1 over
tokens of (beta, p) (eq. 6), then phi_2 over the reference latent x (eq. 7). The paper's ablation, one attention over
both conditions, is `conditions: concatenated`.

The paper says of phi_2 only that "positional encoding is introduced". That is what a small network trained on little
data needs most, so `positions: pose` (not in the paper) goes further: phi_2 prefers keys near to where the head showed
what belongs to a query (`head_positions`). It also gives the coefficients of the reference image to phi_1.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from stage2_render.diffusion.attention import Condition, ConditionAttention, SelfAttention, sinusoids
from stage2_render.diffusion.reference_copy import ReferenceCopy

_GROUPS = 8  # of every group normalisation; each number of channels is a multiple


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
        time = self.time_embedding(sinusoids(timesteps, self.config.channels[0]))  # [B, time_width]
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


def zero_initialised(layer: nn.Module) -> nn.Module:
    """Set weight and bias to zero, so that a residual branch adds nothing before training; returns the layer."""
    for parameter in layer.parameters():
        nn.init.zeros_(parameter)
    return layer


def _pose(coefficients: Tensor | None) -> Tensor | None:
    return None if coefficients is None else coefficients[:, -6:]
