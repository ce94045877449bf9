"""Runs a function for many jobs in a pool of processes."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import active_children, get_context
from typing import TypeVar

from fd2talk.progress import progress
from fd2talk.terminal import redirect_to_nowhere
from shared.errors import Fd2TalkError
from shared.orphans import end_with_parent

_Result = TypeVar("_Result")


def in_processes(
    work: Callable[..., _Result],
    jobs: Iterable[tuple],
    workers: int | None,
    what: str,
    unit: str,
    *,
    start: Callable | None = None,
    given: tuple = (),
    failed: Callable[[int, Fd2TalkError], None] | None = None,
) -> list[_Result | None]:
    """Call `work(*job)` for every job. The workers end with this process, also if it is killed.

    Args:
        work: a function that other processes can import.
        jobs: its arguments.
        workers: number of processes; None for one per CPU core.
        what: what is being done, for the progress bar.
        unit: name of one job, likewise.
        start: called once in each process, before any work.
        given: its arguments.
        failed: called with the index and the error of a job that failed, after this was reported on standard error.

    Returns:
        The results in the order of the jobs; None for a job that raised Fd2TalkError.

    Raises:
        Fd2TalkError: a worker process was killed.
    """
    jobs = list(jobs)
    results: list[_Result | None] = [None] * len(jobs)
    if not jobs:
        return results
    workers = min(workers or os.cpu_count() or 1, len(jobs))
    others = set(active_children())
    # Not forked: the native threads of the face tracker would not work in the child.
    pool = ProcessPoolExecutor(workers, mp_context=get_context("spawn"), initializer=_start, initargs=(start, given))
    try:
        futures = {pool.submit(_work, work, job): index for index, job in enumerate(jobs)}
        with progress(len(jobs), what, unit) as bar:
            for future in as_completed(futures):
                try:
                    results[futures[future]] = future.result()
                except (BrokenProcessPool, SystemExit):
                    why = "a worker process was killed, possibly out of memory; try fewer --workers"
                    raise Fd2TalkError(why) from None
                except Fd2TalkError as error:
                    bar.tell(f"left out: {error}")
                    if failed:
                        failed(futures[future], error)
                bar.update()
    except BaseException:
        for process in set(active_children()) - others:
            process.terminate()
        raise
    finally:
        pool.shutdown(cancel_futures=True)
    return results


_stopped = False


def _work(work: Callable[..., _Result], job: tuple) -> _Result:
    if _stopped:  # the pool had already passed this job to the process
        raise SystemExit
    return work(*job)


def _stop(*_: object) -> None:
    """Leave by an exception, so that unfinished files are removed.

    Only once: a scheduler may stop the whole process group, and then the parent's request follows and would interrupt
    the clean-up.
    """
    global _stopped
    if _stopped:
        return
    _stopped = True
    raise SystemExit


def _start(start: Callable | None, given: tuple) -> None:
    """Prepare a worker process: one thread, and Ctrl-C is handled by the parent, which then stops its workers."""
    import cv2
    import torch

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, _stop)
    end_with_parent()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    redirect_to_nowhere(2)  # the face tracker's native code prints notices there
    if start:
        start(*given)
