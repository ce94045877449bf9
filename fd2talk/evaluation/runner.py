"""`fd2talk evaluate`: clips in, scores out."""

from __future__ import annotations

import datetime
import hashlib
import os
import re
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

from fd2talk.evaluation.inputs.pairs import Pair
from fd2talk.evaluation.inputs.protocol import Protocol, load_protocol
from fd2talk.evaluation.inputs.rows import REAL, Row, read_reference, read_rows
from fd2talk.evaluation.metrics.catalogue import CATALOGUE, FAMILIES, NEEDS
from fd2talk.evaluation.report.summary import add_diversity, contrasts, summary
from fd2talk.evaluation.report.writer import write_report
from fd2talk.evaluation.settings import Settings
from fd2talk.evaluation.worker import Run, start, work
from fd2talk.processes import in_processes
from shared.errors import Fd2TalkError, InputError, UsageError
from shared.face_model.morphable import MorphableModel
from shared.media import FPS
from shared.metrics.metric_networks import JUDGES, digest, find_judge
from shared.weights import bundled

_ASSETS = ("fd2talk", "renderer", "ridge", "speech_encoder", "face_model")  # what systems are made of
_EXPERT, _EXPERT_ASSETS = "lip_expert", ("fd2talk", "speech_encoder", "face_model")


def evaluate(
    generated: Sequence[str],
    output: str | Path,
    *,
    reference: str | None = None,
    metrics: Sequence[str] = (),
    protocol: str | None = None,
    repeats: int | None = None,
    split: str | None = None,
    limit: int | None = None,
    per_person: int | None = None,
    resample: bool = False,
    phones: dict[str, tuple[float, ...]] | None = None,
    models: Sequence[str] = (),
    download: bool = False,
    face_model: str | None = None,
    weights: str = "bundled",
    workers: int | None = None,
    command: str = "",
    overwrite: bool = False,
) -> dict[str, Any]:
    """Measure rows of clips and write REPORT's report.json, .md and .html; returns what report.json holds.

    generated: folders or manifests (also NAME=PATH), or names of `SYSTEMS` and `real-shuffled`, which need a reference.
    metrics: keys or families of the catalogue, beside the protocol's; without either all of them. limit: that many
    reference clips; per_person: that many of each person. models: folders to look for judges in. Other arguments as on
    the command line.

    Raises UsageError, InputError: anything that makes the whole run impossible. Fd2TalkError: not one clip could be
    measured. A clip that cannot be is reported and left out.
    """
    began = time.perf_counter()
    output = Path(output)
    if (output / "report.json").exists() and not overwrite:
        raise UsageError(f"cannot write {output}: it holds a report already (--overwrite replaces it)")
    chosen = load_protocol(protocol, CATALOGUE) if protocol else None
    wanted = _wanted(metrics, chosen)
    settings = _settings(chosen, resample, phones or {})
    reals, split = read_reference(reference, split, chosen, limit, per_person)
    rows = read_rows(generated, reals, repeats)
    skipped: dict[str, str] = {}
    judges = _judges(wanted, models, download, skipped)
    _possible(wanted, rows, settings, skipped)
    wanted = [key for key in wanted if key not in skipped]
    if not wanted:
        raise InputError(f"nothing can be measured: {_from_home(next(iter(skipped.values())))}")
    if face_model:
        MorphableModel.load(face_model)
    run = Run(
        report=output,
        settings=settings,
        judges=judges,
        digests={name: digest(path) for name, path in judges.items()} | _expert_digest(wanted),
        face_model=Path(face_model) if face_model else None,
        weights=weights,
        weights_digest=_weights_digest(weights) if any(row.kind == "system" for row in rows) else "",
        reals=list(reals.values()) if reals else (),
        video=settings.motion == "video" or any("video" in CATALOGUE[key].needs for key in wanted),
    )
    with _folder(output):
        records, failed = _measured(rows, wanted, run, workers)
    add_diversity(records, wanted, output)
    report = {
        "fd2talk": version("fd2talk"),
        "command": command,
        "created": datetime.date.today().isoformat(),
        "protocol": _about(chosen, settings, split),
        "metrics": {key: _described(key, run.digests) for key in wanted},
        "weights": {"of": weights, "sha256": run.weights_digest} if run.weights_digest else None,
        "systems": {row.name: summary(row, records[row.name], records[REAL], wanted, run) for row in rows},
        "clips": [_public(record) for row in rows for record in records[row.name]],
        "contrasts": contrasts(records, wanted),
        "skipped": {key: _from_home(why) for key, why in skipped.items()},
        "failed": [entry | {"why": _from_home(entry["why"])} for entry in failed],
        "seconds": round(time.perf_counter() - began, 1),
    }
    write_report(output, report, chosen)
    return report


