"""The report as one self-contained HTML page: tables, plots as inline SVG, stills as data URLs."""

from __future__ import annotations

import base64
from html import escape
from itertools import groupby
from pathlib import Path
from typing import Any

from fd2talk.evaluation.inputs.protocol import Protocol
from fd2talk.evaluation.inputs.rows import REAL
from fd2talk.evaluation.report.contact_sheet import generated_systems, of_clips, still_file
from fd2talk.evaluation.report.model import RowGroup, Section, Table, columns, finite, in_order, sections, title
from fd2talk.evaluation.report.svg import curves, strips

# Number of clips in the plots of curves and in the stills; the strips contain all.
CURVES, STILLS = 3, 6
_COLOURS = 6

_STYLE = """
:root { color-scheme: light dark; --ink: #1d2125; --soft: #646c75; --line: #dfe3e7; --paper: #fff; --shade: #f5f6f8;
  --c0: #0a6cb8; --c1: #c2530a; --c2: #0d8a63; --c3: #a8468b; --c4: #8a6d00; --c5: #5a55c8; }
@media (prefers-color-scheme: dark) { :root { --ink: #e4e7ea; --soft: #9aa3ad; --line: #343a41; --paper: #16191c;
  --shade: #1f2327; --c0: #5db2f2; --c1: #f0935a; --c2: #4cc79d; --c3: #e08cc6; --c4: #d6b84a; --c5: #a6a2f5; } }
body { margin: 0 auto; max-width: 76rem; padding: 1.5rem 1.25rem 4rem; background: var(--paper); color: var(--ink);
  font: 15px/1.55 system-ui, sans-serif; }
h1 { font-size: 1.6rem; line-height: 1.25; margin: .5rem 0 1rem; }
h2 { font-size: 1.2rem; margin: 2.6rem 0 .6rem; }
h3 { font-size: 1rem; margin: 1.6rem 0 .4rem; }
p, ul { max-width: 52rem; margin: .5rem 0; }
ul { padding-left: 1.2rem; }
li { margin: .25rem 0; overflow-wrap: anywhere; }
.note { color: var(--soft); font-size: .9em; }
pre { background: var(--shade); padding: .6rem .8rem; border-radius: 6px; overflow-x: auto; font-size: .87em; }
.wide { overflow-x: auto; margin: 1rem 0; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: .93em; }
th, td { padding: .32rem .75rem; text-align: right; white-space: nowrap; }
th { font-weight: 600; }
th:first-child, td:first-child { text-align: left; }
td:first-child { position: sticky; left: 0; background: var(--paper); }
thead th { border-bottom: 1px solid var(--soft); }
thead tr.groups th { border-bottom: none; text-align: center; }
thead tr.groups th.group { border-bottom: 1px solid var(--line); }
tbody tr:hover td { background: var(--shade); }
tbody td { border-bottom: 1px solid var(--line); }
tbody.published td { color: var(--soft); }
tbody.published th { padding-top: 1.1rem; color: var(--soft); font-weight: 600; border-bottom: 1px solid var(--line); }
.best { font-weight: 700; }
.second { text-decoration: underline; text-underline-offset: 3px; }
.plots { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(27rem, 100%), 1fr)); gap: 1.2rem 1.8rem; }
.plots.small { grid-template-columns: repeat(auto-fill, minmax(min(20rem, 100%), 1fr)); gap: .8rem 1.4rem; }
figure { margin: 0; min-width: 0; }
figcaption { font-size: .9em; margin-bottom: .2rem; overflow-wrap: anywhere; }
svg { display: block; max-width: 100%; height: auto; }
svg text { fill: var(--soft); font-size: 11px; }
svg .x { text-anchor: middle; }
svg .y { text-anchor: end; }
.grid { stroke: var(--line); }
.reference { fill: none; stroke: var(--soft); stroke-width: 1.2; opacity: .85; }
.generated { fill: none; stroke: var(--c); stroke-width: 1.6; }
.dot { fill: var(--c); opacity: .5; }
.mean { stroke: var(--ink); stroke-width: 2.5; }
.rc { --c: var(--soft); }
img { display: block; max-width: 100%; border-radius: 4px; }
""" + "\n".join(f".c{i} {{ --c: var(--c{i}); }}" for i in range(_COLOURS))

# The page must load nothing, whatever a file's name contains.
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"


def html(report: dict[str, Any], protocol: Protocol | None, folder: Path) -> str:
    """Return the page.

    Args:
        report: the contents of report.json.
        protocol: the protocol, if there is one.
        folder: the report's folder with the clips' stills; a still that is missing or outside of it is left out.
    """
    first, *rest = sections(report, protocol)
    plots = [_strips(report, protocol), _curves(report), _stills(report, Path(folder))]
    body = [
        f"<h1>{escape(title(report))}</h1><pre>{escape(report['command'])}</pre>",
        _section(first, 2),
        _section(rest[0], 2),
        *plots,
        *(_section(section, 2) for section in rest[1:]),
    ]
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title(report))}</title><style>{_STYLE}</style></head>\n<body>\n"
        + "\n".join(body)
        + "\n</body></html>\n"
    )


