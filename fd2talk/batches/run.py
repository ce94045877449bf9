"""Runs a batch: skips finished videos, shares the others among processes, and writes the report."""

from __future__ import annotations

import os
import secrets
import shutil
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from fd2talk.batches.job import FAILED, OPEN, Job, Outcome
from fd2talk.batches.local_workers import Event, in_workers
from fd2talk.batches.lock import only_run
from fd2talk.batches.maker import Maker, Settings, existing
from fd2talk.batches.ray_workers import in_cluster
from fd2talk.batches.report import Summary, write_report
from fd2talk.progress import progress
from fd2talk.terminal import say
from shared.errors import UsageError


@dataclass(frozen=True)
class Team:
    """Where the work is done.

    Args:
        workers: number of processes; None: as many as the Ray cluster has cores for.
        address: of a Ray cluster; None: this computer.
    """

    workers: int | None
    address: str | None = None


def cores() -> int:
    """Return the number of CPU cores that this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not on Windows and macOS
        return os.cpu_count() or 1


def shares(workers: int | None, threads: int | None, device: str) -> tuple[int, int]:
    """Choose numbers of processes and threads per process that together use each core once.

    Args:
        workers: number of processes, or None.
        threads: of each process, or None.
        device: for the networks; a GPU gets one process by default.
    """
    available = cores()
    if workers is None:
        workers = max(1, available // (threads or 1)) if device == "cpu" else 1
    return workers, threads or max(1, available // workers)


def run(planned: Sequence[Job | Outcome], settings: Settings, team: Team, *, command: str = "") -> Summary:
    """Make the videos of a table, and write the report.

    Args:
        planned: the job of each row, or its failed outcome.
        settings: of the run; its folder must exist.
        team: where the work is done.
        command: command line, for the report.

    Returns:
        The totals.

    Raises:
        UsageError: another run writes to the folder, or it cannot be written to.
        Fd2TalkError: the Ray cluster failed.
    """
    settings = replace(settings, run=settings.run or secrets.token_hex(6))
    is_first = not settings.state.exists()
    with only_run(settings.state / "lock", settings.out):
        settings.make_folders()
        for left in (settings.state / "parts").iterdir():  # left by killed runs
            if left != settings.parts:
                shutil.rmtree(left, ignore_errors=True)
        begun, outcomes = time.monotonic(), _known(planned, settings)
        waiting = [job for job in planned if isinstance(job, Job) and job.row not in outcomes]

        def report() -> Summary:
            made = [outcomes.get(one.row) or _open(one) for one in planned]
            return write_report(Path(settings.out), made, seconds=time.monotonic() - begun, command=command)

        try:
            if waiting:
                with closing(_events(waiting, settings, team)) as events:
                    _follow(waiting, events, outcomes)
            else:
                for outcome in (one for one in outcomes.values() if one.state == FAILED):
                    say(_failure(outcome), 0)
            return report()
        except UsageError:  # nothing has begun: the cluster cannot be reached
            if is_first:
                shutil.rmtree(settings.state, ignore_errors=True)
            raise
        except BaseException:
            report()
            raise
        finally:
            shutil.rmtree(settings.parts, ignore_errors=True)


def _known(planned: Iterable[Job | Outcome], settings: Settings) -> dict[str, Outcome]:
    """Outcomes that need no work, by row: failed rows, finished videos, and names that are taken."""
    maker, known = Maker(settings), {}
    for one in planned:
        if isinstance(one, Outcome):
            known[one.row] = one
        elif (Path(settings.out) / one.output).exists():
            if made := maker.made(one):
                known[one.row] = made
            elif not settings.overwrite:
                known[one.row] = Outcome.of(one, FAILED, error=existing(one, maker.difference(one)))
    return known


def _events(jobs: Sequence[Job], settings: Settings, team: Team) -> Iterator[Event]:
    if team.address is not None:
        yield from in_cluster(jobs, settings, team.workers, team.address)
    else:
        yield from in_workers(jobs, settings, min(team.workers or cores(), len(jobs)))


def _follow(jobs: Sequence[Job], events: Iterator[Event], outcomes: dict[str, Outcome]) -> None:
    """Show the progress in frames, and collect the outcomes."""
    expected = {job.row: max(job.frames, 1) for job in jobs}
    done = dict.fromkeys(expected, 0)
    with progress(sum(expected.values()), f"making {len(jobs)} video{'s' if len(jobs) > 1 else ''}") as bar:
        failed = [one for one in outcomes.values() if one.state == FAILED]
        for event in events:
            while failed:  # printed when the first event shows that work has begun
                bar.tell(_failure(failed.pop(0)))
            if isinstance(event, Outcome):
                outcomes[event.row] = event
                if event.state == FAILED:
                    bar.tell(_failure(event))
                done[event.row] = expected[event.row]
            else:
                job, frames, total = event
                done[job.row], expected[job.row] = frames, total
            bar.update_to(sum(done.values()), sum(expected.values()))


def _failure(outcome: Outcome) -> str:
    return f"row {outcome.row} fails: {outcome.error}"


def _open(one: Any) -> Outcome:
    """The outcome of a job that was not made before the run was stopped."""
    return Outcome.of(one, OPEN)
