"""Training of encoder and decoder (FD2Talk §3.4.2, eq. 13-15), on pairs of frames of one clip."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import torch
from torch import Tensor

from shared.schema import Arguments
from shared.training.batches import OwnRows, own_normal, own_of
from stage2_render.diffusion.autoencoder import Autoencoder, AutoencoderConfig
from stage2_render.diffusion.diffusers_autoencoder import DiffusersAutoencoder, DiffusersConfig, PretrainedConfig
from stage2_render.diffusion.render_model import AUTOENCODER_FILE, build_autoencoder, save_autoencoder
from stage2_render.face_crop import SIZE
from stage2_render.training.frame_sampler import FrameSampler
from stage2_render.training.frame_set import FramesConfig, FrameSet
from stage2_render.training.losses import ReconstructionWeights, reconstruction_loss
from stage2_render.training.perceptual_loss import perceptual_network

# Number of images for the initialisation.
_FIRST_IMAGES = 200
# Validation: images, images in one batch, and the least squared error, which is a PSNR of 70 dB.
_VALIDATION_IMAGES, _VALIDATION_BATCH, _MIN_ERROR = 48, 8, 1e-7


class AutoencoderTask:
    """Reconstructs a frame F_2 from its latent and that of another frame F_1 of the clip by eq. 15.

    Args:
        frames: the training set.
        autoencoder: of either kind.
        window: left, top and side of the images in the 256 x 256 head crop.
        part: side in pixels of the random part of an image that is decoded; None: the whole.
        train_encoder: whether the encoder is trained as well, as in the paper.
        noise: in half of the images the frame's latent gets noise of up to this standard deviation, as the UNet's
            output has errors; the paper has none.
        perceptual: of L_per (eq. 14), see `perceptual_network`; None: without.
        weights: settings of `reconstruction_loss`.
        batches: further settings of `FrameSampler`.
    """

    def __init__(
        self,
        frames: FrameSet,
        autoencoder: Autoencoder | DiffusersAutoencoder,
        *,
        window: tuple[int, int, int] = (0, 0, SIZE),
        part: int | None = None,
        train_encoder: bool = True,
        noise: float = 0.0,
        perceptual: str | None = None,
        weights: ReconstructionWeights | None = None,
        batches: Annotated[dict[str, Any], Arguments(FrameSampler, ("frames", "window"))] | None = None,
    ) -> None:
        left, top, side = window
        self.batches = FrameSampler(frames, (left, top, side), **(batches or {}))
        self.part, self.noise = part, noise
        self.perceptual = perceptual_network(perceptual)
        self.weights = weights or {}
        self.model = autoencoder
        self.model.start_from(self.batches.draw(torch.Generator().manual_seed(0), _FIRST_IMAGES)["target"])
        if not train_encoder:
            self.model.freeze_encoder()

    def to(self, device: torch.device) -> None:
        """Move what is not trained."""
        if self.perceptual is not None:
            self.perceptual.to(device)

    def batch(self, generator: torch.Generator, batch_size: int) -> dict[str, Any]:
        """Draw parts of F_2 (target) and F_1 (reference), and the noise of the latents."""
        drawn = self.batches.draw(generator, batch_size)
        images = {name: drawn[name] for name in ("target", "reference")}
        factor = self.model.factor
        if self.part is not None:
            cells = self.part // factor
            most = images["target"].shape[-1] // factor - cells
            corners = own_of(torch.randint(most + 1, (batch_size, 2), generator=generator) * factor).tolist()
            for name, whole in images.items():
                parts = [one[:, y : y + self.part, x : x + self.part] for one, (y, x) in zip(whole, corners)]
                images[name] = torch.stack(parts)
        side = images["target"].shape[-1] // factor
        strength = self.noise * (2 * torch.rand(batch_size, 1, 1, 1, generator=generator) - 1).clamp(min=0)
        noise = own_normal(generator, batch_size, self.model.config.latent_channels, side, side)
        return OwnRows({**images, "noise": own_of(strength) * noise})

    def loss(
        self, model: Autoencoder | DiffusersAutoencoder, batch: dict[str, Any]
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Compute eq. 15."""
        reference, latents = model.encode(batch["reference"]), model.encode(batch["target"])
        predicted = model.decode(reference, latents + batch["noise"])  # D([E(F_1), E(F_2)])
        return reconstruction_loss(predicted, batch["target"], self.perceptual, **self.weights)

    @torch.no_grad()
    def validate(self, model: Autoencoder | DiffusersAutoencoder) -> dict[str, float]:
        """Return the PSNR in dB of images of development people."""
        targets, references = self.batches.development_pairs(_VALIDATION_IMAGES)
        figures = []
        for start in range(0, len(targets), _VALIDATION_BATCH):
            part = slice(start, start + _VALIDATION_BATCH)
            batch = self.batches.at(targets[part], references[part])
            batch = {name: value.to(next(model.parameters()).device) for name, value in batch.items()}
            predicted = model.decode(model.encode(batch["reference"]), model.encode(batch["target"]))
            error = (predicted.float().clamp(-1, 1) - batch["target"]).square().mean((1, 2, 3)) / 4  # of range 1
            figures.append(-10 * error.clamp(min=_MIN_ERROR).log10())
        value = float(torch.cat(figures).mean())
        return {"score": value, "psnr": value}

    def save(self, model: Autoencoder | DiffusersAutoencoder, folder: Path) -> None:
        """Write autoencoder.safetensors, with the scale of a pretrained autoencoder's latents measured again."""
        if isinstance(model, DiffusersAutoencoder):
            images = self.batches.draw(torch.Generator().manual_seed(0), _FIRST_IMAGES)["target"]
            model.start_from(images.to(model.latent_std.device))
        save_autoencoder(model, folder / AUTOENCODER_FILE)


@dataclass(frozen=True, kw_only=True)
class Config:
    """`model: autoencoder` of `fd2talk train`.

    Args:
        data: the frames.
        network: sizes, or which autoencoder of diffusers.
        perceptual: of L_per (eq. 14), see `perceptual_network`; None: without.
        loss: settings of `AutoencoderTask`.
    """

    data: FramesConfig
    network: AutoencoderConfig | DiffusersConfig | PretrainedConfig = AutoencoderConfig()
    perceptual: str | None = None
    loss: Annotated[dict[str, Any], Arguments(AutoencoderTask, ("frames", "autoencoder", "perceptual"))] = field(
        default_factory=dict
    )


def build_task(config: Config) -> AutoencoderTask:
    """Build the task of a config."""
    autoencoder = build_autoencoder(config.network)
    return AutoencoderTask(config.data.open(), autoencoder, perceptual=config.perceptual, **config.loss)
