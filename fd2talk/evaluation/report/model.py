"""The contents of a report independent of its format: sections of plain text, lists and tables."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from fd2talk.evaluation.inputs.protocol import Column, Protocol
from fd2talk.evaluation.metrics.catalogue import CATALOGUE
from fd2talk.evaluation.metrics.metric import FAMILIES

MISSING = "–"
_ARROWS = {"higher": " ↑", "lower": " ↓", "zero": " → 0", "one": " → 1", "real": " → real"}
_DIRECTIONS = {
    "higher": "higher is better",
    "lower": "lower is better",
    "zero": "nearest to 0 is best",
    "one": "nearest to 1 is best",
    "real": "nearest to the real clips is best",
}
# An interval whose longer side exceeds the shorter one by this factor is printed by its ends.
_ASYMMETRY = 1.25


@dataclass(frozen=True)
class Cell:
    """A cell's text and rank: 1 for the column's best value, 2 for its second best, else 0."""

    text: str
    rank: int = 0


@dataclass(frozen=True)
class RowGroup:
    """Rows (name, cells) under a heading; published: a paper's values, measured on other data."""

    rows: list[tuple[str, list[Cell]]]
    heading: str = ""
    published: bool = False


@dataclass(frozen=True)
class Table:
    """Headers of the columns after the first, the headings above them (or empty), and the groups of rows."""

    headers: list[str]
    headings: list[str]
    groups: list[RowGroup]


@dataclass(frozen=True)
class Section:
    """A title, paragraphs, a list, a table, notes and subsections, in this order; all but the title are optional."""

    title: str
    paragraphs: list[str] = field(default_factory=list)
    items: list[str] = field(default_factory=list)
    table: Table | None = None
    notes: list[str] = field(default_factory=list)
    subsections: list[Section] = field(default_factory=list)


def number(score: dict[str, Any] | None, factor: float = 1.0, digits: int = 4) -> str:
    """Return `7.29 ± 0.04`, or `7.3 (6.1..7.6)` if the interval is asymmetric.

    Args:
        score: what `statistics.score` returns, or None.
        factor: the values are multiplied with it.
        digits: significant digits of a value without an interval.
    """
    mean, low, high = (_finite((score or {}).get(key), factor) for key in ("mean", "low", "high"))
    if mean is None:
        return MISSING
    if low is None or high is None or high - low < 1e-6 * max(abs(mean), 1e-3):
        return _fixed(mean, digits - 1 - _exponent(mean))
    below, above = mean - low, high - mean
    half = (high - low) / 2
    decimals = _exponent(half)
    decimals = (1 if half / 10**decimals < 3.5 else 0) - decimals
    if max(below, above) > _ASYMMETRY * min(below, above):
        return f"{_fixed(mean, decimals)} ({_fixed(low, decimals)}..{_fixed(high, decimals)})"
    return f"{_fixed(mean, decimals)} ± {_fixed(half, decimals)}"


def title(report: dict[str, Any]) -> str:
    """Return the report's title."""
    name = (report["protocol"] or {}).get("title")
    return f"Evaluation: {name}" if name else "Evaluation"


def sections(report: dict[str, Any], protocol: Protocol | None) -> list[Section]:
    """Return the report's text and tables, in order."""
    main = set(protocol.metrics) if protocol else set()
    families = [section for name in FAMILIES if name != "cost" and (section := _family(report, name, main))]
    found: list[Section | None] = [_setup(report)]
    if protocol:
        found.append(_protocol_section(report, protocol))
        if families:
            found.append(Section("Also measured", subsections=families))
    else:
        found.append(Section("Results", paragraphs=[_legend(report)], subsections=families))
    found += [
        _targets(report),
        _contrasts(report),
        _cost(report),
        _definitions(report),
        _skipped(report),
        _failed(report),
    ]
    return [section for section in found if section]


