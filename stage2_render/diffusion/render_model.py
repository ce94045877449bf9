"""Autoencoder and Diffusion UNet together: a warped face crop, the reference and the motion -> a repaired one."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from shared.diffusion.sampling import make_schedule
from shared.errors import InputError
from stage2_render.diffusion.autoencoder import Autoencoder, AutoencoderConfig
from stage2_render.diffusion.diffusers_autoencoder import DiffusersAutoencoder, DiffusersConfig
from stage2_render.diffusion.unet import UNet, UNetConfig

TRAIN_TIMESTEPS = 1000

# Standard deviation in pixels of the blur of what is painted. On development people 0.5 to 1 changes neither PSNR
# (+0.03 dB) nor the perceptual distance.
_SMOOTHING = 0.8


@dataclass(frozen=True)
class Repair:
    """content: float32 [B, 3, S, S] in [-1, 1]; opacity: float32 [B, 1, S, S] in [0, 1], how much of it to lay over the
    warp."""

    content: Tensor
    opacity: Tensor


class RenderNetworks(nn.Module):
    """Everything learned of stage two.

    start: noise level, as a share of all timesteps, at which sampling begins when the warp is known: the latent of the
    warped frame under so much noise. Without geometry guidance sampling begins at pure noise, as in the paper.
    steps: of the sampler, when nobody says. framing: of the crops they were trained on, see `face_crop.FRAMINGS`.
    """

    def __init__(
        self,
        autoencoder: Autoencoder | DiffusersAutoencoder,
        unet: UNet,
        *,
        start: float = 0.6,
        steps: int = 1,
        framing: str = "face",
    ) -> None:
        super().__init__()
        self.autoencoder, self.unet, self.start, self.steps, self.framing = autoencoder, unet, start, steps, framing
        self.schedule = make_schedule(TRAIN_TIMESTEPS)

    @property
    def first_timestep(self) -> int:
        """Where sampling from the warped latent begins."""
        return round(self.start * TRAIN_TIMESTEPS) - 1

    @torch.no_grad()
    def repair(
        self,
        warped: Tensor,
        reference: Tensor,
        maps: Tensor,
        coefficients: Tensor,
        noise: Tensor,
        *,
        steps: int | None = None,
        geometry: bool = True,
        detail: bool = True,
    ) -> Repair:
        """Paint face crops.

        warped: float32 [B, 3, S, S] in [-1, 1], the warp in the frame's face crop. reference: latents [B, C, s, s] of
        the photo's face crop. maps: float32 [B, M, 2 s, 2 s] (see `guidance`). coefficients: (beta, p) [B, D]. noise:
        [B, C, s, s]; give every frame of a clip the same one, or the picture boils. steps: of the sampler (eq. 5);
        None for the networks' own number. geometry: guide by the warp; False samples from pure noise. detail: let the
        decoder see the warp and choose where to keep it; False takes its picture everywhere.
        """
        steps = steps or self.steps
        uses_warp = geometry and self.unet.config.guidance
        shown = self.autoencoder.encode(warped) if uses_warp else torch.zeros_like(noise)
        guided = torch.full((len(warped),), geometry, device=warped.device)
        first = self.first_timestep if uses_warp else TRAIN_TIMESTEPS - 1
        timesteps = [round((first + 1) * (1 - k / steps)) - 1 for k in range(steps)]
        now = torch.full((len(warped),), first, device=warped.device)
        latents = self.schedule.add_noise(shown, noise, now) if uses_warp else noise
        for t, following in zip(timesteps, [*timesteps[1:], -1]):
            now = torch.full((len(warped),), t, device=warped.device)
            clean = self.unet(latents, now, coefficients, reference, shown, maps, guided).float()
            latents = self.schedule.step(latents, clean, t, following)
        if detail:
            content, opacity = self.autoencoder.decode(reference, latents, warped, maps)
        else:
            content, opacity = self.autoencoder.decode(reference, latents)
            opacity = torch.ones_like(opacity)
        content = content.float()
        return Repair(smoothed(content) if self.autoencoder.transfers_detail else content, opacity.float())

    def save(self, folder: Path) -> None:
        """Write autoencoder.safetensors and unet.safetensors, fp16."""
        save_network(self.autoencoder, folder / "autoencoder.safetensors", {})
        own = {"start": self.start, "steps": self.steps, "framing": self.framing}
        save_network(self.unet, folder / "unet.safetensors", own)

    @classmethod
    def load(cls, folder: Path) -> RenderNetworks:
        """Read what `save` wrote. Raises InputError: it is not there, or something else."""
        autoencoder = load_autoencoder(folder / "autoencoder.safetensors")
        unet, header = load_network(folder / "unet.safetensors", UNet, UNetConfig)
        own = {name: header[name] for name in ("start", "steps", "framing") if name in header}
        return cls(autoencoder, unet, **own).eval()


def smoothed(content: Tensor) -> Tensor:
    """Pictures [B, 3, H, W] without what is finer than the frames that they were learned from, which are enlarged by a
    third in the face crop: what is painted there is the faint weave of the decoder's blocks."""
    distance = torch.arange(-2, 3, device=content.device, dtype=content.dtype)
    row = torch.exp(-0.5 * (distance / _SMOOTHING).square())
    row = row / row.sum()
    kernel = (row[:, None] * row).expand(content.shape[1], 1, -1, -1)
    with torch.autocast(content.device.type, enabled=False):  # 8 bits of mantissa would show as bands
        return F.conv2d(F.pad(content, (2, 2, 2, 2), mode="replicate"), kernel, groups=content.shape[1])