def _section(section: Section, level: int) -> str:
    parts = [f"<h{level}>{escape(section.title)}</h{level}>"]
    parts += [f"<p>{escape(paragraph)}</p>" for paragraph in section.paragraphs]
    if section.items:
        parts.append(f"<ul>{''.join(f'<li>{escape(item)}</li>' for item in section.items)}</ul>")
    if section.table:
        parts.append(_table(section.table))
    parts += [f'<p class="note">{escape(note)}</p>' for note in section.notes]
    return "\n".join(parts + [_section(subsection, level + 1) for subsection in section.subsections])


def _table(table: Table) -> str:
    top = ""
    if any(table.headings):
        spans = [(heading, len(list(columns))) for heading, columns in groupby(table.headings)]
        cells = (f'<th{" class=group" if text else ""} colspan="{span}">{escape(text)}</th>' for text, span in spans)
        top = f'<tr class="groups"><th></th>{"".join(cells)}</tr>'
    headers = "".join(f"<th>{escape(header)}</th>" for header in table.headers)
    body = "\n".join(_group(group, len(table.headers)) for group in table.groups)
    return f'<div class="wide"><table><thead>{top}<tr><th></th>{headers}</tr></thead>\n{body}</table></div>'


def _group(group: RowGroup, width: int) -> str:
    rows = [f'<tr><th colspan="{width + 1}">{escape(group.heading)}</th></tr>'] if group.heading else []
    for name, cells in group.rows:
        marks = [f' class="{("", "best", "second")[cell.rank]}"' if cell.rank else "" for cell in cells]
        values = "".join(f"<td{mark}>{escape(cell.text)}</td>" for mark, cell in zip(marks, cells))
        rows.append(f"<tr><td>{escape(name)}</td>{values}</tr>")
    return f"<tbody{' class=published' if group.published else ''}>{''.join(rows)}</tbody>"


def _strips(report: dict[str, Any], protocol: Protocol | None) -> str:
    colours = _generated_colours(report)
    figures = []
    for column in columns(report, protocol):
        rows = []
        for name, _ in in_order(report):
            of_clip: dict[str, list[float]] = {}
            for clip in report["clips"]:
                if clip["system"] == name:
                    of_clip.setdefault(clip["clip"], []).extend(finite([clip["values"].get(column.metric)]))
            dots = [(clip, column.factor * sum(v) / len(v)) for clip, v in of_clip.items() if v]
            if dots:
                rows.append((name, colours.get(name), dots))
        if rows:
            figures.append(_figure(strips(rows), column.header))
    text = "Dots are clips (the mean of their repeats), bars the clips' mean. Point at a dot to see the clip's name."
    return _plots("Clip by clip", text, [_grid(figures)] if figures else [])


def _curves(report: dict[str, Any]) -> str:
    colours = _generated_colours(report)
    parts = []
    for name, clips in of_clips(report, "curves", generated_systems(report))[:CURVES]:
        pairs = [(clip["curves"]["aperture"], clip["curves"].get("aperture_real", [])) for clip in clips]
        top = max(finite(value for pair in pairs for curve in pair for value in curve), default=1.0) * 1.05
        plots = [curves(*pair, clip["fps"], top, colours[clip["system"]]) for clip, pair in zip(clips, pairs)]
        parts.append(_grid([_figure(plot, clip["system"]) for clip, plot in zip(clips, plots)], "small", name))
    return _plots("Mouth openings", "Lip aperture over time: generated in colour, reference in grey.", parts)


def _stills(report: dict[str, Any], folder: Path) -> str:
    parts = []
    for name, clips in of_clips(report, "still", [REAL, *generated_systems(report)])[:STILLS]:
        figures = []
        for clip in clips:
            if file := still_file(folder, clip):
                data = base64.b64encode(file.read_bytes()).decode("ascii")
                caption = clip["system"]
                figures.append(_figure(f'<img alt="{escape(caption)}" src="data:image/jpeg;base64,{data}">', caption))
        if figures:
            parts.append(_grid(figures, "small", name))
    return _plots(
        "Stills",
        "The frame with the reference's widest mouth, that mouth enlarged, and the one in which its head has moved the "
        "the furthest; of the real clip first the photo. All clips are on the contact sheet, sheet.jpg.",
        parts,
    )


def _generated_colours(report: dict[str, Any]) -> dict[str, int]:
    return {name: index % _COLOURS for index, name in enumerate(generated_systems(report))}


def _figure(content: str, caption: str) -> str:
    return f"<figure><figcaption>{escape(caption)}</figcaption>{content}</figure>"


def _grid(figures: list[str], size: str = "", heading: str = "") -> str:
    head = f"<h3>{escape(heading)}</h3>" if heading else ""
    return f'{head}<div class="plots {size}">{"".join(figures)}</div>'


def _plots(heading: str, text: str, parts: list[str]) -> str:
    return "\n".join([f"<h2>{heading}</h2><p>{text}</p>", *parts]) if parts else ""
