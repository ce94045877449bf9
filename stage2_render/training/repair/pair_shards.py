"""The repair networks' training pairs in shards; only the crops of a batch are read and decoded.

SHARDS/pairs-KEY/ holds the training pairs that `pair_dataset` describes, KEY for the limits that chose them:

    pairs-00000.parquet ...   a row per pair: crops as WebP, maps packed without loss, the facts; the crops of a
                              reference are in the row of the first pair that shares it
    NAME.npy                  facts of all pairs, memory-mapped: reference, boxes, face, opened, shut, portrait, and
                              person int32 [N], a place in `people`
    {pair,reference}_{shard,at,size}.npy     where the crops and maps of each pair and reference are
    pairs.json                limits, people, checksums; written last
"""

from __future__ import annotations

import hashlib
import json
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from shared.errors import InputError
from shared.shards.format import Part, pyarrow, shard_metadata, shard_name, shard_ranges, write_shard
from shared.shards.reader import OpenFiles, checksums_in
from shared.shards.rows import StoredRows, decode, encode, row_numbers, save_arrays, save_description
from stage2_render.training.repair.build_pairs import Limits, run_job, split_jobs
from stage2_render.training.repair.pair_dataset import FILES, Pairs
from stage2_render.training.repair.pair_rows import Rows

_GROUP = "pairs"
_DESCRIPTION = "pairs.json"
# Of the limits, those of the training split.
_LIMITS = ("pairs_per_person", "pairs_per_portrait", "people", "portraits")
_FACTS = {
    "reference": Part(_GROUP, "<i8"),
    "boxes": Part(_GROUP, "<f4", (3, 4)),
    "face": Part(_GROUP, "<f8"),
    "opened": Part(_GROUP, "<f4"),
    "shut": Part(_GROUP, "|b1"),
    "portrait": Part(_GROUP, "|b1"),
}
_PAIR, _REFERENCE = (
    [name for name in FILES if ("reference" in name) is of_reference] for of_reference in (False, True)
)
_PARTS = {**_FACTS, **{name: Part(_GROUP, "|u1") for name in FILES}}
# Bytes of a pair, for the number of jobs in a file: of quality 90, and without loss.
_TYPICAL, _TYPICAL_LOSSLESS = 7_500, 50_000


def pairs_folder(limits: Limits, shards: str | Path) -> Path:
    """The folder of the pairs that these limits choose."""
    text = json.dumps(_described(limits), sort_keys=True)
    return Path(shards) / f"{_GROUP}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"


def _described(limits: Limits) -> dict[str, Any]:
    return {name: value for name, value in asdict(limits).items() if name in _LIMITS}


def open_pairs(shards: str | Path, limits: Limits, otherwise: Path) -> ShardedPairs | None:
    """Open the training pairs of these limits; None: the shards have none, or have others and `otherwise` exists.

    Raises:
        InputError: the shards have only pairs of other limits.
    """
    folder = pairs_folder(limits, shards)
    if (folder / _DESCRIPTION).exists():
        return ShardedPairs(folder)
    others = sorted(Path(shards).glob(f"{_GROUP}-*/{_DESCRIPTION}"))
    if others and not otherwise.exists():
        found = json.loads(others[0].read_text(encoding="utf-8"))["limits"]
        different = ", ".join(f"{k} {found[k]}" for k, value in _described(limits).items() if found[k] != value)
        raise InputError(f"{shards}: the shards have no pairs of these limits, but such of {different}")
    return None


class ShardedPairs(Pairs):
    """The training pairs; crops are read and decoded when they are indexed. It pickles as its path."""

    def __init__(self, folder: str | Path) -> None:
        """Open a set. Raises InputError: the folder has none."""
        self.folder = folder = Path(folder)
        try:
            described = json.loads((folder / _DESCRIPTION).read_text(encoding="utf-8"))
            facts = {name: np.load(folder / f"{name}.npy", mmap_mode="r") for name in (*_FACTS, "person")}
            self.reference, self.boxes, self.face = facts["reference"], facts["boxes"], facts["face"]
            self.opened, self.shut, self._portrait = facts["opened"], facts["shut"], facts["portrait"]
            self._names, self._codes = np.array(described["people"]), facts["person"]
            self.files: Mapping[str, Any] = self._open(OpenFiles(checksums_in(described)))
        except (OSError, KeyError, ValueError) as error:
            raise InputError(f"{folder}: not a set of pairs ({error})") from error

    def _open(self, files: OpenFiles) -> dict[str, StoredCrops]:
        found = {}
        for kind, names in (("pair", _PAIR), ("reference", _REFERENCE)):
            shard, at, size = (
                np.load(self.folder / f"{kind}_{name}.npy", mmap_mode="r") for name in ("shard", "at", "size")
            )
            for column, name in enumerate(names):
                rows = StoredRows(files, self.folder, _GROUP, shard, at[:, column], size[:, column])
                found[name] = StoredCrops(rows, FILES[name], unpacked(name))
        return found

    def __reduce__(self) -> tuple[Any, ...]:
        return ShardedPairs, (self.folder,)

    def people(self) -> tuple[np.ndarray, np.ndarray]:
        """See `Pairs`."""
        return self._names, np.asarray(self._codes)

    def of_photos(self) -> np.ndarray:
        """See `Pairs`."""
        return np.asarray(self._portrait)

    @property
    def person(self) -> np.ndarray:
        """Names [N]."""
        return self._names[self._codes]

    @property
    def kind(self) -> np.ndarray:
        """See `Pairs`."""
        return np.where(self._portrait, "portrait", "clip")


