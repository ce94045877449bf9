"""Encoder and decoder of FD2Talk (§3.3, §3.4.2): images to latents of an eighth of their size, and back.

The decoder takes the reference latent beside the frame's own (eq. 13). For detail transfer (not in the paper) it also
takes the warped photo and the conditioning maps, and predicts an opacity: where the warp is sharp and right, it stays.

The encoder projects patches of 8 x 8 pixels and is initialised with their principal components: on faces 32 of the 192
hold nearly all of the variance, at no cost. The decoder's convolutions work at an eighth and a quarter of the image's
size, few of them at half of it; at full size they would take most of the renderer's time.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from stage2_render.diffusion.unet import zero_initialised

FACTOR = 8
"""Pixels along one side of a latent cell."""

# Opacities are this logit before training: mostly the decoder's image, and the warp still has a gradient.
_OPACITY_LOGIT = 1.0
# Smallest variance of a principal component that latents are divided by.
_MIN_VARIANCE = 1e-8


@dataclass(frozen=True)
class AutoencoderConfig:
    """Sizes of the network.

    Attributes:
        latent_channels: C of a latent.
        coarse: channels at an eighth of the image's size.
        fine: channels at a quarter.
        coarse_blocks: residual blocks at an eighth.
        fine_blocks: residual blocks at a quarter.
        half: channels at half the size.
        maps: conditioning maps that the decoder takes, at a quarter.
    """

    latent_channels: int = 32
    coarse: int = 128
    fine: int = 64
    coarse_blocks: int = 1
    fine_blocks: int = 3
    half: int = 32
    maps: int = 9


class Autoencoder(nn.Module):
    """Images are float [B, 3, S, S] in [-1, 1], latents [B, C, S / 8, S / 8] of about unit variance.

    Attributes:
        factor: pixels along one side of a latent cell.
        transfers_detail: whether the decoder uses the warp.
    """

    factor = FACTOR
    transfers_detail = True
    latent_std: Tensor

    def __init__(self, config: AutoencoderConfig) -> None:
        super().__init__()
        self.config = config
        coarse, fine, half = config.coarse, config.fine, config.half
        self.patch_embedding = nn.Conv2d(3, config.latent_channels, FACTOR, stride=FACTOR)
        self.patch_unembedding = nn.ConvTranspose2d(config.latent_channels, 3, FACTOR, stride=FACTOR)
        self.register_buffer("latent_std", torch.ones(config.latent_channels))
        self.conv_in = nn.Conv2d(2 * config.latent_channels, coarse, 3, padding=1)
        self.coarse_blocks = nn.Sequential(*(ResidualBlock(coarse) for _ in range(config.coarse_blocks)))
        self.upsample = nn.Sequential(nn.Conv2d(coarse, 4 * fine, 3, padding=1), nn.PixelShuffle(2))
        # The warped photo in cells of 4 x 4 pixels, the maps, and a channel of ones: the warp is an input.
        self.conv_detail = nn.Conv2d(3 * 16 + config.maps + 1, fine, 3, padding=1)
        self.fine_blocks = nn.Sequential(*(ResidualBlock(fine) for _ in range(config.fine_blocks)))
        self.conv_out = nn.Conv2d(fine, 3 * 16 + 1, 3, padding=1)
        # Output in cells of 4 x 4 and 8 x 8 pixels shows grid artefacts: these convolutions cross the cells' edges.
        self.refine_upsample = nn.Sequential(nn.Conv2d(fine, 4 * half, 3, padding=1), nn.PixelShuffle(2))
        self.refine_conv = nn.Conv2d(half + 2 * 3 * 4, half, 3, padding=1)
        self.refine_out = nn.Conv2d(half, 3 * 4 + 1, 3, padding=1)
        for layer in (self.conv_out, self.refine_out):
            zero_initialised(layer)

    @torch.no_grad()
    def start_from(self, pictures: Tensor) -> None:
        """Initialise both projections with the principal components of the patches of images [N, 3, S, S]."""
        patches = F.unfold(pictures, FACTOR, stride=FACTOR).transpose(1, 2).flatten(0, 1).double()  # [N S^2 / 64, 192]
        mean = patches.mean(0)
        values, vectors = torch.linalg.eigh((patches - mean).T.cov())
        basis = vectors.flip(1)[:, : self.config.latent_channels].T  # [C, 192]
        std = values.flip(0)[: self.config.latent_channels].clamp(min=_MIN_VARIANCE).sqrt()
        self.latent_std.copy_(std)
        self.patch_embedding.weight.copy_((basis / std[:, None]).view_as(self.patch_embedding.weight))
        self.patch_embedding.bias.copy_(-(basis @ mean) / std)  # type: ignore[union-attr]
        self.patch_unembedding.weight.copy_((basis * std[:, None]).view_as(self.patch_unembedding.weight))
        # The mean patch is nearly constant; the convolutions learn the rest of it.
        self.patch_unembedding.bias.copy_(mean.view(3, -1).mean(1))  # type: ignore[union-attr]

    def freeze_encoder(self) -> None:
        """Exclude the encoder from training."""
        self.patch_embedding.requires_grad_(False)

    def encode(self, pictures: Tensor) -> Tensor:
        """Map images [B, 3, S, S] to latents [B, C, S / 8, S / 8]."""
        return self.patch_embedding(pictures)

    def decode(
        self, reference: Tensor, latents: Tensor, warped: Tensor | None = None, maps: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Decode latents, D([E(F_1), E(F_2)]) of eq. 13.

        Args:
            reference: latents of the reference image [B, C, s, s].
            latents: latents of the frame [B, C, s, s].
            warped: images [B, 3, 8 s, 8 s] for detail transfer, or None.
            maps: [B, M, 2 s, 2 s], with `warped`.

        Returns:
            Images [B, 3, 8 s, 8 s], and opacities [B, 1, 8 s, 8 s] in [0, 1] with which they are blended over the warp;
            without `warped` the opacities have no meaning.
        """
        x = self.conv_in(torch.cat([reference, latents], 1))  # [B, coarse, s, s]
        x = self.upsample(self.coarse_blocks(x))  # [B, fine, 2 s, 2 s]
        if warped is not None:
            assert maps is not None
            detail = torch.cat([F.pixel_unshuffle(warped, 4), maps, torch.ones_like(maps[:, :1])], 1)
            x = x + self.conv_detail(detail)  # from [B, 48 + M + 1, 2 s, 2 s]
        x = F.silu(self.fine_blocks(x))
        quarter = self.conv_out(x)  # [B, 48 + 1, 2 s, 2 s]
        picture = self.patch_unembedding(latents) + F.pixel_shuffle(quarter[:, :-1], 4)  # [B, 3, 8 s, 8 s]
        warped = torch.zeros_like(picture) if warped is None else warped
        halves = [F.pixel_unshuffle(one, 2).to(x.dtype) for one in (picture, warped)]  # each [B, 12, 4 s, 4 s]
        x = torch.cat([self.refine_upsample(x), *halves], 1)  # [B, half + 24, 4 s, 4 s]
        half = self.refine_out(F.silu(self.refine_conv(x)))  # [B, 12 + 1, 4 s, 4 s]
        opacity = _doubled(quarter[:, -1:].float()) + half[:, -1:].float()  # [B, 1, 4 s, 4 s]
        opacity = _doubled(torch.sigmoid(opacity + _OPACITY_LOGIT))  # [B, 1, 8 s, 8 s]
        return picture + F.pixel_shuffle(half[:, :-1], 2), opacity


class ResidualBlock(nn.Module):
    """Two 3 x 3 convolutions on a residual branch that adds nothing before training."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv_1 = nn.Conv2d(channels, channels, 3, padding=1)
        self.conv_2 = zero_initialised(nn.Conv2d(channels, channels, 3, padding=1))

    def forward(self, x: Tensor) -> Tensor:
        """Map [B, C, H, W] to the same shape."""
        return x + self.conv_2(F.silu(self.conv_1(F.silu(x))))


def _doubled(values: Tensor) -> Tensor:
    return F.interpolate(values, scale_factor=2, mode="bilinear")
