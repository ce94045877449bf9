"""Training of the Diffusion UNet (FD2Talk §3.4.2, eq. 16)."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from shared.errors import InputError
from shared.schema import Arguments
from shared.training.batches import OwnRows, own_normal, own_of
from stage2_render.diffusion.autoencoder import Autoencoder
from stage2_render.diffusion.render_model import (
    TRAIN_TIMESTEPS,
    RenderNetworks,
    load_autoencoder,
    view_of,
)
from stage2_render.diffusion.tensors import to_pictures
from stage2_render.diffusion.unet import UNet, UNetConfig
from stage2_render.face_crop import SIZE
from stage2_render.training.frame_sampler import FrameSampler, weight_map
from stage2_render.training.frame_set import FramesConfig, FrameSet

# Coefficients that hardly vary in the training set are divided by no less than this.
_MIN_COEFFICIENT_STD = 1e-3
# Validation: pairs, pairs in one batch, rows of the sheet of images; the timesteps whose loss is measured.
_VALIDATION_PAIRS, _VALIDATION_BATCH, _SHEET_ROWS = 48, 12, 12
_VALIDATION_TIMESTEPS = (999, 700)
# Least squared error of a validation image, a PSNR of 70 dB.
_MIN_ERROR = 1e-7


class UNetTask:
    """Trains the UNet by eq. 16, || J_0 - theta(J_t, t, beta, p, x) ||^2.

    With the default values the loss is eq. 16 as printed; `mouth_weight`, `eyes_weight` and `timestep_power` are not in
    the paper.

    Args:
        frames: the training set.
        networks: the autoencoder, which is not trained, and the UNet.
        mouth_weight: additional weight of the errors in the mouth's box.
        eyes_weight: additional weight of the errors in the eyes' boxes.
        timestep_power: timesteps are drawn with a density that grows with this power of t: 0 for all alike, 1 for more
            of the noisy ones, in which content has to be found in the reference.
        batches: further settings of `FrameSampler`.
    """

    def __init__(
        self,
        frames: FrameSet,
        networks: RenderNetworks,
        *,
        mouth_weight: float = 0.0,
        eyes_weight: float = 0.0,
        timestep_power: float = 0.0,
        batches: Annotated[dict[str, Any], Arguments(FrameSampler, ("frames", "window"))] | None = None,
    ) -> None:
        self.batches = FrameSampler(frames, networks.window, **(batches or {}))
        self.model = networks
        self.mouth_weight, self.eyes_weight, self.timestep_power = mouth_weight, eyes_weight, timestep_power
        unet = networks.unet
        if bool((unet.coefficient_std == 1).all()):  # the UNet has no weights of an earlier training
            coefficients = torch.from_numpy(frames.coefficients)
            unet.coefficient_mean.copy_(coefficients.mean(0))
            unet.coefficient_std.copy_(coefficients.std(0).clamp(min=_MIN_COEFFICIENT_STD))
            drawn = self.batches.draw(torch.Generator().manual_seed(0), min(len(frames), 256))
            change = drawn["coefficients"] - drawn["reference_coefficients"]
            unet.change_std.copy_(change.std(0).clamp(min=_MIN_COEFFICIENT_STD))
        networks.autoencoder.requires_grad_(False)

    def batch(self, generator: torch.Generator, batch_size: int) -> dict[str, Any]:
        """Draw pairs with noise and timesteps."""
        batch = self.batches.draw(generator, batch_size)
        config = self.model.unet.config
        uniform = torch.rand(batch_size, generator=generator, dtype=torch.float64)
        level = uniform ** (1 / (1 + self.timestep_power))
        noise = own_normal(generator, batch_size, config.latent_channels, config.size, config.size)
        timesteps = (own_of(level) * TRAIN_TIMESTEPS).long().clamp(max=TRAIN_TIMESTEPS - 1)
        return OwnRows({**batch, "noise": noise, "timesteps": timesteps})

    def loss(self, model: RenderNetworks, batch: dict[str, Any]) -> tuple[Tensor, dict[str, Tensor]]:
        """Compute eq. 16, weighted by place."""
        with torch.no_grad():
            target = model.autoencoder.encode(batch["target"]).float()
        reference = model.encode_reference(batch["reference"], batch["reference_coefficients"])
        noisy = model.schedule.add_noise(target, batch["noise"], batch["timesteps"])  # J_t, [B, C, S, S]
        predicted = model.predict(noisy, batch["timesteps"], batch["coefficients"], reference)
        factor = model.autoencoder.factor
        where = weight_map(batch["boxes"], target.shape[-1], factor, self.mouth_weight, self.eyes_weight)
        error = (predicted - target).square()  # [B, C, S, S]
        return (error * where).mean(), {"unweighted": error.detach().mean()}

    @torch.no_grad()
    def validate(self, model: RenderNetworks) -> dict[str, float]:
        """Measure eq. 16 and generated frames of development people, with the networks' default number of steps.

        Returns:
            loss_T: the unweighted loss at timestep T; psnr, psnr_mouth: of the generated frames in dB, whole and in the
            box of the mouth; psnr_reference, psnr_mouth_reference: of the reference image in their place; score: how
            much of the latents' variance is predicted in %, the mean of the timesteps. The PSNR of generated frames
            prefers blurred ones.
        """
        targets, references = self.batches.development_pairs(_VALIDATION_PAIRS)
        device = next(model.parameters()).device
        generator = torch.Generator().manual_seed(0)
        figures: dict[str, list[float]] = {}
        sheet = []
        for start in range(0, len(targets), _VALIDATION_BATCH):
            part = slice(start, start + _VALIDATION_BATCH)
            batch = self.batches.at(targets[part], references[part])
            batch = {name: value.to(device) for name, value in batch.items()}
            target = model.autoencoder.encode(batch["target"]).float()
            reference = model.encode_reference(batch["reference"], batch["reference_coefficients"])
            noise = torch.randn(target.shape, generator=generator).to(device)
            for t in _VALIDATION_TIMESTEPS:
                now = torch.full((len(target),), t, device=device)
                noisy = model.schedule.add_noise(target, noise, now)
                predicted = model.predict(noisy, now, batch["coefficients"], reference)
                errors = (predicted - target).square().mean((1, 2, 3))
                figures.setdefault(f"loss_{t}", []).extend(errors.tolist())
            images = model.generate(reference, batch["coefficients"], noise[:1].expand_as(noise)).clamp(-1, 1)
            for suffix, shown in (("", images), ("_reference", batch["reference"])):
                for name, boxes in (("psnr", None), ("psnr_mouth", batch["boxes"][:, 0])):
                    figures.setdefault(name + suffix, []).extend(_psnr(shown, batch["target"], boxes))
            sheet.append(torch.cat([batch["reference"], images, batch["target"]], 3))
        self.sheet = to_pictures(torch.cat(sheet))
        means = {name: float(np.mean(values)) for name, values in figures.items()}
        share = 1 - float(np.mean([means[f"loss_{t}"] for t in _VALIDATION_TIMESTEPS]))
        return {"score": 100 * share, **means}

    def save(self, model: RenderNetworks, folder: Path) -> None:
        """Write both networks, and pictures.png: rows of reference, generated and real frame."""
        model.save(folder)
        if hasattr(self, "sheet"):
            chosen = np.linspace(0, len(self.sheet) - 1, min(_SHEET_ROWS, len(self.sheet))).astype(int)
            Image.fromarray(np.concatenate(self.sheet[chosen])).save(folder / "pictures.png")


def _psnr(images: Tensor, targets: Tensor, boxes: Tensor | None) -> list[float]:
    """PSNR in dB of images [B, 3, S, S] in [-1, 1], in boxes [B, 4] of pixels if there are any."""
    values = []
    for index, error in enumerate((images - targets).square().mean(1) / 4):
        if boxes is not None:
            x0, y0, x1, y1 = (int(v) for v in boxes[index].clamp(0, error.shape[-1] - 1))
            error = error[y0 : y1 + 1, x0 : x1 + 1]
        values.append(float(-10 * error.mean().clamp(min=_MIN_ERROR).log10()))
    return values


@dataclass(frozen=True, kw_only=True)
class NewConfig:
    """`model: unet` of `fd2talk train`, for an untrained UNet.

    Args:
        data: the frames.
        autoencoder: its file of weights.
        window: left, top and side of the square that is painted, in pixels of the 256 x 256 head crop.
        network: sizes of `UNetConfig`, except for those that follow from the data.
        steps: see `RenderNetworks`; None: its default.
        loss: settings of `UNetTask`.
    """

    data: FramesConfig
    autoencoder: str
    window: tuple[int, int, int] = (0, 0, SIZE)
    network: Annotated[
        dict[str, Any], Arguments(UNetConfig, ("latent_channels", "size", "coefficients", "view"))
    ] = field(default_factory=dict)  # fmt: skip
    steps: int | None = None
    loss: Annotated[dict[str, Any], Arguments(UNetTask, ("frames", "networks"))] = field(default_factory=dict)

    def __post_init__(self) -> None:
        UNetConfig(1, 1, 1, **self.network)  # before frames are collected: do the sizes go together?

    def networks(self, frames: FrameSet) -> RenderNetworks:
        """A trained autoencoder and an untrained UNet. Raises InputError: there is no such autoencoder."""
        path = Path(self.autoencoder)
        if not path.exists():
            raise InputError(f"{path} does not exist: train the autoencoder first")
        autoencoder = load_autoencoder(path)
        if self.network.get("copies", UNetConfig.copies) and not isinstance(autoencoder, Autoencoder):
            raise InputError(
                "network.copies must be 0 for an autoencoder of diffusers: they need an encoder of patches"
            )
        sizes = {
            "latent_channels": autoencoder.config.latent_channels,
            "size": self.window[2] // autoencoder.factor,
            "coefficients": frames.coefficients.shape[1],
            "view": view_of(self.window),
        }
        settings = {} if self.steps is None else {"steps": self.steps}
        return RenderNetworks(autoencoder, UNet(UNetConfig(**sizes, **self.network)), **settings)


@dataclass(frozen=True, kw_only=True)
class ContinuedConfig:
    """The same for networks that are trained further: `initial` is the folder of both; the rest as above.

    `autoencoder`, a file, replaces the one in `initial`.
    """

    data: FramesConfig
    initial: str
    autoencoder: str | None = None
    loss: Annotated[dict[str, Any], Arguments(UNetTask, ("frames", "networks"))] = field(default_factory=dict)

    def networks(self, frames: FrameSet) -> RenderNetworks:
        """The trained networks."""
        networks = RenderNetworks.load(Path(self.initial))
        networks.unet.requires_grad_(True)
        if self.autoencoder is not None:
            networks.autoencoder = load_autoencoder(Path(self.autoencoder))
        return networks


Config = NewConfig | ContinuedConfig


def build_task(config: Config) -> UNetTask:
    """Build the task of a config."""
    frames = config.data.open()
    return UNetTask(frames, config.networks(frames), **config.loss)
