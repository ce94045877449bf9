"""Encoder and decoder of FD2Talk (§3.3, §3.4.2): images to latents of an eighth of their size, and back.

The decoder takes the reference latent beside the frame's own (eq. 13).

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
    """

    latent_channels: int = 32
    coarse: int = 128
    fine: int = 64
    coarse_blocks: int = 1
    fine_blocks: int = 3
    half: int = 32


class Autoencoder(nn.Module):
    """Images are float [B, 3, S, S] in [-1, 1], latents [B, C, S / 8, S / 8] of unit variance on average.

    Attributes:
        factor: pixels along one side of a latent cell.
    """

    factor = FACTOR

    def __init__(self, config: AutoencoderConfig) -> None:
        super().__init__()
        self.config = config
        coarse, fine, half = config.coarse, config.fine, config.half
        self.patch_embedding = nn.Conv2d(3, config.latent_channels, FACTOR, stride=FACTOR)
        self.patch_unembedding = nn.ConvTranspose2d(config.latent_channels, 3, FACTOR, stride=FACTOR)
        self.conv_in = nn.Conv2d(2 * config.latent_channels, coarse, 3, padding=1)
        self.coarse_blocks = nn.Sequential(*(ResidualBlock(coarse) for _ in range(config.coarse_blocks)))
        self.upsample = nn.Sequential(nn.Conv2d(coarse, 4 * fine, 3, padding=1), nn.PixelShuffle(2))
        self.fine_blocks = nn.Sequential(*(ResidualBlock(fine) for _ in range(config.fine_blocks)))
        self.conv_out = nn.Conv2d(fine, 3 * 16, 3, padding=1)
        # Output in cells of 4 x 4 and 8 x 8 pixels shows grid artefacts: these convolutions cross the cells' edges.
        self.refine_upsample = nn.Sequential(nn.Conv2d(fine, 4 * half, 3, padding=1), nn.PixelShuffle(2))
        self.refine_conv = nn.Conv2d(half + 3 * 4, half, 3, padding=1)
        self.refine_out = nn.Conv2d(half, 3 * 4, 3, padding=1)
        for layer in (self.conv_out, self.refine_out):
            zero_initialised(layer)

    @torch.no_grad()
    def start_from(self, pictures: Tensor) -> None:
        """Initialise both projections with the principal components of the patches of images [N, 3, S, S].

        A component of standard deviation s is divided by the root of s, not by s: noise hides the fine components,
        whose deviations are small, before the coarse ones, and errors of the coarse ones weigh more.
        """
        patches = F.unfold(pictures, FACTOR, stride=FACTOR).transpose(1, 2).flatten(0, 1).double()  # [N S^2 / 64, 192]
        mean = patches.mean(0)
        values, vectors = torch.linalg.eigh((patches - mean).T.cov())
        basis = vectors.flip(1)[:, : self.config.latent_channels].T  # [C, 192]
        std = values.flip(0)[: self.config.latent_channels].clamp(min=_MIN_VARIANCE).sqrt()
        std = (std * std.mean()).sqrt()  # so the latents' variances are s / mean s, 1 on average
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

    def encode_patches(self, pictures: Tensor, stride: int) -> Tensor:
        """Map images [B, 3, S, S] to the latents of patches every `stride` pixels, [B, C, S / stride + 1, ...].

        Patch i has its middle at pixel border i stride; those beyond the image show its border pixels.
        """
        margin = FACTOR // 2
        padded = F.pad(pictures, (margin, margin, margin, margin), mode="replicate")
        return F.conv2d(padded, self.patch_embedding.weight, self.patch_embedding.bias, stride=stride)

    def decode(self, reference: Tensor, latents: Tensor) -> Tensor:
        """Decode latents, D([E(F_1), E(F_2)]) of eq. 13.

        Args:
            reference: latents of the reference image [B, C, s, s].
            latents: latents of the frame [B, C, s, s].

        Returns:
            Images [B, 3, 8 s, 8 s].
        """
        x = self.conv_in(torch.cat([reference, latents], 1))  # [B, coarse, s, s]
        x = F.silu(self.fine_blocks(self.upsample(self.coarse_blocks(x))))  # [B, fine, 2 s, 2 s]
        picture = self.patch_unembedding(latents) + F.pixel_shuffle(self.conv_out(x), 4)  # [B, 3, 8 s, 8 s]
        x = torch.cat(
            [self.refine_upsample(x), F.pixel_unshuffle(picture, 2).to(x.dtype)], 1
        )  # [B, half + 12, 4 s, 4 s]
        return picture + F.pixel_shuffle(self.refine_out(F.silu(self.refine_conv(x))), 2)


class ResidualBlock(nn.Module):
    """Two 3 x 3 convolutions on a residual branch that adds nothing before training."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv_1 = nn.Conv2d(channels, channels, 3, padding=1)
        self.conv_2 = zero_initialised(nn.Conv2d(channels, channels, 3, padding=1))

    def forward(self, x: Tensor) -> Tensor:
        """Map [B, C, H, W] to the same shape."""
        return x + self.conv_2(F.silu(self.conv_1(F.silu(x))))
