"""Pretrained autoencoders in diffusers' format as FD2Talk's encoder and decoder (§3.4.2).

The paper begins with the autoencoder of Esser et al. (2021) and replaces the decoder's first convolution, so that it
takes the reference latent beside the frame's own (eq. 13). Here that convolution begins as the pretrained one with
zeros for the reference: until it is fine-tuned, the pictures are the pretrained decoder's to the last bit.

diffusers is imported when such an autoencoder is built, not before: that takes seconds.
"""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass, field
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn

from shared.errors import Fd2TalkError, InputError

ARCHITECTURES = ("VQModel", "AutoencoderKL")
# As many pictures say what the latents' scale is (Rombach et al. 2022, appendix G: the first batch).
_MEASURED = 16


@dataclass(frozen=True)
class DiffusersConfig:
    """architecture: diffusers' class, one of `ARCHITECTURES`. settings: its arguments."""

    architecture: str
    settings: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.architecture not in ARCHITECTURES:
            raise InputError(f"{self.architecture!r} is no autoencoder known here ({', '.join(ARCHITECTURES)})")

    @property
    def latent_channels(self) -> int:
        """Of the latents that diffusion works on."""
        return self.settings.get("vq_embed_dim") or self.settings["latent_channels"]

    def to_dict(self) -> dict:
        """As plain values, for JSON."""
        return asdict(self)


class DiffusersAutoencoder(nn.Module):
    """The interface of `autoencoder.Autoencoder`; there is no detail transfer: opacities are 1."""

    transfers_detail = False

    def __init__(self, config: DiffusersConfig, network: nn.Module | None = None) -> None:
        """network: diffusers' own, of this config; None makes one with random weights.

        Raises Fd2TalkError: diffusers is not installed.
        """
        super().__init__()
        if network is None:
            network = getattr(_diffusers(), config.architecture).from_config(dict(config.settings))
        # With what the config leaves out, as diffusers understood it.
        settings = {key: value for key, value in network.config.items() if not key.startswith("_")}
        self.config, self.network = DiffusersConfig(config.architecture, settings), network
        network.decoder.conv_in = _widened(network.decoder.conv_in)
        self.register_buffer("latent_std", torch.full((self.config.latent_channels,), 1 / settings["scaling_factor"]))

    @classmethod
    def from_pretrained(cls, name: str, subfolder: str | None = None) -> DiffusersAutoencoder:
        """Weights of a local folder or of the hub, as diffusers' `save_pretrained` leaves them.

        Raises:
            InputError: they are not there, or of something else.
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
        """Measure by what to divide latents so that they have unit variance on pictures [N, 3, S, S]."""
        chosen = pictures[:: max(1, len(pictures) // _MEASURED)][:_MEASURED]
        self.latent_std.fill_(torch.cat([self._encode(one) for one in chosen.split(1)]).std())

    def freeze_encoder(self) -> None:
        """Train what paints alone."""
        for part in (self.network.encoder, self.network.quant_conv):
            if part is not None:
                part.requires_grad_(False)

    def encode(self, pictures: Tensor) -> Tensor:
        """Pictures [B, 3, S, S] in [-1, 1] -> latents [B, C, S / f, S / f] of about unit variance."""
        return self._encode(pictures) / self.latent_std.view(1, -1, 1, 1)

    def decode(
        self, reference: Tensor, latents: Tensor, warped: Tensor | None = None, maps: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Reference and frame latents [B, C, s, s] -> pictures [B, 3, f s, f s] and opacities of 1 [B, 1, f s, f s].
        warped and maps are not looked at."""
        parts = torch.cat([self._prepare(reference), self._prepare(latents)], 1)
        picture = self.network.decoder(parts)
        return picture, torch.ones_like(picture[:, :1])

    def _encode(self, pictures: Tensor) -> Tensor:
        if self.config.architecture == "VQModel":
            return self.network.encode(pictures).latents
        return self.network.encode(pictures).latent_dist.mode()

    def _prepare(self, latents: Tensor) -> Tensor:
        """What diffusers does to latents before the decoder; a VQ model's quantisation counts as the decoder's."""
        latents = latents * self.latent_std.view(1, -1, 1, 1)
        if self.config.architecture == "VQModel":
            latents = self.network.quantize(latents)[0]
        return latents if self.network.post_quant_conv is None else self.network.post_quant_conv(latents)


def _widened(entrance: nn.Conv2d) -> nn.Conv2d:
    """The convolution with as many input channels again, for the reference, before its own; their weights are 0."""
    wide = nn.Conv2d(
        2 * entrance.in_channels, entrance.out_channels, entrance.kernel_size, entrance.stride, entrance.padding
    )
    with torch.no_grad():
        wide.weight.zero_()
        wide.weight[:, entrance.in_channels :] = entrance.weight
        wide.bias.copy_(entrance.bias)
    return wide


def _diffusers() -> ModuleType:
    try:
        import diffusers
    except ImportError as error:
        raise Fd2TalkError("this autoencoder needs diffusers: pip install 'fd2talk[paper]'") from error
    return diffusers
