"""Training of the Diffusion UNet (FD2Talk §3.4.2, eq. 16), and then of UNet and decoder together on pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from shared.errors import InputError
from shared.metrics.perceptual import SqueezeDistance
from shared.metrics.rendering import MOUTH_CHANGES, change_of
from stage2_render.diffusion.face_crop import SIZE, window
from stage2_render.diffusion.render_model import TRAIN_TIMESTEPS, RenderNetworks, load_autoencoder
from stage2_render.diffusion.unet import UNet, UNetConfig
from stage2_render.training.batch_sampler import (
    Batches,
    draw_windows,
    ready,
    take_windows,
    to_pictures,
    weight_map,
)
from stage2_render.training.losses import blended, picture_loss
from stage2_render.training.pair_dataset import Pairs

_SHOWN = 12


class UNetTask:
    """A share `repaired` of each batch learns what one step from the warped latent needs (noise on the warp's latent at
    the first timestep); the others denoise the frame's own latent at any timestep, as eq. 16 says, a share `unguided`
    of them without the warp. The first are also decoded, in a window round mouth or eyes, and compared as pictures.
    With none `repaired`, no `pictures` and no extra weight for `mouth` and `eyes` the loss is eq. 16.

    portraits, shut, flip, jitter: of `Batches`. mouth, eyes: what the latent loss there weighs more. window_cells: side
    of the windows in latent cells. pictures: weight of the pictures' losses. detail: share of the batches whose decoder
    sees the warp; with none, it never learns to.
    """

    def __init__(
        self,
        pairs: Pairs,
        networks: RenderNetworks,
        *,
        perceptual: str | None = None,
        portraits: float = 0.2,
        shut: float = 0.0,
        flip: float = 0.3,
        jitter: float = 0.1,
        repaired: float = 0.75,
        unguided: float = 0.2,
        mouth: float = 4.0,
        eyes: float = 2.0,
        window_cells: int = 16,
        pictures: float = 4.0,
        detail: float = 0.9,
        opacity_weight: float = 0.01,
        weights: dict[str, float] | None = None,
    ) -> None:
        self.batches = Batches(pairs, portraits=portraits, shut=shut, flip=flip, jitter=jitter)
        self.model = networks
        self.perceptual = SqueezeDistance(perceptual) if perceptual else None
        self.repaired, self.unguided, self.mouth, self.eyes = repaired, unguided, mouth, eyes
        self.window_cells, self.pictures = window_cells, pictures
        self.detail, self.opacity_weight, self.weights = detail, opacity_weight, weights or {}
        self.factor = networks.autoencoder.factor
        self.cells = SIZE // self.factor
        coefficients = torch.from_numpy(pairs.coefficients[:])
        if bool((networks.unet.coefficient_std == 1).all()):  # not from weights that are there
            networks.unet.coefficient_mean.copy_(coefficients.mean(0))
            networks.unet.coefficient_std.copy_(coefficients.std(0).clamp(min=1e-3))
        networks.autoencoder.freeze_encoder()
        if not pictures:
            networks.autoencoder.requires_grad_(False)
        # Errors count about as they will in the picture, less so for the coarsest components.
        std = networks.autoencoder.latent_std.sqrt()
        self.channel_weights = (std / std.mean()).view(1, -1, 1, 1)
        # A head's picture is the frame; a face's fades into the warp.
        self.window = torch.ones(SIZE, SIZE) if networks.framing == "head" else torch.from_numpy(window().copy())

    def to(self, device: torch.device) -> None:
        """Move what is not trained."""
        self.channel_weights, self.window = self.channel_weights.to(device), self.window.to(device)
        if self.perceptual is not None:
            self.perceptual.to(device)

    def batch(self, generator: torch.Generator, batch_size: int) -> dict[str, Any]:
        """A drawn batch with noise, timesteps, which frames are guided and which windows are looked at."""
        batch = self.batches.draw(generator, batch_size)
        latent = self.model.unet.config.latent_channels
        guidance = self.model.unet.config.guidance
        repaired = round(self.repaired * batch_size)
        first = self.model.first_timestep if guidance else TRAIN_TIMESTEPS - 1
        timesteps = torch.randint(TRAIN_TIMESTEPS, (batch_size,), generator=generator)
        timesteps[:repaired] = first
        guided = torch.rand(batch_size, generator=generator) >= self.unguided
        guided[:repaired] = True
        corners = draw_windows(batch["boxes"], batch["shut"], self.cells, self.window_cells, self.factor, generator)
        return {
            **batch,
            "noise": torch.randn(batch_size, latent, self.cells, self.cells, generator=generator),
            "timesteps": timesteps,
            "guided": guided & guidance,
            "corners": corners[:repaired],
            "detail": torch.rand((), generator=generator).item() < self.detail,
            "repaired": repaired,
        }

    def loss(self, model: nn.Module, batch: dict[str, Any]) -> tuple[Tensor, dict[str, float | Tensor]]:
        """Eq. 16, weighted by place and component, plus the pictures' losses."""
        repaired = batch["repaired"]
        with torch.no_grad():
            target, reference = (model.autoencoder.encode(batch[name]).float() for name in ("target", "reference"))
            clean, warped = target, None
            if model.unet.config.guidance:
                warped = model.autoencoder.encode(batch["warped"]).float()
                clean = torch.cat([warped[:repaired], target[repaired:]])
        noisy = model.schedule.add_noise(clean, batch["noise"], batch["timesteps"])
        coefficients = torch.where(batch["known"][:, None], batch["coefficients"], model.unet.coefficient_mean)
        made = model.unet(
            noisy, batch["timesteps"], coefficients, reference, warped, batch["maps"], batch["guided"]
        ).float()
        where = weight_map(batch["boxes"], self.cells, self.factor, self.mouth, self.eyes)
        latent = ((made - target).square() * self.channel_weights * where).mean()
        parts: dict[str, float | Tensor] = {"latent": latent}
        loss = latent
        if self.pictures:
            picture, found = self._picture_loss(model, batch, made[:repaired], reference[:repaired])
            loss = loss + self.pictures * picture
            parts |= found
        return loss, parts

    def _picture_loss(
        self, model: nn.Module, batch: dict[str, Any], made: Tensor, reference: Tensor
    ) -> tuple[Tensor, dict[str, float | Tensor]]:
        count, cells = len(made), self.window_cells

        def look(values: Tensor) -> Tensor:
            return take_windows(values[:count], batch["corners"], cells, self.cells)

        warped, target = look(batch["warped"]), look(batch["target"])
        if not batch["detail"]:
            content, _ = model.autoencoder.decode(look(reference), look(made))
            return picture_loss(content, target, None, self.perceptual, **self.weights)
        content, opacity = model.autoencoder.decode(look(reference), look(made), warped, look(batch["maps"]))
        laid = opacity * look(self.window.expand(count, 1, -1, -1))
        out = blended(warped, content, laid)
        loss, parts = picture_loss(out, target, warped, self.perceptual, **self.weights)
        plain = (content.float() - target).abs().mean()
        loss = loss + 0.25 * plain + self.opacity_weight * opacity.mean()
        return loss, {**parts, "content": plain, "opacity": opacity.mean()}

    @torch.no_grad()
    def validate(self, model: nn.Module) -> dict[str, float]:
        """Development people, the networks' own number of steps: PSNR (dB) and perceptual distance, compared with the
        warp's, in the mouth box by what the mouth does, and in the eyes' where they shut. The score is the mean gain in
        dB plus 1 for each 30 % less of the distance."""
        pairs = self.batches.pairs
        rows = self.batches.development
        groups = {name: _spread(rows[[change_of(pairs.opened[r]) == name for r in rows]], 40) for name in MOUTH_CHANGES}
        groups["shut"] = _spread(rows[pairs.shut[rows]], 40)
        chosen = [(name, row) for name, of_group in groups.items() for row in of_group]
        gains: dict[str, list] = {name: [] for name in groups}
        device = self.channel_weights.device
        sheet = []
        for start in range(0, len(chosen), 8):
            part = chosen[start : start + 8]
            batch = {name: value.to(device) for name, value in self.batches.at([row for _, row in part]).items()}
            noise = torch.randn(
                (1, model.unet.config.latent_channels, self.cells, self.cells),
                generator=torch.Generator().manual_seed(0),
            ).to(device)
            repair = model.repair(
                batch["warped"],
                model.autoencoder.encode(batch["reference"]),
                batch["maps"],
                batch["coefficients"],
                noise.expand(len(batch["warped"]), -1, -1, -1),
                detail=self.detail > 0,
            )
            made = blended(batch["warped"], repair.content, repair.opacity * self.window).clamp(-1, 1)
            for index, (name, _) in enumerate(part):
                pictures = (batch["warped"][index], made[index], batch["target"][index])
                for box in batch["boxes"][index, 1:] if name == "shut" else batch["boxes"][index, :1]:
                    gains[name].append(self._gain(*pictures, box))
            opacity = (2 * repair.opacity - 1).expand(-1, 3, -1, -1)
            sheet.append(torch.cat([batch["reference"], batch["warped"], made, batch["target"], opacity], 3))
        self.sheet = to_pictures(torch.cat(sheet))
        figures = {}
        for name, values in gains.items():
            if values:
                figures[f"{name}_psnr_gain"], figures[f"{name}_distance_ratio"] = np.mean(values, 0).tolist()
        means = [np.mean(values, 0) for values in gains.values() if values]
        gain, ratio = np.mean(means, 0) if means else (0.0, 1.0)
        return {"score": float(gain + 10 * (1 - ratio) / 3), **figures}

    def _gain(self, warped: Tensor, made: Tensor, target: Tensor, box: Tensor) -> tuple[float, float]:
        x0, y0, x1, y1 = (int(v) for v in box.clamp(0, SIZE - 1))
        crops = [picture[:, y0 : y1 + 1, x0 : x1 + 1].float()[None] for picture in (warped, made, target)]
        errors = [(crop - crops[2]).square().mean().clamp(min=1e-6).item() for crop in crops[:2]]
        gain = 10 * np.log10(errors[0] / errors[1])
        if self.perceptual is None:
            return gain, 1.0
        grown = [nn.functional.interpolate((crop + 1) / 2, (128, 128), mode="bicubic").clamp(0, 1) for crop in crops]
        distances = [float(self.perceptual(picture, grown[2])[0]) for picture in grown[:2]]
        return gain, distances[1] / max(distances[0], 1e-3)

    def save(self, model: nn.Module, folder: Path) -> None:
        """autoencoder.safetensors, unet.safetensors, and pictures.png: reference, warp, made, real, opacity."""
        model.save(folder)
        if hasattr(self, "sheet"):
            rows = self.sheet[np.linspace(0, len(self.sheet) - 1, min(_SHOWN, len(self.sheet))).astype(int)]
            Image.fromarray(np.concatenate(rows)).save(folder / "pictures.png")


