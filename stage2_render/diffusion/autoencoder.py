"""Encoder and decoder of FD2Talk (§3.3, §3.4.2): pictures to latents of an eighth of their size, and back.

The decoder is given the reference latent beside the frame's own (eq. 13). For detail transfer (not in the paper) it
also sees the warped photo and the mesh, and says where its picture is better than the warp: what the photo shows
sharply stays the photo's.

The encoder projects patches of 8 x 8 pixels, and begins as their principal components: on faces 32 of the 192 hold
nearly everything, at no cost. The decoder convolves at an eighth and a quarter of the picture's size, and a little at
half of it; at full size that would be most of the renderer's time.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

FACTOR = 8
"""Pixels along one side of a latent cell."""


@dataclass(frozen=True)
class AutoencoderConfig:
    """latent_channels: of a latent. coarse, fine: channels of the decoder at an eighth and a quarter of the picture's
    size; coarse_blocks, fine_blocks: residual blocks there; half: channels at half the size. maps: guidance maps that
    the decoder sees (at a quarter).
    """

    latent_channels: int = 32
    coarse: int = 128
    fine: int = 64
    coarse_blocks: int = 1
    fine_blocks: int = 3
    half: int = 32
    maps: int = 9

    def to_dict(self) -> dict:
        """As plain values, for JSON."""
        return asdict(self)


class Autoencoder(nn.Module):
    """Pictures are float [B, 3, S, S] in [-1, 1], latents [B, C, S / 8, S / 8] with about unit variance.

    factor: pixels along one side of a latent cell. transfers_detail: whether the decoder makes use of the warp.
    """

    factor = FACTOR
    transfers_detail = True

    def __init__(self, config: AutoencoderConfig) -> None:
        super().__init__()
        self.config = config
        self.project = nn.Conv2d(3, config.latent_channels, FACTOR, stride=FACTOR)
        self.unproject = nn.ConvTranspose2d(config.latent_channels, 3, FACTOR, stride=FACTOR)
        self.register_buffer("latent_std", torch.ones(config.latent_channels))
        coarse, fine = config.coarse, config.fine
        self.enter = nn.Conv2d(2 * config.latent_channels, coarse, 3, padding=1)
        self.coarse = nn.Sequential(*(Block(coarse) for _ in range(config.coarse_blocks)))
        self.widen = nn.Sequential(nn.Conv2d(coarse, 4 * fine, 3, padding=1), nn.PixelShuffle(2))
        # The warped photo, the maps, and one channel that says whether they are given.
        self.detail = nn.Conv2d(3 * 16 + config.maps + 1, fine, 3, padding=1)
        self.fine = nn.Sequential(*(Block(fine) for _ in range(config.fine_blocks)))
        self.leave = nn.Conv2d(fine, 3 * 16 + 1, 3, padding=1)
        # What is painted in blocks of 4 x 4 and 8 x 8 pixels shows their edges: two convolutions across these.
        self.spread = nn.Sequential(nn.Conv2d(fine, 4 * (half := config.half), 3, padding=1), nn.PixelShuffle(2))
        self.smooth = nn.Conv2d(half + 2 * 3 * 4, half, 3, padding=1)
        self.finish = nn.Conv2d(half, 3 * 4 + 1, 3, padding=1)
        for layer in (self.leave, self.finish):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)

    @torch.no_grad()
    def start_from(self, pictures: Tensor) -> None:
        """Set the projections to the principal components of the patches of pictures [N, 3, S, S]."""
        patches = F.unfold(pictures, FACTOR, stride=FACTOR).transpose(1, 2).flatten(0, 1).double()
        mean = patches.mean(0)
        values, vectors = torch.linalg.eigh((patches - mean).T.cov())
        basis = vectors.flip(1)[:, : self.config.latent_channels].T
        std = values.flip(0)[: self.config.latent_channels].clamp(min=1e-8).sqrt()
        self.latent_std.copy_(std)
        self.project.weight.copy_((basis / std[:, None]).view_as(self.project.weight))
        self.project.bias.copy_(-(basis @ mean) / std)
        self.unproject.weight.copy_((basis * std[:, None]).view_as(self.unproject.weight))
        # The mean patch is nearly the same everywhere; what is left of it the convolutions learn.
        self.unproject.bias.copy_(mean.view(3, -1).mean(1))

    def freeze_encoder(self) -> None:
        """Train what paints alone."""
        self.project.requires_grad_(False)

    def encode(self, pictures: Tensor) -> Tensor:
        """Pictures [B, 3, S, S] -> latents [B, C, S / 8, S / 8]."""
        return self.project(pictures)

    def decode(
        self, reference: Tensor, latents: Tensor, warped: Tensor | None = None, maps: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Reference and frame latents [B, C, s, s] -> pictures [B, 3, 8 s, 8 s] and opacities [B, 1, 8 s, 8 s] in
        [0, 1]: how much of the picture to lay over the warp.

        warped [B, 3, 8 s, 8 s], maps [B, M, 2 s, 2 s]: for detail transfer; without them the opacity means nothing.
        """
        x = self.widen(self.coarse(self.enter(torch.cat([reference, latents], 1))))
        if warped is not None:
            given = torch.ones_like(maps[:, :1])
            x = x + self.detail(torch.cat([F.pixel_unshuffle(warped, 4), maps, given], 1))
        x = F.silu(self.fine(x))
        blocks = self.leave(x)
        picture = self.unproject(latents) + F.pixel_shuffle(blocks[:, :-1], 4)
        shown = torch.zeros_like(picture) if warped is None else warped
        halved = [F.pixel_unshuffle(one, 2).to(x.dtype) for one in (picture, shown)]
        x = self.finish(F.silu(self.smooth(torch.cat([self.spread(x), *halved], 1))))
        opacity = F.interpolate(blocks[:, -1:].float(), scale_factor=2, mode="bilinear") + x[:, -1:].float()
        opacity = F.interpolate(torch.sigmoid(opacity + 1.0), scale_factor=2, mode="bilinear")
        return picture + F.pixel_shuffle(x[:, :-1], 2), opacity


class Block(nn.Module):
    """Two 3 x 3 convolutions beside a short cut; what they add starts at zero."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, channels, 3, padding=1)
        self.second = nn.Conv2d(channels, channels, 3, padding=1)
        nn.init.zeros_(self.second.weight)
        nn.init.zeros_(self.second.bias)

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, H, W] -> the same."""
        return x + self.second(F.silu(self.first(F.silu(x))))
