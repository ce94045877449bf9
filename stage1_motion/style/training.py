"""Training of the style encoder by contrast (DiffPoseTalk eq. 9), and how well it recognises people it never saw."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
from torch import Tensor

from shared.errors import InputError
from shared.face_model import load_bundled
from shared.motion import Motion
from shared.prepared import load_motions, read_index
from shared.processes import gather
from shared.schema import Arguments
from shared.shards.reader import is_sharded
from shared.splits import is_development
from shared.training.batches import own_rows
from stage1_motion.dataset import fit_space
from stage1_motion.motion_space import MotionSpace
from stage1_motion.style.encoder import StyleEncoder, StyleEncoderConfig, nt_xent
from stage1_motion.training.clips import spread
from stage1_motion.training.learned_arrays import Rows
from stage1_motion.training.sharded_people import ShardedPeople, open_people

Halves = tuple[Tensor, Tensor]  # motion [T, D] filled up with zeros, and which frames there are, bool [T]
Frames = np.ndarray | Rows  # [F, D]
People = Mapping[str, Sequence[Frames]]


class StyleTask:
    """Pairs of sequences of one person, everybody else in the batch as negatives; a `shared.training.loop.Task`.

    The paper splits samples of 2 T frames in half. Here clips shorter than that are split too, and a person with
    several clips gives pairs from two of them with a probability of `across`.

    Args:
        people: motion of each person's clips, `MotionSpace.encode_unscaled`, in memory or in shards.
        space: of the motion.
        config: sizes of the encoder.
        temperature: tau of eq. 9.
        across: share of pairs that come from two clips.
        noise: standard deviation of Gaussian noise on the head's coefficients.
        noise_mm: that of the noise on each expression coefficient, as root mean square of how far it moves the face's
            vertices, in mm: finer motion, which nobody sees and trackers err in, cannot tell people apart.
    """

    def __init__(self, people: People, space: MotionSpace, config: StyleEncoderConfig, *,
                 temperature: float = 0.1, across: float = 0.5, noise: float = 0.0, noise_mm: float = 0.0):  # fmt: skip
        shortest = 2 * config.shortest
        self.people = _with_clips_of(people, shortest)
        self.learned = [person for person in self.people if not is_development(person)]
        held_out = [person for person in self.people if is_development(person)]
        self.development = [held_out[place] for place in spread(len(held_out))]
        if len(self.learned) < 2 or len(self.development) < 2:
            raise InputError(f"clips of at least {shortest} frames of two people in each part are needed")
        gap = np.concatenate([space.gap_row(), np.zeros(6)]).astype(np.float32)
        opening = np.concatenate([space.opening(), np.zeros(6)]).astype(np.float32)
        self.model = StyleEncoder(config, torch.from_numpy(gap), torch.from_numpy(opening))
        self.space, self.temperature, self.across = space, temperature, across
        basis = space.model.exp_basis  # [D, N, 3]
        extent = space.expression_std * np.sqrt((basis**2).sum(-1).mean(-1))  # mm
        scales = np.concatenate([noise_mm / extent, np.full(6, noise)])
        self.noise = torch.from_numpy(scales.astype(np.float32))  # [D]

    def _piece(self, clip: Frames, start: int, length: int, own: bool) -> Halves:
        """Frames start to start + length of a clip, at most T of them; zeros where they are not to be read."""
        frames = self.model.config.frames
        piece = torch.zeros(frames, clip.shape[1])
        stop = min(start + min(length, frames), len(clip))
        if own:
            piece[: stop - start] = torch.from_numpy(clip[start:stop])
        return piece, torch.arange(frames) < stop - start

    def _pair(self, clips: Sequence[Frames], generator: torch.Generator, own: bool) -> tuple[Halves, Halves]:
        """Two sequences of a person; see `_piece`."""

        def number(below: int) -> int:
            return int(torch.randint(max(below, 1), (1,), generator=generator))

        frames = self.model.config.frames
        if len(clips) > 1 and float(torch.rand(1, generator=generator)) < self.across:
            first, second = torch.randperm(len(clips), generator=generator)[:2].tolist()
            pieces = [(clips[i], number(len(clips[i]) - frames + 1), frames) for i in (first, second)]
        else:
            clip = clips[number(len(clips))]
            half = min(len(clip) // 2, frames)
            start = number(len(clip) - 2 * half + 1)
            pieces = [(clip, start, half), (clip, start + half, half)]
        a, b = (self._piece(*piece, own) for piece in pieces)
        return a, b

    def batch(self, generator: torch.Generator, batch_size: int) -> dict[str, Tensor]:
        """N_s pairs of different people: first and second [B, T, D], and which of their frames there are [B, T]."""
        picks = torch.randperm(len(self.learned), generator=generator)[:batch_size].tolist()
        own = own_rows(len(picks))
        pairs = [self._pair(self.people[self.learned[pick]], generator, row in own) for row, pick in enumerate(picks)]
        batch = {}
        for index, name in enumerate(("first", "second")):
            batch[name] = torch.stack([pair[index][0] for pair in pairs])
            batch[f"{name}_valid"] = torch.stack([pair[index][1] for pair in pairs])
            batch[name] = batch[name] + self.noise * torch.randn(batch[name].shape, generator=generator)
        return batch

    def loss(self, model: StyleEncoder, batch: dict[str, Tensor]) -> tuple[Tensor, dict[str, Any]]:
        """Eq. 9."""
        first, second = (gather(model(batch[n], batch[f"{n}_valid"]).float()) for n in ("first", "second"))
        loss, accuracy = nt_xent(first, second, self.temperature)
        return loss, {"accuracy": accuracy}

    @torch.no_grad()
    def validate(self, model: StyleEncoder) -> dict[str, float]:
        """How often a development person's other half is nearest; of one clip, and of two clips; 400 people at most."""
        within, across = [], []
        for clips in (self.people[person] for person in self.development):
            longest = max(clips, key=len)
            middle = len(longest) // 2
            within.append((model.encode(longest[:middle]), model.encode(longest[middle:])))
            if len(clips) > 1:
                across.append((model.encode(np.asarray(clips[0])), model.encode(np.asarray(clips[1]))))
        accuracy, margin = _recognised(within)
        figures = {"within": accuracy, "margin": margin, "people": float(len(within))}
        if len(across) > 1:
            figures["across"] = _recognised(across)[0]
        return {"score": accuracy + margin, **figures}

    def save(self, model: StyleEncoder, folder: Path) -> None:
        """Write ``style_encoder.safetensors``."""
        model.save(folder / "style_encoder.safetensors", space=self.space)


