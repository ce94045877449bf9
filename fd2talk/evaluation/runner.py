"""`fd2talk evaluate`: from clips to a report."""

from __future__ import annotations

import datetime
import os
import re
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

from fd2talk.evaluation.inputs.pairs import Pair
from fd2talk.evaluation.inputs.protocol import Protocol, load_protocol
from fd2talk.evaluation.inputs.rows import REAL, ROWS, Row, halved, read_reference, read_rows
from fd2talk.evaluation.metrics.catalogue import CATALOGUE
from fd2talk.evaluation.metrics.metric import FAMILIES, MOTION_FAMILIES, NEEDS
from fd2talk.evaluation.report.summary import add_sample_scores, contrasts, summarise, targets
from fd2talk.evaluation.report.writer import JSON, write_report
from fd2talk.evaluation.settings import Settings
from fd2talk.evaluation.system_names import NETWORK_ALONE, SYSTEMS, WITHOUT_SPEECH
from fd2talk.evaluation.weights_digest import EXPERT, expert_digest, weights_digest
from fd2talk.evaluation.worker import Run, start, work
from fd2talk.processes import in_processes
from shared.errors import Fd2TalkError, InputError, UsageError
from shared.face_model.loaders import load_face_model
from shared.faces.face_alignment_tracker import require_s3fd
from shared.files import new_folders, remove_empty
from shared.metrics.metric_networks import METRIC_NETWORKS, find_metric_network
from shared.published_files import digest
from shared.weights import bundled
from stage1_motion.lip_expert.network import LipExpert


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
    min_face: int | None = None,
    frames: int | None = None,
    detector: str | None = None,
    resample: bool = False,
    phones: dict[str, tuple[float, ...]] | None = None,
    models: Sequence[str] = (),
    download: bool = False,
    face_model: str | None = None,
    weights: str = "bundled",
    unseen_expert: str | Path | None = None,
    render: dict[str, Any] | None = None,
    sampling: dict[str, Any] | None = None,
    tracks: str | Path | None = None,
    workers: int | None = None,
    command: str = "",
    overwrite: bool = False,
) -> dict[str, Any]:
    """Measure rows of clips and write report.json, report.md and report.html.

    Args:
        generated: folders or manifests (also NAME=PATH), or names of `SYSTEMS` and `real-shuffled`, which need a
            reference.
        output: folder of the report.
        reference: folder of the reference clips.
        metrics: keys or families of the catalogue, in addition to the protocol's; all of them if there are neither.
        protocol: name or file of a protocol.
        repeats: number of samples of each clip.
        split: split of the reference's manifest.
        limit: largest number of reference clips.
        per_person: largest number of reference clips of each person.
        min_face: smallest face in pixels, by the column `face_px` of the reference's manifest.
        frames: compare the images of so many evenly spaced frames of each clip instead of all; systems render only
            these. Metrics of whole videos are skipped, and motions are those of the motion files.
        detector: whose boxes crop the input of LSE-C and LSE-D, `mesh` or `s3fd`; None: the protocol's, or mesh.
        resample: bring pairs of different rates, sizes and lengths together.
        phones: clip name -> seconds of the midpoints of its b, p and m.
        models: folders with metric networks.
        download: fetch missing metric networks.
        face_model: file or folder of the face model of the motions (`load_face_model`); None for the bundled one.
        weights: weights of the systems that are run: `bundled` or a folder.
        unseen_expert: file of a lip expert that no loss saw, for metrics of its own.
        render: settings of their renderer, arguments of `RenderPipeline`.
        sampling: settings of their motion model, arguments of `SamplingOptions`.
        tracks: folder that caches the tracks of clips; None for one in the report.
        workers: number of processes.
        command: the command line, for the report.
        overwrite: replace an existing report.

    Returns:
        The contents of report.json.

    Raises:
        UsageError: the request is wrong, or the report cannot be written.
        InputError: the whole run is impossible with these files.
        Fd2TalkError: no clip could be measured. A single clip that fails is reported and left out.
    """
    began = time.perf_counter()
    output = Path(output)
    if (output / JSON).exists() and not overwrite:
        raise UsageError(f"cannot write {output}: it already contains a report (--overwrite replaces it)")
    chosen = load_protocol(protocol) if protocol else None
    wanted = _wanted(metrics, chosen)
    settings = _settings(chosen, resample, phones or {}, frames)
    settings = replace(settings, detector=detector or settings.detector)
    if settings.detector == "s3fd":
        require_s3fd()
    speech = any("speech" in CATALOGUE[key].needs for key in wanted)
    speech |= any(name in (*SYSTEMS, *ROWS) and name not in (REAL, *WITHOUT_SPEECH) for name in generated)
    references, split = read_reference(reference, split, chosen, limit, per_person, min_face, speech)
    rows = read_rows(_with_networks_alone(generated, wanted), references, repeats)
    if settings.style:
        rows = [replace(row, pairs=halved(row.pairs)) for row in rows]
    wanted = _with_metrics_of_samples(wanted, rows)
    skipped: dict[str, str] = {}
    networks = _find_networks(wanted, models, download, skipped)
    if unseen_expert:
        LipExpert.load(unseen_expert)
        networks["unseen_expert"] = Path(unseen_expert)
    _skip_impossible(wanted, rows, settings, skipped, bool(unseen_expert))
    wanted = [key for key in wanted if key not in skipped]
    if not wanted:
        raise InputError(f"nothing can be measured: {_from_home(next(iter(skipped.values())))}")
    if face_model:
        load_face_model(face_model)
    systems = [row.name for row in rows if row.kind in ("system", "network")]
    run = Run(
        report=output,
        settings=settings,
        networks=networks,
        digests={name: digest(path) for name, path in networks.items()} | expert_digest(wanted),
        face_model=Path(face_model) if face_model else None,
        weights=weights,
        weights_digests={name: weights_digest([name], weights) for name in systems},
        references=list(references.values()) if references else (),
        video=settings.motion == "video" or any("video" in CATALOGUE[key].needs for key in wanted),
        render=render or {},
        sampling=sampling or {},
        tracks=Path(tracks) if tracks else output / "tracks",
    )
    with _folder(output):
        records, failed = _measure(rows, wanted, run, workers)
    add_sample_scores(records, wanted, output)
    _skip_unmeasured(wanted, records, skipped)
    summaries = {row.name: summarise(row, records[row.name], records[REAL], wanted, run) for row in rows}
    about = {key: getattr(chosen, key, None) for key in ("name", "title", "paper")}
    measured = {key: value for key, value in vars(settings).items() if key != "phones" and value is not None}
    report = {
        "fd2talk": version("fd2talk"),
        "command": command,
        "created": datetime.date.today().isoformat(),
        "protocol": about | {"split": split, "settings": {**measured, **run.render, **run.sampling}},
        "metrics": {key: _description(key, run.digests) for key in wanted},
        "weights": {"of": weights, "sha256": weights_digest(systems, weights)} if systems else None,
        "systems": summaries,
        "targets": targets(chosen.targets if chosen else (), summaries),
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


def _with_networks_alone(generated: Sequence[str], wanted: list[str]) -> list[str]:
    """Where motion is measured, a system with a motion model is followed by a row of its network without the rules."""
    rows = list(generated)
    if any(CATALOGUE[key].family in MOTION_FAMILIES for key in wanted):
        for alone, systems in NETWORK_ALONE.items():
            owner = next((name for name in systems if name in rows), None)
            if owner and alone not in rows:
                rows.insert(rows.index(owner) + 1, alone)
    return rows


def _with_metrics_of_samples(wanted: list[str], rows: list[Row]) -> list[str]:
    """Where motion is measured and there are repeats, what several samples tell is measured, too."""
    motion = any(CATALOGUE[key].family in MOTION_FAMILIES for key in wanted)
    repeated = any(pair.repeat for row in rows for pair in row.pairs)
    return [key for key in CATALOGUE if key in wanted or (motion and repeated and "repeats" in CATALOGUE[key].needs)]


def _settings(
    protocol: Protocol | None, resample: bool, phones: dict[str, tuple[float, ...]], frames: int | None
) -> Settings:
    changes = dict(protocol.settings) if protocol else {}
    changes.pop("photo", None)  # always the first frame
    if frames:
        changes["motion"] = "file"  # single frames cannot be tracked as a video
    return replace(Settings(resampled=resample, phones=phones, frames=frames), **changes)


def _find_networks(
    wanted: Iterable[str], models: Sequence[str], download: bool, skipped: dict[str, str]
) -> dict[str, Path]:
    """Paths of the metric networks that are needed; a metric whose network is missing is skipped with a reason."""
    found: dict[str, Path] = {}
    missing: dict[str, str] = {}
    for key in wanted:
        for name in CATALOGUE[key].networks:
            if name not in found and name not in missing:
                try:
                    found[name] = find_metric_network(name, models, download)
                except Fd2TalkError as error:
                    missing[name] = str(error)
            if name in missing:
                skipped.setdefault(key, missing[name])
    return found


def _skip_impossible(
    wanted: Iterable[str], rows: list[Row], settings: Settings, skipped: dict[str, str], unseen_expert: bool
) -> None:
    """Skip, with a reason, metrics whose inputs no pair of the run has."""
    pairs = [pair for row in rows for pair in row.pairs]
    has_system = any(pair.generated is None for pair in pairs)
    references = [pair.reference for pair in pairs if pair.reference is not None]
    available = {
        "video": has_system or any(pair.generated is not None and pair.generated.video for pair in pairs),
        "motion": True,
        "reference video": any(clip.video for clip in references),
        "reference motion": bool(references),
        "speech": True,
        "phones": bool(settings.phones),
        "repeats": any(pair.repeat > 0 for pair in pairs),
        "whole": settings.frames is None,
        "system": has_system,
        "unseen expert": unseen_expert,
    }
    for key in wanted:
        lacking = [NEEDS[need] for need in CATALOGUE[key].needs if not available[need]]
        if lacking:
            skipped.setdefault(key, f"{key}: needs {' and '.join(lacking)}")


def _skip_unmeasured(wanted: list[str], records: dict[str, list[dict[str, Any]]], skipped: dict[str, str]) -> None:
    """Skip, with the reason that the clips' notes give, metrics without a value of any clip."""
    clips = [record for of_row in records.values() for record in of_row]
    for key in wanted:
        notes = [record["notes"][key] for record in clips if key in record["notes"]]
        if notes and not any(record["values"].get(key) is not None for record in clips):
            skipped[key] = f"{key}: {notes[0]}"


@contextmanager
def _folder(output: Path) -> Iterator[None]:
    """Create the report's folder, and remove it if nothing was written to it."""
    clips = output / "clips"
    with new_folders(output, clips):
        if not os.access(output, os.W_OK | os.X_OK):
            raise UsageError(f"cannot write to {output}: it is not writable")
        yield
    remove_empty([clips])


def _measure(
    rows: list[Row], wanted: list[str], run: Run, workers: int | None
) -> tuple[dict[str, list[dict[str, Any]]], list[dict[str, Any]]]:
    """Records by row, in the order of the pairs, and the clips that failed."""
    per_clip = [key for key in wanted if CATALOGUE[key].family != "cost"]
    jobs = [(pair, _possible(pair, per_clip)) for row in rows for pair in row.pairs]
    failed = []

    def note(index: int, error: Fd2TalkError) -> None:
        pair = jobs[index][0]
        failed.append({"system": pair.system, "repeat": pair.repeat, "clip": pair.name, "why": str(error)})

    records: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for record in in_processes(work, jobs, workers, "clips", "clip", start=start, given=(run,), failed=note):
        if record is not None:
            records[record["system"]].append(record)
    requested = [row for row in rows if row.name != REAL] or rows
    if not any(records[row.name] for row in requested):
        raise Fd2TalkError(f"none of {sum(len(row.pairs) for row in requested)} clips could be measured")
    return records, failed


def _possible(pair: Pair, wanted: list[str]) -> list[str]:
    """Without a reference only metrics that need none, and `fid`, which needs the real clips' features."""
    if pair.generated is None or pair.reference is not None:
        return wanted
    needs = {key: CATALOGUE[key].needs for key in wanted}
    return [key for key in wanted if key == "fid" or not any(need.startswith("reference") for need in needs[key])]


def _description(key: str, digests: dict[str, str]) -> dict[str, Any]:
    metric = CATALOGUE[key]
    weights = {METRIC_NETWORKS[name].file: digests[name] for name in metric.networks}
    if key.startswith(EXPERT):
        weights["lip_expert.safetensors"] = digest(bundled("fd2talk") / "lip_expert.safetensors")
    fields = ("label", "family", "unit", "direction", "definition", "source")
    return {name: getattr(metric, name) for name in fields} | {"weights": weights}


def _public(record: dict[str, Any]) -> dict[str, Any]:
    """The part of a clip's record that report.json contains."""
    public = {key: record[key] for key in ("system", "repeat", "clip", "person", "frames", "fps", "values")}
    return public | {key: record[key] for key in ("curves", "still", "notes") if record.get(key)}


def _from_home(text: str) -> str:
    """Text for reports, which are shared: paths in the home folder begin with ~."""
    home = str(Path.home()).rstrip("/")
    return re.sub(rf"(?<![\w./-]){re.escape(home)}(?=/)", "~", text) if home else text
