"""Prepared clips as training arrays: motion in the motion space and speech features at 25 Hz."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, overload

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from shared.errors import InputError
from shared.face_model import load_bundled
from shared.face_model.morphable import MorphableModel
from shared.files import atomic_output
from shared.motion import Motion
from shared.prepared import load_motions, read_index
from shared.shards.reader import is_sharded
from shared.speech.encoder import SpeechEncoder
from shared.splits import is_development, is_learned_from
from stage1_motion.motion_space import MotionSpace, normalise_speech, person_scales
from stage1_motion.speech_events import SpeechEventDetector, always_speaking

SECONDS_PER_PERSON = 40.0
"""Caps the sampling weight of a person."""

# Most clips of development people: those of thousands of hours would take longer to validate on than to learn from.
_DEVELOPMENT_CLIPS = 400


@dataclass(frozen=True, kw_only=True)
class ClipsConfig:
    """Settings of a training on prepared clips and the features of a speech encoder.

    Args:
        prepared: folder of `fd2talk prepare`, or what `fd2talk shard` made of it.
        speech_encoder: "bundled", a folder, or a name of the hub.
        layer: its hidden state that is read; None: see `SpeechEncoder`.
        speech_events: file of the detector for those features; None: somebody speaks all the time.
        cache: folder for features.
        people: share of the training people to learn from, for learning curves; development people all stay.
    """

    prepared: str = ".cache/prepared"
    speech_encoder: str = "bundled"
    layer: int | None = None
    speech_events: str | None = None
    cache: str = ".cache"
    people: float = 1.0

    def load(self, split: str) -> tuple[Sequence[Clip], MotionSpace]:
        """Clips of a split with features, and the motion space fitted on them, of the bundled face model."""
        encoder = SpeechEncoder.from_pretrained(self.speech_encoder, layer=self.layer)
        if is_sharded(self.prepared):
            return self._load_shards(encoder, split)
        detector = SpeechEventDetector.load(self.speech_events) if self.speech_events else None
        speech = cached_speech(encoder, detector, self.cache)
        clips, space = load_clips(self.prepared, load_bundled(), speech, split=split)
        kept = [c for c in clips if is_development(c.person) or is_learned_from(c.person, self.people)]
        if all(is_development(clip.person) for clip in kept):
            raise self._nobody()
        return kept, space

    def _load_shards(self, encoder: SpeechEncoder, split: str) -> tuple[Sequence[Clip], MotionSpace]:
        from stage1_motion.training.sharded_clips import open_clips, speech_part

        clips = open_clips(self.prepared, load_bundled(), speech_part(encoder, self.speech_events)[0], split)
        kept = clips.select(lambda person: is_development(person) or is_learned_from(person, self.people))
        if not len(kept.select(lambda person: not is_development(person))):
            raise self._nobody()
        return kept, clips.space

    def _nobody(self) -> InputError:
        return InputError(f"`people` {self.people:g} leaves nobody to learn from")


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
        return learned, [held.clip(place).in_memory() for place in _spread(len(held))]
    clips = [clip for clip in clips if len(clip.speech) >= shortest]
    held_out = [clip for clip in clips if is_development(clip.person)]
    return [clip for clip in clips if not is_development(clip.person)], [held_out[k] for k in _spread(len(held_out))]


def _spread(count: int) -> Iterable[int]:
    """Places of at most `_DEVELOPMENT_CLIPS` of so many."""
    return np.linspace(0, count - 1, min(count, _DEVELOPMENT_CLIPS)).astype(int).tolist() if count else []


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


def cached_speech(
    encoder: SpeechEncoder, speech_events: SpeechEventDetector | None, cache: str | Path
) -> Callable[[str, Motion], tuple[np.ndarray, np.ndarray]]:
    """For `load_clips`: features and voice activity of a clip's sound; features are computed once per encoder."""
    folder = Path(cache) / "speech_features" / encoder.fingerprint
    folder.mkdir(parents=True, exist_ok=True)

    def speech(name: str, motion: Motion) -> tuple[np.ndarray, np.ndarray]:
        path, audio = folder / f"{name}.npy", motion.audio
        assert audio is not None  # prepared motions have their sound
        if path.exists():
            features = np.load(path)
        else:
            features = encoder(audio)
            with atomic_output(path, overwrite=True) as temporary, open(temporary, "wb") as file:
                np.save(file, features)
        in_use = speech_events.in_use if speech_events else lambda *inputs: always_speaking(*inputs).speaks
        return features, in_use(features, audio)

    return speech


def fit_space(model: MorphableModel, people: dict[str, list[Motion]]) -> MotionSpace:
    """The standard deviations of training people's relative motion, each person counting alike."""
    space = MotionSpace(model, np.ones(model.num_expression, np.float32), np.ones(6, np.float32))
    return space_of(model, [person_variances(space, motions) for motions in people.values()])


def person_variances(space: MotionSpace, motions: list[Motion]) -> tuple[np.ndarray, np.ndarray]:
    """Mean variances over a person's clips of relative expression [D] and pose [6] in a space of unit deviations."""
    lip_std, head_std = person_scales(space, motions)
    expression = np.mean([space.encode_expression(m, lip_std).var(0) for m in motions], axis=0)
    return expression, np.mean([space.encode_pose(m, head_std).var(0) for m in motions], axis=0)


def space_of(model: MorphableModel, variances: list[tuple[np.ndarray, np.ndarray]]) -> MotionSpace:
    """The space of people with these `person_variances`."""
    stds = (np.sqrt(np.mean(values, axis=0)).astype(np.float32) for values in zip(*variances))
    return MotionSpace(model, *stds)


def load_clips(
    prepared: str | Path,
    space_or_model: MotionSpace | MorphableModel,
    speech: Callable[[str, Motion], tuple[np.ndarray, np.ndarray]],
    *,
    split: str,
    audio: tuple[str, ...] = ("ok",),
) -> tuple[list[Clip], MotionSpace]:
    """All clips of a split whose sound is of the kinds `audio`.

    speech: (clip name, motion with audio) -> features [T, S] at 25 Hz and voice activity [T]. Given a face model
    instead of a space, the space is fitted on these clips.
    """
    rows = [row for row in read_index(prepared) if row["split"] == split and row["audio"] in audio]
    if not rows:
        raise InputError(f"{prepared}: no clips of split {split} with sound")
    model = space_or_model if isinstance(space_or_model, MorphableModel) else space_or_model.model
    motions = load_motions(prepared, rows, model)
    people: dict[str, list[Motion]] = defaultdict(list)
    for row in rows:
        people[row["person"]].append(motions[row["name"]])
    space = fit_space(model, people) if isinstance(space_or_model, MorphableModel) else space_or_model
    scales = {person: person_scales(space, of_person) for person, of_person in people.items()}
    clips = []
    for row in tqdm(rows, desc=f"clips ({split})", leave=False):
        motion = motions[row["name"]]
        lip_std, head_std = scales[row["person"]]
        features = normalise_speech(*speech(row["name"], motion))
        frames = min(len(features), len(motion))  # a container may hold a frame more than its sound
        clips.append(
            Clip(
                name=row["name"],
                person=row["person"],
                motion=motion,
                speech=features[:frames],
                expression=space.encode_expression(motion, lip_std)[:frames],
                pose=space.encode_pose(motion, head_std)[:frames],
                lip_std=lip_std,
                head_std=head_std,
            )
        )
    return clips, space


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
