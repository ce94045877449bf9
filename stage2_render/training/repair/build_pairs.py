"""Build the repair networks' training set (see `pair_dataset`) from a prepared folder, its clips and its photos."""

from __future__ import annotations

import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from shared.errors import InputError, UsageError
from shared.files import new_folders
from shared.orphans import end_with_parent
from shared.prepared import read_index
from stage2_render.training.growing_array import GrowingArray
from stage2_render.training.repair.clip_pairs import person_pairs
from stage2_render.training.repair.pair_dataset import FILES
from stage2_render.training.repair.pair_rows import Rows
from stage2_render.training.repair.portrait_pairs import portrait_pairs

# A smaller face is blurred when it is enlarged to the face crop.
_MIN_FACE_PX = 110
# Photos in one job, and jobs between two lines of progress.
_STILLS_PER_JOB, _JOBS_PER_LINE = 8, 20


@dataclass(frozen=True)
class Limits:
    """Sizes of the set.

    Attributes:
        pairs_per_person: at most, of the training split.
        pairs_per_portrait: at most, of both splits.
        val_pairs: of all people of the validation split.
        val_portrait_pairs: of all its photos.
        people: most people of each split; None: all.
        portraits: most photos of each split; None: all.
    """

    pairs_per_person: int = 64
    pairs_per_portrait: int = 3
    val_pairs: int = 600
    val_portrait_pairs: int = 150
    people: int | None = None
    portraits: int | None = None


def build(
    prepared: str | Path,
    clips: str | Path,
    portraits: str | Path,
    out: str | Path,
    *,
    workers: int = 2,
    limits: Limits = Limits(),
    seed: int = 0,
) -> None:
    """Build the set. The same arguments give the same set; `out` exists only when it is complete.

    Args:
        prepared: a folder written by `fd2talk prepare`.
        clips: the folder of its videos.
        portraits: the folder of its photos.
        out: the folder to write.
        workers: number of processes.
        limits: sizes of the set.
        seed: of the choice.

    Raises:
        UsageError: `out` exists.
        InputError: the prepared folder has no index, or no usable clip.
    """
    prepared, out = Path(prepared), Path(out)
    if out.exists():
        raise UsageError(f"{out} exists already; remove it first")
    jobs = {
        split: list(split_jobs(prepared, Path(clips), Path(portraits), split, limits)) for split in ("train", "val")
    }
    with new_folders(out.parent):
        temporary = Path(tempfile.mkdtemp(prefix=f".{out.name}-", dir=out.parent))
        try:
            # Not forked: threads of numerical libraries do not survive that.
            context = get_context("spawn")
            with ProcessPoolExecutor(workers, context, initializer=_start) as pool:
                for split in ("train", "val"):
                    _write_split(temporary / split, pool, jobs[split], seed)
            temporary.rename(out)
        except BaseException:
            shutil.rmtree(temporary, ignore_errors=True)
            raise


def split_jobs(prepared: Path, clips: Path, portraits: Path, split: str, limits: Limits) -> Iterator[tuple[Any, ...]]:
    """Divide the work on a split into jobs, which give its pairs in their order.

    Yields:
        A function and its arguments, without the seed (see `run_job`).

    Raises:
        InputError: the prepared folder has no index, or no usable clip.
    """
    people = _people(prepared, limits)[split]
    for job in _person_jobs(people, split, limits):
        yield person_pairs, (prepared, clips), *job
    stills = _stills(prepared / "portraits.npz", limits)[split]
    for job in _portrait_jobs(stills, split, limits):
        yield portrait_pairs, (prepared, portraits), *job


def _start() -> None:
    """Prepare a worker process."""
    end_with_parent()
    cv2.setNumThreads(1)


def _people(prepared: Path, limits: Limits) -> dict[str, dict[str, list[dict]]]:
    """Usable rows of the index as split -> person -> rows."""
    people: dict[str, dict[str, list[dict]]] = {"train": {}, "val": {}}
    for row in read_index(prepared):
        if row["split"] in people and float(row["face_px"]) >= _MIN_FACE_PX:
            people[row["split"]].setdefault(row["person"], []).append(row)
    if not people["train"]:
        raise InputError(f"{prepared}: no training clip has a face of {_MIN_FACE_PX} pixels")
    return {split: dict(list(known.items())[: limits.people]) for split, known in people.items()}


def _stills(path: Path, limits: Limits) -> dict[str, list[int]]:
    """Rows of portraits.npz of each split."""
    if not path.exists():
        return {"train": [], "val": []}
    with np.load(path, allow_pickle=False) as file:
        splits = file["splits"]
    return {split: np.flatnonzero(splits == split)[: limits.portraits].tolist() for split in ("train", "val")}


def _person_jobs(people: dict[str, list[dict]], split: str, limits: Limits) -> Iterator[tuple]:
    if not people:
        return
    pairs = limits.pairs_per_person if split == "train" else -(-limits.val_pairs // len(people))
    for person, rows in people.items():
        yield person, rows, split == "val", pairs


def _portrait_jobs(stills: list[int], split: str, limits: Limits) -> Iterator[tuple]:
    pairs = limits.pairs_per_portrait
    if split == "val":
        stills = stills[: -(-limits.val_portrait_pairs // pairs)]
    for k in range(0, len(stills), _STILLS_PER_JOB):
        yield stills[k : k + _STILLS_PER_JOB], pairs


def _write_split(folder: Path, pool: ProcessPoolExecutor, jobs: list[tuple], seed: int) -> None:
    """Run the jobs and write their rows in the order of the jobs, so that the set does not depend on their speed."""
    folder.mkdir()
    files = {name: GrowingArray(folder / f"{name}.npy", shape) for name, shape in FILES.items()}
    facts: dict[str, list] = {}
    begun = time.monotonic()
    for done, rows in enumerate(pool.map(run_job, [(*job, seed) for job in jobs]), 1):
        before = files["mouth_reference"].length
        for name, values in rows.files.items():
            files[name].extend(values)
        for name, values in rows.facts.items():
            facts.setdefault(name, []).extend(k + before if name == "reference" else k for k in values)
        if done % _JOBS_PER_LINE == 0 or done == len(jobs):
            progress = f"{done} of {len(jobs)} jobs, {files['mouth_warped'].length} pairs"
            print(f"{folder.name}: {progress}, {time.monotonic() - begun:.0f} s", file=sys.stderr, flush=True)
    for file in files.values():
        file.close()
    np.savez(folder / "facts.npz", **{name: np.array(values) for name, values in facts.items()})


def run_job(job: tuple[Any, ...]) -> Rows:
    """Do one of `split_jobs`, with the seed behind its arguments."""
    work, *arguments = job
    return work(*arguments)
