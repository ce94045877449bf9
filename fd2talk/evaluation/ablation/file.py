"""The YAML file of an ablation: trainings, variants composed of them, and the paper's tables that they belong to."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from fd2talk.commands.train import check_training
from fd2talk.evaluation.inputs.protocol import Protocol, PublishedTable, load_protocol
from fd2talk.evaluation.metrics.catalogue import CATALOGUE
from shared.config import Config
from shared.errors import InputError
from shared.schema import build

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


@dataclass(frozen=True)
class _Training:
    base: str
    changes: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class _TableEntry:
    published: str
    rows: dict[str, str | None]
    further: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Measured:
    clips: str
    prepared: str
    squeezenet: str


@dataclass(frozen=True)
class _File:
    """Sections and keys of the file."""

    title: str
    protocol: str
    runs: str
    seeds: tuple[int, ...]
    trainings: dict[str, _Training]
    variants: dict[str, Variant]
    measured: _Measured
    tables: tuple[_TableEntry, ...]


def read_ablation(path: str | Path) -> Ablation:
    """Parse the file of an ablation.

    Raises:
        InputError: the file is no ablation, a training's config has a faulty entry, or it names a training, metric or
            row that does not exist.
    """
    config = Config.load(path)
    values = config.resolved()
    file: _File = build(config, _File, {k: v for k, v in values.items() if k != "data_root"}, also=("data_root",))
    trainings: dict[str, Config] = {}
    for name, training in file.trainings.items():
        trainings[name] = _training(Path(path), name, training, trainings, values.get("data_root"))
        check_training(trainings[name])
    protocol = load_protocol(file.protocol)
    try:
        for name, variant in file.variants.items():
            for training in variant.trainings:
                _known(training, trainings, f"variant {name}: there is no training")
        tables = tuple(_table(entry, protocol, file.variants) for entry in file.tables)
    except ValueError as error:
        raise InputError(f"{path}: {error}") from error
    return Ablation(
        title=file.title,
        runs=Path(file.runs),
        seeds=file.seeds,
        protocol=protocol,
        trainings={name: training.values for name, training in trainings.items()},
        variants=file.variants,
        tables=tables,
        measured=asdict(file.measured),
    )


def _training(
    path: Path, name: str, entry: _Training, earlier: Mapping[str, Config], data_root: str | None
) -> Config:  # fmt: skip
    """A training's config: that of an earlier one, or of a file (relative to the ablation's), with its changes."""
    source = f"{path}: training `{name}`"
    try:
        config = copy.deepcopy(earlier[entry.base]) if entry.base in earlier else Config.load(path.parent / entry.base)
    except InputError as error:
        raise InputError(f"{source}: `base`: {error}") from error
    config.name = source
    config.merge({**entry.changes, **({"data_root": data_root} if data_root else {})}, source)
    return config


def _table(entry: _TableEntry, protocol: Protocol, variants: Mapping[str, Variant]) -> Table:
    tables = {table.table: table for table in protocol.published}
    published = tables[_known(entry.published, tables, f"protocol {protocol.name} has no table")]
    for name, row in entry.rows.items():
        _known(name, variants, f"{published.table}: there is no variant")
        if row is not None:
            _known(row, published.rows, f"{published.table} has no row")
    headers = {column.header: column.metric for column in protocol.columns}
    columns = [headers[header] for header in published.columns] + list(entry.further)
    for key in columns:
        _known(key, METRICS, "there is no metric")
    return Table(published, entry.rows, tuple(columns))


def _known(name: str, among: Mapping[str, Any], complaint: str) -> str:
    if name not in among:
        raise ValueError(f"{complaint} {name!r} (there are: {', '.join(among)})")
    return name