def _spread(rows: np.ndarray, count: int) -> np.ndarray:
    return rows[np.linspace(0, len(rows) - 1, min(count, len(rows))).astype(int)] if len(rows) else rows


def build_task(config: dict[str, Any]) -> UNetTask:
    """Sections `data` (see `batches.ready`), `network` (UNetConfig but for the sizes that follow from the data),
    `autoencoder` (weights to begin with), `loss` (UNetTask); or `initial`, a folder of both networks to go on from."""
    pairs = ready(config["data"])
    if config.get("initial"):
        networks = RenderNetworks.load(Path(config["initial"])).requires_grad_(True)
        return UNetTask(pairs, networks, perceptual=config.get("perceptual"), **config.get("loss", {}))
    path = Path(config["autoencoder"])
    if not path.exists():
        raise InputError(f"{path} is not there: train the autoencoder first")
    autoencoder = load_autoencoder(path).requires_grad_(True)
    unet = UNet(
        UNetConfig(
            latent_channels=autoencoder.config.latent_channels,
            size=SIZE // autoencoder.factor,
            coefficients=pairs.coefficients.shape[1],
            maps=pairs.maps.shape[1],
            map_size=pairs.maps.shape[-1],
            **config.get("network", {}),
        )
    )
    networks = RenderNetworks(
        autoencoder, unet, start=config.get("start", 0.6), steps=config.get("steps", 1), framing=pairs.framing
    )
    return UNetTask(pairs, networks, perceptual=config.get("perceptual"), **config.get("loss", {}))
