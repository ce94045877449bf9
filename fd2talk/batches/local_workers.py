"""Jobs shared among processes of this computer; one that dies is replaced, and its job tried once more."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from multiprocessing import connection, get_context, parent_process
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from typing import Any

from fd2talk.batches.job import FAILED, Job, Outcome
from fd2talk.batches.maker import Maker, Settings
from fd2talk.terminal import redirect_to_nowhere

ATTEMPTS = 2
"""Of a job whose process died."""

Event = Outcome | tuple[Job, int, int]
"""The outcome of a job, or a job with its frames that are rendered, and all of them."""

_SECONDS_BETWEEN_REPORTS = 0.5
_SECONDS_TO_CLEAN_UP = 10.0


@dataclass
class _Worker:
    """A process, the connection to it, and the job that it has."""

    process: SpawnProcess
    connection: Connection
    job: Job | None = None


def in_workers(jobs: Sequence[Job], settings: Settings, workers: int) -> Iterator[Event]:
    """Make videos in processes, each of which loads the models once.

    Args:
        jobs: what to make; they are begun in this order.
        settings: of the run.
        workers: number of processes.

    Yields:
        How far jobs are, and the outcome of each. When the iterator is closed the processes stop, and unfinished videos
        are removed.
    """
    waiting, attempts = deque(jobs), dict.fromkeys((job.row for job in jobs), 0)
    team: list[_Worker] = []
    try:
        while waiting or any(worker.job for worker in team):
            while waiting and len(team) < workers:
                team.append(_started(settings))
            for worker in team:
                if waiting and worker.job is None:
                    worker.job = waiting.popleft()
                    attempts[worker.job.row] += 1
                    _send(worker.connection, worker.job)
            by_connection = {worker.connection: worker for worker in team}
            for ready in connection.wait(list(by_connection)):
                worker = by_connection[ready]  # type: ignore[index]
                try:
                    told = worker.connection.recv()
                except (EOFError, OSError):
                    team.remove(worker)
                    _ended(worker)
                    job = worker.job
                    if job and attempts[job.row] < ATTEMPTS:
                        waiting.appendleft(job)
                    elif job:
                        yield Outcome.of(job, FAILED, error=killed(_reason(worker.process.exitcode)))
                    continue
                job = worker.job
                assert job is not None  # only who has one tells anything
                if isinstance(told, Outcome):
                    worker.job = None
                    yield told
                else:
                    yield job, *told
    finally:
        _stop(team)


def killed(reason: str = "") -> str:
    """Say that the process which made a video died, twice."""
    return f"its worker process was killed{reason}, {ATTEMPTS} times; possibly out of memory: try fewer --workers"


def _reason(code: int | None) -> str:
    if code is None or code >= 0:
        return ""
    try:
        return f" ({signal.Signals(-code).name})"
    except ValueError:
        return ""


def _started(settings: Settings) -> _Worker:
    # Not forked: the native threads of the face tracker would not work in the child.
    context = get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_work, args=(theirs, settings), daemon=True)
    process.start()
    theirs.close()  # so that the end of the process is the end of the connection
    return _Worker(process, ours)


def _send(to: Connection, job: Job) -> None:
    try:
        to.send(job)
    except OSError:  # it has died, which is noticed when its answer is awaited
        pass


def _ended(worker: _Worker) -> None:
    worker.process.join(_SECONDS_TO_CLEAN_UP)
    worker.connection.close()


def _stop(team: list[_Worker]) -> None:
    """End all processes: those that wait by themselves, and those that work after removing what is unfinished."""
    for worker in team:
        worker.connection.close()
        if worker.job:
            worker.process.terminate()
    until = time.monotonic() + _SECONDS_TO_CLEAN_UP
    for worker in team:
        worker.process.join(max(until - time.monotonic(), 0.1))
        if worker.process.is_alive():
            worker.process.kill()
            worker.process.join()


def _work(boss: Connection, settings: Settings) -> None:
    """Make what comes, until nothing more does."""
    _prepare()
    make, told = Maker(settings), 0.0

    def tell(what: str, done: int, total: int) -> None:
        nonlocal told
        now = time.monotonic()
        if what == "rendering" and now - told > _SECONDS_BETWEEN_REPORTS:
            told = now
            boss.send((done, total))

    while True:
        try:
            job: Job = boss.recv()
        except (EOFError, OSError):
            return
        boss.send(make(job, tell))


def _prepare() -> None:
    """Prepare a process for an end with, or on request of, the process that started it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for that one, which then stops its workers
    signal.signal(signal.SIGTERM, _leave)
    threading.Thread(target=_end_with_parent, name="parent", daemon=True).start()
    redirect_to_nowhere(2)  # the face tracker's native code prints notices there


_leaving = False


def _leave(*_: Any) -> None:
    """Leave by an exception, so that an unfinished video is removed; only once, see `fd2talk.processes`."""
    global _leaving
    if not _leaving:
        _leaving = True
        raise SystemExit


def _end_with_parent() -> None:
    """Whoever is left by a killed parent would work for nobody; the next run removes what is unfinished."""
    parent = parent_process()
    if parent is not None:
        connection.wait([parent.sentinel])
        os._exit(1)
