"""Autoencoder and Diffusion UNet together: repair a warped face crop, given the reference and the motion."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from shared.checkpoint import load_checkpoint, save_checkpoint
from shared.diffusion.sampling import make_schedule
from shared.errors import InputError
from stage2_render.diffusion.autoencoder import Autoencoder, AutoencoderConfig
from stage2_render.diffusion.diffusers_autoencoder import DiffusersAutoencoder, DiffusersConfig, PretrainedConfig
from stage2_render.diffusion.unet import UNet, UNetConfig

TRAIN_TIMESTEPS = 1000
AUTOENCODER_FILE, UNET_FILE = "autoencoder.safetensors", "unet.safetensors"
# What the files say that they hold.
_AUTOENCODER, _UNET = "render autoencoder", "render UNet"

# Standard deviation in pixels of the blur of the decoder's images. On development people 0.5 to 1 changes neither PSNR
# (+0.03 dB) nor the perceptual distance.
_SMOOTHING = 0.8


@dataclass(frozen=True)
class Repair:
    """The renderer's output for face crops.

    Attributes:
        content: images float32 [B, 3, S, S] in [-1, 1].
        opacity: float32 [B, 1, S, S] in [0, 1], with which they are blended over the warp.
    """

    content: Tensor
    opacity: Tensor


class RenderNetworks(nn.Module):
    """Autoencoder and UNet of stage two.

    Args:
        autoencoder: of either kind.
        unet: for that autoencoder's latents.
        start: noise level, as a share of all timesteps, at which sampling begins with geometry conditioning: with the
            latent of the warped frame under that much noise. Without it sampling begins at pure noise, as in the paper.
        steps: default number of sampler steps.
        framing: of the crops in the training set, one of `face_crop.FRAMINGS`.
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
        """The timestep at which sampling from the warped latent begins."""
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
        """Generate face crops.

        Args:
            warped: the warp in the frame's face crop, float32 [B, 3, S, S] in [-1, 1].
            reference: latents of the photo's face crop [B, C, s, s].
            maps: float32 [B, M, 2 s, 2 s], see `conditioning_maps`.
            coefficients: (beta, p) [B, D].
            noise: [B, C, s, s]; with different noise for each frame of a clip the video flickers.
            steps: of the sampler (eq. 5); None: the default of these networks.
            geometry: whether to use geometry conditioning; False samples from pure noise.
            detail: whether the decoder takes the warp and predicts where to keep it; False: opacities are 1.

        Returns:
            Images and opacities.
        """
        steps, count = steps or self.steps, len(warped)
        from_warp = geometry and self.unet.config.geometry_conditioning
        warped_latents = self.autoencoder.encode(warped) if from_warp else torch.zeros_like(noise)  # [B, C, s, s]
        drop_mask = None if geometry else torch.ones(count, dtype=torch.bool, device=warped.device)
        first = self.first_timestep if from_warp else TRAIN_TIMESTEPS - 1
        timesteps = [round((first + 1) * (1 - k / steps)) - 1 for k in range(steps)]
        now = torch.full((count,), first, device=warped.device)
        latents = self.schedule.add_noise(warped_latents, noise, now) if from_warp else noise
        for t, following in zip(timesteps, [*timesteps[1:], -1]):
            now = torch.full((count,), t, device=warped.device)
            clean = self.unet(latents, now, coefficients, reference, warped_latents, maps, drop_mask).float()
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
        save_autoencoder(self.autoencoder, folder / AUTOENCODER_FILE)
        own: dict[str, Any] = {"start": self.start, "steps": self.steps, "framing": self.framing}
        save_checkpoint(folder / UNET_FILE, _UNET, self.unet.state_dict(), config=asdict(self.unet.config), **own)

    @classmethod
    def load(cls, folder: Path) -> RenderNetworks:
        """Read what `save` wrote. Raises InputError: a file is missing or holds something else."""
        autoencoder = load_autoencoder(folder / AUTOENCODER_FILE)
        tensors, header = load_checkpoint(folder / UNET_FILE, _UNET)
        unet = _restored(folder / UNET_FILE, UNet, UNetConfig, tensors, header)
        own = {name: header[name] for name in ("start", "steps", "framing") if name in header}
        return cls(autoencoder, unet, **own).eval()


def smoothed(content: Tensor) -> Tensor:
    """Blur images [B, 3, H, W] slightly.

    Training frames are enlarged by a third in the face crop, so finer structure than theirs is a grid artefact of the
    decoder's blocks.
    """
    distance = torch.arange(-2, 3, device=content.device, dtype=content.dtype)
    row = torch.exp(-0.5 * (distance / _SMOOTHING).square())
    row = row / row.sum()
    kernel = (row[:, None] * row).expand(content.shape[1], 1, -1, -1)
    with torch.autocast(content.device.type, enabled=False):  # 8 bits of mantissa would show as bands
        return F.conv2d(F.pad(content, (2, 2, 2, 2), mode="replicate"), kernel, groups=content.shape[1])


def build_autoencoder(
    config: AutoencoderConfig | DiffusersConfig | PretrainedConfig,
) -> Autoencoder | DiffusersAutoencoder:
    """Build the autoencoder that the section `network` of a config describes, for training.

    Args:
        config: of a kind of autoencoder; its weights are random unless they are pretrained.

    Raises:
        InputError: there are no such pretrained weights.
    """
    if isinstance(config, PretrainedConfig):
        return DiffusersAutoencoder.from_pretrained(config.pretrained, config.subfolder)
    return DiffusersAutoencoder(config) if isinstance(config, DiffusersConfig) else Autoencoder(config)


def save_autoencoder(autoencoder: Autoencoder | DiffusersAutoencoder, path: Path) -> None:
    """Write an autoencoder of either kind, fp16."""
    save_checkpoint(path, _AUTOENCODER, autoencoder.state_dict(), config=asdict(autoencoder.config))


def load_autoencoder(path: Path) -> Autoencoder | DiffusersAutoencoder:
    """Read what `save_autoencoder` wrote. Raises InputError: the file holds something else."""
    tensors, header = load_checkpoint(path, _AUTOENCODER)
    diffusers = "architecture" in (header.get("config") or {})
    kind: tuple[Any, type] = (DiffusersAutoencoder, DiffusersConfig) if diffusers else (Autoencoder, AutoencoderConfig)
    return _restored(path, *kind, tensors, header)


def _restored(path: Path, network: Any, config: type, tensors: dict, header: dict) -> Any:
    """Build the network of a checkpoint, frozen. Raises InputError: config or tensors are those of another network."""
    try:
        built = network(config(**header["config"]))
        built.load_state_dict(tensors)
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        reason = " ".join(str(error).split())[:80]
        raise InputError(f"{path}: not the weights of {network.__name__} ({reason})") from error
    return built.requires_grad_(False)