def _with_clips_of(people: People, frames: int) -> People:
    """People without clips of fewer frames, and without people who have no others."""
    if isinstance(people, ShardedPeople):
        return people.at_least(frames)
    usable = {person: [clip for clip in clips if len(clip) >= frames] for person, clips in people.items()}
    return {person: clips for person, clips in usable.items() if clips}


def _recognised(pairs: list[tuple[np.ndarray, np.ndarray]]) -> tuple[float, float]:
    """Share of first vectors whose nearest second one is their own, and by how much their own is nearer than others."""
    first, second = (np.stack(vectors) for vectors in zip(*pairs))
    similar = first @ second.T  # [P, P]
    own = np.diag(similar)
    others = (similar.sum(1) - own) / (len(similar) - 1)
    return float((similar.argmax(1) == np.arange(len(similar))).mean()), float((own - others).mean())


@dataclass(frozen=True, kw_only=True)
class Config:
    """`model: style_encoder` of `fd2talk train`.

    Args:
        prepared: folder of `fd2talk prepare`, or what `fd2talk shard` made of it; clips without sound are used too.
        network: sizes of `StyleEncoderConfig`.
        loss: settings of `StyleTask`.
    """

    prepared: str = ".cache/prepared"
    network: Annotated[dict[str, Any], Arguments(StyleEncoderConfig, ("coefficients",))] = field(default_factory=dict)
    loss: Annotated[dict[str, Any], Arguments(StyleTask, ("people", "space", "config"))] = field(default_factory=dict)


def unscaled_people(prepared: str | Path, split: str) -> tuple[People, MotionSpace]:
    """Motion of every clip of a split, by person, and the motion space of the clips with sound of `train`.

    The space is the one in which motion models are trained.
    """
    model = load_bundled()
    if is_sharded(prepared):
        return open_people(prepared, model, split)
    rows = read_index(prepared)
    spoken = [row for row in rows if row["split"] == "train" and row["audio"] == "ok"]
    wanted = [row for row in rows if row["split"] == split]
    if not spoken or not wanted:
        raise InputError(f"{prepared}: no clips of split {split if spoken else 'train'}")
    every = {row["name"]: row for row in [*spoken, *wanted]}
    motions = load_motions(prepared, list(every.values()), model)
    of_space: dict[str, list[Motion]] = defaultdict(list)
    for row in spoken:
        of_space[row["person"]].append(motions[row["name"]])
    space = fit_space(model, of_space)
    people: dict[str, list[Frames]] = defaultdict(list)
    for row in wanted:
        people[row["person"]].append(space.encode_unscaled(motions[row["name"]]))
    return people, space


def build_task(config: Config) -> StyleTask:
    """Build the task of a config."""
    people, space = unscaled_people(config.prepared, "train")
    return StyleTask(people, space, StyleEncoderConfig(space.model.num_expression + 6, **config.network), **config.loss)
