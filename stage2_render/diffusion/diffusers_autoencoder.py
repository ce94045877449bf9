"""Pretrained autoencoders in diffusers' format as FD2Talk's encoder and decoder (§3.4.2).

The paper fine-tunes the autoencoder of Esser et al. (2021) and replaces the decoder's first convolution, so that it
takes the reference latent beside the frame's own (eq. 13). Here that convolution is initialised with the pretrained
weights and zeros for the reference: before fine-tuning the output is exactly the pretrained decoder's.

diffusers is imported only when such an autoencoder is built, because the import takes seconds.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn

from shared.errors import Fd2TalkError, InputError

ARCHITECTURES = ("VQModel", "AutoencoderKL")
# Number of images that the latents' scale is measured on (Rombach et al. 2022, appendix G: the first batch).
_MEASURED = 16


@dataclass(frozen=True)
class DiffusersConfig:
    """Which autoencoder of diffusers.

    Attributes:
        architecture: diffusers' class, one of `ARCHITECTURES`.
        settings: the arguments of that class.
    """

    architecture: str
    settings: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.architecture not in ARCHITECTURES:
            raise InputError(f"unknown autoencoder {self.architecture!r} (available: {', '.join(ARCHITECTURES)})")

    @property
    def latent_channels(self) -> int:
        """Channels of the latents that diffusion works on."""
        return self.settings.get("vq_embed_dim") or self.settings["latent_channels"]


@dataclass(frozen=True)
class PretrainedConfig:
    """An autoencoder of diffusers with its weights.

    Attributes:
        pretrained: a local folder or a name on the hub.
        subfolder: of it that has the autoencoder.
    """

    pretrained: str
    subfolder: str | None = None


class DiffusersAutoencoder(nn.Module):
    """The interface of `autoencoder.Autoencoder`."""

    latent_std: Tensor

    def __init__(self, config: DiffusersConfig, network: Any = None) -> None:
        """Wrap an autoencoder of diffusers.

        Args:
            config: the class and its arguments.
            network: an instance of that class; None builds one with random weights.

        Raises:
            Fd2TalkError: diffusers is not installed.
        """
        super().__init__()
        if network is None:
            network = getattr(_diffusers(), config.architecture).from_config(dict(config.settings))
        # With the default values of arguments that the config leaves out.
        settings = {key: value for key, value in network.config.items() if not key.startswith("_")}
        self.config, self.network = DiffusersConfig(config.architecture, settings), network
        network.decoder.conv_in = _with_reference_channels(network.decoder.conv_in)
        self.register_buffer("latent_std", torch.full((self.config.latent_channels,), 1 / settings["scaling_factor"]))

    @classmethod
    def from_pretrained(cls, name: str, subfolder: str | None = None) -> DiffusersAutoencoder:
        """Load weights from a local folder or the hub, as written by diffusers' `save_pretrained`.

        Args:
            name: the folder, or the name on the hub.
            subfolder: of it that has the autoencoder.

        Raises:
            InputError: there are none, or those of something else.
            Fd2TalkError: diffusers is not installed.
        """
        library = _diffusers()
        where = {"subfolder": subfolder} if subfolder else {}
        try:
            config = DiffusersConfig(str(library.AutoencoderKL.load_config(name, **where).get("_class_name")))
            pretrained = getattr(library, config.architecture).from_pretrained(name, **where)
        except (OSError, ValueError, RuntimeError) as error:
            place, reason = os.path.join(name, subfolder or ""), " ".join(str(error).split())[:120]
            raise InputError(f"{place}: no autoencoder in diffusers' format ({reason})") from error
        return cls(config, pretrained)

    @property
    def factor(self) -> int:
        """Pixels along one side of a latent cell."""
        return 2 ** (len(self.config.settings["block_out_channels"]) - 1)

    @torch.no_grad()
    def start_from(self, pictures: Tensor) -> None:
        """Measure the standard deviation of latents on images [N, 3, S, S], by which `encode` divides them."""
        chosen = pictures[:: max(1, len(pictures) // _MEASURED)][:_MEASURED]
        self.latent_std.fill_(torch.cat([self._encode(one) for one in chosen.split(1)]).std())

    def freeze_encoder(self) -> None:
        """Exclude the encoder from training."""
        for part in (self.network.encoder, self.network.quant_conv):
            if part is not None:
                part.requires_grad_(False)

    def encode(self, pictures: Tensor) -> Tensor:
        """Map images [B, 3, S, S] in [-1, 1] to latents [B, C, S / f, S / f] of about unit variance."""
        return self._encode(pictures) / self.latent_std.view(1, -1, 1, 1)

    def decode(self, reference: Tensor, latents: Tensor) -> Tensor:
        """Decode latents, D([E(F_1), E(F_2)]) of eq. 13.

        Args:
            reference: latents of the reference image [B, C, s, s].
            latents: latents of the frame [B, C, s, s].

        Returns:
            Images [B, 3, f s, f s].
        """
        both = torch.cat([self._decoder_input(reference), self._decoder_input(latents)], 1)  # [B, 2 C, s, s]
        return self.network.decoder(both)

    def _encode(self, pictures: Tensor) -> Tensor:
        if self.config.architecture == "VQModel":
            return self.network.encode(pictures).latents
        return self.network.encode(pictures).latent_dist.mode()

    def _decoder_input(self, latents: Tensor) -> Tensor:
        """Undo the scale and apply the layers before the decoder; a VQ model's quantisation is one of them."""
        latents = latents * self.latent_std.view(1, -1, 1, 1)
        if self.config.architecture == "VQModel":
            latents = self.network.quantize(latents)[0]
        return latents if self.network.post_quant_conv is None else self.network.post_quant_conv(latents)


def _with_reference_channels(convolution: Any) -> nn.Conv2d:
    """The convolution with twice the input channels: first the reference's, whose weights are 0, then its own."""
    own = convolution.in_channels
    doubled = nn.Conv2d(
        2 * own, convolution.out_channels, convolution.kernel_size, convolution.stride, convolution.padding
    )
    with torch.no_grad():
        doubled.weight.zero_()
        doubled.weight[:, own:] = convolution.weight
        doubled.bias.copy_(convolution.bias)  # type: ignore[union-attr]
    return doubled


def _diffusers() -> ModuleType:
    try:
        import diffusers
    except ImportError as error:
        raise Fd2TalkError("this autoencoder needs diffusers: pip install 'fd2talk[paper]'") from error
    return diffusers
