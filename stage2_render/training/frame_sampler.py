"""Batches of pairs of frames: drawn over people, augmented, and weights of mouth and eyes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from shared.splits import is_development
from shared.training.batches import OwnRows, own_of
from shared.training.choice import WeightedChoice
from stage2_render.diffusion.tensors import to_tensor
from stage2_render.face_crop import SIZE
from stage2_render.training.augmentation import recolour
from stage2_render.training.frame_set import FrameSet

# Distance of two frames: radians and head-crop units of pose against units of the lips' opening.
_APERTURE_WEIGHT = 2.0


@dataclass
class FrameSampler:
    """Draws pairs of frames of one take; people of the development split are excluded from training.

    Attributes:
        frames: the set.
        window: left, top and side of the networks' square in the head crop's pixels.
        candidates: the second frame is of so many at random the one that differs most from the first in pose and mouth;
            1: any, as in the paper.
        reference: "any" frame is the reference image, or the "first" of the take, as in the paper.
        by_person: draw people with equal probability, then frames; otherwise frames.
        flip: share of pairs that are mirrored.
        jitter: strength of the changes of brightness, contrast and colour.
        shift: the window moves by up to so many pixels (and the translation with it).
    """

    frames: FrameSet
    window: tuple[int, int, int] = (0, 0, SIZE)
    candidates: int = 3
    reference: Literal["any", "first"] = "any"
    by_person: bool = True
    flip: float = 0.5
    jitter: float = 0.1
    shift: int = 8

    def __post_init__(self) -> None:
        self._people, self._person = people, person = self.frames.people()
        development = np.array([is_development(str(name), "renderer") for name in people])[person]
        takes, take, sizes = np.unique(self.frames.take, return_inverse=True, return_counts=True)
        usable = sizes[take] > 1
        self.development = np.flatnonzero(development & usable)
        weights = (usable & ~development) / (np.bincount(person)[person] if self.by_person else 1)
        self._choose = WeightedChoice(weights)
        order = np.argsort(take, kind="stable")
        self._members = np.split(order, np.cumsum(sizes)[:-1])
        self._take = take
        pose = self.frames.coefficients[:, -6:]
        self._points = np.concatenate([pose, _APERTURE_WEIGHT * self.frames.aperture[:, None]], 1)

    def draw(self, generator: torch.Generator, count: int) -> dict[str, Tensor]:
        """Draw an augmented batch, of which this process gets its rows; see `at`."""
        targets = self._choose(count, generator).numpy()
        references = np.array([self._partner(int(row), generator) for row in targets])
        shift = torch.randint(-self.shift, self.shift + 1, (count, 2), generator=generator)
        flipped = torch.rand(count, generator=generator) < self.flip
        batch = OwnRows(self.at(own_of(targets), own_of(references), own_of(shift)))
        self._mirror(batch, own_of(flipped))
        recolour(batch, ("target", "reference"), generator, self.jitter, count)
        return batch

    def development_pairs(self, count: int) -> tuple[np.ndarray, np.ndarray]:
        """At most `count` pairs of development people, always the same: rows of the targets and of their references."""
        generator = torch.Generator().manual_seed(0)
        people = self._people[self._person[self.development]]
        names, sizes = np.unique(people, return_counts=True)
        weights = torch.from_numpy((1 / sizes)[np.searchsorted(names, people)])
        chosen = torch.multinomial(weights, min(count, len(people)), generator=generator).numpy()
        targets = np.sort(self.development[chosen])
        return targets, np.array([self._partner(int(row), generator) for row in targets])

    def at(self, targets: np.ndarray, references: np.ndarray, shift: Tensor | None = None) -> dict[str, Tensor]:
        """Read pairs.

        Args:
            targets: rows of the set.
            references: rows of the set.
            shift: of the window in pixels, x and y, int64 [B, 2]; None: not shifted.

        Returns:
            target, reference [B, 3, S, S] in [-1, 1]; coefficients, reference_coefficients [B, D]; boxes [B, 3, 4] of
            the target in pixels of the window (mouth, right eye, left eye).
        """
        left, top, side = self.window
        shift = torch.zeros(len(targets), 2, dtype=torch.int64) if shift is None else shift
        moved = shift.clamp(torch.tensor([-left, -top]), torch.tensor([SIZE - side - left, SIZE - side - top]))
        corners = [(top + y, left + x) for x, y in moved.tolist()]
        batch = {}
        for name, rows in (("target", targets), ("reference", references)):
            images = [self.frames.frames[row, y : y + side, x : x + side] for row, (y, x) in zip(rows, corners)]
            batch[name] = to_tensor(np.stack(images))
        origin = torch.tensor([left, top]) + moved
        batch["boxes"] = torch.from_numpy(self.frames.boxes[targets]) - origin.repeat(1, 2)[:, None].float()
        for name, rows in (("coefficients", targets), ("reference_coefficients", references)):
            batch[name] = torch.from_numpy(self.frames.coefficients[rows])
            batch[name][:, -3:-1] -= moved * (2 / SIZE)
        return batch

    def _partner(self, row: int, generator: torch.Generator) -> int:
        """The reference of a target."""
        members = self._members[self._take[row]]
        if self.reference == "first":
            return int(members[self.frames.time[members].argmin()])
        others = members[members != row]
        few = others[torch.randint(len(others), (self.candidates,), generator=generator).numpy()]
        return int(few[np.linalg.norm(self._points[few] - self._points[row], axis=1).argmax()])

    def _mirror(self, batch: dict[str, Tensor], flipped: Tensor) -> None:
        """Mirror pairs in place. The view need not be in the middle of the head crop: x turns round its own middle."""
        signs = torch.from_numpy(self.frames.mirror)
        left, _, side = self.window
        middle = (2 * left + side) / SIZE - 1
        for name in ("target", "reference"):
            batch[name][flipped] = batch[name][flipped].flip(-1)
        for name in ("coefficients", "reference_coefficients"):
            mirrored = batch[name][flipped] * signs
            mirrored[:, -3] += 2 * middle
            batch[name][flipped] = mirrored
        boxes = batch["boxes"][flipped]
        last = side - 1
        mirrored = torch.stack([last - boxes[..., 2], boxes[..., 1], last - boxes[..., 0], boxes[..., 3]], -1)
        batch["boxes"][flipped] = mirrored[:, [0, 2, 1]]


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
