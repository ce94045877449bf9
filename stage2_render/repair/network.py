"""The network that repairs one part of the face in the warp: lips and teeth, or an eye with its lids.

Unlike a generator it begins with the warp, a good picture of most of the part. Its output is laid over the warp at the
frame's own resolution, (1 - cover) * warp + paint: where cover is 0 the warp keeps its detail, and paint only changes
its colours. So it is everywhere but in and around the opening between lips or lids, of the frame or of the photo.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from stage2_render.repair.parts import MAP_FACTOR, MAPS

# Input of one cell: the colours of its pixels, its maps, and a one, so that the border (zeros) can be told from black.
_INPUTS = 3 * MAP_FACTOR**2 + MAPS + 1
_OUTPUTS = 4 * MAP_FACTOR**2  # paint and cover of its pixels
# Cells around the opening that may be covered.
_REACH = 2
# Pixels along a side over which colours are averaged where detail is kept.
_SMOOTH = 9
# Covers are this logit before training: nearly the warp, with a gradient.
_COVER_LOGIT = -2.0


@dataclass(frozen=True)
class RepairConfig:
    """Sizes of the network.

    Attributes:
        channels: of the levels, at a half, a quarter and an eighth of the crop's side.
        blocks: residual blocks of each level on the way down; on the way up there is one.
        heads: of the attention to the photo at the last level.
    """

    channels: tuple[int, ...] = (32, 64, 128)
    blocks: tuple[int, ...] = (1, 1, 2)
    heads: int = 4

    def __post_init__(self) -> None:
        object.__setattr__(self, "channels", tuple(self.channels))
        object.__setattr__(self, "blocks", tuple(self.blocks))
        if len(self.channels) != len(self.blocks) or not self.channels:
            raise ValueError("channels and blocks must have one value for each level")
        if self.channels[-1] % self.heads:
            raise ValueError(f"the channels of the last level must be a multiple of {self.heads} heads")


class PhotoFeatures(NamedTuple):
    """What a network knows of the photo.

    Attributes:
        levels: features [B, c_l, h / 2^l, w / 2^l] of each level.
        opening: between lips or lids, [B, 1, h, w] in [0, 1].
    """

    levels: list[Tensor]
    opening: Tensor


class RepairNetwork(nn.Module):
    """Repairs the crops of one part (`parts`).

    In the shape comments H and W are the sides of the crop, h and w those of its cells (`MAP_FACTOR` pixels), M the
    number of maps, and c_l the channels of level l, whose cells are 2^l times as large.
    """

    def __init__(self, config: RepairConfig) -> None:
        super().__init__()
        self.config = config
        self.ranges: dict[str, tuple[float, float]] = {}
        """What enters its convolutions, measured (`int8.observed`); empty: unknown, so that it cannot run in int8."""
        channels = config.channels
        self.photo_encoder = _Encoder(config)
        self.encoder = _Encoder(config)
        self.attention = _Attention(channels[-1], config.heads)
        self.upsamplers = nn.ModuleList(nn.Conv2d(below, here, 1) for here, below in zip(channels[:-1], channels[1:]))
        self.up_blocks = nn.ModuleList(Block(2 * size, size) for size in channels[:-1])
        self.conv_out = nn.Conv2d(channels[0], _OUTPUTS, 3, padding=1)
        nn.init.zeros_(self.conv_out.weight)
        assert self.conv_out.bias is not None
        nn.init.zeros_(self.conv_out.bias)

    def encode_photo(self, photo: Tensor, maps: Tensor) -> PhotoFeatures:
        """Compute what depends on the photo alone.

        Args:
            photo: its crop, [B, 3, H, W] in [-1, 1].
            maps: its maps, [B, M, h, w] in [0, 1].

        Returns:
            What `repair` takes.
        """
        return PhotoFeatures(self.photo_encoder(photo, maps), maps[:, :1])

    def forward(self, warped: Tensor, maps: Tensor, photo: Tensor, photo_maps: Tensor) -> tuple[Tensor, Tensor]:
        """Repair crops of the warp of B photos: `encode_photo`, then `repair`."""
        return self.repair(warped, maps, self.encode_photo(photo, photo_maps))

    def repair(
        self, warped: Tensor, maps: Tensor, photo: PhotoFeatures, detail: Tensor | float = 0.0
    ) -> tuple[Tensor, Tensor]:
        """Repair crops of the warp.

        Args:
            warped: [B, 3, H, W] in [-1, 1].
            maps: of the frames' meshes, [B, M, h, w] in [0, 1].
            photo: what `encode_photo` returned, of B photos or of one.
            detail: how far detail outside the opening is kept, 0 to 1, [B, 1, 1, 1]: there nothing is covered, and
                only mean colours change. For frames that have more pixels than their crops.

        Returns:
            Paint [B, 3, H, W], for values of -1 to 1, and cover [B, 1, H, W] in [0, 1].
        """
        levels = self.encoder(warped, maps, photo.levels)
        x = levels.pop()  # [B, c_L, h / 2^L, w / 2^L]
        x = self.attention(x, photo.levels[-1])
        for upsample, block in zip(reversed(self.upsamplers), reversed(self.up_blocks)):
            skip = levels.pop()  # [B, c_l, h / 2^l, w / 2^l]
            x = F.interpolate(upsample(x), size=skip.shape[-2:], mode="bilinear")
            x = block(torch.cat([x, skip], 1))
        x = F.pixel_shuffle(self.conv_out(F.silu(x)), MAP_FACTOR).float()  # [B, 4, H, W]
        openings = torch.maximum(maps[:, :1], photo.opening)  # [B, 1, h, w]
        around = F.max_pool2d(openings, 2 * _REACH + 1, stride=1, padding=_REACH)
        inside, around = (F.interpolate(one, scale_factor=MAP_FACTOR, mode="bilinear") for one in (openings, around))
        free = 1 - detail * (1 - inside)  # [B, 1, H, W]
        smooth = _averaged(_averaged(x[:, :3], -1), -2)
        content, cover = smooth + free * (x[:, :3] - smooth), free * around * torch.sigmoid(x[:, 3:] + _COVER_LOGIT)
        return cover * warped + content, cover


def _averaged(x: Tensor, axis: int) -> Tensor:
    """Means of `_SMOOTH` neighbours along an axis, at its ends of those that there are.

    Several times as fast as `avg_pool2d`, which takes a tenth of the network's time.
    """
    reach, size = _SMOOTH // 2, x.shape[axis]
    padded = F.pad(x, (reach, reach) if axis == -1 else (0, 0, reach, reach))
    total = padded.narrow(axis, 0, size).clone()
    for shift in range(1, _SMOOTH):
        total += padded.narrow(axis, shift, size)
    at = torch.arange(size, device=x.device)
    count = (at + reach).clamp_max(size - 1) - (at - reach).clamp_min(0) + 1
    return total / (count if axis == -1 else count[:, None])


class _Encoder(nn.Module):
    """A crop and its maps to the features of all levels; those of the photo are added where they are given."""

    def __init__(self, config: RepairConfig) -> None:
        super().__init__()
        channels = config.channels
        self.conv_in = nn.Conv2d(_INPUTS, channels[0], 3, padding=1)
        self.blocks = nn.ModuleList(
            nn.Sequential(*(Block(size, size) for _ in range(count))) for size, count in zip(channels, config.blocks)
        )
        self.downsamplers = nn.ModuleList(
            nn.Conv2d(here, below, 3, stride=2, padding=1) for here, below in zip(channels[:-1], channels[1:])
        )

    def forward(self, picture: Tensor, maps: Tensor, photo: list[Tensor] | None = None) -> list[Tensor]:
        cells = [F.pixel_unshuffle(picture, MAP_FACTOR), maps, torch.ones_like(maps[:, :1])]
        x = self.conv_in(torch.cat(cells, 1))  # [B, c_0, h, w]
        levels = []
        for level, blocks in enumerate(self.blocks):
            if level:
                x = self.downsamplers[level - 1](x)  # [B, c_l, h / 2^l, w / 2^l]
            x = blocks(x if photo is None else x + photo[level])
            levels.append(x)
        return levels


class Block(nn.Module):
    """Two 3 x 3 convolutions on a residual branch that adds nothing before training."""

    def __init__(self, channels_in: int, channels: int) -> None:
        super().__init__()
        self.conv_1 = nn.Conv2d(channels_in, channels, 3, padding=1)
        self.conv_2 = nn.Conv2d(channels, channels, 3, padding=1)
        self.shortcut = nn.Conv2d(channels_in, channels, 1) if channels_in != channels else nn.Identity()
        self.gain = nn.Parameter(torch.zeros(channels, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        """Map [B, C, h, w] to [B, C', h, w]."""
        return self.shortcut(x) + self.gain * self.conv_2(F.silu(self.conv_1(F.silu(x))))


class _Attention(nn.Module):
    """Cross-attention from a frame to the photo, of which other places show the same teeth."""

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm, self.photo_norm = nn.GroupNorm(1, channels), nn.GroupNorm(1, channels)
        self.query = nn.Conv2d(channels, channels, 1, bias=False)
        self.key_value = nn.Conv2d(channels, 2 * channels, 1, bias=False)
        self.output = nn.Conv2d(channels, channels, 1)
        nn.init.zeros_(self.output.weight)

    def forward(self, x: Tensor, photo: Tensor) -> Tensor:
        """Add what x [B, C, h, w] finds in the photo's features [B or 1, C, h, w]."""
        query = self.query(self.norm(x))
        key, value = self.key_value(self.photo_norm(photo)).expand(len(x), -1, -1, -1).chunk(2, 1)
        query, key, value = (
            part.flatten(2).unflatten(1, (self.heads, -1)).transpose(-1, -2) for part in (query, key, value)
        )  # each [B, heads, h w, C / heads]
        found = F.scaled_dot_product_attention(query, key, value)
        return x + self.output(found.transpose(-1, -2).flatten(1, 2).unflatten(-1, x.shape[-2:]))
