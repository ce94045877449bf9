"""The learned renderer's training set: pairs of frames of one face, the first one warped to the mesh of the second.

OUT/{train,val}/ hold, for N pairs that share R reference frames, and K heads:

    warped.npy     uint8 [N, 256, 256, 3]   the reference frame, moved by `MeshWarp`, in the target's face crop
    target.npy     uint8 [N, 256, 256, 3]   the true frame there
    maps.npy       uint8 [N, 9, 64, 64]     `guidance.encode_maps`
    reference.npy  uint8 [R, 256, 256, 3]   the reference frames in their own face crops
    heads.npy      uint8 [K, 256, 256, 3]   whole head crops
    facts.npz      reference int64 [N], rows of reference.npy; coefficients float32 [N, D + 6], the target's expression,
                   rotation and translation; boxes float32 [N, 3, 4], x0, y0, x1, y1 of mouth, right and left eye in the
                   crop; person, kind str [N]; opened float32 [N], the lips' aperture less that of the reference; shut
                   bool [N], whether its eyes are shut and the reference's are not; framing str, what "face crop" means
                   here (`face_crop.FRAMINGS`)

A pair of a clip (kind "clip") has two of its frames. A still photo (kind "portrait") has but one: there the reference
is the photo warped to another face's expression, and warped is that picture warped back.
"""

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

import cv2
import numpy as np

from shared.errors import InputError, UsageError
from shared.prepared import read_index
from stage2_render.diffusion.face_crop import FRAMINGS
from stage2_render.training.build_pairs import FILES, Rows, person_pairs, portrait_pairs

# A smaller face was blurred by what enlarged it.
_MIN_FACE_PX = 110
# The talker kept for personalisation.
_LEFT_OUT = "personal"


@dataclass(frozen=True)
class Limits:
    """How many of everything. `people`, `portraits`: how many of each split at most, None for all."""

    pairs_per_person: int = 64
    pairs_per_portrait: int = 2
    val_pairs: int = 600
    val_portrait_pairs: int = 150
    heads: int = 3000
    val_heads: int = 300
    people: int | None = None
    portraits: int | None = None


class Pairs:
    """A split of the set, read from disk as it is needed.

    warped, target, maps, heads: the files; reference_images: reference.npy; reference, coefficients, boxes, person,
    kind, opened, shut: the facts.
    """

    def __init__(self, folder: str | Path) -> None:
        """Raises InputError: no (complete) set of pairs there."""
        folder = Path(folder)
        try:
            self.warped, self.target, self.maps, self.reference_images, self.heads = (
                np.load(folder / f"{name}.npy", mmap_mode="r") for name in FILES
            )
            with np.load(folder / "facts.npz", allow_pickle=False) as facts:
                self.reference, self.coefficients, self.boxes = (
                    facts[name] for name in ("reference", "coefficients", "boxes")
                )
                self.person, self.kind = facts["person"], facts["kind"]
                self.opened, self.shut = facts["opened"], facts["shut"]
                self.framing = str(facts["framing"]) if "framing" in facts else "face"
        except (OSError, KeyError, ValueError) as error:
            raise InputError(f"{folder}: not a set of pairs ({error})") from error

    def __len__(self) -> int:
        return len(self.warped)


def build(
    prepared: str | Path,
    clips: str | Path,
    portraits: str | Path,
    out: str | Path,
    *,
    workers: int = 2,
    limits: Limits = Limits(),
    framing: str = "face",
    seed: int = 0,
) -> None:
    """Make the set from a prepared folder (see `fd2talk prepare`), its clips and its still photos.

    The same arguments give the same set. `out` appears only when it is complete.

    Raises:
        UsageError: `out` exists, or there is no such framing.
        InputError: the prepared folder has no index, or nothing of it can be used.
    """
    prepared, out = Path(prepared), Path(out)
    if out.exists():
        raise UsageError(f"{out} exists already; remove it first")
    if framing not in FRAMINGS:
        raise UsageError(f"there is no framing {framing!r} ({', '.join(FRAMINGS)})")
    people, motions = _people(prepared, limits)
    stills = _stills(prepared / "portraits.npz", limits)
    out.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f".{out.name}-", dir=out.parent))
    try:
        # Not forked: threads of numerical libraries do not survive that.
        context = get_context("spawn")
        with ProcessPoolExecutor(workers, context, initializer=cv2.setNumThreads, initargs=(1,)) as pool:
            for split in ("train", "val"):
                of_people = _person_jobs(people[split], split, limits)
                of_stills = _portrait_jobs(stills[split], split, limits)
                jobs = [(person_pairs, prepared, Path(clips), *job) for job in of_people]
                jobs += [(portrait_pairs, prepared, Path(portraits), motions, *job) for job in of_stills]
                _write_split(temporary / split, pool, jobs, framing, seed)
        temporary.rename(out)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise


