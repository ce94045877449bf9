"""A pool of processes on this computer; one that dies is replaced, and its job retried once."""

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
"""Number of times that a job is tried if its process dies."""

Event = Outcome | tuple[Job, int, int]
"""The outcome of a job, or its progress: job, frames rendered, frames in all."""

_REPORT_SECONDS = 0.5
_JOIN_SECONDS = 10.0


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
        Progress of jobs, and the outcome of each. Closing the iterator stops the processes, and removes unfinished
        videos.
    """
    waiting, attempts = deque(jobs), dict.fromkeys((job.row for job in jobs), 0)
    team: list[_Worker] = []
    try:
        while waiting or any(worker.job for worker in team):
            while waiting and len(team) < workers:
                team.append(_start_worker(settings))
            for worker in team:
                if waiting and worker.job is None:
                    worker.job = waiting.popleft()
                    attempts[worker.job.row] += 1
                    _send(worker.connection, worker.job)
            by_connection = {worker.connection: worker for worker in team}
            for ready in connection.wait(list(by_connection)):
                worker = by_connection[ready]  # type: ignore[index]
                try:
                    message = worker.connection.recv()
                except (EOFError, OSError):
                    team.remove(worker)
                    _join(worker)
                    job = worker.job
                    if job and attempts[job.row] < ATTEMPTS:
                        waiting.appendleft(job)
                    elif job:
                        yield Outcome.of(job, FAILED, error=killed(_reason(worker.process.exitcode)))
                    continue
                job = worker.job
                assert job is not None  # idle workers send nothing
                if isinstance(message, Outcome):
                    worker.job = None
                    yield message
                else:
                    yield job, *message
    finally:
        _stop(team)


def killed(reason: str = "") -> str:
    """The error of a job whose process died in every attempt."""
    return f"its worker process was killed{reason}, {ATTEMPTS} times; possibly out of memory: try fewer --workers"


def _reason(code: int | None) -> str:
    if code is None or code >= 0:
        return ""
    try:
        return f" ({signal.Signals(-code).name})"
    except ValueError:
        return ""


def _start_worker(settings: Settings) -> _Worker:
    # Not forked: native threads of the face tracker do not survive a fork.
    context = get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_work, args=(theirs, settings), daemon=True)
    process.start()
    theirs.close()  # so that the connection ends with the process
    return _Worker(process, ours)


def _send(to: Connection, job: Job) -> None:
    try:
        to.send(job)
    except OSError:  # it has died, which `connection.wait` will show
        pass


def _join(worker: _Worker) -> None:
    worker.process.join(_JOIN_SECONDS)
    worker.connection.close()


def _stop(team: list[_Worker]) -> None:
    """Stop all processes: idle ones end with their connection; busy ones remove their unfinished video on SIGTERM."""
    for worker in team:
        worker.connection.close()
        if worker.job:
            worker.process.terminate()
    until = time.monotonic() + _JOIN_SECONDS
    for worker in team:
        worker.process.join(max(until - time.monotonic(), 0.1))
        if worker.process.is_alive():
            worker.process.kill()
            worker.process.join()


def _work(pipe: Connection, settings: Settings) -> None:
    """Run jobs from the pipe until it is closed; the main function of a worker process."""
    _prepare()
    make, last = Maker(settings), 0.0

    def report(what: str, done: int, total: int) -> None:
        nonlocal last
        now = time.monotonic()
        if what == "rendering" and now - last > _REPORT_SECONDS:
            last = now
            pipe.send((done, total))

    while True:
        try:
            job: Job = pipe.recv()
        except (EOFError, OSError):
            return
        pipe.send(make(job, report))


def _prepare() -> None:
    """Set signal handlers, and end with the parent process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is handled by the parent, which then stops its workers
    signal.signal(signal.SIGTERM, _leave)
    threading.Thread(target=_end_with_parent, name="parent", daemon=True).start()
    redirect_to_nowhere(2)  # the face tracker's native code prints notices there


_leaving = False


def _leave(*_: Any) -> None:
    """Exit by an exception, so that an unfinished video is removed; only once, see `fd2talk.processes`."""
    global _leaving
    if not _leaving:
        _leaving = True
        raise SystemExit


def _end_with_parent() -> None:
    """Exit when the parent has died; the next run removes unfinished videos."""
    parent = parent_process()
    if parent is not None:
        connection.wait([parent.sentinel])
        os._exit(1)
