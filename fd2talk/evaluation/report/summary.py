"""Records of clips become the figures of a row: means with intervals, FID, diversity of repeats, cost, contrasts."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np

from fd2talk.evaluation.inputs.rows import FOREIGN, REAL, Row
from fd2talk.evaluation.metrics import cost
from fd2talk.evaluation.metrics.catalogue import CATALOGUE
from fd2talk.evaluation.report.statistics import interval, mean_over_people, score
from fd2talk.evaluation.worker import Run, arrays_of
from shared.media import FPS
from shared.metrics.fid import frechet_distance
from shared.metrics.mesh import sample_diversity

Record = dict[str, Any]

_OF_NETWORKS = {"parameters_stage1", "parameters_stage2", "gflop_frame"}  # what takes loading them


def add_diversity(records: dict[str, list[Record]], wanted: list[str], report: Path) -> None:
    """How different the samples of one clip are; added to the values of its first sample."""
    for key, array in (("expression_diversity", "vertices"), ("pose_diversity", "angles")):
        if key not in wanted:
            continue
        for of_row in records.values():
            samples: dict[str, list[Record]] = defaultdict(list)
            for record in of_row:
                samples[record["clip"]].append(record)
            for of_clip in samples.values():
                if len(of_clip) > 1:
                    arrays = [arrays_of(report, record)[array] for record in of_clip]
                    shared = min(map(len, arrays))
                    of_clip[0]["values"][key] = sample_diversity(np.stack([values[:shared] for values in arrays]))


def summary(row: Row, records: list[Record], real: list[Record], wanted: list[str], run: Run) -> dict[str, Any]:
    """An entry of the report's `systems`. real: the records of the real row, with whose features FID is measured."""
    scores = {}
    for key in wanted:
        values = [(r["repeat"], r["person"], r["values"].get(key)) for r in records]
        scores[key] = _fid(records, real, run.report) if key == "fid" and row.kind != "real" else score(values)
    frames = sum(record["frames"] for record in records)
    figures = _cost(row, records, run, wanted) if row.kind == "system" else None
    if figures:
        scores |= {key: {"mean": value, "low": None, "high": None, "over": None, "count": len(records)}
                   for key, value in figures.items()}  # fmt: skip
    return {
        "title": row.title,
        "kind": row.kind,
        "clips": len({record["clip"] for record in records}),
        "people": len({record["person"] for record in records}),
        "repeats": len({record["repeat"] for record in records}),
        "seconds": round(frames / FPS, 1),
        "scores": {key: value for key, value in scores.items() if value is not None},
        "cost": figures,
    }


def _fid(records: list[Record], real: list[Record], report: Path) -> dict[str, Any] | None:
    """Over all frames of a repeat; the real ones are those of the same clips and moments. None for a single frame."""
    features = {record["clip"]: arrays_of(report, record).get("inception") for record in real}
    distances = []
    for repeat in sorted({record["repeat"] for record in records}):
        of_repeat = [record for record in records if record["repeat"] == repeat]
        made = [arrays_of(report, record).get("inception") for record in of_repeat]
        theirs = [features.get(record["clip"]) for record in of_repeat]
        both = [(a[: len(b)], b[: len(a)]) for a, b in zip(made, theirs) if a is not None and b is not None]
        if sum(len(a) for a, _ in both) > 1:
            distances.append(frechet_distance(*(np.concatenate(side) for side in zip(*both))))
    if not distances:
        return None
    mean, low, high = interval(distances)
    over = "repeats" if len(distances) > 1 else None
    return {"mean": mean, "low": low, "high": high, "over": over, "count": len(records)}


def _cost(row: Row, records: list[Record], run: Run, wanted: list[str]) -> dict[str, float] | None:
    """Seconds for a second of video, memory, size and operations of a system that was run here."""
    timings = [record["timings"] for record in records if record["timings"]]
    keys = [key for key in wanted if CATALOGUE[key].family == "cost"]
    if not timings or not keys:
        return None
    seconds = sum(each["frames"] for each in timings) / FPS
    figures = {
        "seconds_stage1": sum(each["stage1"] for each in timings) / seconds,
        "seconds_stage2": sum(each["stage2"] for each in timings) / seconds,
        "memory": max(each["memory"] for each in timings),
    }
    if not _OF_NETWORKS.isdisjoint(keys):
        learned = cost.Learned(row.name, run.weights)
        parameters = learned.parameters()
        figures |= {"parameters_stage1": parameters.stage1 / 1e6, "parameters_stage2": parameters.stage2 / 1e6}
        if "gflop_frame" in keys:
            figures["gflop_frame"] = sum(learned.gflop_per_frame())
    if not run.video:
        figures.pop("seconds_stage2")
    return {key: value for key, value in figures.items() if key in keys}


def contrasts(records: dict[str, list[Record]], wanted: list[str]) -> list[Record]:
    """Real clips with their own sound less the same clips with another's, with the interval over people."""
    found = []
    foreign = {record["clip"]: record for record in records.get(FOREIGN, [])}
    for key in wanted:
        if not key.startswith(("lip_expert", "lse", "syncnet")) or key.endswith("offset"):
            continue
        differences = [
            (record["person"], record["values"][key] - foreign[record["clip"]]["values"][key])
            for record in records[REAL]
            if record["values"].get(key) is not None
            and foreign.get(record["clip"], {}).get("values", {}).get(key) is not None
        ]
        if differences:
            mean, low, high = interval(list(mean_over_people(differences).values()))
            found.append({"metric": key, "of": REAL, "less": FOREIGN, "mean": mean, "low": low, "high": high})
    return found
