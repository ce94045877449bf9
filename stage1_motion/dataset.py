"""Loads prepared clips as training arrays: motion in the motion space and speech features at 25 Hz."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
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
from stage1_motion.training.clips import Clip
from stage1_motion.training.sharded_clips import open_clips, speech_part


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

    @property
    def needs_features(self) -> bool:
        """Whether it reads features, and not sound."""
        return True

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
        clips = open_clips(self.prepared, load_bundled(), speech_part(encoder, self.speech_events)[0], split)
        kept = clips.select(lambda person: is_development(person) or is_learned_from(person, self.people))
        if not len(kept.select(lambda person: not is_development(person))):
            raise self._nobody()
        return kept, clips.space

    def _nobody(self) -> InputError:
        return InputError(f"`people` {self.people:g} leaves nobody to learn from")


def cached_speech(
    encoder: SpeechEncoder, speech_events: SpeechEventDetector | None, cache: str | Path
) -> Callable[[str, Motion], tuple[np.ndarray, np.ndarray]]:
    """For `load_clips`: features and voice activity of a clip's sound; features are computed once per encoder."""
    folder = Path(cache) / "speech_features" / encoder.fingerprint

    def speech(name: str, motion: Motion) -> tuple[np.ndarray, np.ndarray]:
        path, audio = folder / f"{name}.npy", motion.audio
        assert audio is not None  # prepared motions have their sound
        if path.exists():
            features = np.load(path)
        else:
            features = encoder(audio)
            folder.mkdir(parents=True, exist_ok=True)
            with atomic_output(path, overwrite=True) as temporary, open(temporary, "wb") as file:
                np.save(file, features)
        in_use = speech_events.in_use if speech_events else lambda *inputs: always_speaking(*inputs).speaks
        return features, in_use(features, audio)

    return speech


def fit_space(model: MorphableModel, people: dict[str, list[Motion]]) -> MotionSpace:
    """The standard deviations of training people's relative motion, each person counting alike."""
    space = MotionSpace(model, np.ones(model.num_expression, np.float32), np.ones(6, np.float32))
    variances = [person_variances(space, motions, *person_scales(space, motions)) for motions in people.values()]
    return space_of(model, variances)


def person_variances(
    space: MotionSpace, motions: list[Motion], lip_std: float, head_std: float
) -> tuple[np.ndarray, np.ndarray]:
    """Mean variances over a person's clips of relative expression [D] and pose [6] in a space of unit deviations."""
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
