"""Batches of training pairs for stage two: drawn over people, augmented, with windows around mouth and eyes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from shared.errors import InputError
from shared.splits import is_development
from stage2_render.diffusion.conditioning_maps import MAPS, decode_maps
from stage2_render.diffusion.tensors import to_tensor
from stage2_render.training.build_pairs import Limits, build
from stage2_render.training.pair_dataset import Pairs

# Shares of windows around the mouth, the right and the left eye: of frames with open and with shut eyes.
_OPEN_SHARES, _SHUT_SHARES = (0.8, 0.1, 0.1), (0.2, 0.4, 0.4)
# Share of windows anywhere in the crop, so that the rest of the face is learned as well.
_ANYWHERE = 0.12
# Random changes of colour relative to those of brightness.
_COLOUR = 0.7


@dataclass(frozen=True, kw_only=True)
class PairsConfig:
    """The section `data` of a config: training pairs, which are built first if they do not exist.

    Attributes:
        pairs: their folder.
        prepared: see `build_pairs.build`, as the next four.
        clips: a folder.
        portraits: a folder.
        framing: of the crops.
        limits: sizes of the set.
    """

    pairs: str
    prepared: str = ".cache/prepared"
    clips: str
    portraits: str
    framing: Literal["face", "head"] = "face"
    limits: Limits = Limits()

    def open(self) -> Pairs:
        """Open the pairs. Raises InputError: existing pairs have another framing."""
        folder = Path(self.pairs)
        if not folder.exists():
            build(self.prepared, self.clips, self.portraits, folder, limits=self.limits, framing=self.framing)
        pairs = Pairs(folder / "train")
        if pairs.framing != self.framing:
            raise InputError(f"{folder}: pairs of {pairs.framing} crops, not of {self.framing} crops as in the config")
        return pairs


@dataclass
class BatchSampler:
    """Draws pairs; people of the development split are excluded from training.

    Attributes:
        pairs: the set.
        portraits: share of pairs from still photos.
        shut: share of pairs with shut eyes (0: as they occur).
        flip: share that is mirrored; its coefficients are dropped, because a face model has no exact mirror.
        jitter: strength of the changes of brightness, contrast and colour.
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
        """Draw an augmented batch: see `at`; and `coefficient_drop_mask` bool [B], frames without coefficients."""
        rows = torch.multinomial(self.weights, count, replacement=True, generator=generator)
        batch = self.at(rows.numpy())
        flipped = torch.rand(count, generator=generator) < self.flip
        batch["coefficient_drop_mask"] = flipped
        _mirror(batch, flipped)
        _recolour(batch, generator, self.jitter)
        return batch

    def at(self, rows: np.ndarray | Sequence[int]) -> dict[str, Tensor]:
        """Read rows of the set.

        Returns:
            warped, target, reference [B, 3, S, S] in [-1, 1]; maps [B, M, S / 4, S / 4]; coefficients [B, D]; boxes
            [B, 3, 4] in pixels (mouth, right eye, left eye); shut bool [B].
        """
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
    """Draw square windows: mostly around the mouth or, where eyes shut, around an eye.

    Args:
        boxes: of mouth, right and left eye [B, 3, 4] in pixels.
        shut: bool [B], whether the eyes shut.
        size: side of the crop in latent cells.
        cells: side of the windows in latent cells.
        factor: pixels along one side of a cell.
        generator: of the random numbers.

    Returns:
        Row and column of the first cell of each window, int64 [B, 2].
    """
    count = len(boxes)
    shares = torch.where(shut[:, None], torch.tensor(_SHUT_SHARES), torch.tensor(_OPEN_SHARES))
    which = torch.multinomial(shares, 1, generator=generator)[:, 0]
    centre = boxes[torch.arange(count), which].view(count, 2, 2).mean(1).flip(-1) / factor
    corner = centre - cells / 2 + torch.randint(-1, 2, (count, 2), generator=generator)
    anywhere = torch.rand(count, 1, generator=generator) < _ANYWHERE
    random = torch.rand(count, 2, generator=generator) * (size - cells)
    return torch.where(anywhere, random, corner).round().long().clamp(0, size - cells)


def take_windows(values: Tensor, corners: Tensor, cells: int, size: int) -> Tensor:
    """Cut windows of `cells` latent cells out of [B, C, H, W], whose sides are `size` cells: [B, C, h, w].

    Args:
        values: latents, images or maps.
        corners: first row and column of each window in cells [B, 2].
        cells: side of the windows in cells.
        size: side of `values` in cells.
    """
    unit = values.shape[-1] // size
    return torch.stack(
        [
            value[:, row * unit : (row + cells) * unit, column * unit : (column + cells) * unit]
            for value, (row, column) in zip(values, corners.tolist(), strict=True)
        ]
    )


def weight_map(boxes: Tensor, size: int, factor: int, mouth: float, eyes: float) -> Tensor:
    """Return weights of latent cells, 1 plus `mouth` and `eyes` within their boxes: float32 [B, 1, size, size].

    Args:
        boxes: of mouth, right and left eye [B, 3, 4] in pixels.
        size: side of the latent in cells.
        factor: pixels along one side of a cell.
        mouth: additional weight within the mouth's box.
        eyes: additional weight within the eyes' boxes.
    """
    at = (torch.arange(size, device=boxes.device) + 0.5) * factor
    low, high = boxes[..., :2, None], boxes[..., 2:, None]  # each [B, 3, (x, y), 1]
    within = (at >= low - factor / 2) & (at <= high + factor / 2)  # [B, 3, (x, y), size]
    inside = (within[:, :, 1, :, None] & within[:, :, 0, None, :]).float()  # [B, 3, size, size]
    return 1 + mouth * inside[:, :1] + eyes * inside[:, 1:].amax(1, keepdim=True)


def _mirror(batch: dict[str, Tensor], flipped: Tensor) -> None:
    for name in ("warped", "target", "reference", "maps"):
        batch[name][flipped] = batch[name][flipped].flip(-1)
    batch["maps"][flipped, MAPS.index("moved_x")] *= -1
    side = batch["target"].shape[-1] - 1
    boxes = batch["boxes"][flipped]
    mirrored = torch.stack([side - boxes[..., 2], boxes[..., 1], side - boxes[..., 0], boxes[..., 3]], -1)
    batch["boxes"][flipped] = mirrored[:, [0, 2, 1]]


def _recolour(batch: dict[str, Tensor], generator: torch.Generator, strength: float) -> None:
    """Change brightness, contrast and colour of all images of a pair alike; some pairs become grey."""
    count = len(batch["target"])

    def normal(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator)

    gain = (strength * (normal(count, 1, 1, 1) + _COLOUR * normal(count, 3, 1, 1))).exp()
    offset = strength * normal(count, 1, 1, 1)
    grey = torch.rand(count, 1, 1, 1, generator=generator) < strength
    for name in ("warped", "target", "reference"):
        pictures = batch[name]
        pictures = torch.where(grey, pictures.mean(1, keepdim=True).expand_as(pictures), pictures)
        batch[name] = (pictures * gain + offset).clamp_(-1, 1)
