"""Training of encoder and decoder (FD2Talk §3.4.2, eq. 13-15), on pairs of frames of one clip."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from shared.metrics.perceptual import SqueezeDistance
from stage2_render.diffusion.diffusers_autoencoder import DiffusersAutoencoder
from stage2_render.diffusion.face_crop import SIZE
from stage2_render.diffusion.render_model import build_autoencoder, save_network
from stage2_render.training.batch_sampler import Batches, draw_windows, ready, take_windows, to_tensor
from stage2_render.training.losses import blended, picture_loss
from stage2_render.training.pair_dataset import Pairs

# Pictures whose patches the projections start from.
_PATCH_PICTURES = 400


class AutoencoderTask:
    """Reconstructs windows of frames. In half of them the latent is noisy, as the UNet's will be; in most the decoder
    sees the warp (detail transfer), in the others it has to do without; some are whole heads instead of face crops.

    autoencoder: `Autoencoder` or `DiffusersAutoencoder`; one that transfers no detail never sees the warp.
    window: side of a window in latent cells. noise: largest standard deviation of the latents' noise.
    heads: share of whole heads. portraits, flip, jitter: of `Batches`. perceptual: weights of `SqueezeDistance`, None
    to do without. weights: settings of `picture_loss`.
    """

    def __init__(
        self,
        pairs: Pairs,
        autoencoder: nn.Module,
        *,
        window: int = 16,
        noise: float = 0.3,
        heads: float = 0.2,
        portraits: float = 0.2,
        flip: float = 0.3,
        jitter: float = 0.05,
        perceptual: str | None = None,
        weights: dict[str, Any] | None = None,
    ) -> None:
        self.batches, self.heads = Batches(pairs, portraits=portraits, flip=flip, jitter=jitter), pairs.heads
        self.window, self.noise, self.head_share = window, noise, heads
        self.perceptual = SqueezeDistance(perceptual) if perceptual else None
        self.weights = weights or {}
        self.model = autoencoder
        self.cells = SIZE // autoencoder.factor
        generator = torch.Generator().manual_seed(0)
        crops = self.batches.draw(generator, min(_PATCH_PICTURES, len(pairs.person)))["target"]
        self.model.start_from(torch.cat([crops, to_tensor(self.heads[:: max(1, len(self.heads) // len(crops))])]))

    def to(self, device: torch.device) -> None:
        """Move what is not trained."""
        if self.perceptual is not None:
            self.perceptual.to(device)

    def batch(self, generator: torch.Generator, batch_size: int) -> dict[str, Any]:
        """Windows of warped, target, reference and maps; noise; whether the decoder sees the warp."""
        batch = self.batches.draw(generator, batch_size)
        corners = draw_windows(batch["boxes"], batch["shut"], self.cells, self.window, self.model.factor, generator)
        heads = int(self.head_share * batch_size)
        if heads:
            rows = torch.randint(len(self.heads), (heads,), generator=generator).numpy()
            pictures = to_tensor(self.heads[np.sort(rows)])
            for name in ("target", "warped", "reference"):
                batch[name][:heads] = pictures
        taken = {
            name: take_windows(batch[name], corners, self.window, self.cells)
            for name in ("warped", "target", "reference", "maps")
        }
        shape = (batch_size, self.model.config.latent_channels, self.window, self.window)
        strength = self.noise * (2 * torch.rand(batch_size, 1, 1, 1, generator=generator) - 1).clamp(min=0)
        seen = torch.rand((), generator=generator).item() < 0.7 and self.model.transfers_detail
        return {**taken, "noise": strength * torch.randn(shape, generator=generator), "seen": seen, "heads": heads}

    def loss(self, model: nn.Module, batch: dict[str, Any]) -> tuple[Tensor, dict[str, float | Tensor]]:
        """Eq. 15 (see `picture_loss`)."""
        reference, latents = model.encode(batch["reference"]), model.encode(batch["target"]) + batch["noise"]
        if not batch["seen"]:
            content, _ = model.decode(reference, latents)
            return picture_loss(content, batch["target"], None, self.perceptual, **self.weights)
        heads = batch["heads"]  # whole heads have no warp that differs from them
        content, opacity = model.decode(
            reference[heads:], latents[heads:], batch["warped"][heads:], batch["maps"][heads:]
        )
        warped, target = batch["warped"][heads:], batch["target"][heads:]
        loss, parts = picture_loss(blended(warped, content, opacity), target, warped, self.perceptual, **self.weights)
        plain = (content.float() - target).abs().mean()
        return loss + 0.5 * plain + 0.005 * opacity.mean(), {**parts, "content": plain, "opacity": opacity.mean()}

    @torch.no_grad()
    def validate(self, model: nn.Module) -> dict[str, float]:
        """PSNR in dB of whole face crops of development people, without the warp's help."""
        rows = self.batches.development[:: max(1, len(self.batches.development) // 48)]
        figures = []
        for start in range(0, len(rows), 8):
            batch = self.batches.at(rows[start : start + 8])
            content, _ = model.decode(model.encode(batch["reference"]), model.encode(batch["target"]))
            error = (content.float().clamp(-1, 1) - batch["target"]).square().mean((1, 2, 3)) / 4
            figures.append(-10 * error.clamp(min=1e-7).log10())
        value = float(torch.cat(figures).mean())
        return {"score": value, "psnr": value}

    def save(self, model: nn.Module, folder: Path) -> None:
        """autoencoder.safetensors; what fine-tuning did to the scale of a pretrained one's latents is undone."""
        if isinstance(model, DiffusersAutoencoder):
            model.start_from(to_tensor(self.heads[:: max(1, len(self.heads) // 16)]).to(model.latent_std.device))
        save_network(model, folder / "autoencoder.safetensors", {})


def build_task(config: dict[str, Any]) -> AutoencoderTask:
    """Sections `data` (see `batches.ready`), `network` (`networks.build_autoencoder`), `loss` (AutoencoderTask)."""
    return AutoencoderTask(
        ready(config["data"]),
        build_autoencoder(config.get("network", {})),
        perceptual=config.get("perceptual"),
        **config.get("loss", {}),
    )
