"""Training of a repair network: from the warp of one frame, with that frame, to the real other frame."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from shared.metrics.image import sharpness
from shared.metrics.rendering import MOUTH_CHANGES, change_of
from shared.schema import Arguments
from stage2_render.diffusion.tensors import to_pictures
from stage2_render.repair.int8 import observed
from stage2_render.repair.network import RepairConfig, RepairNetwork
from stage2_render.repair.networks import load_network, save_network
from stage2_render.repair.parts import window
from stage2_render.training.losses import ReconstructionWeights, reconstruction_loss
from stage2_render.training.perceptual_loss import perceptual_network
from stage2_render.training.repair.batch_sampler import BatchSampler, PairsConfig
from stage2_render.training.repair.discriminator import Adversaries, adversarial_losses
from stage2_render.training.repair.pair_dataset import NETWORKS, Pairs

# Warp and frame agree where they differ, apart from detail of less than about four pixels, by less than so many levels
# of 255: there the warp shall keep its detail.
_AGREEMENT, _AGREEMENT_BLUR = 10.0, 6
# Validation: rows of each group, crops in one batch, rows of the sheet of images.
_VALIDATION_ROWS, _VALIDATION_BATCH, _SHEET_ROWS = 40, 16, 14
# Sides in pixels to which a box is enlarged for the perceptual distance.
_BOX_SIDE = 128
# Least error and distance of the warp that gains are relative to: a perfect warp would make them infinite.
_MIN_ERROR, _MIN_DISTANCE = 1e-6, 1e-3


class RepairTask:
    """Trains one network on reconstruction (eq. 13-15 of FD2Talk, of the crop) and on where the warp is right.

    Args:
        pairs: the training set.
        part: the network's name, `mouth` or `eye`.
        network: the network.
        perceptual: of L_per (eq. 14), see `perceptual_network`; None: without.
        portraits: see `BatchSampler`, as the next three.
        shut: see `BatchSampler`.
        flip: see `BatchSampler`.
        jitter: see `BatchSampler`.
        sharp: see `BatchSampler`.
        sharpen: see `BatchSampler`.
        part_weight: additional weight of the errors within lips or lids and between them.
        keep_weight: of L_keep, the mean over pixels of max(0, |repaired - target| - |warped - target|): an error where
            the warp is right costs more than one where it is wrong.
        adversarial_weight: of the discriminator's score (`discriminator`); 0: no discriminator.
        feature_weight: of the difference of the discriminator's features.
        cover_weight: of the error of the cover, whose target is 0 where the warp agrees with the frame and 1 where not.
        weights: settings of `reconstruction_loss`.
    """

    def __init__(
        self,
        pairs: Pairs,
        part: str,
        network: RepairNetwork,
        *,
        perceptual: str | None = None,
        portraits: float = 0.3,
        shut: float = 0.0,
        flip: float = 0.5,
        jitter: float = 0.1,
        sharp: float = 330.0,
        sharpen: float = 0.0,
        part_weight: float = 2.0,
        keep_weight: float = 0.5,
        adversarial_weight: float = 0.0,
        feature_weight: float = 0.5,
        cover_weight: float = 0.1,
        weights: ReconstructionWeights | None = None,
    ) -> None:
        shares = {"portraits": portraits, "shut": shut, "flip": flip}
        self.batches = BatchSampler(pairs, part, **shares, jitter=jitter, sharp=sharp, sharpen=sharpen)
        self.part, self.perceptual = part, perceptual_network(perceptual)
        self.model: RepairNetwork | Adversaries = Adversaries(network) if adversarial_weight else network
        self.adversarial_weight, self.feature_weight = adversarial_weight, feature_weight
        self.part_weight, self.keep_weight, self.cover_weight = part_weight, keep_weight, cover_weight
        self.weights = weights or {}
        self.window = torch.from_numpy(window(NETWORKS[part][0].size).copy())
        self.sheet = np.zeros((0, 1, 1, 3), np.uint8)

    def to(self, device: torch.device) -> None:
        """Move what is not trained."""
        self.window = self.window.to(device)
        if self.perceptual is not None:
            self.perceptual.to(device)

    def batch(self, generator: torch.Generator, batch_size: int) -> dict[str, Any]:
        """Draw a batch."""
        return self.batches.draw(generator, batch_size)

    def loss(self, model: RepairNetwork | Adversaries, batch: dict[str, Any]) -> tuple[Tensor, dict[str, Tensor]]:
        """Compare repaired crops with real ones."""
        warped, target = batch["warped"], batch["target"]
        image, cover = self._repaired(model, batch)
        loss, parts = reconstruction_loss(image, target, self.perceptual, **self.weights)
        error = (image - target).abs()
        inside = F.interpolate(batch["maps"].sum(1, keepdim=True).clamp(max=1), size=target.shape[-2:])
        parts["part"] = (error * inside).sum() / (3 * inside.sum()).clamp(min=1)
        parts["keep"] = (error - (warped - target).abs()).clamp(min=0).mean()
        parts["cover"] = (cover - disagreement(warped, target)).abs().mean()
        for name, weight in (("part", self.part_weight), ("keep", self.keep_weight), ("cover", self.cover_weight)):
            loss = loss + weight * parts[name]
        if isinstance(model, Adversaries):
            found = adversarial_losses(model.discriminator, image, target, batch["reference"], batch["maps"])
            loss = loss + self.adversarial_weight * found["adversarial"] + self.feature_weight * found["features"]
            loss, parts = loss + found["discriminator"], parts | found
        return loss, parts

    def _repaired(self, model: Any, batch: dict[str, Any]) -> tuple[Tensor, Tensor]:
        """Repaired crops [B, 3, H, W], faded to the warp at their borders, and covers [B, 1, H, W]."""
        paint, cover = model(batch["warped"], batch["maps"], batch["reference"], batch["reference_maps"])
        change = paint.float() - cover * batch["warped"]
        return batch["warped"] + self.window * change, cover

    @torch.no_grad()
    def validate(self, model: RepairNetwork | Adversaries) -> dict[str, float]:
        """Compare repairs of development people with their warps.

        Returns:
            For each change of the mouth, or for open and shut eyes, in the box of lips or lids: the gain of PSNR over
            the warp in dB, the ratio of the perceptual distances, and sharpness relative to the real frame's. `score`,
            how much less the mean distance is than the warp's; without a perceptual network the mean gain in dB.
            The ranges that int8 needs are noted in the network.
        """
        with observed(_network(model)) as ranges:
            figures = self._figures(model)
        _network(model).ranges = ranges
        return figures

    def _figures(self, model: RepairNetwork | Adversaries) -> dict[str, float]:
        """Of `validate`."""
        pairs, rows = self.batches.pairs, self.batches.development
        if self.part == "mouth":
            groups = {name: rows[[change_of(pairs.opened[r]) == name for r in rows]] for name in MOUTH_CHANGES}
        else:
            groups = {"shut": rows[pairs.shut[rows]], "open": rows[~pairs.shut[rows]]}
        gains: dict[str, list] = {}
        sheet = []
        each = len(NETWORKS[self.part])
        for name, group in groups.items():
            chosen = _spread(group, _VALIDATION_ROWS // each)
            for start in range(0, len(chosen), _VALIDATION_BATCH // each):
                batch = self.batches.at(chosen[start : start + _VALIDATION_BATCH // each])
                batch = {key: value.to(self.window.device) for key, value in batch.items()}
                images, cover = self._repaired(model, batch)
                images = images.clamp(-1, 1)
                for index in range(len(images)):
                    compared = batch["warped"][index], images[index], batch["target"][index]
                    gains.setdefault(name, []).append(self._gain(*compared, batch["boxes"][index]))
                shown = [batch["reference"], batch["warped"], images, batch["target"]]
                sheet.append(torch.cat([*shown, (2 * cover - 1).expand(-1, 3, -1, -1)], 3))
        self.sheet = to_pictures(torch.cat(sheet)) if sheet else np.zeros((0, 1, 1, 3), np.uint8)
        means = {name: np.mean(values, 0).tolist() for name, values in gains.items()}
        gain, ratio, _ = np.mean(list(means.values()), 0) if means else (0.0, 1.0, 1.0)
        figures = {
            f"{name}_{figure}": mean[index]
            for index, figure in enumerate(("psnr_gain", "distance_ratio", "sharpness"))
            for name, mean in means.items()
        }
        return {"score": float(gain if self.perceptual is None else 1 - ratio), **figures}

    def _gain(self, warped: Tensor, image: Tensor, target: Tensor, box: Tensor) -> tuple[float, float, float]:
        """Gain of PSNR in dB, ratio of the distances, and sharpness, of images [3, H, W] in a box [4]."""
        x0, y0, x1, y1 = (int(v) for v in box)
        crops = [picture[:, y0 : y1 + 1, x0 : x1 + 1].float()[None] for picture in (warped, image, target)]
        errors = [(crop - crops[2]).square().mean().clamp(min=_MIN_ERROR).item() for crop in crops[:2]]
        gain = 10 * np.log10(errors[0] / errors[1])
        sharp = [sharpness(to_pictures(crop)[0]) for crop in crops[1:]]
        relative = sharp[0] / max(sharp[1], 1e-6)
        if self.perceptual is None:
            return gain, 1.0, relative
        side = (_BOX_SIDE, _BOX_SIDE)
        enlarged = [F.interpolate((crop + 1) / 2, side, mode="bicubic").clamp(0, 1) for crop in crops]
        distances = [float(self.perceptual(picture, enlarged[2])[0]) for picture in enlarged[:2]]
        return gain, distances[1] / max(distances[0], _MIN_DISTANCE), relative

    def save(self, model: RepairNetwork | Adversaries, folder: Path) -> None:
        """Write the network, and pictures.png: rows of reference, warp, repair, real frame and cover."""
        save_network(_network(model), self.part, folder)
        if len(self.sheet):
            rows = self.sheet[_spread(np.arange(len(self.sheet)), _SHEET_ROWS)]
            Image.fromarray(np.concatenate(rows)).save(folder / "pictures.png")


def _network(model: RepairNetwork | Adversaries) -> RepairNetwork:
    return model.network if isinstance(model, Adversaries) else model


def disagreement(warped: Tensor, target: Tensor) -> Tensor:
    """Return where the warp is wrong: 0 where it shows what the frame shows, to 1; images [B, 3, H, W] -> [B, 1, H, W].

    Both are averaged over a few pixels first: fine detail of the warp is the photo's, which a frame need not repeat.
    """
    kernel = _AGREEMENT_BLUR // 2 * 2 + 1

    def averaged(values: Tensor) -> Tensor:
        return F.avg_pool2d(F.pad(values, (kernel // 2,) * 4, mode="replicate"), kernel, stride=1)

    error = averaged(averaged((warped - target).float()).square().mean(1, keepdim=True)) * 127.5**2
    return 1 - torch.exp(-error / _AGREEMENT**2)


def _spread(rows: np.ndarray, count: int) -> np.ndarray:
    """At most `count` rows at equal distances."""
    return rows[np.linspace(0, len(rows) - 1, min(count, len(rows))).astype(int)] if len(rows) else rows


@dataclass(frozen=True, kw_only=True)
class Config:
    """`model: repair` of `fd2talk train`.

    Args:
        part: which network, that of the mouth or that of an eye.
        data: the training pairs.
        initial: folder of weights that the training begins with; None: untrained.
        network: sizes of `RepairConfig`, of an untrained network.
        perceptual: of L_per (eq. 14), see `perceptual_network`; None: without.
        loss: settings of `RepairTask`.
    """

    part: Literal["mouth", "eye"]
    data: PairsConfig
    initial: str | None = None
    network: RepairConfig = RepairConfig()
    perceptual: str | None = None
    loss: Annotated[dict[str, Any], Arguments(RepairTask, ("pairs", "part", "network", "perceptual"))] = field(
        default_factory=dict
    )


def build_task(config: Config) -> RepairTask:
    """Build the task of a config."""
    pairs = config.data.open()
    if config.initial is None:
        network = RepairNetwork(config.network)
    else:
        network = load_network(Path(config.initial), config.part).requires_grad_(True)
    return RepairTask(pairs, config.part, network, perceptual=config.perceptual, **config.loss)
