"""The work of one process of `fd2talk evaluate`: make a clip if a system has to, measure it, keep what was found.

Each clip leaves REPORT/clips/<row>/<repeat>/<clip>.json beside .jpg and .npz, and what a system made lies in
REPORT/systems. A record whose fingerprint (files, metrics, settings, weights, code) still holds is not made again: a
run that was stopped goes on where it was.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from fd2talk.evaluation.inputs.clip_reader import Footage
from fd2talk.evaluation.inputs.pairs import Item, Pair
from fd2talk.evaluation.metrics.clip_metrics import Measured, measure
from fd2talk.evaluation.metrics.image_metrics import Judges
from fd2talk.evaluation.settings import Settings
from fd2talk.evaluation.source_digest import code_digest
from fd2talk.evaluation.systems import Generator, Recording
from shared.errors import Fd2TalkError, InputError
from shared.face_model import load_bundled
from shared.face_model.morphable import MorphableModel
from shared.files import atomic_output, check_input

_MEASURING, _MAKING = "fd2talk.evaluation.metrics.clip_metrics", "fd2talk.evaluation.systems"
_LISTENER = "shuffled-audio"  # the one system to which it matters what the other clips are


@dataclass(frozen=True)
class Run:
    """What every clip of a run shares. report: the folder; face_model: a file, or None for the bundled one; judges:
    name -> path; digests: of their files, and of the bundled lip expert's where it judges; weights: of the systems that
    are run here, with their digest; reals: the reference clips, among which `shuffled-audio` looks for other voices;
    video: whether systems have to render."""

    report: Path
    settings: Settings
    judges: dict[str, Path]
    digests: dict[str, str]
    face_model: Path | None
    weights: str
    weights_digest: str
    reals: Sequence[Item]
    video: bool


class Worker:
    """Makes and measures the clips of a run; models are loaded when they are needed and kept."""

    def __init__(self, run: Run) -> None:
        self.run, self._generators = run, {}

    def __call__(self, pair: Pair, wanted: Sequence[str]) -> dict[str, Any]:
        """The record of one clip. Raises Fd2TalkError: it cannot be made or measured."""
        timings = None
        try:
            if pair.made is None:
                made, timings = self._made(pair)
                pair = replace(pair, made=made)
            fingerprint = self._fingerprint(pair, wanted)
            path = self.run.report / "clips" / pair.system / str(pair.repeat) / f"{pair.name}.json"
            kept = _kept(path, fingerprint)
            if kept is None or (kept["arrays"] and not path.with_suffix(".npz").exists()):
                judges, tracks = Judges(self.run.judges), self.run.report / "tracks"
                found = measure(pair, wanted, self.model, judges, tracks, self.run.settings)
                kept = self._keep(path, fingerprint, pair, found, timings)
            return kept
        except Fd2TalkError as error:
            raise type(error)(f"{pair.system}, {pair.name}: {error}") from None
        except OSError as error:  # a folder that must not be written to, a full disk
            raise Fd2TalkError(f"{pair.system}, {pair.name}: {error}") from error

    @cached_property
    def model(self) -> MorphableModel:
        """The face model that motions belong to."""
        return MorphableModel.load(self.run.face_model) if self.run.face_model else load_bundled()

    @cached_property
    def _voices(self) -> list[object]:
        """Name and file of every reference clip."""
        return [(item.name, _stamp(item.video)) for item in self.run.reals]

    def _made(self, pair: Pair) -> tuple[Item, dict[str, float]]:
        """Let a system make the clip, unless it has."""
        folder = self.run.report / "systems" / pair.system / str(pair.repeat)
        video, motion, told = (folder / f"{pair.name}{suffix}" for suffix in (".mp4", ".npz", ".json"))
        others = self._voices if pair.system == _LISTENER else []
        facts = (pair.system, pair.repeat, self.run.weights_digest, _stamp(pair.real.video), others)
        fingerprint = _digest(code_digest(_MAKING), *facts)
        kept = _kept(told, fingerprint)
        if kept is None or not motion.exists() or (self.run.video and not video.exists()):
            timings = self._generator(pair.system)(
                self._recording(pair.real), pair.repeat, folder, video=self.run.video
            )
            kept = {"fingerprint": fingerprint, "timings": asdict(timings)}
            _write(told, kept)
        return Item(pair.name, pair.person, video if self.run.video else None, motion), kept["timings"]

    def _generator(self, system: str) -> Generator:
        if system not in self._generators:
            reals = self.run.reals if system == _LISTENER else ()
            recordings = [self._recording(item) for item in reals]
            self._generators[system] = Generator(system, weights=self.run.weights, recordings=recordings)
        return self._generators[system]

    def _recording(self, real: Item) -> Recording:
        footage = Footage(real, self.model, self.run.report / "tracks")
        if footage.speech is None:
            raise InputError(f"{real.video}: no sound to make a face talk with")
        return Recording(real.name, real.person, real.video, footage.speech, len(footage.track.landmarks))

    def _fingerprint(self, pair: Pair, wanted: Sequence[str]) -> str:
        run, files = self.run, [pair.made, pair.real]
        return _digest(
            code_digest(_MEASURING),
            sorted(wanted),
            asdict(replace(run.settings, phones={})),
            run.settings.phones.get(pair.name),
            sorted(run.digests.items()),
            self.model.fingerprint,
            [_stamp(path) for item in files if item for path in (item.video, item.motion, item.audio)],
        )

    def _keep(
        self, path: Path, fingerprint: str, pair: Pair, found: Measured, timings: dict[str, float] | None
    ) -> dict[str, Any]:
        path.parent.mkdir(parents=True, exist_ok=True)
        record = {
            "fingerprint": fingerprint,
            "system": pair.system,
            "repeat": pair.repeat,
            "clip": pair.name,
            "person": pair.person,
            "frames": found.frames,
            "values": {key: value if np.isfinite(value) else None for key, value in found.values.items()},
            "curves": found.curves,
            "notes": found.notes,
            "arrays": sorted(found.arrays),
            "timings": timings,
        }
        if found.still is not None:
            still = path.with_suffix(".jpg")
            with atomic_output(still, overwrite=True) as temporary:
                Image.fromarray(found.still).save(temporary, quality=85)
            record["still"] = still.relative_to(self.run.report).as_posix()
        if found.arrays:
            with atomic_output(path.with_suffix(".npz"), overwrite=True) as temporary, open(temporary, "wb") as file:
                np.savez(file, **found.arrays)
        _write(path, record)
        return record


_worker: Worker | None = None


def start(run: Run) -> None:
    """Called once in each process."""
    global _worker
    _worker = Worker(run)


def work(pair: Pair, wanted: Sequence[str]) -> dict[str, Any]:
    """`Worker.__call__` of this process."""
    return _worker(pair, wanted)


def arrays_of(report: Path, record: dict[str, Any]) -> dict[str, np.ndarray]:
    """What a clip left for measures over several clips."""
    path = report / "clips" / record["system"] / str(record["repeat"]) / f"{record['clip']}.npz"
    if not path.exists():
        return {}
    with np.load(path, allow_pickle=False) as file:
        return dict(file)


def _digest(*facts: object) -> str:
    return hashlib.sha256(json.dumps(facts, default=str).encode()).hexdigest()


def _stamp(path: Path | None) -> list[object] | None:
    if path is None:
        return None
    stat = check_input(path).stat()
    return [str(path.resolve()), stat.st_size, stat.st_mtime_ns]


def _kept(path: Path, fingerprint: str) -> dict[str, Any] | None:
    try:
        kept = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return kept if isinstance(kept, dict) and kept.get("fingerprint") == fingerprint else None


def _write(path: Path, content: dict[str, Any]) -> None:
    with atomic_output(path, overwrite=True) as temporary:
        temporary.write_text(json.dumps(content), encoding="utf-8")