def in_order(report: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """Return the systems, real clips first."""
    return sorted(report["systems"].items(), key=lambda entry: entry[1]["kind"] != "real")


def columns(report: dict[str, Any], protocol: Protocol | None) -> list[Column]:
    """Return the main columns: the protocol's, each metric once, or all measured ones without parts of the face."""
    if protocol:
        first: dict[str, Column] = {}
        for column in protocol.columns:
            first.setdefault(column.metric, column)
        return list(first.values())
    keys = [key for key in report["metrics"] if not key.endswith(("_face", "_mouth", "_eyes"))]
    return [_own_column(key) for key in keys if CATALOGUE[key].family not in ("cost", "image_by_motion")]


def _setup(report: dict[str, Any]) -> Section:
    items = []
    for name, system in in_order(report):
        counts = [_count(system["clips"], "clip"), _count(system["people"], "person", "people")]
        if system["repeats"] > 1:
            counts.append(f"{system['repeats']} repeats")
        items.append(f"{name}: {', '.join(counts)}, {system['seconds']:.0f} s. {system['title']}")
    about = report["protocol"]
    if about:
        protocol = f"Protocol {about['name']}" if about["name"] else "No protocol"
        split = f"split {about['split']}" if about["split"] else "no split"
        settings = {key.replace("_", " "): value for key, value in about["settings"].items() if key != "fps"}
        items.append(f"{protocol}, {split}: {', '.join(f'{key} {value}' for key, value in settings.items())}")
    items += _frame_rates(report)
    weights = {name: digest for metric in report["metrics"].values() for name, digest in metric["weights"].items()}
    items += [f"Weights {name}: sha256 {digest}" for name, digest in sorted(weights.items())]
    if report.get("weights"):
        of, digest = report["weights"]["of"], report["weights"]["sha256"]
        items.append(f"Weights of the systems: {of}, sha256 of all files {digest}")
    text = f"fd2talk {report['fd2talk']}, {report['created']}. The definitions below include crops and offsets."
    return Section("What was measured", [text], items)


def _frame_rates(report: dict[str, Any]) -> list[str]:
    """At how many frames per second clips were measured, and the paper's rate where it is another."""
    rates = sorted({clip["fps"] for clip in report["clips"]})
    about = report["protocol"] or {}
    paper = about.get("settings", {}).get("fps") if about.get("name") else None
    other = f"; the paper's data has {paper:g}" if paper and rates != [paper] else ""
    return [f"Measured at {' and '.join(f'{rate:g}' for rate in rates)} frames per second{other}"] if rates else []


def _protocol_section(report: dict[str, Any], protocol: Protocol) -> Section:
    table = _table(report, list(protocol.columns))
    headers = [column.header for column in protocol.columns]
    for published in protocol.published:
        rows = []
        for method, values in published.rows.items():
            by_header = dict(zip(published.columns, values))
            rows.append((method, [Cell(p.text if (p := by_header.get(header)) else MISSING) for header in headers]))
        heading = f"Published, not comparable: {published.table}, {published.title}, on {published.data}"
        table.groups.append(RowGroup(rows, heading, published=True))
    notes = [f"{column.header}: {column.note}." for column in protocol.columns if column.note]
    if protocol.published:
        notes.append(
            f"The published rows are copied from {protocol.paper}. They were measured on other data, named above them, "
            "with other faces, trackers and crops: they show the order of magnitude and are not comparable with ours."
        )
    return Section(protocol.title, [_legend(report)], table=table, notes=notes)


def _family(report: dict[str, Any], family: str, excluded: set[str]) -> Section | None:
    keys = [key for key in report["metrics"] if CATALOGUE[key].family == family and key not in excluded]
    keys = [key for key in keys if any(key in system["scores"] for system in report["systems"].values())]
    return Section(FAMILIES[family], table=_table(report, [_own_column(key) for key in keys])) if keys else None


def _targets(report: dict[str, Any]) -> Section | None:
    items = []
    for target in report.get("targets", []):
        metric, share = CATALOGUE[target["metric"]], target["share"]
        unit = " %" if share else f" {metric.unit}" if metric.unit else ""

        def text(value: float, signed: bool = bool(target["over"]), share: bool = share, unit: str = unit) -> str:
            shown = f"{100 * value:.0f}" if share else f"{value:.3g}"
            return f"{'+' if signed and value > 0 else ''}{shown}{unit}"

        least = target["at_most"] is None
        bound = f"at {'least' if least else 'most'} {text(target['at_least' if least else 'at_most'])}"
        over = f" over {target['over']}" if target["over"] else ""
        reached = "not measured"
        if target["value"] is not None:
            reached = f"{text(target['value'])}: {'on target' if target['met'] else 'below target'}"
        items.append(f"{metric.label}, {target['system']}{over}, {bound}: {reached}")
    return Section("Targets", ["Of the means, whatever their intervals."], items) if items else None


def _contrasts(report: dict[str, Any]) -> Section | None:
    items = [
        f"{CATALOGUE[entry['metric']].label}, {entry['of']} minus {entry['less']}: {number(entry)}"
        for entry in report.get("contrasts", [])
    ]
    text = (
        "Differences of the same clips, with the 95 % interval over people: where it contains 0 there is no evidence."
    )
    return Section("Own speech against another person's", [text], items) if items else None


def _cost(report: dict[str, Any]) -> Section | None:
    keys = [key for key in CATALOGUE if CATALOGUE[key].family == "cost"]
    rows = []
    for name, system in in_order(report):
        cost = system["cost"] or {}
        if any(cost.get(key) is not None for key in keys):
            rows.append((name, [Cell(number({"mean": cost.get(key)}, digits=3)) for key in keys]))
    headers = [_header(_own_column(key)) for key in keys]
    return Section("Cost", table=Table(headers, [""] * len(keys), [RowGroup(rows)])) if rows else None


def _definitions(report: dict[str, Any]) -> Section:
    items = []
    for metric in report["metrics"].values():
        unit = f" ({metric['unit']})" if metric["unit"] else ""
        name = f"{metric['label']}{unit}, {_DIRECTIONS[metric['direction']]}"
        items.append(f"{name}: {metric['definition']} Source: {metric['source']}.")
    return Section("Definitions of the columns", items=items)


def _skipped(report: dict[str, Any]) -> Section | None:
    labels: dict[str, list[str]] = {}
    for key, why in report["skipped"].items():
        keys, _, reason = why.partition(": ")
        if all(name in CATALOGUE for name in keys.split(", ")):  # the metrics' labels replace their keys
            why = reason
        labels.setdefault(why, []).append(CATALOGUE[key].label)
    items = [f"{', '.join(of_reason)}: {why}" for why, of_reason in labels.items()]
    return Section("Not measured", items=items) if items else None


def _failed(report: dict[str, Any]) -> Section | None:
    items = [
        f"{entry['system']}, repeat {entry['repeat']}, {entry['clip']}: {entry['why']}" for entry in report["failed"]
    ]
    return Section("Clips that failed", items=items) if items else None


def _table(report: dict[str, Any], shown: list[Column]) -> Table:
    ranks = [_ranks(report, column.metric) for column in shown]
    rows = []
    for name, system in in_order(report):
        scores = [system["scores"].get(column.metric) for column in shown]
        cells = [Cell(number(s, c.factor), rank.get(name, 0)) for s, c, rank in zip(scores, shown, ranks)]
        if any(scores) or system["kind"] != "network":  # that is motion alone, without images
            rows.append((name, cells))
    return Table([_header(column) for column in shown], [column.group for column in shown], [RowGroup(rows)])


def _ranks(report: dict[str, Any], key: str) -> dict[str, int]:
    """System -> 1 for the best, 2 for the second best of three or more; real clips and `ground-truth` are unranked."""
    means = {name: _finite((s["scores"].get(key) or {}).get("mean")) for name, s in report["systems"].items()}
    real = next((means[name] for name, s in report["systems"].items() if s["kind"] == "real"), None)
    direction = CATALOGUE[key].direction
    if direction == "real" and real is None:
        return {}
    target = {"zero": 0.0, "one": 1.0, "real": real}.get(direction)
    distances = {}
    for name, mean in means.items():
        if mean is not None and report["systems"][name]["kind"] != "real" and name != "ground-truth":
            distances[name] = abs(mean - target) if target is not None else mean if direction == "lower" else -mean
    distinct = sorted(set(distances.values()))
    if len(distinct) < 2:
        return {}
    marked = distinct[: 2 if len(distinct) > 2 else 1]
    return {name: marked.index(value) + 1 for name, value in distances.items() if value in marked}


def _legend(report: dict[str, Any]) -> str:
    scores = [score for system in report["systems"].values() for score in system["scores"].values()]
    over = sorted({score["over"] for score in scores if score.get("over")})
    text = f"Bold: best; underlined: second best; real clips and ground-truth are not ranked. {MISSING}: no value."
    if over:
        text += f" Intervals: 95 %, over {' or '.join(over)}; values whose intervals overlap may not differ."
    return text


def _own_column(key: str) -> Column:
    return Column(key, CATALOGUE[key].label, CATALOGUE[key].unit)


def _header(column: Column) -> str:
    return column.header + _ARROWS[CATALOGUE[column.metric].direction]


def _count(n: int, one: str, many: str | None = None) -> str:
    return f"{n} {one if n == 1 else many or one + 's'}"


def _finite(value: float | None, factor: float = 1.0) -> float | None:
    return factor * value if value is not None and math.isfinite(value) else None


def _exponent(value: float) -> int:
    """3 for 1056, -1 for .1056, 0 for 0 (and for rounding errors)."""
    return math.floor(math.log10(abs(value))) if abs(value) > 1e-9 else 0


def _fixed(value: float, decimals: int) -> str:
    decimals = min(max(decimals, 0), 6)
    return f"{round(value, decimals) + 0.0:,.{decimals}f}"


def finite(values: Iterable[float | None]) -> list[float]:
    """Return the values that are finite numbers."""
    return [value for value in values if value is not None and math.isfinite(value)]