def _people(prepared: Path, limits: Limits) -> tuple[dict[str, dict[str, list[dict]]], list[str]]:
    """split -> person -> rows of the index that may be learned from; and the names of all training motions."""
    rows = [row for row in read_index(prepared) if row["split"] != _LEFT_OUT]
    people: dict[str, dict[str, list[dict]]] = {"train": {}, "val": {}}
    for row in rows:
        if row["split"] in people and float(row["face_px"]) >= _MIN_FACE_PX:
            people[row["split"]].setdefault(row["person"], []).append(row)
    if not people["train"]:
        raise InputError(f"{prepared}: no clip to learn from has a face of {_MIN_FACE_PX} pixels")
    people = {split: dict(list(known.items())[: limits.people]) for split, known in people.items()}
    return people, [row["name"] for row in rows if row["split"] == "train"]


def _stills(path: Path, limits: Limits) -> dict[str, list[int]]:
    """split -> rows of portraits.npz."""
    if not path.exists():
        return {"train": [], "val": []}
    with np.load(path, allow_pickle=False) as file:
        splits = file["splits"]
    return {split: np.flatnonzero(splits == split)[: limits.portraits].tolist() for split in ("train", "val")}


def _person_jobs(people: dict[str, list[dict]], split: str, limits: Limits) -> Iterator[tuple]:
    if not people:
        return
    wanted = limits.pairs_per_person if split == "train" else -(-limits.val_pairs // len(people))
    # Two thirds of the heads are people talking, the others still photos (or as many as there are).
    heads = -(-_heads(split, limits) * 2 // 3 // len(people))
    for person, rows in people.items():
        yield person, rows, split == "val", wanted, heads


def _portrait_jobs(stills: list[int], split: str, limits: Limits) -> Iterator[tuple]:
    wanted = limits.pairs_per_portrait
    if split == "val":
        stills = stills[: -(-limits.val_portrait_pairs // wanted)]
    heads = _heads(split, limits) // 3
    for k in range(0, len(stills), 8):
        yield stills[k : k + 8], wanted, max(min(heads - k, 8), 0)


def _heads(split: str, limits: Limits) -> int:
    return limits.heads if split == "train" else limits.val_heads


def _write_split(folder: Path, pool: ProcessPoolExecutor, jobs: list[tuple], framing: str, seed: int) -> None:
    """Run the jobs and write their rows in the jobs' order, so that the set does not depend on who is faster."""
    folder.mkdir()
    files = {name: _GrowingArray(folder / f"{name}.npy", shape) for name, shape in FILES.items()}
    facts: dict[str, list] = {}
    begun = time.monotonic()
    for done, rows in enumerate(pool.map(_run, [(*job, framing, seed) for job in jobs]), 1):
        before = files["reference"].length
        for name, values in rows.files.items():
            files[name].extend(values)
        for name, values in rows.facts.items():
            facts.setdefault(name, []).extend(k + before if name == "reference" else k for k in values)
        if done % 20 == 0 or done == len(jobs):
            seconds = time.monotonic() - begun
            print(
                f"{folder.name}: {done} of {len(jobs)} jobs, {files['warped'].length} pairs, {seconds:.0f} s",
                file=sys.stderr,
                flush=True,
            )
    for file in files.values():
        file.close()
    np.savez(folder / "facts.npz", framing=framing, **{name: np.array(values) for name, values in facts.items()})


def _run(job: tuple) -> Rows:
    work, *arguments = job
    return work(*arguments)


class _GrowingArray:
    """A .npy file of uint8 rows whose number is known at the end: numpy keeps room in the header for that."""

    def __init__(self, path: Path, row: tuple[int, ...]) -> None:
        self._file, self._row, self.length = open(path, "w+b"), row, 0
        self._header()

    def extend(self, rows: list[np.ndarray]) -> None:
        for row in rows:
            if row.shape != self._row or row.dtype != np.uint8:
                raise ValueError(f"a row must be uint8 {self._row}, not {row.dtype} {row.shape}")
            self._file.write(np.ascontiguousarray(row).data)
        self.length += len(rows)

    def close(self) -> None:
        self._file.seek(0)
        self._header()
        self._file.close()

    def _header(self) -> None:
        facts = {"descr": "|u1", "fortran_order": False, "shape": (self.length, *self._row)}
        np.lib.format.write_array_header_1_0(self._file, facts)
