"""The YAML file of an ablation: trainings, variants composed of them, and the paper's tables that they belong to."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

from fd2talk.commands.train import check_training
from fd2talk.evaluation.inputs.protocol import Protocol, PublishedTable, load_protocol
from fd2talk.evaluation.metrics.catalogue import CATALOGUE
from fd2talk.evaluation.metrics.metric import MOTION_FAMILIES
from fd2talk.evaluation.system_names import NETWORK_ALONE, SYSTEMS
from shared.config import Config
from shared.errors import InputError
from shared.schema import Arguments, build
from stage1_motion.interface import SamplingOptions

UNSEEN_EXPERT = "unseen_expert.safetensors"
"""In a variant's folder of weights: the lip expert that one of its trainings made, which no loss saw."""


@dataclass(frozen=True, order=True)
class Column:
    """A column of a table: a metric, measured on a system.

    Args:
        metric: key of the catalogue.
        system: a row that `fd2talk evaluate` runs with the variant's weights.
    """

    metric: str
    system: str = "bundled"

    def __str__(self) -> str:
        return self.metric if self.system == "bundled" else f"{self.metric}@{self.system}"

    @classmethod
    def parse(cls, text: str) -> Column:
        """From `metric` or `metric@system`. Raises ValueError: there is no such metric or system."""
        metric, _, system = text.partition("@")
        _known(metric, CATALOGUE, "there is no metric")
        return cls(metric, _known(system or "bundled", SYSTEMS, f"{text}: there is no system"))

    @property
    def network_alone(self) -> Column | None:
        """The same of the motion model's network without rules; None for what is not measured on its motion."""
        if CATALOGUE[self.metric].family not in MOTION_FAMILIES:
            return None
        return next((Column(self.metric, name) for name, of in NETWORK_ALONE.items() if self.system in of), None)


@dataclass(frozen=True)
class Variant:
    """A row of the tables.

    Args:
        title: of the row.
        trainings: by name; what none of them makes is bundled.
        render: settings of the renderer, arguments of `RenderPipeline`.
        sampling: of the motion model, arguments of `SamplingOptions`.
    """

    title: str
    trainings: tuple[str, ...]
    render: dict[str, Any] = field(default_factory=dict)
    sampling: Annotated[dict[str, Any], Arguments(SamplingOptions)] = field(default_factory=dict)


@dataclass(frozen=True)
class Table:
    """A table of the report.

    Args:
        title: of the table.
        published: the paper's table, or None.
        rows: variant -> row of the paper, None where it has none; the last variant is the full model.
        columns: those of the paper first.
    """

    title: str
    published: PublishedTable | None
    rows: dict[str, str | None]
    columns: tuple[Column, ...]

    @property
    def networks_alone(self) -> tuple[Column, ...]:
        """The columns of a second table: what is measured on motion, without the rules that follow the network."""
        return tuple(dict.fromkeys(alone for column in self.columns if (alone := column.network_alone)))


@dataclass(frozen=True)
class Measured:
    """What the variants are measured on.

    Args:
        reference: folder of the real clips.
        models: folders with metric networks.
        repeats: samples of each clip, of metrics of motion.
        per_person: largest number of clips of each person, likewise; images and videos: one.
        frames: frames of each person's clip, of metrics of images.
        min_face: smallest height of the face in pixels, where images are measured.
    """

    reference: str
    models: tuple[str, ...] = ()
    repeats: int = 3
    per_person: int | None = None
    frames: int = 3
    min_face: int = 110


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
        measured: on what.
    """

    title: str
    runs: Path
    seeds: tuple[int, ...]
    protocol: Protocol
    trainings: dict[str, dict[str, Any]]
    variants: dict[str, Variant]
    tables: tuple[Table, ...]
    measured: Measured


@dataclass(frozen=True)
class _Training:
    base: str
    changes: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class _TableEntry:
    title: str = ""
    published: str = ""
    rows: dict[str, str | None] = field(default_factory=dict)
    columns: tuple[str, ...] = ()


@dataclass(frozen=True)
class _File:
    """Sections and keys of the file."""

    title: str
    protocol: str
    runs: str
    seeds: tuple[int, ...]
    trainings: dict[str, _Training]
    variants: dict[str, Variant]
    measured: Measured
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
    if not file.seeds or len(set(file.seeds)) < len(file.seeds) or min(file.seeds) < 0:
        raise InputError(f"{path}: `seeds` must be different numbers from 0, at least one, not {list(file.seeds)}")
    try:
        for name, variant in file.variants.items():
            for needed in variant.trainings:
                _known(needed, trainings, f"variant {name}: there is no training")
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
        measured=file.measured,
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
    """A paper's table with further columns, or one of its own with all variants as rows."""
    rows = entry.rows or dict.fromkeys(variants)
    columns = [Column.parse(text) for text in entry.columns]
    if not entry.published:
        for name in rows:
            _known(name, variants, f"table {entry.title!r}: there is no variant")
        return Table(entry.title, None, dict.fromkeys(rows), tuple(columns))
    names = dict.fromkeys(table.table for table in protocol.published)
    _known(entry.published, names, f"protocol {protocol.name} has no table")
    of_name = [table for table in protocol.published if table.table == entry.published]
    printed = {row for row in rows.values() if row is not None}
    # Parts of a table, (a), (b) ..., are tables of the same name: the one with these rows.
    published = next((table for table in of_name if printed <= table.rows.keys()), of_name[-1])
    for name, row in rows.items():
        _known(name, variants, f"{published.table}: there is no variant")
        if row is not None:
            _known(row, published.rows, f"{published.table} has no row")
    headers = {column.header: Column(column.metric) for column in protocol.columns}
    columns = [headers[header] for header in published.columns] + columns
    title = f"{published.table}: {published.title}"
    return Table(entry.title or title, published, rows, tuple(dict.fromkeys(columns)))


def _known(name: str, among: Mapping[str, Any], complaint: str) -> str:
    if name not in among:
        raise ValueError(f"{complaint} {name!r} (there are: {', '.join(among)})")
    return name
