"""The files of a report: report.json, report.md, report.html and, of videos, the contact sheet."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path
from typing import Any

from fd2talk.evaluation.inputs.protocol import Protocol
from fd2talk.evaluation.report.contact_sheet import write_sheet
from fd2talk.evaluation.report.html import html
from fd2talk.evaluation.report.model import Cell, RowGroup, Section, Table, sections, title
from shared.files import atomic_output

FILES = MARKDOWN, HTML, JSON = "report.md", "report.html", "report.json"


def write_report(folder: Path, report: dict[str, Any], protocol: Protocol | None) -> None:
    """Write the files, each atomically and only after all three texts exist; earlier files are replaced.

    Args:
        folder: where to write.
        report: the contents of report.json.
        protocol: the protocol, if there is one.

    Raises:
        UsageError: the folder is missing or not writable.
        Fd2TalkError: the disk is full.
    """
    folder = Path(folder)
    texts = {
        JSON: json.dumps(_plain(report), ensure_ascii=False, indent=1, allow_nan=False) + "\n",
        MARKDOWN: markdown(report, protocol),
        HTML: html(report, protocol, folder),
    }
    for name, text in texts.items():
        with atomic_output(folder / name, overwrite=True) as temporary:
            temporary.write_text(text, encoding="utf-8")
    write_sheet(folder, report)


def markdown(report: dict[str, Any], protocol: Protocol | None) -> str:
    """Return the report as GitHub Markdown: setup, tables in the paper's layout, definitions of their columns."""
    lines = [f"# {_escape(title(report))}", "", *_code(report["command"]), ""]
    for section in sections(report, protocol):
        lines += _section(section, "##")
    return "\n".join(lines).rstrip() + "\n"


def _section(section: Section, level: str) -> list[str]:
    lines = [f"{level} {_escape(section.title)}", ""]
    for paragraph in section.paragraphs:
        lines += [_escape(paragraph), ""]
    if section.items:
        lines += [*(f"* {_escape(item)}" for item in section.items), ""]
    if section.table:
        lines += [*_table(section.table), ""]
    for note in section.notes:
        lines += [_escape(note), ""]
    for subsection in section.subsections:
        lines += _section(subsection, level + "#")
    return lines


def _table(table: Table) -> list[str]:
    if any(table.headings):
        # Markdown has one header row: headings are put above their first column, and headers in the second row.
        firsts = [heading if heading not in table.headings[:i] else "" for i, heading in enumerate(table.headings)]
        head = [_row(["", *firsts]), _rule(table), _row(["", *(f"**{_escape(h)}**" for h in table.headers)], raw=True)]
    else:
        head = [_row(["", *table.headers]), _rule(table)]
    return [*head, *(line for group in table.groups for line in _group(group, len(table.headers)))]


def _group(group: RowGroup, width: int) -> list[str]:
    heading = [_row([f"*{_escape(group.heading)}*", *[""] * width], raw=True)] if group.heading else []
    return heading + [_row([_escape(name), *map(_cell, cells)], raw=True) for name, cells in group.rows]


def _cell(cell: Cell) -> str:
    return {1: f"**{cell.text}**", 2: f"<u>{cell.text}</u>"}.get(cell.rank, cell.text)


def _row(texts: list[str], raw: bool = False) -> str:
    return "| " + " | ".join(text if raw else _escape(text) for text in texts) + " |"


def _rule(table: Table) -> str:
    return "| --- |" + " ---: |" * len(table.headers)


def _code(text: str) -> list[str]:
    fence = "`" * max(3, 1 + max(map(len, re.findall("`+", text)), default=0))
    return [fence, text, fence]


def _escape(text: str) -> str:
    """One line of text with the special characters of Markdown and HTML escaped."""
    text = " ".join(text.split()).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return re.sub(r"([\\`*_\[\]|~])", r"\\\1", text)


def _plain(value: Any) -> Any:
    """The value with numbers that are not finite replaced by None: JSON has no NaN."""
    if isinstance(value, dict):
        return {key: _plain(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(entry) for entry in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
