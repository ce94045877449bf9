"""The diffusion renderer's training set: frames of people who talk, of which any two of one take make a pair.

FOLDER holds, for F frames of the training split:

    frames.npy   uint8 [F, 256, 256, 3]   the head crop, fixed over a clip (border pixels repeated outside the video)
    facts.npz    person str [F]; take int64 [F], the uninterrupted part of a clip that a frame belongs to; time int64
                 [F], its number in the clip; coefficients float32 [F, D + 6], expression, rotation and translation in
                 the head crop; boxes float32 [F, 3, 4], x0, y0, x1, y1 of mouth, right and left eye in the head crop's
                 pixels; aperture float32 [F], opening of the lips; mirror float32 [D + 6], the signs of the
                 coefficients of a mirrored frame
"""

from __future__ import annotations

import sys
import tempfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from shared.errors import InputError, UsageError
from shared.face_model import load_bundled
from shared.face_model.mediapipe_mesh import LEFT_EYE, OUTER_LIPS, RIGHT_EYE
from shared.face_model.morphable import MorphableModel
from shared.face_model.training.learn import mirror_index
from shared.files import new_folders
from shared.motion import Motion
from shared.prepared import read_index
from shared.shards.reader import is_sharded
from stage2_render.face_crop import SIZE, head_crop
from stage2_render.training.clip import Clip
from stage2_render.training.growing_array import GrowingArray

# Of pose (radians and head-crop units), the lips' opening over the eyes' distance and the lids' over their range, when
# frames that differ are chosen.
_FEATURE_WEIGHTS = np.array([20.0] * 6 + [30.0, 3.0])
# A take with fewer frames gives no pair.
_MIN_FRAMES = 2
# x component of the axis-angle keeps its sign in a mirrored frame, y and z do not; of the translation x does not.
_MIRRORED_POSE = (1, -1, -1, -1, 1, 1)
_NUMBERS = ("take", "time", "coefficients", "boxes", "aperture")
# Width of the mouth or an eye by which its box is larger on every side.
_MARGIN = 0.25
# People between two lines of progress.
_PEOPLE_PER_LINE = 20


@dataclass(frozen=True, kw_only=True)
class FramesConfig:
    """The section `data` of a config: the frames, which are collected first if they do not exist.

    Attributes:
        frames: their folder.
        prepared: a folder written by `fd2talk prepare`, or what `fd2talk shard` made of it; shards with frames of these
            settings are read in the place of `frames`.
        clips: the folder of its videos.
        motions: a folder of motions by clip name whose coefficients replace the tracked ones (those of stage one, as in
            the paper); a clip without one keeps its own.
        frames_per_person: at most.
        different: share of the frames that are the farthest from each other in pose and expression; the others are
            random.
        min_face: least height in pixels of the faces in the videos.
        people: most people; None: all.
    """

    frames: str
    prepared: str = ".cache/prepared"
    clips: str
    motions: str | None = None
    frames_per_person: int = 64
    different: float = 0.5
    min_face: int = 90
    people: int | None = None

    def open(self) -> FrameSet:
        """Open the set. Raises InputError: shards have frames of other settings."""
        if is_sharded(self.prepared):
            from stage2_render.training.picture_shards import open_pictures  # which imports this module

            if (shards := open_pictures(self)) is not None:
                return shards
        if not Path(self.frames).exists():
            build(self)
        return FrameSet(self.frames)


