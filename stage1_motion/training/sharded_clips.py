"""Clips that stay in shards: of thousands of hours only the frames of a batch are read."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np

from shared.errors import InputError
from shared.face_model.morphable import MorphableModel
from shared.files import check_input
from shared.media import FPS, SAMPLE_RATE
from shared.motion import Motion
from shared.shards.clip_arrays import read_motion, read_sound
from shared.shards.format import Part
from shared.shards.reader import Shards, open_shards
from shared.speech.encoder import SpeechEncoder
from stage1_motion.motion_space import MotionSpace
from stage1_motion.training.clips import SECONDS_PER_PERSON, Clip, ClipSet
from stage1_motion.training.learned_arrays import GAP, LEARNED, Rows, expression_of, pose_of, unscaled_of

_FPS = 25.0
_SAMPLES = SAMPLE_RATE // FPS

SpeechOfClips = str | Callable[[np.ndarray], np.ndarray] | None
"""Where the features of a clip come from: the name of an array; a function of its sound, which is called when they are
asked for; None: there are none."""


def speech_part(encoder: SpeechEncoder, speech_events: str | None) -> tuple[str, Part]:
    """Name and type of the array of normalised features of an encoder, which depend on where somebody speaks."""
    pauses = "all" if speech_events is None else hashlib.sha256(check_input(speech_events).read_bytes()).hexdigest()[:8]
    name = f"speech-{encoder.fingerprint}-{pauses}"
    return name, Part(name, "<f4", (encoder.size,))


class ShardedClip(Clip):
    """A clip whose arrays are read when frames of them are asked for: `speech`, `expression` and `pose` are `Rows`.

    `motion` is read as a whole.
    """

    def __init__(self, clips: ShardedClips, place: int) -> None:
        """Describe clip `place` of `clips`."""
        self._clips, self._row = clips, int(clips.places[place])
        self._frames = int(clips.frames[place])
        self.person = clips.person_names[clips.people[place]]
        self.lip_std, self.head_std = (float(v) for v in clips.scales[clips.people[place]])

    def _rows(self, part: str, columns: int, edit: Callable[[np.ndarray], np.ndarray] | None = None) -> Rows:
        return Rows(partial(self._clips.shards.read, self._row, part), self._frames, columns, edit)

    @property
    def name(self) -> str:  # type: ignore[override]  # read-only, as the others here
        """Of the clip."""
        return self._clips.shards.name(self._row)

    @property
    def motion(self) -> Motion:  # type: ignore[override]
        """As tracked, with its sound."""
        return read_motion(self._clips.shards, self._row)

    @property
    def identity(self) -> np.ndarray:
        """See `Clip`."""
        return self._clips.shards.read(self._row, "identity")[0]

    @property
    def fps(self) -> float:
        """See `Clip`."""
        return _FPS

    @property
    def row(self) -> int:
        """Of the index."""
        return self._row

    def sound(self, start: int = 0, stop: int | None = None) -> np.ndarray:
        """Samples of the sound, float32 [n]; with the default, all."""
        return read_sound(self._clips.shards, self._row, start, stop)

    @property
    def speech(self) -> Rows | np.ndarray:  # type: ignore[override]
        """[T, S]."""
        source = self._clips.speech
        if source is None:
            return np.zeros((self._frames, 0), np.float32)
        if isinstance(source, str):
            return self._rows(source, self._clips.shards.parts[source].shape[0])
        return source(self.sound())[: self._frames]

    @property
    def expression(self) -> Rows:  # type: ignore[override]
        """[T, D]."""
        space = self._clips.space
        return self._rows(LEARNED, len(space.expression_std), expression_of(space, self.lip_std))

    @property
    def pose(self) -> Rows:  # type: ignore[override]
        """[T, 6]."""
        return self._rows(LEARNED, 6, pose_of(self._clips.space, self.head_std))

    def unscaled(self, space: MotionSpace) -> Rows:  # type: ignore[override]
        """See `Clip`."""

        def edit(rows: np.ndarray) -> np.ndarray:
            return unscaled_of(space, self._clips.shards.read(self._row, GAP)[0])(rows)

        return self._rows(LEARNED, len(space.expression_std) + 6, edit)

    def in_memory(self) -> Clip:
        """The clip with arrays of numpy."""
        return Clip(
            name=self.name,
            person=self.person,
            motion=self.motion,
            speech=np.asarray(self.speech),
            expression=np.asarray(self.expression),
            pose=np.asarray(self.pose),
            lip_std=self.lip_std,
            head_std=self.head_std,
        )


class ShardedClips(ClipSet):
    """Clips of a folder of shards, as many numbers for each as a row of the index has.

    Attributes:
        shards: the folder.
        space: motion space of the training people.
        speech: where their features come from.
        places: rows of the index, int64 [n].
        frames: numbers of frames [n].
        people: whose clip it is, as a place in `person_names` [n].
        person_names: names of people.
        scales: of each person, lip_std and head_std, float64 [people, 2].
    """

    def __init__(
        self,
        shards: Shards,
        space: MotionSpace,
        speech: SpeechOfClips,
        places: np.ndarray,
        frames: np.ndarray,
        people: np.ndarray,
        person_names: list[str],
        scales: np.ndarray,
    ) -> None:
        """See the attributes."""
        self.shards, self.space, self.speech, self.places = shards, space, speech, places
        self.frames, self.people, self.person_names, self.scales = frames, people, person_names, scales

    def __len__(self) -> int:
        return len(self.places)

    def clip(self, place: int) -> ShardedClip:
        """See `ClipSet`."""
        return ShardedClip(self, place)

    def select(self, keep: Callable[[str], bool], shortest: int = 0) -> ShardedClips:
        """See `ClipSet`."""
        wanted = np.array([keep(name) for name in self.person_names], bool)
        chosen = wanted[self.people] & (self.frames >= shortest)
        return ShardedClips(
            self.shards,
            self.space,
            self.speech,
            self.places[chosen],
            self.frames[chosen],
            self.people[chosen],
            self.person_names,
            self.scales,
        )

    def weights(self) -> np.ndarray:
        """See `ClipSet`; equal to `sampling_weights` of a list bit for bit."""
        seconds = self.frames / 25.0
        of_person = np.bincount(self.people, seconds, len(self.person_names))
        with np.errstate(divide="ignore"):
            share = np.minimum(1.0, SECONDS_PER_PERSON / of_person)
        weights = seconds * share[self.people]
        return weights / np.sum(weights)

    def persons(self) -> list[str]:
        """See `ClipSet`."""
        return sorted(self.person_names[person] for person in np.unique(self.people))


def open_clips(
    prepared: str | Path, model: MorphableModel, speech: SpeechOfClips, split: str, *, silent: bool = False
) -> ShardedClips:
    """The clips of a split with sound, and the space of the training people's.

    Args:
        prepared: folder of shards.
        model: the face model.
        speech: where their features come from; the name of an array is one of `speech_part`.
        split: of the clips.
        silent: whether clips without sound are among them, too.

    Raises:
        InputError: the shards belong to another face model, or lack these features or clips.
    """
    shards = open_shards(prepared)
    if shards.metadata["face_model"] != model.fingerprint:
        raise InputError(f"{prepared}: the shards belong to face model {shards.metadata['face_model']}")
    if isinstance(speech, str) and speech not in shards.parts:
        raise InputError(
            f"{prepared}: the shards have no features of this speech encoder and detector of speech events; "
            f"`fd2talk shard PREPARED {prepared} --for CONFIG` adds those of a training"
        )
    codes, splits = shards.labels("split")
    wanted = codes == _place(splits, split)
    if not silent:
        heard, kinds = shards.labels("audio")
        wanted = wanted & (heard == _place(kinds, "ok"))
    places = np.flatnonzero(wanted)
    if not len(places):
        raise InputError(f"{prepared}: no clips of split {split}{'' if silent else ' with sound'}")
    people, names = shards.labels("person")
    frames = shards.lengths("motion")
    if speech is not None:  # a container may hold a frame more than its sound
        heard_frames = shards.lengths(speech) if isinstance(speech, str) else -(-shards.lengths("audio") // _SAMPLES)
        frames = np.minimum(heard_frames, frames)
    scales = np.zeros((len(names), 2))
    scales[people[places]] = np.stack([shards.numbers(name)[places] for name in ("lip_std", "head_std")], axis=1)
    std = (np.array(shards.metadata[name], np.float32) for name in ("expression_std", "pose_std"))
    space = MotionSpace(model, *std)
    return ShardedClips(shards, space, speech, places, frames[places], people[places], names, scales)


def _place(names: list[str], name: str) -> int:
    return names.index(name) if name in names else -1
