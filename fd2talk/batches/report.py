"""The report of a batch: report.csv, one line a row, and report.html, the same as a page."""

from __future__ import annotations

import csv
import io
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from fd2talk.batches.job import FAILED, KEPT, MADE, OPEN, Outcome
from fd2talk.batches.page import is_page, page
from shared.errors import UsageError
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
    """Totals of a run.

    Args:
        rows: number of rows.
        made: videos made by this run.
        kept: videos made before, and unchanged.
        failed: rows that failed.
        open: rows not begun when the run was stopped.
        video_seconds: length of the videos that this run made.
        seconds: duration of the run.
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


def check_report(out: Path, inputs: Sequence[str | None], overwrite: bool) -> None:
    """Check that writing the report replaces no other file.

    Args:
        out: folder of the videos.
        inputs: files that it must not replace; None is skipped.
        overwrite: replace other files of these names.

    Raises:
        UsageError: a report file is one of the inputs, a folder, or a file that no batch wrote.
    """
    for name, is_ours in ((CSV, _is_table), (PAGE, is_page)):
        file = out / name
        if not file.exists():
            continue
        if any(other and os.path.exists(other) and os.path.samefile(file, other) for other in inputs):
            raise UsageError(f"{file}: the report would replace it; rename it, or give another folder for the videos")
        try:
            if not file.is_file():
                raise UsageError(f"{file}: it is no file, but the place of the report; give another folder")
            with open(file, encoding="utf-8-sig", errors="replace") as opened:
                head = opened.read(2000)
        except OSError as error:
            raise UsageError(f"cannot read {file}: {error.strerror}") from error
        if not overwrite and not is_ours(head):
            raise UsageError(f"{file}: no batch wrote it, and the report would replace it (to allow this: --overwrite)")


def _is_table(head: str) -> bool:
    """Whether a file that begins like this is the table of a report, perhaps saved by a spreadsheet."""
    columns = re.split(r"[,;\t]", head.partition("\n")[0].strip().replace('"', ""))
    return columns[: len(COLUMNS)] == list(COLUMNS)


def write_report(out: Path, outcomes: Sequence[Outcome], *, seconds: float, command: str = "") -> Summary:
    """Write both files, replacing those of an earlier run.

    Args:
        out: folder of the videos.
        outcomes: in the table's order.
        seconds: that the run took.
        command: command line of the run.

    Raises:
        Fd2TalkError: they cannot be written.
    """
    count = {state: sum(outcome.state == state for outcome in outcomes) for state in (MADE, KEPT, FAILED, OPEN)}
    made = sum(outcome.video_seconds for outcome in outcomes if outcome.state == MADE)
    summary = Summary(len(outcomes), count[MADE], count[KEPT], count[FAILED], count[OPEN], made, seconds)
    with atomic_output(out / CSV, overwrite=True) as temporary:
        temporary.write_text(_table(outcomes), encoding="utf-8-sig")  # with a byte order mark, for spreadsheets
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