def _wanted(metrics: Sequence[str], protocol: Protocol | None) -> list[str]:
    """Keys in the catalogue's order."""
    names = {*metrics, *(protocol.metrics if protocol else ())} or set(CATALOGUE)
    unknown = [name for name in names if name not in CATALOGUE and name not in FAMILIES]
    if unknown:
        known = ", ".join([*FAMILIES, *CATALOGUE])
        raise UsageError(f"there is no metric {sorted(unknown)[0]} (there are: {known})")
    return [key for key, metric in CATALOGUE.items() if key in names or metric.family in names]


def _settings(protocol: Protocol | None, resample: bool, phones: dict[str, tuple[float, ...]]) -> Settings:
    settings = Settings(resampled=resample, phones=phones)
    given = dict(protocol.settings) if protocol else {}
    if given.pop("fps", FPS) != FPS:
        raise UsageError(f"protocol {protocol.name}: everything is measured at {FPS} frames per second")
    given.pop("photo", None)  # the first frame: systems know no other
    return replace(settings, **given)


def _judges(wanted: Iterable[str], models: Sequence[str], download: bool, skipped: dict[str, str]) -> dict[str, Path]:
    """Paths of the networks that the metrics need; metrics whose network is not at hand are skipped with a line."""
    found: dict[str, Path] = {}
    missing: dict[str, str] = {}
    for key in wanted:
        for name in CATALOGUE[key].judges:
            if name not in found and name not in missing:
                try:
                    found[name] = find_judge(name, models, download)
                except Fd2TalkError as error:
                    missing[name] = str(error)
            if name in missing:
                skipped.setdefault(key, missing[name])
    return found


def _possible(wanted: Iterable[str], rows: list[Row], settings: Settings, skipped: dict[str, str]) -> None:
    """Skip, with a line each, what nothing in the run can give."""
    pairs = [pair for row in rows for pair in row.pairs]
    made_here = any(pair.made is None for pair in pairs)
    real_items = [pair.real for pair in pairs if pair.real is not None]
    has = {
        "video": made_here or any(pair.made is not None and pair.made.video for pair in pairs),
        "motion": True,
        "real video": any(item.video for item in real_items),
        "real motion": bool(real_items),
        "speech": True,
        "phones": bool(settings.phones),
        "repeats": any(pair.repeat > 0 for pair in pairs),
        "system": made_here,
    }
    for key in wanted:
        lacking = [NEEDS[need] for need in CATALOGUE[key].needs if not has[need]]
        if lacking:
            skipped.setdefault(key, f"{key}: needs {' and '.join(lacking)}")


@contextmanager
def _folder(output: Path) -> Iterator[None]:
    """Make the report's folder, and take it away again if nothing is written there."""
    kept = output.exists()
    try:
        (output / "clips").mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"cannot write to {output}: {error.strerror}") from error
    if not os.access(output, os.W_OK | os.X_OK):
        raise UsageError(f"cannot write to {output}: it is not writable")
    try:
        yield
    finally:
        with suppress(OSError):  # there is something in it
            (output / "clips").rmdir()
            if not kept:
                output.rmdir()


