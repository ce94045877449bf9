"""Writes the shards of clips: motions with what is learned of them, tracks, and features of a speech encoder."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from shared.face_model import load_bundled
from shared.motion import Motion
from shared.prepared import load_motion, load_track
from shared.shards.clip_arrays import CLIPS, TRACKS, motion_arrays, motion_parts, track_arrays, track_parts
from shared.shards.format import Part, shard_metadata, shard_name, write_shard
from shared.speech.encoder import SpeechEncoder
from stage1_motion.dataset import person_variances, space_of
from stage1_motion.motion_space import MotionSpace, normalise_speech, person_scales
from stage1_motion.speech_events import SpeechEventDetector, always_speaking
from stage1_motion.training.learned_arrays import learned_arrays, learned_parts, unit_space
from stage1_motion.training.sharded_clips import speech_part

Rows = list[dict[str, str]]
# Frames of a clip by the seconds of the index, where it does not count them.
_FPS = 25.0


@dataclass(frozen=True)
class Features:
    """Which features of speech a training needs; see `stage1_motion.dataset.ClipsConfig`."""

    speech_encoder: str = "bundled"
    layer: int | None = None
    speech_events: str | None = None


def divide(rows: Rows, frames: int) -> list[Rows]:
    """Divide clips into shards of about so many frames; a person's clips of a split stay together.

    Returns:
        The rows of each shard, people in the order of their first clip.
    """
    people: dict[tuple[str, str], Rows] = defaultdict(list)
    for row in rows:
        people[row["person"], row["split"]].append(row)
    shards: list[Rows] = []
    size = 0.0
    for clips in people.values():
        length = sum(_frames(row) for row in clips)
        if not shards or (size and size + length > frames):
            shards.append([])
            size = 0.0
        shards[-1] += clips
        size += length
    return shards


def _frames(row: dict[str, str]) -> float:
    return float(row.get("frames") or _FPS * float(row.get("seconds") or 10))


def write_clips(prepared: str, out: str, shard: int, rows: Rows) -> None:
    """Write the motions of a shard, unless that was done, with the scales of its people in the file's metadata."""
    path = Path(out) / shard_name(CLIPS, shard)
    if path.exists():
        return
    model = load_bundled()
    space = unit_space(model)
    parts = {**motion_parts(model.num_expression, model.num_identity), **learned_parts(model.num_expression)}
    people: list[dict[str, Any]] = []

    def clips() -> Iterator[tuple[str, Mapping[str, np.ndarray | None]]]:
        for of_person in _by_person(rows):
            motions = {}
            for row in of_person:
                motion = motions[row["name"]] = load_motion(prepared, row["name"], face_model=model.fingerprint)
                yield row["name"], {**motion_arrays(motion), **learned_arrays(space, motion)}
            heard = [motions[row["name"]] for row in of_person if row.get("audio") == "ok"]
            if heard:
                people.append(_scales(space, of_person[0], heard))

    write_shard(path, parts, clips(), {"people": people})


def _by_person(rows: Rows) -> list[Rows]:
    people: dict[tuple[str, str], Rows] = defaultdict(list)
    for row in rows:
        people[row["person"], row["split"]].append(row)
    return list(people.values())


def _scales(space: MotionSpace, row: dict[str, str], motions: list[Motion]) -> dict[str, Any]:
    """What a person contributes to the motion space, and is measured by in it; JSON keeps every bit."""
    lip_std, head_std = person_scales(space, motions)
    expression, pose = person_variances(space, motions, lip_std, head_std)
    return {
        "person": row["person"],
        "split": row["split"],
        "lip_std": lip_std,
        "head_std": head_std,
        "expression": [float(v) for v in expression],
        "pose": [float(v) for v in pose],
    }


def write_tracks(prepared: str, out: str, shard: int, rows: Rows) -> None:
    """Write the tracked points of a shard, unless that was done; a clip without a track gets none."""
    path = Path(out) / shard_name(TRACKS, shard)
    if path.exists():
        return

    def clips() -> Iterator[tuple[str, Mapping[str, np.ndarray | None]]]:
        for row in rows:
            file = Path(prepared) / "tracks" / f"{row['name']}.npz"
            yield row["name"], track_arrays(load_track(file) if file.exists() else None)

    write_shard(path, track_parts(), clips(), {})


def write_speech(prepared: str, out: str, shard: int, rows: Rows, features: Features) -> None:
    """Write the normalised features of a shard's clips with sound, unless that was done."""
    encoder, detector, name, part = _encoder(features)
    path = Path(out) / shard_name(part.group, shard)
    if path.exists():
        return

    def clips() -> Iterator[tuple[str, Mapping[str, np.ndarray | None]]]:
        for row in rows:
            audio = load_motion(prepared, row["name"]).audio if row.get("audio") == "ok" else None
            if audio is None:
                yield row["name"], {name: None}
                continue
            found = encoder(audio)
            in_use = detector.in_use if detector else lambda *inputs: always_speaking(*inputs).speaks
            yield row["name"], {name: normalise_speech(found, in_use(found, audio))}

    write_shard(path, {name: part}, clips(), {})


@lru_cache(maxsize=1)
def _encoder(features: Features) -> tuple[SpeechEncoder, SpeechEventDetector | None, str, Part]:
    """Once for all shards that a process writes."""
    encoder = SpeechEncoder.from_pretrained(features.speech_encoder, layer=features.layer)
    detector = SpeechEventDetector.load(features.speech_events) if features.speech_events else None
    return encoder, detector, *speech_part(encoder, features.speech_events)


def features_part(features: Features) -> tuple[str, Part]:
    """Name and type of the array of these features. Raises InputError: there is no such encoder or detector."""
    return _encoder(features)[2:]


def collect_scales(out: str, shards: int, rows: Rows) -> tuple[dict[str, np.ndarray], dict[str, list[float]]]:
    """Read the scales of people from the shards' metadata.

    Returns:
        Numbers of each row of the index, lip_std and head_std (nan where nobody is heard); and expression_std and
        pose_std of the motion space of the training people.
    """
    known: dict[tuple[str, str], dict[str, Any]] = {}
    for shard in range(shards):
        for person in shard_metadata(Path(out) / shard_name(CLIPS, shard))["people"]:
            known[person["person"], person["split"]] = person
    numbers = {}
    for name in ("lip_std", "head_std"):
        values = [known.get((row["person"], row["split"]), {}).get(name, np.nan) for row in rows]
        numbers[name] = np.array(values, np.float64)
    # In the order of their first clips that are heard, as sums depend on it.
    order = dict.fromkeys(row["person"] for row in rows if row["split"] == "train" and row.get("audio") == "ok")
    variances = [
        (
            np.array(known[person, "train"]["expression"], np.float32),
            np.array(known[person, "train"]["pose"], np.float32),
        )
        for person in order
    ]
    if not variances:
        return numbers, {"expression_std": [], "pose_std": []}
    space = space_of(load_bundled(), variances)
    stds = {"expression_std": space.expression_std, "pose_std": space.pose_std}
    return numbers, {name: [float(v) for v in values] for name, values in stds.items()}