class FrameSet:
    """The set, memory-mapped.

    Attributes:
        frames: uint8 [F, 256, 256, 3], indexed by a frame, rows and columns.
        person, take, time, coefficients, boxes, aperture, mirror: the facts.
    """

    def __init__(self, folder: str | Path) -> None:
        """Open a set. Raises InputError: the folder has none."""
        folder = Path(folder)
        try:
            self.frames = np.load(folder / "frames.npy", mmap_mode="r")
            with np.load(folder / "facts.npz", allow_pickle=False) as facts:
                self.take, self.time, self.coefficients, self.boxes, self.aperture = (facts[k] for k in _NUMBERS)
                self.person, self.mirror = facts["person"], facts["mirror"]
        except (OSError, KeyError, ValueError) as error:
            raise InputError(f"{folder}: not a set of frames ({error})") from error

    def __len__(self) -> int:
        return len(self.frames)

    def people(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the names, sorted, and the place among them of each frame's person [F]."""
        return np.unique(self.person, return_inverse=True)


def build(config: FramesConfig, seed: int = 0) -> None:
    """Collect the frames. The same arguments give the same set; the folder exists only when it is complete.

    Raises:
        UsageError: the folder exists.
        InputError: the prepared folder has no index, or no usable clip.
    """
    out = Path(config.frames)
    if out.exists():
        raise UsageError(f"{out} exists already; remove it first")
    people = people_with_frames(config)
    with (
        new_folders(out.parent),
        tempfile.TemporaryDirectory(prefix=f".{out.name}-", dir=out.parent) as temporary,
    ):
        folder = Path(temporary) / "set"
        facts: dict[str, list] = {name: [] for name in ("person", *_NUMBERS)}
        folder.mkdir()
        frames = GrowingArray(folder / "frames.npy", (SIZE, SIZE, 3))
        for count, (person, rows) in enumerate(people, 1):
            for image, found in person_frames(config, count, person, rows, seed):
                frames.extend([image])
                for name, value in found.items():
                    facts[name].append(value)
            if count % _PEOPLE_PER_LINE == 0:
                print(f"{count} people, {frames.length} frames", file=sys.stderr, flush=True)
        frames.close()
        np.savez(
            folder / "facts.npz", mirror=mirror_signs(load_bundled()), **{k: np.array(v) for k, v in facts.items()}
        )
        folder.rename(out)


def people_with_frames(config: FramesConfig) -> list[tuple[str, list[dict[str, str]]]]:
    """Return the people whose frames are collected, with their rows of the index.

    Raises:
        InputError: the prepared folder has no index, or no usable clip.
    """
    people: dict[str, list[dict[str, str]]] = {}
    for row in read_index(config.prepared):
        if row["split"] == "train" and float(row["face_px"]) >= config.min_face:
            people.setdefault(row["person"], []).append(row)
    if not people:
        raise InputError(f"{config.prepared}: no training clip has a face of {config.min_face} pixels")
    return list(people.items())[: config.people]


def person_frames(
    config: FramesConfig, number: int, person: str, rows: list[dict[str, str]], seed: int = 0
) -> Iterator[tuple[np.ndarray, dict[str, Any]]]:
    """Collect the frames of a person.

    Args:
        config: which, and how many.
        number: of the person among all.
        person: the name.
        rows: of the index.
        seed: of the choice.

    Yields:
        The head crop uint8 [256, 256, 3] of a frame, and its facts.
    """
    model = load_bundled()
    random = np.random.default_rng([seed, zlib.crc32(person.encode())])
    share = max(-(-config.frames_per_person // len(rows)), _MIN_FRAMES)
    for place, row in enumerate(rows):
        clip = Clip.load(Path(config.prepared), Path(config.clips), row)
        motion = _replacement(config.motions, row, model) or clip.motion
        crop = head_crop(clip.crop)
        for index in _chosen(clip, share, config.different, random):
            facts = {
                "person": person,
                "take": number << 40 | place << 20 | int(clip.shot[index]),
                "time": index,
                "coefficients": _coefficients(motion, index),
                "boxes": _boxes(crop.points(clip.landmarks[index])),
                "aperture": np.float32(clip.aperture[index]),
            }
            yield crop.take(clip.frames[index]), facts


def mirror_signs(model: MorphableModel) -> np.ndarray:
    """Return the signs float32 [D + 6] of expression, rotation and translation under a mirror.

    The bundled face model is learned from faces and their mirror images: every component is symmetric or antisymmetric.
    """
    mirrored = model.exp_basis[:, mirror_index(model.mean)] * [-1, 1, 1]
    signs = np.sign((mirrored * model.exp_basis).sum((1, 2)))
    return np.concatenate([signs, _MIRRORED_POSE]).astype(np.float32)


def _replacement(folder: str | None, row: dict[str, str], model: MorphableModel) -> Motion | None:
    path = Path(folder or "") / f"{row['name']}.npz"
    return Motion.load(path, face_model=model.fingerprint) if folder and path.exists() else None


def _coefficients(motion: Motion, index: int) -> np.ndarray:
    at = min(index, len(motion) - 1)
    return np.concatenate([motion.expression[at], motion.rotation[at], motion.translation[at]]).astype(np.float32)


def _chosen(clip: Clip, count: int, different: float, random: np.random.Generator) -> list[int]:
    """The first frame, then frames that differ from those before, then random ones."""
    known = np.flatnonzero(clip.shot >= 0)
    shots, sizes = np.unique(clip.shot[known], return_counts=True)
    known = known[np.isin(clip.shot[known], shots[sizes >= _MIN_FRAMES])]
    if len(known) < _MIN_FRAMES:
        return []
    motion = clip.motion
    pose = np.concatenate([motion.rotation, motion.translation], 1)[known]
    features = np.concatenate([pose, np.stack([clip.aperture, clip.lids / np.ptp(clip.lids).clip(1e-6)], 1)[known]], 1)
    points = features * _FEATURE_WEIGHTS
    chosen, distance = [0], np.linalg.norm(points - points[0], axis=1)
    while len(chosen) < min(round(different * count), len(known)):
        chosen.append(int(distance.argmax()))
        distance = np.minimum(distance, np.linalg.norm(points - points[chosen[-1]], axis=1))
    rest = np.setdiff1d(np.arange(len(known)), chosen)
    chosen += random.choice(rest, min(count - len(chosen), len(rest)), replace=False).tolist()
    return [int(known[k]) for k in chosen]


def _boxes(points: np.ndarray) -> np.ndarray:
    """Boxes of mouth, right and left eye of a mesh [478, 2] in crop pixels, with a margin: x0, y0, x1, y1, [3, 4]."""
    boxes = []
    for ring in (OUTER_LIPS, RIGHT_EYE, LEFT_EYE):
        low, high = points[list(ring)].min(0), points[list(ring)].max(0)
        margin = _MARGIN * (high[0] - low[0])
        boxes.append(np.clip([*(low - margin), *(high + margin)], 0, SIZE))
    return np.array(boxes, np.float32)