def _measured(
    rows: list[Row], wanted: list[str], run: Run, workers: int | None
) -> tuple[dict[str, list[dict[str, Any]]], list[dict[str, Any]]]:
    """Records by row, in the order of the pairs, and what failed."""
    measured = [key for key in wanted if CATALOGUE[key].family != "cost"]
    jobs = [(pair, _of_pair(pair, measured)) for row in rows for pair in row.pairs]
    failed = []

    def note(index: int, error: Fd2TalkError) -> None:
        pair = jobs[index][0]
        failed.append({"system": pair.system, "repeat": pair.repeat, "clip": pair.name, "why": str(error)})

    found = in_processes(work, jobs, workers, "clips", "clip", start=start, given=(run,), failed=note)
    records: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for record in found:
        if record is not None:
            records[record["system"]].append(record)
    asked = [row for row in rows if row.name != REAL] or rows
    if not any(records[row.name] for row in asked):
        raise Fd2TalkError(f"not one of {sum(len(row.pairs) for row in asked)} clips could be measured")
    return records, failed


def _of_pair(pair: Pair, wanted: list[str]) -> list[str]:
    """A clip without reference is measured by what needs none; FID needs the real clips' features."""
    if pair.made is None or pair.real is not None:
        return wanted
    return [key for key in wanted if key == "fid" or not any(need.startswith("real") for need in CATALOGUE[key].needs)]


def _about(protocol: Protocol | None, settings: Settings, split: str | None) -> dict[str, Any]:
    measured = {
        "fps": FPS,
        "motion": settings.motion,
        "identity": settings.identity,
        "max_shift": settings.max_shift,
        "beat_sigma": settings.beat_sigma,
        "resampled": settings.resampled,
    }
    if protocol is None:
        return {"name": None, "title": None, "paper": None, "split": split, "settings": measured}
    return {
        "name": protocol.name,
        "title": protocol.title,
        "paper": protocol.paper,
        "split": split,
        "settings": measured,
    }


def _described(key: str, digests: dict[str, str]) -> dict[str, Any]:
    metric = CATALOGUE[key]
    weights = {JUDGES[name].file: digests[name] for name in metric.judges}
    if key.startswith(_EXPERT):
        weights["lip_expert.safetensors"] = digest(bundled("fd2talk") / "lip_expert.safetensors")
    fields = ("label", "family", "unit", "direction", "definition", "source")
    return {name: getattr(metric, name) for name in fields} | {"weights": weights}


def _public(record: dict[str, Any]) -> dict[str, Any]:
    """What report.json tells of a clip."""
    told = {key: record[key] for key in ("system", "repeat", "clip", "person", "frames", "values")}
    return told | {key: record[key] for key in ("curves", "still", "notes") if record.get(key)}


def _from_home(text: str) -> str:
    """A report goes to others: what lies in the home folder is told from there."""
    home = str(Path.home()).rstrip("/")
    return re.sub(rf"(?<![\w./-]){re.escape(home)}(?=/)", "~", text) if home else text


def _weights_digest(weights: str) -> str:
    """Of the weights that systems run with. Raises InputError: no such folder."""
    if weights != "bundled" and not Path(weights).is_dir():
        raise InputError(f"{weights}: there is no such folder of weights")
    return _digest_of([*map(bundled, _ASSETS), *([] if weights == "bundled" else [Path(weights)])])


def _expert_digest(wanted: Iterable[str]) -> dict[str, str]:
    """Of what the bundled lip expert is and hears with, where it judges."""
    judges = any(key.startswith(_EXPERT) for key in wanted)
    return {_EXPERT: _digest_of(map(bundled, _EXPERT_ASSETS))} if judges else {}


def _digest_of(folders: Iterable[Path]) -> str:
    """One digest over all files."""
    hasher = hashlib.sha256()
    for folder in folders:
        for path in sorted(p for p in folder.rglob("*") if p.is_file()):
            hasher.update(f"{path.name} {digest(path)}".encode())
    return hasher.hexdigest()