def build_autoencoder(settings: dict[str, Any]) -> Autoencoder | DiffusersAutoencoder:
    """The autoencoder that the section `network` of a config describes, to be trained.

    {pretrained: folder or hub name, subfolder: optional}: one in diffusers' format, with its weights;
    {architecture: diffusers' class, settings: its arguments}: the same with random weights; else `AutoencoderConfig`'s
    fields. Raises InputError: there is no such autoencoder.
    """
    if "pretrained" in settings:
        return DiffusersAutoencoder.from_pretrained(settings["pretrained"], settings.get("subfolder"))
    kind, config = _kind_of(settings)
    return kind(config(**settings))


def load_autoencoder(path: Path) -> Autoencoder | DiffusersAutoencoder:
    """An autoencoder of either kind that `save_network` wrote. Raises InputError: the file holds none."""
    return load_network(path, *_kind_of(_read_header(path, "an autoencoder")["config"]))[0]


def _kind_of(config: dict[str, Any]) -> tuple[type[nn.Module], type]:
    if "architecture" in config:
        return DiffusersAutoencoder, DiffusersConfig
    return Autoencoder, AutoencoderConfig


def save_network(network: nn.Module, path: Path, header: dict[str, Any]) -> None:
    """fp16 weights; the network's configuration and `header` as JSON in the file's own header."""
    tensors = {name: value.detach().half().contiguous().cpu() for name, value in network.state_dict().items()}
    described = {"config": network.config.to_dict(), **header}
    save_file(tensors, str(path), metadata={"fd2talk": json.dumps(described)})


def load_network(path: Path, network: type[nn.Module], config: type) -> tuple[nn.Module, dict[str, Any]]:
    """The network [float32] and the header. Raises InputError: the file is missing or of something else."""
    header = _read_header(path, f"the weights of {network.__name__}")
    try:
        built = network(config(**header["config"]))
        built.load_state_dict({name: value.float() for name, value in load_file(str(path)).items()})
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise InputError(f"{path}: not the weights of {network.__name__} ({_short(error)})") from error
    return built.requires_grad_(False), header


def _read_header(path: Path, wanted: str) -> dict[str, Any]:
    try:
        with safe_open(str(path), "pt") as file:
            header = json.loads((file.metadata() or {})["fd2talk"])
        return {**header, "config": dict(header["config"])}
    except (OSError, SafetensorError, KeyError, TypeError, ValueError) as error:
        raise InputError(f"{path}: not {wanted} ({_short(error)})") from error


def _short(error: Exception) -> str:
    return " ".join(str(error).split())[:80]
