"""`fd2talk evaluate --ablation`: a paper's ablations, trained at equal budget with several seeds, in its tables.

The file (`ablation.file`) names trainings (a training config and the changes to it) and variants (the trainings that
stages one and two consist of). In its folder `runs` every training has a folder NAME/SEED, and every variant a folder
of weights, weights/VARIANT/SEED, which `from_pretrained` of both pipelines loads.
"""

from __future__ import annotations

import copy
import json
import shutil
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from fd2talk.commands.train import train_config
from fd2talk.evaluation.ablation.file import UNSEEN_EXPERT, Ablation, Column, Table, Variant, read_ablation
from fd2talk.evaluation.ablation.measure import VariantMeasure
from fd2talk.evaluation.metrics.catalogue import CATALOGUE
from fd2talk.evaluation.report.statistics import interval
from fd2talk.evaluation.system_names import NETWORK_ALONE
from fd2talk.terminal import announce
from shared.errors import Fd2TalkError, InputError, UsageError
from shared.files import atomic_output, new_folders
from shared.weights import bundled

Measure = Callable[[Variant, Path, Collection[Column]], Mapping[Column, float]]
"""(variant, folder of its weights, wanted columns) -> values; what could not be measured may be missing."""

Values = Mapping[str, Mapping[int, Mapping[Column, float]]]
"""Variant -> seed -> column -> value."""

# Bundled files that all variants share, unless a training writes its own.
_SHARED = ("model.yaml", "speech_events.safetensors", "lip_expert.safetensors")
# Of stage one, which a variant that trains the other takes from the bundled weights.
_MOTION = ("expression.safetensors", "pose.safetensors")


def run_ablation(
    path: str | Path, output: str | Path, measure: Measure | None = None, *, overwrite: bool = False
) -> dict[str, Any]:
    """Train and measure every variant with every seed, and write `ablation.json` and `ablation.md`.

    Seeds are processed one after the other, so that an interrupted run leaves complete seeds. Finished trainings are
    not repeated, and measurements are cached as those of any other report.

    Args:
        path: the ablation's file.
        output: folder of the report.
        measure: how weights are measured; None for a `VariantMeasure`.
        overwrite: replace an existing report.

    Returns:
        The contents of `ablation.json`.

    Raises:
        InputError: the file cannot be read, or refers to something that does not exist.
        UsageError: the report already exists.
    """
    ablation, output = read_ablation(path), Path(output)
    if (output / "ablation.json").exists() and not overwrite:
        raise UsageError(f"cannot write {output / 'ablation.json'}: it already exists (--overwrite replaces it)")
    measure = measure or VariantMeasure(ablation, ablation.runs / "measured")
    values: dict[str, dict[int, dict[Column, float]]] = {name: {} for name in ablation.variants}
    for seed in ablation.seeds:
        for name in ablation.trainings:
            train_part(ablation, name, seed)
        for name, variant in ablation.variants.items():
            tables = [table for table in ablation.tables if name in table.rows]
            wanted = {column for table in tables for column in (*table.columns, *table.networks_alone)}
            weights = assemble(ablation, name, seed)
            announce(f"measuring {weights}")
            values[name][seed] = dict(measure(variant, weights, wanted))
    report = {
        "title": ablation.title,
        "config": str(path),
        "paper": ablation.protocol.paper,
        "seeds": list(ablation.seeds),
        "steps": {name: config["training"]["max_steps"] for name, config in ablation.trainings.items()},
        "variants": {
            name: {
                "title": variant.title,
                "trainings": list(variant.trainings),
                "render": variant.render,
                "sampling": variant.sampling,
                "values": {seed: {str(c): v for c, v in sorted(found.items())} for seed, found in values[name].items()},
            }
            for name, variant in ablation.variants.items()
        },
        "tables": [_as_data(table) for table in ablation.tables],
    }
    output.mkdir(parents=True, exist_ok=True)
    for name, text in (("ablation.json", json.dumps(report, indent=1)), ("ablation.md", as_markdown(ablation, values))):
        with atomic_output(output / name, overwrite=True) as temporary:
            temporary.write_text(text + "\n", encoding="utf-8")
    return report


def train_part(ablation: Ablation, name: str, seed: int) -> Path:
    """Run or resume a training.

    A finished training with the same settings is not repeated; one with other settings is started again.

    Args:
        ablation: the ablation.
        name: the training.
        seed: its seed.

    Returns:
        The folder of its weights.

    Raises:
        Fd2TalkError: the training stopped early.
    """
    folder = ablation.runs / name / str(seed)
    config = copy.deepcopy(ablation.trainings[name])
    config["training"] |= {"seed": seed, "output": str(folder)}
    text, written, done = yaml.safe_dump(config, sort_keys=False), folder / "config.yaml", folder / "finished"
    same = written.exists() and written.read_text(encoding="utf-8") == text
    if not (same and done.exists()):
        announce(f"{name}, seed {seed}")
        with new_folders(folder):
            done.unlink(missing_ok=True)
            written.write_text(text, encoding="utf-8")
            try:
                result = train_config(str(written), resume=same)
            except (InputError, UsageError):  # it has not begun
                written.unlink()
                raise
        if not result.get("finished", True):
            raise Fd2TalkError(f"{folder}: the training stopped before its {config['training']['max_steps']} steps")
        done.touch()
    return folder / "best"


