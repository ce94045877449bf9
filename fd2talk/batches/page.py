"""The report as a self-contained HTML page: totals, failed rows, workers, and videos with thumbnails."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path, PurePath
from typing import TYPE_CHECKING
from urllib.parse import quote

from fd2talk.batches.job import FAILED, KEPT, MADE, OPEN, Outcome
from fd2talk.batches.maker import STATE

if TYPE_CHECKING:
    from fd2talk.batches.report import Summary

THUMBNAILS = 1000
"""Number of videos with a thumbnail, of about 5 kB each."""

# The page must load nothing, even if a file's name contains HTML.
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
_STYLE = """
:root { color-scheme: light dark; --ink: #1d2125; --soft: #646c75; --line: #dfe3e7; --paper: #fff; --shade: #f5f6f8;
  --good: #0d7a58; --kept: #0a6cb8; --bad: #b3261e; --open: #8a6d00; }
@media (prefers-color-scheme: dark) { :root { --ink: #e4e7ea; --soft: #9aa3ad; --line: #343a41; --paper: #16191c;
  --shade: #1f2327; --good: #4cc79d; --kept: #5db2f2; --bad: #f28b82; --open: #d6b84a; } }
body { margin: 0 auto; max-width: 72rem; padding: 1.5rem 1.25rem 4rem; background: var(--paper); color: var(--ink);
  font: 15px/1.5 system-ui, sans-serif; }
h1 { font-size: 1.6rem; line-height: 1.25; margin: .5rem 0 1rem; }
h2 { font-size: 1.15rem; margin: 2.2rem 0 .6rem; }
pre { background: var(--shade); padding: .6rem .8rem; border-radius: 6px; overflow-x: auto; font-size: .87em; }
.totals { display: flex; flex-wrap: wrap; gap: .75rem; margin: 1rem 0; padding: 0; list-style: none; }
.totals li { background: var(--shade); border-radius: 8px; padding: .6rem 1rem; min-width: 6.5rem; }
.totals b { display: block; font-size: 1.5rem; line-height: 1.2; font-variant-numeric: tabular-nums; }
.totals span { color: var(--soft); font-size: .9em; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: .93em; font-variant-numeric: tabular-nums; }
th, td { padding: .4rem .75rem; text-align: left; vertical-align: middle; border-bottom: 1px solid var(--line);
  overflow-wrap: anywhere; }
th { font-weight: 600; color: var(--soft); white-space: nowrap; }
.n { text-align: right; white-space: nowrap; }
.small { color: var(--soft); font-size: .9em; }
img { display: block; border-radius: 4px; max-width: 107px; max-height: 80px; }
a { color: var(--kept); }
.made { color: var(--good); } .kept { color: var(--kept); } .failed { color: var(--bad); } .open { color: var(--open); }
.failed-rows td:nth-child(2) { min-width: 14rem; } .failed-rows td:nth-child(3) { min-width: 9rem; }
.state { font-weight: 600; white-space: nowrap; }
"""
_MARK = '<meta name="generator" content="fd2talk batch">'
_CLASSES = {MADE: "made", KEPT: "kept", FAILED: "failed", OPEN: "open"}


def page(outcomes: Sequence[Outcome], summary: Summary, out: Path, command: str = "") -> str:
    """Return the page as HTML.

    Args:
        outcomes: in the table's order.
        summary: of them.
        out: folder of the videos, with the thumbnails beside them.
        command: that was given.
    """
    failed = [outcome for outcome in outcomes if outcome.state == FAILED]
    videos = [outcome for outcome in outcomes if outcome.state != FAILED]
    parts = [f"<h1>{escape(summary.sentence)}</h1>", _totals(summary)]
    if command:
        parts.append(f"<pre>{escape(command)}</pre>")
    if failed:
        rows = (_cells(one.row, _name(one), _source(one), escape(one.error)) for one in failed)
        parts.append("<h2>Failed</h2>" + _table(("row", "video", "photo and recording", "why"), rows, "failed"))
    if videos:
        pictures = [_picture(out, one) if index < THUMBNAILS else "" for index, one in enumerate(videos)]
        rows = (_video(one, picture) for one, picture in zip(videos, pictures))
        heads = ("row", "", "video", "state", "length, s", "work, s", "worker")
        parts.append("<h2>Videos</h2>" + _table(heads, rows))
    if made := [outcome for outcome in outcomes if outcome.state == MADE]:
        parts.append("<h2>Workers of this run</h2>" + _workers(made))
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f"{_MARK}"
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(summary.sentence)}</title><style>{_STYLE}</style></head>\n<body>\n"
        + "\n".join(parts)
        + "\n</body></html>\n"
    )


def is_page(head: str) -> bool:
    """Whether a file that begins like this is such a page."""
    return _MARK in head


def _totals(summary: Summary) -> str:
    figures = [(str(summary.made), "made"), (str(summary.kept), "kept"), (str(summary.failed), "failed")]
    if summary.open:
        figures.append((str(summary.open), "not made"))
    figures += [(_time(summary.video_seconds), "of video made"), (_time(summary.seconds), "taken")]
    if summary.video_seconds and summary.seconds:
        figures.append((f"{summary.video_seconds / summary.seconds:.2f} x", "real time"))
    items = (f"<li><b>{escape(value)}</b><span>{escape(what)}</span></li>" for value, what in figures)
    return f'<ul class="totals">{"".join(items)}</ul>'


def _video(one: Outcome, picture: str) -> str:
    link = f'<a href="{escape(quote(one.output))}">{escape(one.output)}</a>' if one.state != OPEN else _name(one)
    notes = "".join(f'<div class="small">{escape(note)}</div>' for note in one.notes)
    times = [f"{value:.1f}" if value else "" for value in (one.video_seconds, one.work_seconds)]
    return (
        f"<tr><td>{escape(one.row)}</td><td>{picture}</td><td>{link}{_source(one)}{notes}</td>"
        f'<td class="state {_CLASSES[one.state]}">{escape(one.state)}</td>'
        + "".join(f'<td class="n">{time}</td>' for time in times)
        + f'<td class="small">{escape(one.worker)}</td></tr>'
    )


def _workers(made: Sequence[Outcome]) -> str:
    by_name: dict[str, list[Outcome]] = {}
    for one in made:
        by_name.setdefault(one.worker, []).append(one)
    rows = []
    for name, own in sorted(by_name.items()):
        video, work = sum(one.video_seconds for one in own), sum(one.work_seconds for one in own)
        figures = (str(len(own)), f"{video:.1f}", f"{work:.1f}", f"{video / work:.2f} x" if work else "")
        rows.append(f"<tr><td>{escape(name)}</td>{''.join(f'<td class=n>{figure}</td>' for figure in figures)}</tr>")
    return _table(("worker", "videos", "length, s", "work, s", "of real time"), rows)


def _table(heads: Iterable[str], rows: Iterable[str], kind: str = "") -> str:
    numbers = ("length, s", "work, s", "videos", "of real time")
    cells = "".join(f"<th{' class=n' if head in numbers else ''}>{escape(head)}</th>" for head in heads)
    body = "\n".join(rows)
    mark = f' class="{kind}-rows"' if kind else ""
    return f'<div class="wide"><table{mark}><thead><tr>{cells}</tr></thead>\n<tbody>{body}</tbody></table></div>'


def _cells(row: str, *markup: str) -> str:
    return f"<tr><td>{escape(row)}</td>{''.join(f'<td>{cell}</td>' for cell in markup)}</tr>"


def _name(one: Outcome) -> str:
    return escape(one.output) or "–"


def _source(one: Outcome) -> str:
    names = " · ".join(PurePath(path).name for path in (one.photo, one.audio) if path)
    return f'<div class="small">{escape(names)}</div>'


def _picture(out: Path, one: Outcome) -> str:
    file = out / STATE / "thumbnails" / f"{one.digest}.jpg"
    if not one.digest or not file.is_file():
        return ""
    data = base64.b64encode(file.read_bytes()).decode("ascii")
    return f'<img alt="" src="data:image/jpeg;base64,{data}">'


def _time(seconds: float) -> str:
    """`4:05`, or `1:02:03`."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
