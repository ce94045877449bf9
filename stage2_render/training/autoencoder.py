"""Training of encoder and decoder (FD2Talk §3.4.2, eq. 13-15), on pairs of frames of one clip."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
from torch import Tensor

from shared.processes import mean_weight
from shared.schema import Arguments
from stage2_render.diffusion.autoencoder import Autoencoder, AutoencoderConfig
from stage2_render.diffusion.diffusers_autoencoder import DiffusersAutoencoder, DiffusersConfig, PretrainedConfig
from stage2_render.diffusion.face_crop import SIZE
from stage2_render.diffusion.render_model import AUTOENCODER_FILE, build_autoencoder, save_autoencoder
from stage2_render.diffusion.tensors import to_tensor
from stage2_render.training.batch_sampler import BatchSampler, PairsConfig, draw_windows, take_windows
from stage2_render.training.losses import ReconstructionWeights, detail_transfer_loss, reconstruction_loss
from stage2_render.training.pair_dataset import Pairs
from stage2_render.training.perceptual_loss import perceptual_network

# Number of images for the initialisation, and for the scale of a pretrained autoencoder's latents.
_PATCH_IMAGES, _SCALE_IMAGES = 400, 16
# Share of batches with detail transfer; in the others the decoder learns to do without the warp.
_DETAIL = 0.7
# Weights of the regularisation of the decoder's outputs, see `detail_transfer_loss`.
_CONTENT_WEIGHT, _OPACITY_WEIGHT = 0.5, 0.005
# Validation: images, images in one batch, and the least squared error, which is a PSNR of 70 dB.
_VALIDATION_IMAGES, _VALIDATION_BATCH, _MIN_ERROR = 48, 8, 1e-7


class AutoencoderTask:
    """Reconstructs windows of frames by eq. 15.

    In half of them the latent is noisy, as the UNet's will be; most batches have detail transfer; some images are whole
    heads instead of face crops.

    Args:
        pairs: the training set.
        autoencoder: of either kind; one without detail transfer never takes the warp.
        window: side of a window in latent cells.
        noise: largest standard deviation of the latents' noise.
        heads: share of whole heads.
        portraits: see `BatchSampler`, as the next two.
        flip: see `BatchSampler`.
        jitter: see `BatchSampler`.
        perceptual: of L_per (eq. 14), see `perceptual_network`; None: without.
        weights: settings of `reconstruction_loss`.
    """

    def __init__(
        self,
        pairs: Pairs,
        autoencoder: Autoencoder | DiffusersAutoencoder,
        *,
        window: int = 16,
        noise: float = 0.3,
        heads: float = 0.2,
        portraits: float = 0.2,
        flip: float = 0.3,
        jitter: float = 0.05,
        perceptual: str | None = None,
        weights: ReconstructionWeights | None = None,
    ) -> None:
        self.batches, self.heads = BatchSampler(pairs, portraits=portraits, flip=flip, jitter=jitter), pairs.heads
        self.window, self.noise, self.head_share = window, noise, heads
        self.perceptual = perceptual_network(perceptual)
        self.weights = weights or {}
        self.model = autoencoder
        self.cells = SIZE // autoencoder.factor
        generator = torch.Generator().manual_seed(0)
        crops = self.batches.draw(generator, min(_PATCH_IMAGES, len(pairs.person)))["target"]
        self.model.start_from(torch.cat([crops, to_tensor(self.heads[:: max(1, len(self.heads) // len(crops))])]))

    def to(self, device: torch.device) -> None:
        """Move what is not trained."""
        if self.perceptual is not None:
            self.perceptual.to(device)

    def batch(self, generator: torch.Generator, batch_size: int) -> dict[str, Any]:
        """Draw windows of warped, target, reference and maps; noise; and whether the batch has detail transfer."""
        batch = self.batches.draw(generator, batch_size)
        corners = draw_windows(batch["boxes"], batch["shut"], self.cells, self.window, self.model.factor, generator)
        heads = int(self.head_share * batch_size)
        if heads:
            rows = torch.randint(len(self.heads), (heads,), generator=generator).numpy()
            pictures = to_tensor(self.heads[np.sort(rows)])
            for name in ("target", "warped", "reference"):
                batch[name][:heads] = pictures
        windows = {
            name: take_windows(batch[name], corners, self.window, self.cells)
            for name in ("warped", "target", "reference", "maps")
        }
        shape = (batch_size, self.model.config.latent_channels, self.window, self.window)
        strength = self.noise * (2 * torch.rand(batch_size, 1, 1, 1, generator=generator) - 1).clamp(min=0)
        detail = torch.rand((), generator=generator).item() < _DETAIL and self.model.transfers_detail
        noise = strength * torch.randn(shape, generator=generator)
        return {**windows, "noise": noise, "detail": detail, "heads": heads}

    def loss(
        self, model: Autoencoder | DiffusersAutoencoder, batch: dict[str, Any]
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Compute eq. 15; see `losses`."""
        reference, latents = model.encode(batch["reference"]), model.encode(batch["target"]) + batch["noise"]
        if not batch["detail"]:
            content, _ = model.decode(reference, latents)
            return reconstruction_loss(content, batch["target"], None, self.perceptual, **self.weights)
        faces = slice(batch["heads"], None)  # whole heads have no warp that differs from them
        warped = batch["warped"][faces]
        weight = mean_weight(len(warped), warped.device)
        loss, parts = detail_transfer_loss(
            *model.decode(reference[faces], latents[faces], warped, batch["maps"][faces]),
            batch["target"][faces],
            warped,
            self.perceptual,
            content_weight=_CONTENT_WEIGHT,
            opacity_weight=_OPACITY_WEIGHT,
            **self.weights,
        )
        return weight * loss, {name: weight * value for name, value in parts.items()}

    @torch.no_grad()
    def validate(self, model: Autoencoder | DiffusersAutoencoder) -> dict[str, float]:
        """Return the PSNR in dB of whole face crops of development people, without detail transfer."""
        rows = self.batches.development[:: max(1, len(self.batches.development) // _VALIDATION_IMAGES)]
        figures = []
        for start in range(0, len(rows), _VALIDATION_BATCH):
            batch = self.batches.at(rows[start : start + _VALIDATION_BATCH])
            content, _ = model.decode(model.encode(batch["reference"]), model.encode(batch["target"]))
            error = (content.float().clamp(-1, 1) - batch["target"]).square().mean((1, 2, 3)) / 4  # of range 1
            figures.append(-10 * error.clamp(min=_MIN_ERROR).log10())
        value = float(torch.cat(figures).mean())
        return {"score": value, "psnr": value}

    def save(self, model: Autoencoder | DiffusersAutoencoder, folder: Path) -> None:
        """Write autoencoder.safetensors, with the scale of a pretrained autoencoder's latents measured again."""
        if isinstance(model, DiffusersAutoencoder):
            heads = to_tensor(self.heads[:: max(1, len(self.heads) // _SCALE_IMAGES)])
            model.start_from(heads.to(model.latent_std.device))
        save_autoencoder(model, folder / AUTOENCODER_FILE)


@dataclass(frozen=True, kw_only=True)
class Config:
    """`model: autoencoder` of `fd2talk train`.

    Args:
        data: the training pairs.
        network: sizes, or which autoencoder of diffusers.
        perceptual: of L_per (eq. 14), see `perceptual_network`; None: without.
        loss: settings of `AutoencoderTask`.
    """

    data: PairsConfig
    network: AutoencoderConfig | DiffusersConfig | PretrainedConfig = AutoencoderConfig()
    perceptual: str | None = None
    loss: Annotated[dict[str, Any], Arguments(AutoencoderTask, ("pairs", "autoencoder", "perceptual"))] = field(
        default_factory=dict
    )


def build_task(config: Config) -> AutoencoderTask:
    """Build the task of a config."""
    autoencoder = build_autoencoder(config.network)
    return AutoencoderTask(config.data.open(), autoencoder, perceptual=config.perceptual, **config.loss)