def assemble(ablation: Ablation, name: str, seed: int) -> Path:
    """Copy a variant's trained weights, and the bundled files that it lacks, into one folder for both pipelines.

    Args:
        ablation: the ablation.
        name: the variant.
        seed: the seed of its trainings.

    Returns:
        The folder.
    """
    variant, folder = ablation.variants[name], ablation.runs / "weights" / name / str(seed)
    files = {path.name: path for path in map(bundled("fd2talk").joinpath, _SHARED)}
    models = [ablation.trainings[training]["model"] for training in variant.trainings]
    if "autoencoder" in models and "unet" not in models:  # both are loaded together
        files["diffusion/unet.safetensors"] = bundled("diffusion") / "unet.safetensors"
    for training, model in zip(variant.trainings, models):
        place = "diffusion/" if model in ("unet", "autoencoder") else ""
        best = ablation.runs / training / str(seed) / "best"
        for path in sorted([*best.glob("*.safetensors"), *best.glob("model.yaml")]):
            files[UNSEEN_EXPERT if model == "lip_expert" else place + path.name] = path
    if len(motion := files.keys() & set(_MOTION)) == 1:
        files |= {name: bundled("fd2talk") / name for name in _MOTION if name not in motion}
    for old in folder.rglob("*.safetensors"):
        if str(old.relative_to(folder)) not in files:
            old.unlink()
    for target, source in files.items():
        (folder / target).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(source, folder / target)
    return folder


def _as_data(table: Table) -> dict[str, Any]:
    data = {"table": table.title, "columns": list(map(str, table.columns)), "rows": table.rows}
    if (published := table.published) is not None:
        printed = {row: [c.text if c else None for c in published.rows[row]] for row in table.rows.values() if row}
        data["published"] = {"data": published.data, "columns": list(published.columns), "rows": printed}
    return data


def as_markdown(ablation: Ablation, values: Values) -> str:
    """Return the tables, a paper's printed rows below ours, and the differences from the full model.

    What is measured on motion follows a second time for the networks alone, without the rules.

    Args:
        ablation: the ablation.
        values: variant -> seed -> column -> value.
    """
    seeds = ", ".join(map(str, ablation.seeds))
    lines = [f"# {ablation.title}", ""]
    lines += [f"Mean ± standard deviation over the seeds {seeds}; split {ablation.protocol.split}."]
    if any(table.published for table in ablation.tables):
        lines[-1] += f" In italics the published values of {ablation.protocol.paper}: measured on other data with other"
        lines[-1] += " networks, not comparable."
    for table in ablation.tables:
        lines += ["", f"## {table.title}", "", *_table(ablation, table, table.columns, values)]
        if table.networks_alone:
            lines += ["", "**Network alone**, without the rules that act on its motion afterwards", ""]
            lines += _table(ablation, table, table.networks_alone, values)
    return "\n".join(lines)


def _table(ablation: Ablation, table: Table, columns: Sequence[Column], values: Values) -> list[str]:
    published = table.published if columns == table.columns else None
    lines = [_row(["", *map(_heading, columns)]), _row(["---"] * (len(columns) + 1))]
    for name, theirs in table.rows.items():
        cells = [_spread([found.get(column) for found in values[name].values()]) for column in columns]
        lines.append(_row([ablation.variants[name].title, *cells]))
        if theirs and published:
            printed = [f"*{cell.text}*" if cell else "" for cell in published.rows[theirs]]
            blank = [""] * (len(columns) - len(printed))
            lines.append(_row([f"*published: {theirs}*", *printed, *blank]))
    return [*lines, "", *_differences(ablation, table, columns, values)]


def _differences(ablation: Ablation, table: Table, columns: Sequence[Column], values: Values) -> list[str]:
    """Differences from the full model with the same seed, which removes most of the variance between seeds."""
    *others, full = table.rows
    measured = [column for column in columns if any(column in found for found in values[full].values())]
    lines = [
        f"Difference from {ablation.variants[full].title.lower()} with the same seed: mean and 95 % interval over "
        "seeds; bold where the interval excludes 0.",
        "",
        _row(["", *map(_heading, measured)]),
        _row(["---"] * (len(measured) + 1)),
    ]
    for name in others:
        cells = []
        for column in measured:
            pairs = [(found.get(column), values[full][seed].get(column)) for seed, found in values[name].items()]
            cells.append(_change([a - b for a, b in pairs if a is not None and b is not None]))
        lines.append(_row([ablation.variants[name].title, *cells]))
    return lines


def _heading(column: Column) -> str:
    metric = CATALOGUE[column.metric]
    sign = {"higher": " ↑", "lower": " ↓"}.get(metric.direction, "")
    system = "" if column.system == "bundled" or column.system in NETWORK_ALONE else f", {column.system}"
    return f"{metric.label}{system}{f' ({metric.unit})' if metric.unit else ''}{sign}"


def _spread(found: Sequence[float | None]) -> str:
    known = [value for value in found if value is not None]
    if not known:
        return "not measured"
    spread = f" ± {np.std(known, ddof=1):.3f}" if len(known) > 1 else ""
    fewer = f" ({len(known)} of {len(found)})" if len(known) < len(found) else ""
    return f"{np.mean(known):.3f}{spread}{fewer}"


def _change(differences: Sequence[float]) -> str:
    if not differences:
        return "not measured"
    if not any(differences):
        return "the same"
    mean, low, high = interval(differences)
    if low is None or high is None:
        return f"{mean:+.4f}"
    text = f"{mean:+.4f} ({low:+.4f} to {high:+.4f})"
    return f"**{text}**" if low > 0 or high < 0 else text


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