class StoredCrops:
    """One of `FILES`, uint8 [rows, *shape], whose rows are decoded when they are indexed."""

    def __init__(self, rows: StoredRows, shape: tuple[int, ...], decode_row: Callable[[bytes], np.ndarray]) -> None:
        """Set the rows, their shape, and their decoder."""
        self._rows, self._decode, self.shape = rows, decode_row, (len(rows), *shape)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, at: Any) -> np.ndarray:
        rows = row_numbers(at, len(self)).tolist()
        if not rows:
            return np.zeros((0, *self.shape[1:]), np.uint8)
        return np.stack([self._rows.read(row, self._decode) for row in rows])


def packed(name: str, values: np.ndarray, quality: int | None) -> bytes:
    """A row of one of `FILES`, uint8 [P, ...], as bytes: maps without loss; images by `quality`, None: without loss."""
    if name.endswith("maps"):
        return zlib.compress(np.ascontiguousarray(values).tobytes())
    return encode(np.concatenate(list(values), axis=1), quality)  # side by side: widths are whole WebP blocks


def unpacked(name: str) -> Callable[[bytes], np.ndarray]:
    """Return the inverse of `packed` for one of `FILES`."""
    parts, shape = FILES[name][0], FILES[name]
    if name.endswith("maps"):
        return lambda data: np.frombuffer(zlib.decompress(data), np.uint8).reshape(shape)
    return lambda data: np.stack(np.split(decode(data), parts, axis=1))


def pair_jobs(
    folders: tuple[str, str, str], limits: Limits, quality: int | None, size: int
) -> list[list[tuple[Any, ...]]]:
    """Divide the work into files of about `size` bytes.

    Args:
        folders: the prepared folder, that of its videos and that of its photos.
        limits: sizes of the set.
        quality: see `packed`.
        size: of a file.

    Raises:
        InputError: the prepared folder has no index, or no usable clip.
    """
    prepared, clips, portraits = (Path(folder) for folder in folders)
    each = limits.pairs_per_person * (_TYPICAL_LOSSLESS if quality is None else _TYPICAL)
    at_once = max(1, size // each)
    jobs = list(split_jobs(prepared, clips, portraits, "train", limits))
    return [jobs[first : first + at_once] for first in range(0, len(jobs), at_once)]


def write_pairs(folder: Path, shard: int, jobs: Sequence[tuple[Any, ...]], quality: int | None) -> None:
    """Do the jobs of one file and write their pairs, unless it exists."""
    path = folder / shard_name(_GROUP, shard)
    if path.exists() and shard_metadata(path).get("quality", 0) == quality:
        return

    def rows() -> Iterator[tuple[str, Mapping[str, np.ndarray | None]]]:
        before = 0
        for job in jobs:
            found = run_job((*job, 0))
            yield from _rows_of(found, before, quality)
            before += len(found.files[_REFERENCE[0]])

    write_shard(path, _PARTS, rows(), {"quality": quality})


def _rows_of(found: Rows, before: int, quality: int | None) -> Iterator[tuple[str, Mapping[str, np.ndarray | None]]]:
    """Rows of the file, of the pairs of a job; `before` of its references belong to other jobs."""
    seen = 0
    for row in range(len(found.files[_PAIR[0]])):
        facts = {name: values[row] for name, values in found.facts.items()}
        numbers = {**facts, "reference": facts["reference"] + before, "portrait": facts["kind"] == "portrait"}
        arrays: dict[str, np.ndarray | None] = {name: np.asarray(numbers[name])[None] for name in _FACTS}
        crops = {name: found.files[name][row] for name in _PAIR}
        if facts["reference"] == seen:  # the first pair of this reference: they are numbered in this order
            crops |= {name: found.files[name][seen] for name in _REFERENCE}
            seen += 1
        arrays |= {name: np.frombuffer(packed(name, values, quality), np.uint8) for name, values in crops.items()}
        yield facts["person"], arrays


def finish_pairs(limits: Limits, folder: Path, shards: Sequence[int]) -> None:
    """Write the facts of all files' pairs, and with the description make the folder complete."""
    arrow = pyarrow()
    files = [folder / shard_name(_GROUP, shard) for shard in shards]
    names: list[str] = []
    arrays: dict[str, list[np.ndarray]] = {}
    references = 0
    for shard, path in zip(shards, files):
        of_shard, ranges = shard_ranges(path, list(FILES))
        names += of_shard
        table = arrow.parquet.read_table(path, columns=list(_FACTS))
        for name, part in _FACTS.items():
            values = part.from_bytes(table[name].to_pylist())
            arrays.setdefault(name, []).append(values + references if name == "reference" else values)
        first = ranges[_REFERENCE[0]][1] > 0
        references += int(first.sum())
        for kind, of_kind, chosen in (("pair", _PAIR, slice(None)), ("reference", _REFERENCE, first)):
            at, size = (np.stack([ranges[name][k][chosen] for name in of_kind], axis=1) for k in (0, 1))
            places = {"shard": np.full(len(at), shard, np.int32), "at": at, "size": size.astype(np.int32)}
            for name, values in places.items():
                arrays.setdefault(f"{kind}_{name}", []).append(values)
    people, codes = np.unique(np.array(names), return_inverse=True)
    arrays["person"] = [codes.astype(np.int32)]
    others = save_arrays(folder, {name: np.concatenate(values) for name, values in arrays.items()})
    described = {"limits": _described(limits), "people": people.tolist()}
    save_description(folder / _DESCRIPTION, described, files, others)
