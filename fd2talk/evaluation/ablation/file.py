"""The YAML file of an ablation: trainings, variants composed of them, and the paper's tables that they belong to."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from fd2talk.commands.train import read_config
from fd2talk.evaluation.inputs.protocol import Protocol, PublishedTable, load_protocol
from fd2talk.evaluation.metrics.catalogue import CATALOGUE
from shared.errors import InputError
from shared.files import check_input

METRICS = {
    **CATALOGUE,
    "second_expert_confidence": replace(
        CATALOGUE["lip_expert_confidence"],
        label="Second expert's confidence",
        definition="The confidence of a lip expert that was trained with the ablation and is part of no loss.",
    ),
    **{
        f"{key}_driven": replace(
            CATALOGUE[key],
            label=f"{CATALOGUE[key].label}, real motion",
            definition=f"{CATALOGUE[key].definition[:-1]}; rendered from the tracked motion of the real clip.",
        )
        for key in ("psnr", "ssim", "squeeze_distance", "psnr_mouth", "ssim_mouth", "squeeze_distance_mouth")
    },
}
"""The metrics of columns: the catalogue, and those that only ablations have."""


@dataclass(frozen=True)
class Variant:
    """A combination of trainings (by name) for stages one and two, and the title of its row."""

    title: str
    trainings: tuple[str, ...]


@dataclass(frozen=True)
class Table:
    """A table of the report.

    Args:
        published: the paper's table.
        rows: variant -> row of the paper, None where it has none; the last variant is the full model.
        columns: keys of metrics, those of the paper first.
    """

    published: PublishedTable
    rows: dict[str, str | None]
    columns: tuple[str, ...]


@dataclass(frozen=True)
class Ablation:
    """The contents of the file.

    Args:
        title: of the report.
        runs: folder of the trainings.
        seeds: each variant is trained with each of them.
        protocol: with the published tables.
        trainings: complete training configs by name, except for seed and output.
        variants: by name.
        tables: of the report.
        measured: arguments of `ClipMeasure`.
    """

    title: str
    runs: Path
    seeds: tuple[int, ...]
    protocol: Protocol
    trainings: dict[str, dict[str, Any]]
    variants: dict[str, Variant]
    tables: tuple[Table, ...]
    measured: dict[str, str]


def read_ablation(path: str | Path) -> Ablation:
    """Parse the file of an ablation.

    Raises:
        InputError: the file is no ablation, or names a training, metric or row that does not exist.
    """
    path = check_input(path)
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
        trainings: dict[str, dict[str, Any]] = {}
        for name, entry in content["trainings"].items():
            trainings[name] = _training(entry, path.parent, trainings)
        variants = {
            name: Variant(entry["title"], tuple(entry["trainings"])) for name, entry in content["variants"].items()
        }
        for name, variant in variants.items():
            for training in variant.trainings:
                _known(training, trainings, f"variant {name}: there is no training")
        protocol = load_protocol(content["protocol"])
        return Ablation(
            title=content["title"],
            runs=Path(content["runs"]),
            seeds=tuple(int(seed) for seed in content["seeds"]),
            protocol=protocol,
            trainings=trainings,
            variants=variants,
            tables=tuple(_table(entry, protocol, variants) for entry in content["tables"]),
            measured=dict(content["measured"]),
        )
    except KeyError as error:
        raise InputError(f"{path}: not an ablation: {error.args[0]} is missing") from error
    except (AttributeError, TypeError, ValueError, UnicodeError, yaml.YAMLError) as error:
        raise InputError(f"{path}: not an ablation: {' '.join(str(error).split())}") from error


def _training(entry: dict[str, Any], folder: Path, earlier: Mapping[str, dict[str, Any]]) -> dict[str, Any]:
    """A training's config: that of an earlier one, or of a file (relative to the ablation's), with its changes."""
    base = entry["base"]
    config = copy.deepcopy(earlier[base]) if base in earlier else dict(read_config(str(folder / base)))
    return _changed(config, entry.get("changes") or {})


def _changed(config: dict[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """The config with changes merged into it, section by section."""
    merged = dict(config)
    for key, value in changes.items():
        merged[key] = _changed(merged.get(key) or {}, value) if isinstance(value, dict) else value
    return merged


def _table(entry: dict[str, Any], protocol: Protocol, variants: Mapping[str, Variant]) -> Table:
    tables = {table.table: table for table in protocol.published}
    published = tables[_known(entry["published"], tables, f"protocol {protocol.name} has no table")]
    for name, row in entry["rows"].items():
        _known(name, variants, f"{published.table}: there is no variant")
        if row is not None:
            _known(row, published.rows, f"{published.table} has no row")
    headers = {column.header: column.metric for column in protocol.columns}
    columns = [headers[header] for header in published.columns] + list(entry.get("further", []))
    for key in columns:
        _known(key, METRICS, "there is no metric")
    return Table(published, dict(entry["rows"]), tuple(columns))


def _known(name: str, among: Mapping[str, Any], complaint: str) -> str:
    if name not in among:
        raise ValueError(f"{complaint} {name!r} (there are: {', '.join(among)})")
    return name
