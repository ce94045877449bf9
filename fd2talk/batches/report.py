"""The report of a batch: report.csv, one line a row, and report.html, the same as a page."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from fd2talk.batches.job import FAILED, KEPT, MADE, OPEN, Outcome
from fd2talk.batches.page import page
from shared.files import atomic_output

CSV, PAGE = "report.csv", "report.html"
COLUMNS = (
    "row",
    "photo",
    "audio",
    "output",
    "state",
    "video_seconds",
    "work_seconds",
    "worker",
    "error",
    "notes",
)


@dataclass(frozen=True)
class Summary:
    """What became of all rows.

    Args:
        rows: how many there are.
        made: by this run.
        kept: made before, and unchanged.
        failed: not possible.
        open: left when the run was stopped.
        video_seconds: length of the videos that this run made.
        seconds: that it took.
    """

    rows: int
    made: int
    kept: int
    failed: int
    open: int
    video_seconds: float
    seconds: float

    @property
    def sentence(self) -> str:
        """`12 videos made, 3 kept, 1 of 16 rows failed`."""
        parts = [f"{self.made} video{'' if self.made == 1 else 's'} made"]
        parts += [f"{self.kept} kept"] if self.kept else []
        parts += [f"{self.open} not made"] if self.open else []
        parts += [f"{self.failed} of {self.rows} rows failed"] if self.failed else []
        return ", ".join(parts)


def write_report(out: Path, outcomes: Sequence[Outcome], *, seconds: float, command: str = "") -> Summary:
    """Write both files, over those of the run before.

    Args:
        out: folder of the videos.
        outcomes: in the table's order.
        seconds: that the run took.
        command: that was given.

    Raises:
        Fd2TalkError: they cannot be written.
    """
    count = {state: sum(outcome.state == state for outcome in outcomes) for state in (MADE, KEPT, FAILED, OPEN)}
    made = sum(outcome.video_seconds for outcome in outcomes if outcome.state == MADE)
    summary = Summary(len(outcomes), count[MADE], count[KEPT], count[FAILED], count[OPEN], made, seconds)
    with atomic_output(out / CSV, overwrite=True) as temporary:
        temporary.write_text(_table(outcomes), encoding="utf-8")
    with atomic_output(out / PAGE, overwrite=True) as temporary:
        temporary.write_text(page(outcomes, summary, out, command), encoding="utf-8")
    return summary


def _table(outcomes: Sequence[Outcome]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for one in outcomes:
        times = (f"{value:.2f}" if value else "" for value in (one.video_seconds, one.work_seconds))
        writer.writerow(
            [one.row, one.photo, one.audio, one.output, one.state, *times, one.worker, one.error, "; ".join(one.notes)]
        )
    return text.getvalue()
