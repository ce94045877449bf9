"""Batches of training pairs for stage two: drawn over people, augmented, and the places where looking counts."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from shared.errors import InputError
from shared.splits import is_development
from stage2_render.diffusion.conditioning_maps import decode_maps
from stage2_render.training.pair_dataset import Limits, Pairs, build

# Which of `guidance.MAPS` changes its sign in a mirror.
_MIRRORED = 5


def ready(settings: dict[str, Any]) -> Pairs:
    """The training pairs of a config's section `data`, made if they are not there.

    settings: `pairs` (folder), and `prepared`, `clips`, `portraits`, `limits` to make them from (`pairs.build`);
    `framing`, "face" unless it is given. Raises InputError: the pairs there are framed otherwise.
    """
    folder, framing = Path(settings["pairs"]), settings.get("framing", "face")
    if not folder.exists():
        build(
            settings["prepared"],
            settings["clips"],
            settings["portraits"],
            folder,
            limits=Limits(**settings.get("limits", {})),
            framing=framing,
        )
    pairs = Pairs(folder / "train")
    if pairs.framing != framing:
        raise InputError(f"{folder}: pairs of {pairs.framing} crops, not of {framing} crops as the config wants")
    return pairs


def to_tensor(pictures: np.ndarray) -> Tensor:
    """uint8 [B, H, W, 3] -> float32 [B, 3, H, W] in [-1, 1]."""
    return torch.tensor(pictures).permute(0, 3, 1, 2).float().div_(127.5).sub_(1)


def to_pictures(tensor: Tensor) -> np.ndarray:
    """float [B, 3, H, W] in [-1, 1] -> uint8 [B, H, W, 3]."""
    scaled = tensor.float().add(1).mul(127.5).round_().clamp_(0, 255).byte()
    return scaled.permute(0, 2, 3, 1).contiguous().cpu().numpy()


@dataclass
class Batches:
    """Draws pairs; people for development are kept out of training.

    portraits: share of pairs made from still photos. shut: share of those in which somebody blinks (0: as they come).
    flip: share that is mirrored (their coefficients are withheld: a face model has no exact mirror). jitter: strength
    of the changes of brightness, contrast and colour.
    """

    pairs: Pairs
    portraits: float = 0.2
    shut: float = 0.0
    flip: float = 0.3
    jitter: float = 0.1

    def __post_init__(self) -> None:
        development = np.array([is_development(person, "renderer") for person in self.pairs.person])
        portrait = self.pairs.kind == "portrait"
        self.development = np.flatnonzero(development & ~portrait)
        shut = self.pairs.shut & ~portrait & (self.shut > 0)
        shares = (self.portraits, portrait), (self.shut, shut), (1 - self.portraits - self.shut, ~portrait & ~shut)
        weights = sum(share * group / max(group.sum(), 1) for share, group in shares)
        self.weights = torch.from_numpy(np.where(development, 0.0, weights))

    def draw(self, generator: torch.Generator, count: int) -> dict[str, Tensor]:
        """A random batch, see `at`, augmented; `known` bool [B]: whether the coefficients are to be told."""
        rows = torch.multinomial(self.weights, count, replacement=True, generator=generator)
        batch = self.at(rows.numpy())
        flipped = torch.rand(count, generator=generator) < self.flip
        batch["known"] = ~flipped
        _mirror(batch, flipped)
        _recolour(batch, generator, self.jitter)
        return batch

    def at(self, rows: np.ndarray) -> dict[str, Tensor]:
        """Rows -> warped, target, reference [B, 3, S, S] in [-1, 1]; maps [B, M, S / 4, S / 4]; coefficients [B, D];
        boxes [B, 3, 4] in pixels (mouth, right eye, left eye); shut bool [B]."""
        pairs, rows = self.pairs, np.asarray(rows)
        return {
            "warped": to_tensor(pairs.warped[rows]),
            "target": to_tensor(pairs.target[rows]),
            "reference": to_tensor(pairs.reference_images[pairs.reference[rows]]),
            "maps": torch.from_numpy(decode_maps(pairs.maps[rows])),
            "coefficients": torch.from_numpy(pairs.coefficients[rows]),
            "boxes": torch.from_numpy(pairs.boxes[rows]),
            "shut": torch.from_numpy(pairs.shut[rows]),
        }


def draw_windows(boxes: Tensor, shut: Tensor, size: int, cells: int, factor: int, generator: torch.Generator) -> Tensor:
    """Where to look closely, int64 [B, 2]: row and column of the first of `cells` latent cells each way, of `size`.

    Mostly round the mouth, sometimes round an eye, sometimes anywhere; where eyes shut, mostly round these.
    boxes: [B, 3, 4] in pixels, of which `factor` make one cell. shut: bool [B].
    """
    count = len(boxes)
    shares = torch.where(shut[:, None], torch.tensor([0.2, 0.4, 0.4]), torch.tensor([0.8, 0.1, 0.1]))
    which = torch.multinomial(shares, 1, generator=generator)[:, 0]
    centre = boxes[torch.arange(count), which].view(count, 2, 2).mean(1).flip(-1) / factor
    corner = centre - cells / 2 + torch.randint(-1, 2, (count, 2), generator=generator)
    anywhere = torch.rand(count, 1, generator=generator) < 0.12
    random = torch.rand(count, 2, generator=generator) * (size - cells)
    return torch.where(anywhere, random, corner).round().long().clamp(0, size - cells)


def take_windows(values: Tensor, corners: Tensor, cells: int, size: int) -> Tensor:
    """[B, C, H, W] of which `size` cells make up one side -> [B, C, h, w] of `cells` cells from each corner on."""
    unit = values.shape[-1] // size
    return torch.stack(
        [
            value[:, row * unit : (row + cells) * unit, column * unit : (column + cells) * unit]
            for value, (row, column) in zip(values, corners.tolist(), strict=True)
        ]
    )


def weight_map(boxes: Tensor, size: int, factor: int, mouth: float, eyes: float) -> Tensor:
    """float32 [B, 1, size, size], 1 plus `mouth` and `eyes` within their boxes (pixels, `factor` for one cell)."""
    at = (torch.arange(size, device=boxes.device) + 0.5) * factor
    low, high = boxes[..., :2, None], boxes[..., 2:, None]
    within = (at >= low - factor / 2) & (at <= high + factor / 2)  # [B, 3, (x, y), size]
    inside = (within[:, :, 1, :, None] & within[:, :, 0, None, :]).float()
    return 1 + mouth * inside[:, :1] + eyes * inside[:, 1:].amax(1, keepdim=True)


def _mirror(batch: dict[str, Tensor], flipped: Tensor) -> None:
    for name in ("warped", "target", "reference", "maps"):
        batch[name][flipped] = batch[name][flipped].flip(-1)
    batch["maps"][flipped, _MIRRORED] *= -1
    side = batch["target"].shape[-1] - 1
    boxes = batch["boxes"][flipped]
    mirrored = torch.stack([side - boxes[..., 2], boxes[..., 1], side - boxes[..., 0], boxes[..., 3]], -1)
    batch["boxes"][flipped] = mirrored[:, [0, 2, 1]]


def _recolour(batch: dict[str, Tensor], generator: torch.Generator, strength: float) -> None:
    """The same change of brightness, contrast and colour in all pictures of a pair; some lose their colour."""
    count = len(batch["target"])

    def normal(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator)

    gain = (strength * (normal(count, 1, 1, 1) + 0.7 * normal(count, 3, 1, 1))).exp()
    offset = strength * normal(count, 1, 1, 1)
    grey = torch.rand(count, 1, 1, 1, generator=generator) < strength
    for name in ("warped", "target", "reference"):
        pictures = batch[name]
        pictures = torch.where(grey, pictures.mean(1, keepdim=True).expand_as(pictures), pictures)
        batch[name] = (pictures * gain + offset).clamp_(-1, 1)
