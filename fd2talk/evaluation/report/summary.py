"""From the records of clips to the scores of a row: means, FID, diversity of repeats, cost, contrasts."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from fd2talk.evaluation.inputs.protocol import Target
from fd2talk.evaluation.inputs.rows import REAL, SHUFFLED, Row
from fd2talk.evaluation.metrics import cost
from fd2talk.evaluation.metrics.catalogue import CATALOGUE
from fd2talk.evaluation.report.statistics import interval, mean_over_people, score, score_of_clips
from fd2talk.evaluation.worker import Run, read_arrays
from shared.media import FPS
from shared.metrics.fid import frechet_distance
from shared.metrics.lips import mean_sample_correlation, sample_correlation
from shared.metrics.mesh import sample_diversity

Record = dict[str, Any]

# Metric -> the array of all samples and those of the reference, and what is computed of them.
_OF_SAMPLES: dict[str, tuple[tuple[str, ...], Callable[..., float]]] = {
    "expression_diversity": (("vertices",), sample_diversity),
    "pose_diversity": (("angles",), sample_diversity),
    "aperture_mean_correlation": (("aperture", "aperture_real"), mean_sample_correlation),
    "aperture_seed_correlation": (("aperture",), sample_correlation),
}
_OF_NETWORKS = {"parameters_stage1", "parameters_stage2", "gflop_frame"}  # need the networks loaded


def add_sample_scores(records: dict[str, list[Record]], wanted: list[str], report: Path) -> None:
    """Add what all samples of a clip have together, such as their diversity, to the values of its first sample."""
    measures = {key: measure for key, measure in _OF_SAMPLES.items() if key in wanted}
    for of_row in records.values() if measures else ():
        clips: dict[str, list[Record]] = defaultdict(list)
        for record in of_row:
            clips[record["clip"]].append(record)
        for of_clip in clips.values():
            arrays = [read_arrays(report, record) for record in of_clip] if len(of_clip) > 1 else []
            for key, (names, measure) in measures.items():
                found = [values for values in arrays if all(name in values for name in names)]
                if len(found) > 1:
                    shared = min(len(values[names[0]]) for values in found)
                    samples = np.stack([values[names[0]][:shared] for values in found])
                    of_clip[0]["values"][key] = measure(samples, *(found[0][name][:shared] for name in names[1:]))


def summarise(row: Row, records: list[Record], real: list[Record], wanted: list[str], run: Run) -> dict[str, Any]:
    """Return an entry of the report's `systems`.

    Args:
        row: the row.
        records: its clips.
        real: the clips of the real row, whose features FID is computed against.
        wanted: keys of metrics.
        run: what all clips share.
    """
    scores = {}
    for key in wanted:
        if key == "fid" and row.kind != "real":
            scores[key] = _fid(records, real, run.report)
        else:
            scores[key] = score_of(key, records)
    costs = _cost(row, records, run, wanted) if row.kind == "system" else None
    scores |= {key: score([value], None, len(records)) for key, value in (costs or {}).items()}
    return {
        "title": row.title,
        "kind": row.kind,
        "clips": len({record["clip"] for record in records}),
        "people": len({record["person"] for record in records}),
        "repeats": len({record["repeat"] for record in records}),
        "seconds": round(sum(record["frames"] / record["fps"] for record in records), 1),
        "scores": {key: value for key, value in scores.items() if value is not None},
        "cost": costs,
    }


def score_of(key: str, records: list[Record]) -> dict[str, Any] | None:
    """Return a metric's mean over records, pooled as the metric is defined, with its interval; None without a value.

    Args:
        key: of the catalogue.
        records: with `repeat`, `person`, `frames` and `values`.
    """
    weights = {"people": None, "clips": [1] * len(records), "frames": [record["frames"] for record in records]}
    values = [(record["repeat"], record["person"], record["values"].get(key)) for record in records]
    return score_of_clips(values, weights[CATALOGUE[key].pooled])


def _fid(records: list[Record], real: list[Record], report: Path) -> dict[str, Any] | None:
    """Over all frames of a repeat, against the real frames of the same clips and times; None for a single frame."""
    features = {record["clip"]: read_arrays(report, record).get("inception") for record in real}
    distances = []
    for repeat in sorted({record["repeat"] for record in records}):
        of_repeat = [record for record in records if record["repeat"] == repeat]
        sides = [(read_arrays(report, r).get("inception"), features.get(r["clip"])) for r in of_repeat]
        both = [(a[: len(b)], b[: len(a)]) for a, b in sides if a is not None and b is not None]
        if sum(len(a) for a, _ in both) > 1:
            distances.append(frechet_distance(*(np.concatenate(side) for side in zip(*both))))
    return score(distances, "repeats" if len(distances) > 1 else None, len(records)) if distances else None


def _cost(row: Row, records: list[Record], run: Run, wanted: list[str]) -> dict[str, float] | None:
    """Seconds per second of video, memory, size and operations of a system."""
    timings = [record["timings"] for record in records if record["timings"]]
    keys = [key for key in wanted if CATALOGUE[key].family == "cost"]
    if not timings or not keys:
        return None
    seconds = sum(each["frames"] for each in timings) / FPS
    costs = {
        "seconds_stage1": sum(each["stage1"] for each in timings) / seconds,
        "seconds_stage2": sum(each["stage2"] for each in timings) / seconds,
        "memory": max(each["memory"] for each in timings),
    }
    if not _OF_NETWORKS.isdisjoint(keys):
        networks = cost.SystemNetworks(row.name, run.weights)
        parameters = networks.parameters()
        costs |= {"parameters_stage1": parameters.stage1 / 1e6, "parameters_stage2": parameters.stage2 / 1e6}
        if "gflop_frame" in keys:
            costs["gflop_frame"] = sum(networks.gflop_per_frame())
    if not run.video:
        costs.pop("seconds_stage2")
    return {key: value for key, value in costs.items() if key in keys}


def targets(wanted: Sequence[Target], systems: Mapping[str, Record]) -> list[Record]:
    """Return the targets, each with the value reached and whether it is met; None where its rows have no value.

    Args:
        wanted: of the protocol.
        systems: entries of the report by name, as `summarise` returns them.
    """

    def mean(name: str, metric: str) -> float | None:
        return systems.get(name, {}).get("scores", {}).get(metric, {}).get("mean")

    found = []
    for target in wanted:
        value, least, most = mean(target.system, target.metric), target.at_least, target.at_most
        if target.over and value is not None:
            other = mean(target.over, target.metric)
            if other is None or (target.share and other == 0):
                value = None
            else:
                value = value / other - 1 if target.share else value - other
        met = value is not None and (least is None or value >= least) and (most is None or value <= most)
        found.append(asdict(target) | {"value": value, "met": None if value is None else bool(met)})
    return found


def contrasts(records: dict[str, list[Record]], wanted: list[str]) -> list[Record]:
    """Return sync scores of real clips with their own minus those with another person's speech, over people."""
    found = []
    shuffled = {record["clip"]: record["values"] for record in records.get(SHUFFLED, [])}
    for key in wanted:
        if not key.startswith(("lip_expert", "lse", "syncnet")) or key.endswith("offset"):
            continue
        pairs = [
            (record["person"], record["values"].get(key), shuffled.get(record["clip"], {}).get(key))
            for record in records[REAL]
        ]
        differences = [(person, own - other) for person, own, other in pairs if None not in (own, other)]
        if differences:
            mean, low, high = interval(list(mean_over_people(differences).values()))
            found.append({"metric": key, "of": REAL, "less": SHUFFLED, "mean": mean, "low": low, "high": high})
    return found
