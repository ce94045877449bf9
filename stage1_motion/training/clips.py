"""Clips as training arrays, in memory or in shards, and what trainings do with them whichever they are."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, overload

import numpy as np
import torch
from torch import Tensor

from shared.motion import Motion
from shared.splits import is_development
from stage1_motion.motion_space import MotionSpace

SECONDS_PER_PERSON = 40.0
"""Caps the sampling weight of a person."""

# Most clips of development people: those of thousands of hours would take longer to validate on than to learn from.
_DEVELOPMENT_CLIPS = 400


@dataclass
class Clip:
    """One clip as training data.

    Args:
        name: of the clip.
        person: who speaks.
        motion: as tracked.
        speech: float32 [T, S], normalised features.
        expression: float32 [T, D], in the motion space.
        pose: float32 [T, 6], in the motion space.
        lip_std: the person's, mm.
        head_std: the person's, radians.
    """

    name: str
    person: str
    motion: Motion
    speech: np.ndarray
    expression: np.ndarray
    pose: np.ndarray
    lip_std: float
    head_std: float

    @property
    def identity(self) -> np.ndarray:
        """float32 [D_id], the shape of the person's face."""
        return np.asarray(self.motion.identity, np.float32)

    @property
    def fps(self) -> float:
        """Frames per second."""
        return self.motion.fps

    def unscaled(self, space: MotionSpace) -> np.ndarray:
        """[T, D + 6], `MotionSpace.encode_unscaled` of the frames with speech."""
        return space.encode_unscaled(self.motion)[: len(self.speech)]


class ClipSet(Sequence[Clip], ABC):
    """Clips that are not all in memory; each is read when it is asked for."""

    @abstractmethod
    def clip(self, place: int) -> Any:
        """One of them, with arrays that are read where they are indexed, and `in_memory()`."""

    @abstractmethod
    def select(self, keep: Callable[[str], bool], shortest: int = 0) -> ClipSet:
        """Those of at least so many frames whose person is kept."""

    @abstractmethod
    def weights(self) -> np.ndarray:
        """See `sampling_weights`."""

    @abstractmethod
    def persons(self) -> list[str]:
        """Names of the people, sorted."""

    @overload
    def __getitem__(self, at: int) -> Clip: ...

    @overload
    def __getitem__(self, at: slice) -> list[Clip]: ...

    def __getitem__(self, at: int | slice) -> Clip | list[Clip]:
        """One of them, or a list."""
        if isinstance(at, slice):
            return [self.clip(place) for place in range(*at.indices(len(self)))]
        if not -len(self) <= at < len(self):
            raise IndexError(at)
        return self.clip(at % len(self))


def learned_and_development(clips: Sequence[Clip], shortest: int = 0) -> tuple[Sequence[Clip], list[Clip]]:
    """Divide clips of training people into those to learn from and those of development people, which are in memory.

    Of more than a few hundred development clips some are left out, evenly.

    Args:
        clips: of both.
        shortest: clips with fewer frames are left out.
    """
    if isinstance(clips, ClipSet):
        learned: Sequence[Clip] = clips.select(lambda person: not is_development(person), shortest)
        held = clips.select(is_development, shortest)
        return learned, [held.clip(place).in_memory() for place in spread(len(held))]
    clips = [clip for clip in clips if len(clip.speech) >= shortest]
    held_out = [clip for clip in clips if is_development(clip.person)]
    return [clip for clip in clips if not is_development(clip.person)], [held_out[k] for k in spread(len(held_out))]


def spread(count: int, most: int | None = None) -> list[int]:
    """Places of at most so many of `count` things, evenly spread; by default as many as development clips are used."""
    most = _DEVELOPMENT_CLIPS if most is None else most
    return np.linspace(0, count - 1, min(count, most)).astype(int).tolist() if count else []


def by_person(people: Sequence[Any] | np.ndarray) -> list[np.ndarray]:
    """Group clips by who speaks in them.

    Args:
        people: of each clip, whatever tells people apart.

    Returns:
        Places of each person's clips, people in the order of their first clip.
    """
    _, codes = np.unique(people, return_inverse=True)
    order = np.argsort(codes, kind="stable")
    groups = np.split(order, np.flatnonzero(np.diff(codes[order])) + 1)
    return sorted((group for group in groups if len(group)), key=lambda group: int(group[0]))


def people_of(clips: Sequence[Clip]) -> list[str]:
    """Names of the people in clips, sorted."""
    return clips.persons() if isinstance(clips, ClipSet) else sorted({clip.person for clip in clips})


class Unscaled:
    """`Clip.unscaled` of clips: of those in memory computed once, of those in shards when it is asked for.

    Args:
        space: of the motion.
        groups: of clips that will be asked for.
        edit: what is done to each whole motion; None: nothing.
    """

    def __init__(
        self, space: MotionSpace, *groups: Sequence[Clip], edit: Callable[[np.ndarray], np.ndarray] | None = None
    ) -> None:
        self._space, self._edit = space, edit
        here = [clip for group in groups if not isinstance(group, ClipSet) for clip in group]
        self._known = {clip.name: self._of(clip) for clip in here}

    def _of(self, clip: Clip) -> np.ndarray:
        motion = clip.unscaled(self._space)
        return motion if self._edit is None else self._edit(np.asarray(motion))

    def __call__(self, clip: Clip) -> np.ndarray:
        """[T, D + 6], or what is indexed in the same way."""
        if isinstance(clip.speech, np.ndarray) and clip.name in self._known:
            return self._known[clip.name]
        return self._of(clip)


def frames_at(values: np.ndarray, at: np.ndarray, own: bool) -> Tensor:
    """Frames of a clip's array, [len(at), D]; zeros where they are not this process's to read (`own_rows`)."""
    return torch.from_numpy(values[at]) if own else torch.zeros(len(at), values.shape[1])


def all_at_rate(clips: Sequence[Clip], fps: float) -> Sequence[Clip]:
    """Clips at another frame rate; those in shards are all read for it."""
    if isinstance(clips, ClipSet):
        if len(clips) and clips[0].fps == fps:
            return clips
        clips = [clips.clip(place).in_memory() for place in range(len(clips))]
    return [at_rate(clip, fps) for clip in clips]


def at_rate(clip: Clip, fps: float) -> Clip:
    """The clip at another frame rate: its motion and its features, by linear interpolation."""
    if fps == clip.motion.fps:
        return clip
    motion = clip.motion.resample(fps)
    at = np.minimum(np.arange(len(motion)) * clip.motion.fps / fps, len(clip.speech) - 1)
    low = at.astype(int)
    high, part = np.minimum(low + 1, len(clip.speech) - 1), (at - low)[:, None].astype(np.float32)
    return replace(clip, motion=motion, speech=clip.speech[low] * (1 - part) + clip.speech[high] * part)


def sampling_weights(clips: Sequence[Clip]) -> np.ndarray:
    """[len(clips)] probabilities: by length, capped per person."""
    if isinstance(clips, ClipSet):
        return clips.weights()
    seconds: dict[str, float] = defaultdict(float)
    for clip in clips:
        seconds[clip.person] += len(clip.speech) / 25.0
    weights = [len(c.speech) / 25.0 * min(1.0, SECONDS_PER_PERSON / seconds[c.person]) for c in clips]
    return np.array(weights) / np.sum(weights)
