"""Training of the Diffusion UNet (FD2Talk §3.4.2, eq. 16), and then of UNet and decoder together on decoded images."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from shared.errors import InputError
from shared.metrics.rendering import MOUTH_CHANGES, change_of
from shared.processes import mean_weight
from shared.schema import Arguments
from stage2_render.diffusion.face_crop import SIZE, window
from stage2_render.diffusion.render_model import TRAIN_TIMESTEPS, RenderNetworks, load_autoencoder
from stage2_render.diffusion.tensors import to_pictures
from stage2_render.diffusion.unet import UNet, UNetConfig
from stage2_render.training.batch_sampler import BatchSampler, PairsConfig, draw_windows, take_windows, weight_map
from stage2_render.training.losses import ReconstructionWeights, blended, detail_transfer_loss, reconstruction_loss
from stage2_render.training.pair_dataset import Pairs
from stage2_render.training.perceptual_loss import perceptual_network

# Weight of the decoder's own images, see `detail_transfer_loss`.
_CONTENT_WEIGHT = 0.25
# Coefficients that hardly vary in the training set are divided by no less than this.
_MIN_COEFFICIENT_STD = 1e-3
# Validation: frames of each group, frames in one batch, rows of the sheet of images.
_VALIDATION_FRAMES, _VALIDATION_BATCH, _SHEET_ROWS = 40, 8, 12
# Side in pixels to which a box is enlarged for the perceptual distance.
_BOX_SIDE = 128
# Least error and distance of the warp that gains are relative to: a perfect warp would make them infinite.
_MIN_ERROR, _MIN_DISTANCE = 1e-6, 1e-3


class UNetTask:
    """Trains the UNet by eq. 16 and, with the decoder, by eq. 15 on decoded images.

    A share `from_warp` of each batch is trained for one step from the warped latent: noise is added to that latent at
    the first timestep of inference. The others denoise the frame's own latent at any timestep, as in eq. 16, a share
    `geometry_dropout` of them without geometry conditioning. The first are also decoded in a window around mouth or
    eyes and compared with the frame by eq. 15. With `from_warp`, `image_weight`, `mouth_weight` and `eyes_weight` 0 the
    loss is eq. 16 alone.

    Args:
        pairs: the training set.
        networks: the autoencoder and the UNet.
        perceptual: of L_per (eq. 14), see `perceptual_network`; None: without.
        portraits: see `BatchSampler`, as the next three.
        shut: see `BatchSampler`.
        flip: see `BatchSampler`.
        jitter: see `BatchSampler`.
        from_warp: share of a batch that starts from the warped latent.
        geometry_dropout: share of the others without geometry conditioning.
        mouth_weight: additional weight of eq. 16 in the mouth's box.
        eyes_weight: additional weight of eq. 16 in the eyes' boxes.
        window_cells: side of the windows in latent cells.
        image_weight: of eq. 15 beside eq. 16; 0: the decoder is not trained.
        detail: share of batches with detail transfer; 0: the decoder never takes the warp.
        opacity_weight: see `detail_transfer_loss`.
        weights: settings of `reconstruction_loss`.
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
        from_warp: float = 0.75,
        geometry_dropout: float = 0.2,
        mouth_weight: float = 4.0,
        eyes_weight: float = 2.0,
        window_cells: int = 16,
        image_weight: float = 4.0,
        detail: float = 0.9,
        opacity_weight: float = 0.01,
        weights: ReconstructionWeights | None = None,
    ) -> None:
        self.batches = BatchSampler(pairs, portraits=portraits, shut=shut, flip=flip, jitter=jitter)
        self.model = networks
        self.perceptual = perceptual_network(perceptual)
        self.from_warp, self.geometry_dropout = from_warp, geometry_dropout
        self.mouth_weight, self.eyes_weight, self.image_weight = mouth_weight, eyes_weight, image_weight
        self.window_cells, self.detail, self.opacity_weight = window_cells, detail, opacity_weight
        self.weights = weights or {}
        self.factor = networks.autoencoder.factor
        self.cells = SIZE // self.factor
        coefficients = torch.from_numpy(pairs.coefficients[:])
        if bool((networks.unet.coefficient_std == 1).all()):  # the UNet has no weights of an earlier training
            networks.unet.coefficient_mean.copy_(coefficients.mean(0))
            networks.unet.coefficient_std.copy_(coefficients.std(0).clamp(min=_MIN_COEFFICIENT_STD))
        networks.autoencoder.freeze_encoder()
        if not image_weight:
            networks.autoencoder.requires_grad_(False)
        # Errors of a latent channel have about the weight that they have in the image, the coarsest channels less.
        std = networks.autoencoder.latent_std.sqrt()
        self.channel_weights = (std / std.mean()).view(1, -1, 1, 1)
        # The image of a head is the whole frame; that of a face fades into the warp.
        self.window = torch.ones(SIZE, SIZE) if networks.framing == "head" else torch.from_numpy(window().copy())

    def to(self, device: torch.device) -> None:
        """Move what is not trained."""
        self.channel_weights, self.window = self.channel_weights.to(device), self.window.to(device)
        if self.perceptual is not None:
            self.perceptual.to(device)

    def batch(self, generator: torch.Generator, batch_size: int) -> dict[str, Any]:
        """Draw a batch with noise, timesteps, the frames without geometry conditioning, and windows."""
        batch = self.batches.draw(generator, batch_size)
        config = self.model.unet.config
        from_warp = round(self.from_warp * batch_size)
        timesteps = torch.randint(TRAIN_TIMESTEPS, (batch_size,), generator=generator)
        timesteps[:from_warp] = self.model.first_timestep if config.geometry_conditioning else TRAIN_TIMESTEPS - 1
        drop_mask = torch.rand(batch_size, generator=generator) < self.geometry_dropout
        drop_mask[:from_warp] = False
        corners = draw_windows(batch["boxes"], batch["shut"], self.cells, self.window_cells, self.factor, generator)
        return {
            **batch,
            "noise": torch.randn(batch_size, config.latent_channels, self.cells, self.cells, generator=generator),
            "timesteps": timesteps,
            "geometry_drop_mask": drop_mask,
            "corners": corners[:from_warp],
            "detail": torch.rand((), generator=generator).item() < self.detail,
            "from_warp": from_warp,
        }

    def loss(self, model: RenderNetworks, batch: dict[str, Any]) -> tuple[Tensor, dict[str, Tensor]]:
        """Compute eq. 16, weighted by place and latent channel, plus eq. 15 on decoded images."""
        from_warp = batch["from_warp"]
        with torch.no_grad():
            target, reference = (model.autoencoder.encode(batch[name]).float() for name in ("target", "reference"))
            clean, warped = target, None
            if model.unet.config.geometry_conditioning:
                warped = model.autoencoder.encode(batch["warped"]).float()
                clean = torch.cat([warped[:from_warp], target[from_warp:]])
        noisy = model.schedule.add_noise(clean, batch["noise"], batch["timesteps"])  # J_t, [B, C, S, S]
        dropped = batch["coefficient_drop_mask"][:, None]
        coefficients = torch.where(dropped, model.unet.coefficient_mean, batch["coefficients"])
        geometry = (warped, batch["maps"], batch["geometry_drop_mask"])
        predicted = model.unet(noisy, batch["timesteps"], coefficients, reference, *geometry).float()
        where = weight_map(batch["boxes"], self.cells, self.factor, self.mouth_weight, self.eyes_weight)
        loss = ((predicted - target).square() * self.channel_weights * where).mean()  # eq. 16
        parts = {"latent": loss}
        if self.image_weight:
            weight = mean_weight(from_warp, target.device)
            image, image_parts = self._image_loss(model, batch, predicted[:from_warp], reference[:from_warp])
            loss = loss + self.image_weight * weight * image
            parts |= {name: weight * value for name, value in image_parts.items()}
        return loss, parts

    def _image_loss(
        self, model: RenderNetworks, batch: dict[str, Any], predicted: Tensor, reference: Tensor
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Eq. 15 on the decoded windows of predicted latents."""
        count = len(predicted)

        def in_window(values: Tensor) -> Tensor:
            return take_windows(values[:count], batch["corners"], self.window_cells, self.cells)

        warped, target = in_window(batch["warped"]), in_window(batch["target"])
        latents = in_window(reference), in_window(predicted)
        if not batch["detail"]:
            content, _ = model.autoencoder.decode(*latents)
            return reconstruction_loss(content, target, None, self.perceptual, **self.weights)
        return detail_transfer_loss(
            *model.autoencoder.decode(*latents, warped, in_window(batch["maps"])),
            target,
            warped,
            self.perceptual,
            content_weight=_CONTENT_WEIGHT,
            opacity_weight=self.opacity_weight,
            mask=in_window(self.window.expand(count, 1, -1, -1)),
            **self.weights,
        )

    @torch.no_grad()
    def validate(self, model: RenderNetworks) -> dict[str, float]:
        """Compare repairs of development people with their warps, with the networks' default number of steps.

        Returns:
            For each change of the mouth, and for shut eyes, the gain of PSNR over the warp in dB and the ratio of the
            perceptual distances, in the box of the mouth or of the eyes; `score`, the mean gain in dB plus 1 for each
            30 % less of the distance.
        """
        pairs = self.batches.pairs
        rows = self.batches.development
        groups = {name: rows[[change_of(pairs.opened[r]) == name for r in rows]] for name in MOUTH_CHANGES}
        groups["shut"] = rows[pairs.shut[rows]]
        chosen = [(name, row) for name, group in groups.items() for row in _spread(group, _VALIDATION_FRAMES)]
        gains: dict[str, list] = {name: [] for name in groups}
        device = self.channel_weights.device
        shape = (1, model.unet.config.latent_channels, self.cells, self.cells)
        noise = torch.randn(shape, generator=torch.Generator().manual_seed(0)).to(device)
        sheet = []
        for start in range(0, len(chosen), _VALIDATION_BATCH):
            part = chosen[start : start + _VALIDATION_BATCH]
            batch = {name: value.to(device) for name, value in self.batches.at([row for _, row in part]).items()}
            repair = model.repair(
                batch["warped"],
                model.autoencoder.encode(batch["reference"]),
                batch["maps"],
                batch["coefficients"],
                noise.expand(len(part), -1, -1, -1),
                detail=self.detail > 0,
            )
            images = blended(batch["warped"], repair.content, repair.opacity * self.window).clamp(-1, 1)
            for index, (name, _) in enumerate(part):
                compared = (batch["warped"][index], images[index], batch["target"][index])
                for box in batch["boxes"][index, 1:] if name == "shut" else batch["boxes"][index, :1]:
                    gains[name].append(self._gain(*compared, box))
            opacity = (2 * repair.opacity - 1).expand(-1, 3, -1, -1)
            sheet.append(torch.cat([batch["reference"], batch["warped"], images, batch["target"], opacity], 3))
        self.sheet = to_pictures(torch.cat(sheet))
        means = {name: np.mean(values, 0).tolist() for name, values in gains.items() if values}
        gain, ratio = np.mean(list(means.values()), 0) if means else (0.0, 1.0)
        figures = {f"{name}_psnr_gain": mean[0] for name, mean in means.items()}
        figures |= {f"{name}_distance_ratio": mean[1] for name, mean in means.items()}
        return {"score": float(gain + 10 * (1 - ratio) / 3), **figures}

    def _gain(self, warped: Tensor, image: Tensor, target: Tensor, box: Tensor) -> tuple[float, float]:
        """Gain of PSNR over the warp in dB, and ratio of the perceptual distances, of images [3, S, S] in a box [4]."""
        x0, y0, x1, y1 = (int(v) for v in box.clamp(0, SIZE - 1))
        crops = [picture[:, y0 : y1 + 1, x0 : x1 + 1].float()[None] for picture in (warped, image, target)]
        errors = [(crop - crops[2]).square().mean().clamp(min=_MIN_ERROR).item() for crop in crops[:2]]
        gain = 10 * np.log10(errors[0] / errors[1])
        if self.perceptual is None:
            return gain, 1.0
        side = (_BOX_SIDE, _BOX_SIDE)
        enlarged = [nn.functional.interpolate((crop + 1) / 2, side, mode="bicubic").clamp(0, 1) for crop in crops]
        distances = [float(self.perceptual(picture, enlarged[2])[0]) for picture in enlarged[:2]]
        return gain, distances[1] / max(distances[0], _MIN_DISTANCE)

    def save(self, model: RenderNetworks, folder: Path) -> None:
        """Write both networks, and pictures.png: rows of reference, warp, repair, real frame and opacity."""
        model.save(folder)
        if hasattr(self, "sheet"):
            rows = self.sheet[_spread(np.arange(len(self.sheet)), _SHEET_ROWS)]
            Image.fromarray(np.concatenate(rows)).save(folder / "pictures.png")


def _spread(rows: np.ndarray, count: int) -> np.ndarray:
    """At most `count` rows at equal distances."""
    return rows[np.linspace(0, len(rows) - 1, min(count, len(rows))).astype(int)] if len(rows) else rows


@dataclass(frozen=True, kw_only=True)
class NewConfig:
    """`model: unet` of `fd2talk train`, for an untrained UNet.

    Args:
        data: the training pairs.
        autoencoder: its file of weights.
        network: sizes of `UNetConfig`, except for those that follow from the data.
        start: see `RenderNetworks`; None: its default.
        steps: see `RenderNetworks`; None: its default.
        perceptual: of L_per (eq. 14), see `perceptual_network`; None: without.
        loss: settings of `UNetTask`.
    """

    data: PairsConfig
    autoencoder: str
    network: Annotated[
        dict[str, Any], Arguments(UNetConfig, ("latent_channels", "size", "coefficients", "maps", "map_size"))
    ] = field(default_factory=dict)  # fmt: skip
    start: float | None = None
    steps: int | None = None
    perceptual: str | None = None
    loss: Annotated[dict[str, Any], Arguments(UNetTask, ("pairs", "networks", "perceptual"))] = field(
        default_factory=dict
    )

    def __post_init__(self) -> None:
        UNetConfig(1, 1, 1, map_size=1, **self.network)  # before pairs are built: do the sizes go together?

    def networks(self, pairs: Pairs) -> RenderNetworks:
        """A trained autoencoder and an untrained UNet. Raises InputError: there is no such autoencoder."""
        path = Path(self.autoencoder)
        if not path.exists():
            raise InputError(f"{path} does not exist: train the autoencoder first")
        autoencoder = load_autoencoder(path).requires_grad_(True)
        sizes = {
            "latent_channels": autoencoder.config.latent_channels,
            "size": SIZE // autoencoder.factor,
            "coefficients": pairs.coefficients.shape[1],
            "maps": pairs.maps.shape[1],
            "map_size": pairs.maps.shape[-1],
        }
        settings = {name: value for name in ("start", "steps") if (value := getattr(self, name)) is not None}
        return RenderNetworks(autoencoder, UNet(UNetConfig(**sizes, **self.network)), framing=pairs.framing, **settings)


@dataclass(frozen=True, kw_only=True)
class ContinuedConfig:
    """The same for networks that are trained further: `initial` is the folder of both; the rest as above."""

    data: PairsConfig
    initial: str
    perceptual: str | None = None
    loss: Annotated[dict[str, Any], Arguments(UNetTask, ("pairs", "networks", "perceptual"))] = field(
        default_factory=dict
    )

    def networks(self, pairs: Pairs) -> RenderNetworks:
        """The trained networks."""
        return RenderNetworks.load(Path(self.initial)).requires_grad_(True)


Config = NewConfig | ContinuedConfig


def build_task(config: Config) -> UNetTask:
    """Build the task of a config."""
    pairs = config.data.open()
    return UNetTask(pairs, config.networks(pairs), perceptual=config.perceptual, **config.loss)
