"""Batches of training pairs of one part for its repair network: drawn over people, augmented."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from shared.shards.reader import is_sharded
from shared.splits import is_development
from shared.training.batches import OwnRows, own_of, own_rows
from shared.training.choice import WeightedChoice
from stage2_render.repair.parts import PARTS
from stage2_render.training.augmentation import recolour, sharpen
from stage2_render.training.repair.build_pairs import Limits, build
from stage2_render.training.repair.pair_dataset import NETWORKS, Pairs
from stage2_render.training.repair.pair_shards import open_pairs

# Faces up to this height in the source are soft.
_SOFT = 110.0


@dataclass(frozen=True, kw_only=True)
class PairsConfig:
    """The section `data` of a config: training pairs, which are built first if they do not exist.

    Attributes:
        pairs: their folder.
        prepared: see `build_pairs.build`, as the next three; shards with pairs of these limits are read in the place of
            `pairs`.
        clips: a folder.
        portraits: a folder.
        limits: sizes of the set.
    """

    pairs: str
    prepared: str = ".cache/prepared"
    clips: str
    portraits: str
    limits: Limits = Limits()

    def open(self) -> Pairs:
        """Open the pairs.

        Raises:
            InputError: they are damaged, of another version, or the shards have only pairs of other limits.
        """
        folder = Path(self.pairs)
        if is_sharded(self.prepared):
            if (shards := open_pairs(self.prepared, self.limits, folder)) is not None:
                return shards
        if not folder.exists():
            build(self.prepared, self.clips, self.portraits, folder, limits=self.limits)
        return Pairs(folder / "train")


@dataclass
class BatchSampler:
    """Draws pairs of one network; people of the development split are excluded from training.

    Attributes:
        pairs: the set.
        network: `mouth` or `eye`.
        portraits: share of pairs from still photos.
        shut: share of clips' pairs with shut eyes (0: as they occur).
        flip: share of pairs of a mouth that are mirrored.
        jitter: strength of the changes of brightness, contrast and colour.
        sharp: the chance of a pair grows with the height of its face in the source up to so many pixels.
        sharpen: most that detail is amplified, in all images of a pair alike. There are no filmed faces as sharp as a
            good photo: this is how the network meets sharp ones, and learns to be as sharp as its input.
    """

    pairs: Pairs
    network: str
    portraits: float = 0.3
    shut: float = 0.0
    flip: float = 0.5
    jitter: float = 0.1
    sharp: float = 330.0
    sharpen: float = 0.0

    def __post_init__(self) -> None:
        pairs = self.pairs
        names, people = pairs.people()
        development = np.array([is_development(name, "renderer") for name in names.tolist()], bool)[people]
        portrait = pairs.of_photos()
        self.development = np.flatnonzero(development & ~portrait)
        shut = pairs.shut & ~portrait & (self.shut > 0)
        clear = np.clip(pairs.face, _SOFT, self.sharp)
        weights = np.zeros(len(pairs))
        shares = (self.portraits, portrait), (self.shut, shut), (1 - self.portraits - self.shut, ~portrait & ~shut)
        for share, group in shares:
            group = group & ~development
            weights[group] = share * clear[group] / max(clear[group].sum(), 1e-9)
        self.choose = WeightedChoice(weights)
        first = [part.network for part in PARTS].index(self.network)
        self.boxes = pairs.boxes[:, first : first + len(NETWORKS[self.network])]

    def draw(self, generator: torch.Generator, count: int) -> dict[str, Tensor]:
        """Draw an augmented batch of `count` crops, of which this process gets its own: see `at`."""
        each = len(NETWORKS[self.network])
        rows = self.choose(-(-count // each), generator).numpy()
        crops = own_rows(count)
        needed = sorted({crop // each for crop in crops})
        places = [each * needed.index(crop // each) + crop % each for crop in crops]
        batch = OwnRows({name: values[places] for name, values in self.at(rows[needed]).items()})
        if self.network == "mouth":
            _mirror(batch, own_of(torch.rand(count, generator=generator) < self.flip))
        sharpen(batch, _IMAGES, generator, self.sharpen, count)
        recolour(batch, _IMAGES, generator, self.jitter, count)
        return batch

    def at(self, rows: np.ndarray | Sequence[int]) -> dict[str, Tensor]:
        """Read rows of the set: B crops, P for each row.

        Returns:
            warped, target, reference [B, 3, H, W] in [-1, 1]; maps, reference_maps [B, M, h, w] in [0, 1]; boxes [B, 4]
            of lips or lids in pixels.
        """
        pairs, rows = self.pairs, np.asarray(rows)

        def of(name: str) -> Tensor:
            where = pairs.reference[rows] if name.startswith("reference") else rows
            file = pairs.files[f"{self.network}_{name}"]
            return torch.from_numpy(file[where]).flatten(0, 1)

        images = {name: of(name).permute(0, 3, 1, 2).float().div_(127.5).sub_(1) for name in _IMAGES}
        maps = {name: of(name).float().div_(255) for name in ("maps", "reference_maps")}
        return images | maps | {"boxes": torch.from_numpy(self.boxes[rows]).flatten(0, 1)}


_IMAGES = ("warped", "target", "reference")


def _mirror(batch: dict[str, Tensor], flipped: Tensor) -> None:
    side = batch["target"].shape[-1] - 1
    boxes = batch["boxes"][flipped]
    batch["boxes"][flipped] = torch.stack([side - boxes[:, 2], boxes[:, 1], side - boxes[:, 0], boxes[:, 3]], -1)
    for name in (*_IMAGES, "maps", "reference_maps"):
        batch[name][flipped] = batch[name][flipped].flip(-1)
