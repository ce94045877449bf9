"""The diffusion renderer's training frames in shards: WebP pictures; only those of a batch are read.

SHARDS/pictures-KEY/ holds what `frame_set` describes, KEY for the settings that chose the frames:

    pictures-00000.parquet ...  a row per frame: the head crop as WebP, and the facts
    NAME.npy                    the facts of all frames, memory-mapped: take, time, coefficients, boxes, aperture, and
                                person int32 [F], a place in `people`
    shard.npy, at.npy, size.npy which file a frame's picture lies in, where, and how many bytes it has
    pictures.json               settings, people, mirror, checksums; written last

Single pictures instead of videos: a random frame of an MP4 costs the decoding of all frames since the last key frame,
and training reads random frames (docs/scale.md has the figures).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from shared.errors import InputError
from shared.face_model import load_bundled
from shared.shards.format import Part, pyarrow, shard_metadata, shard_name, shard_ranges, write_shard
from shared.shards.reader import OpenFiles, checksums_in
from shared.shards.rows import StoredRows, decode, encode, save_arrays, save_description
from stage2_render.face_crop import SIZE
from stage2_render.training.frame_set import FramesConfig, FrameSet, mirror_signs, people_with_frames, person_frames

_GROUP = "pictures"
_FACTS = ("take", "time", "coefficients", "boxes", "aperture")
_PLACES = ("shard", "at", "size")
_SETTINGS = ("frames_per_person", "different", "min_face", "people")
# Bytes of a picture, for the number of people in a file: of quality 90, and without loss.
_TYPICAL, _TYPICAL_LOSSLESS = 6_500, 40_000


def pictures_folder(config: FramesConfig, shards: str | Path) -> Path:
    """The folder of the frames that these settings choose."""
    text = json.dumps(_settings(config), sort_keys=True)
    return Path(shards) / f"{_GROUP}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"


def _settings(config: FramesConfig) -> dict[str, Any]:
    return {**{name: getattr(config, name) for name in _SETTINGS}, "motions": config.motions is not None}


def open_pictures(config: FramesConfig) -> ShardedFrameSet | None:
    """Open the frames of a config in the shards that it names; None: they have no frames, or `frames` exists.

    Raises:
        InputError: the shards have only frames of other settings.
    """
    folder = pictures_folder(config, config.prepared)
    if (folder / "pictures.json").exists():
        return ShardedFrameSet(folder)
    others = sorted(Path(config.prepared).glob(f"{_GROUP}-*/pictures.json"))
    if others and not Path(config.frames).exists():
        found = json.loads(others[0].read_text(encoding="utf-8"))["settings"]
        different = ", ".join(
            f"{name} {found[name]}" for name, value in _settings(config).items() if found[name] != value
        )
        raise InputError(f"{config.prepared}: the shards have no frames of these settings, but such of {different}")
    return None


class ShardedFrameSet(FrameSet):
    """The set; pictures are read and decoded when they are indexed. It pickles as its path."""

    def __init__(self, folder: str | Path) -> None:
        """Open a set. Raises InputError: the folder has none."""
        self.folder = Path(folder)
        try:
            card = json.loads((self.folder / "pictures.json").read_text(encoding="utf-8"))
            arrays = {name: np.load(self.folder / f"{name}.npy", mmap_mode="r") for name in (*_FACTS, "person")}
            self._names, self._codes = np.array(card["people"]), arrays.pop("person")
            self.take, self.time, self.coefficients, self.boxes, self.aperture = (arrays[name] for name in _FACTS)
            self.mirror = np.array(card["mirror"], np.float32)
            self.frames: Any = Pictures(self.folder, OpenFiles(checksums_in(card)))
        except (OSError, KeyError, ValueError) as error:
            raise InputError(f"{folder}: not a set of frames ({error})") from error

    def __reduce__(self) -> tuple[Any, ...]:
        return ShardedFrameSet, (self.folder,)

    def people(self) -> tuple[np.ndarray, np.ndarray]:
        """See `FrameSet`."""
        return self._names, np.asarray(self._codes)

    @property
    def person(self) -> np.ndarray:
        """Names [F]."""
        return self._names[self._codes]


class Pictures:
    """Pictures uint8 [F, 256, 256, 3] that are decoded when they are indexed. Thread-safe."""

    def __init__(self, folder: Path, files: OpenFiles) -> None:
        """Open the arrays of offsets."""
        places = (np.load(folder / f"{name}.npy", mmap_mode="r") for name in _PLACES)
        self._rows = StoredRows(files, folder, _GROUP, *places)
        self.shape = (len(self._rows), SIZE, SIZE, 3)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, at: Any) -> np.ndarray:
        """Frame, or frame, rows, columns; an array of frames gives a stack."""
        frame, *part = at if isinstance(at, tuple) else (at,)
        if np.ndim(frame) or isinstance(frame, slice):
            keys = [(one, *part) for one in np.arange(len(self))[frame].tolist()]
            return np.stack([self[key] for key in keys])
        return self._rows.read(int(frame), decode)[tuple(part)]


def picture_jobs(config: FramesConfig, quality: int | None, size: int) -> list[list[tuple[int, str, list]]]:
    """Divide the people into files of about `size` bytes: of each its number, name and rows of the index."""
    each = config.frames_per_person * (_TYPICAL_LOSSLESS if quality is None else _TYPICAL)
    at_once = max(1, size // each)
    people = [(number, person, rows) for number, (person, rows) in enumerate(people_with_frames(config), 1)]
    return [people[first : first + at_once] for first in range(0, len(people), at_once)]


def write_pictures(
    config: FramesConfig, folder: Path, shard: int, people: list[tuple[int, str, list]], quality: int | None
) -> None:
    """Write one file of pictures, unless it exists."""
    path = folder / shard_name(_GROUP, shard)
    if path.exists() and shard_metadata(path).get("quality", 0) == quality:
        return

    def frames() -> Iterator[tuple[np.ndarray, dict[str, Any]]]:
        for number, person, rows in people:
            yield from person_frames(config, number, person, rows)

    write_frames(path, frames(), load_bundled().num_expression + 6, quality)


def write_frames(
    path: Path, frames: Iterable[tuple[np.ndarray, dict[str, Any]]], coefficients: int, quality: int | None
) -> None:
    """Write a file of frames.

    Args:
        path: the file.
        frames: images uint8 [256, 256, 3] with the facts of `frame_set.person_frames`.
        coefficients: D + 6, how many coefficients a frame has.
        quality: see `encode`.
    """

    def rows() -> Iterator[tuple[str, dict[str, np.ndarray]]]:
        for image, facts in frames:
            arrays = {name: np.asarray(facts[name])[None] for name in _FACTS}
            yield facts["person"], {**arrays, _GROUP: np.frombuffer(encode(image, quality), np.uint8)}

    write_shard(path, _parts(coefficients), rows(), {"quality": quality, "coefficients": coefficients})


def _parts(coefficients: int) -> dict[str, Part]:
    numbers = {"take": "<i8", "time": "<i8", "aperture": "<f4"}
    parts = {name: Part(_GROUP, dtype) for name, dtype in numbers.items()}
    shapes = {"coefficients": (coefficients,), "boxes": (3, 4)}
    parts |= {name: Part(_GROUP, "<f4", shape) for name, shape in shapes.items()}
    return {**parts, _GROUP: Part(_GROUP, "|u1")}


def finish_pictures(
    config: FramesConfig, folder: Path, shards: Sequence[int], mirror: np.ndarray | None = None
) -> None:
    """Write the facts of all files' frames, and with pictures.json make the folder complete.

    Args:
        config: which frames these are.
        folder: of the files.
        shards: their numbers.
        mirror: signs of the coefficients of a mirrored frame; None: those of the bundled face model.
    """
    arrow, card = pyarrow(), shard_metadata(folder / shard_name(_GROUP, shards[0]))
    parts = _parts(card["coefficients"])
    names: list[str] = []
    columns: dict[str, list[np.ndarray]] = {name: [] for name in (*_FACTS, *_PLACES)}
    for shard in shards:
        path = folder / shard_name(_GROUP, shard)
        of_shard, ranges = shard_ranges(path, [_GROUP])
        names += of_shard
        table = arrow.parquet.read_table(path, columns=list(_FACTS))
        for name in _FACTS:
            columns[name].append(parts[name].from_bytes(table[name].to_pylist()))
        starts, sizes = ranges[_GROUP]
        for name, values in zip(_PLACES, (np.full(len(starts), shard, np.int32), starts, sizes)):
            columns[name].append(values)
    people, codes = np.unique(np.array(names), return_inverse=True)
    columns["person"] = [codes.astype(np.int32)]
    paths = save_arrays(folder, {name: np.concatenate(arrays) for name, arrays in columns.items()})
    signs = mirror_signs(load_bundled()) if mirror is None else mirror
    described = {"settings": _settings(config), "quality": card["quality"], "people": people.tolist()}
    files = [folder / shard_name(_GROUP, shard) for shard in shards]
    save_description(folder / "pictures.json", {**described, "mirror": signs.tolist()}, files, paths)
