"""Autoencoder and Diffusion UNet together: frames from pure noise, given the reference image and the motion (§3.3)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from shared.checkpoint import load_checkpoint, save_checkpoint
from shared.diffusion.sampling import make_schedule, sample
from shared.errors import InputError
from stage2_render.diffusion.autoencoder import Autoencoder, AutoencoderConfig
from stage2_render.diffusion.diffusers_autoencoder import DiffusersAutoencoder, DiffusersConfig, PretrainedConfig
from stage2_render.diffusion.reference_copy import STRIDE
from stage2_render.diffusion.unet import UNet, UNetConfig
from stage2_render.face_crop import SIZE

TRAIN_TIMESTEPS = 1000
AUTOENCODER_FILE, UNET_FILE = "autoencoder.safetensors", "unet.safetensors"
# What the files say that they hold.
_AUTOENCODER, _UNET = "render autoencoder", "diffusion UNet"


@dataclass(frozen=True)
class Reference:
    """What the networks know of the reference image.

    Attributes:
        latents: x, [B, C, s, s].
        coefficients: (beta, p) [B, D].
        patches: latents of overlapping patches [B, C, R, R], for a UNet with copies.
    """

    latents: Tensor
    coefficients: Tensor
    patches: Tensor | None

    def repeated(self, count: int) -> Reference:
        """Return one reference for a batch of frames."""
        latents, coefficients, patches = (
            None if one is None else one.expand(count, *one.shape[1:])
            for one in (self.latents, self.coefficients, self.patches)
        )
        assert latents is not None and coefficients is not None
        return Reference(latents, coefficients, patches)


class RenderNetworks(nn.Module):
    """Autoencoder and UNet of stage two.

    Args:
        autoencoder: of either kind.
        unet: for that autoencoder's latents.
        steps: default number of sampler steps.
    """

    def __init__(self, autoencoder: Autoencoder | DiffusersAutoencoder, unet: UNet, *, steps: int = 10) -> None:
        super().__init__()
        self.autoencoder, self.unet, self.steps = autoencoder, unet, steps
        self.schedule = make_schedule(TRAIN_TIMESTEPS)

    @property
    def window(self) -> tuple[int, int, int]:
        """Left, top and side of the square that the networks paint, in pixels of the 256 x 256 head crop."""
        x, y, half = self.unet.config.view
        left, top, side = ((1 + x - half) * SIZE / 2, (1 + y - half) * SIZE / 2, half * SIZE)
        return round(left), round(top), round(side)

    @torch.no_grad()
    def encode_reference(self, images: Tensor, coefficients: Tensor) -> Reference:
        """Encode reference images [B, 3, S, S] in [-1, 1], whose coefficients are [B, D]."""
        patches = None
        if self.unet.config.copies:
            assert isinstance(self.autoencoder, Autoencoder)  # the other kind has no encoder of patches
            patches = self.autoencoder.encode_patches(images, STRIDE).float()
        return Reference(self.autoencoder.encode(images).float(), coefficients, patches)

    def predict(self, latents: Tensor, timesteps: Tensor, coefficients: Tensor, reference: Reference) -> Tensor:
        """Predict J_0 float32 [B, C, s, s] from J_t, as `UNet.forward`."""
        known = reference.latents, reference.coefficients, reference.patches
        return self.unet(latents, timesteps, coefficients, *known).float()

    @torch.no_grad()
    def generate(
        self,
        reference: Reference,
        coefficients: Tensor,
        noise: Tensor,
        *,
        steps: int | None = None,
        before_step: Callable[[], None] | None = None,
    ) -> Tensor:
        """Generate frames: J_T is pure noise, eq. 5 leads from each J_t to the next, and the decoder paints J_0.

        Args:
            reference: of each frame.
            coefficients: (beta, p) of the frames [B, D].
            noise: J_T, [B, C, s, s]; with different noise for each frame of a clip the video flickers.
            steps: of the sampler; None: the default of these networks.
            before_step: called before each step; an exception ends the sampling.

        Returns:
            Images float32 [B, 3, S, S] in about [-1, 1].
        """

        def predict(latents: Tensor, timesteps: Tensor) -> Tensor:
            if before_step:
                before_step()
            return self.predict(latents, timesteps, coefficients, reference)

        latents = sample(predict, noise, self.schedule, steps or self.steps)
        return self.autoencoder.decode(reference.latents, latents).float()

    def save(self, folder: Path) -> None:
        """Write autoencoder.safetensors and unet.safetensors, fp16."""
        save_autoencoder(self.autoencoder, folder / AUTOENCODER_FILE)
        save_checkpoint(
            folder / UNET_FILE, _UNET, self.unet.state_dict(), config=asdict(self.unet.config), steps=self.steps
        )

    @classmethod
    def load(cls, folder: Path) -> RenderNetworks:
        """Read what `save` wrote. Raises InputError: a file is missing or holds something else."""
        autoencoder = load_autoencoder(folder / AUTOENCODER_FILE)
        tensors, header = load_checkpoint(folder / UNET_FILE, _UNET)
        unet = _restored(folder / UNET_FILE, UNet, UNetConfig, tensors, header)
        return cls(autoencoder, unet, **({"steps": header["steps"]} if "steps" in header else {})).eval()


def view_of(window: tuple[int, int, int]) -> tuple[float, float, float]:
    """The inverse of `RenderNetworks.window`: `UNetConfig.view` of left, top and side in head-crop pixels."""
    left, top, side = (2 * value / SIZE for value in window)
    return left + side / 2 - 1, top + side / 2 - 1, side / 2


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
