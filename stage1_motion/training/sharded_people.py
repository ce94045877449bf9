"""Motion of people whose clips stay in shards: of a batch, the frames of its sequences are read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from shared.errors import InputError
from shared.face_model.morphable import MorphableModel
from stage1_motion.motion_space import MotionSpace
from stage1_motion.training.clips import by_person
from stage1_motion.training.learned_arrays import Rows
from stage1_motion.training.sharded_clips import ShardedClips, open_clips


class ShardedPeople(Mapping[str, list[Rows]]):
    """A person -> `MotionSpace.encode_unscaled` of each clip, read where it is indexed; people as their clips begin.

    A few numbers for each clip are in memory.
    """

    def __init__(self, clips: ShardedClips, places: dict[str, np.ndarray] | None = None) -> None:
        """Group the clips; places: of each person's clips, None for all."""
        self._clips = clips
        if places is None:
            names, people = clips.person_names, clips.people
            places = {names[people[of_person[0]]]: of_person for of_person in by_person(people)}
        self._places = places

    def __getitem__(self, person: str) -> list[Rows]:
        return [self._clips.clip(int(place)).unscaled(self._clips.space) for place in self._places[person]]

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)

    def at_least(self, frames: int) -> ShardedPeople:
        """Without shorter clips, and people who have no others."""
        long = self._clips.frames >= frames
        kept = {person: places[long[places]] for person, places in self._places.items()}
        return ShardedPeople(self._clips, {person: places for person, places in kept.items() if len(places)})


def open_people(prepared: str | Path, model: MorphableModel, split: str) -> tuple[ShardedPeople, MotionSpace]:
    """The people of a split, of whom clips without sound are used too, and the space that motion models are trained in.

    Raises:
        InputError: the shards belong to another face model, or have no such clips, or no training clips with sound.
    """
    clips = open_clips(prepared, model, None, split, silent=True)
    if not len(clips.space.expression_std):
        raise InputError(f"{prepared}: no clips of split train with sound")
    return ShardedPeople(clips), clips.space
