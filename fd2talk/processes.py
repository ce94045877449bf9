"""The same work on many files, in as many processes as there are cores."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import active_children, get_context

from fd2talk.progress import progress
from shared.errors import Fd2TalkError


def in_processes(
    work: Callable,
    jobs: Iterable[tuple],
    workers: int | None,
    what: str,
    unit: str,
    *,
    start: Callable | None = None,
    given: tuple = (),
    failed: Callable[[int, Fd2TalkError], None] | None = None,
) -> list[object | None]:
    """`work(*job)` for every job, in order; a job that fails with one of our errors is reported and gives None.

    start: called once in each process with `given`, before any work. failed: told the number of a job that failed and
    why, after it has been reported on standard error. Whatever stops this process stops the others at their work.
    Raises Fd2TalkError: a process was killed.
    """
    jobs = list(jobs)
    results: list[object | None] = [None] * len(jobs)
    if not jobs:
        return results
    workers = min(workers or os.cpu_count() or 1, len(jobs))
    others = set(active_children())
    # Not forked: the tracker's native threads do not survive that.
    pool = ProcessPoolExecutor(workers, mp_context=get_context("spawn"), initializer=_start, initargs=(start, given))
    try:
        futures = {pool.submit(_work, work, job): index for index, job in enumerate(jobs)}
        with progress(len(jobs), what, unit) as bar:
            for future in as_completed(futures):
                try:
                    results[futures[future]] = future.result()
                except (BrokenProcessPool, SystemExit):
                    why = "a process died at its work, perhaps for want of memory (fewer --workers need less)"
                    raise Fd2TalkError(why) from None
                except Fd2TalkError as error:
                    bar.write(f"fd2talk: left out: {error}", file=sys.stderr)
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


def _work(work: Callable, job: tuple) -> object:
    if _stopped:  # one that had been handed over already
        raise SystemExit
    return work(*job)


def _stop(*_: object) -> None:
    """Leave by an exception, so that unfinished files are removed on the way out.

    Once: when a whole group of processes is told to stop, the parent's request follows, and would end the removing.
    """
    global _stopped
    if _stopped:
        return
    _stopped = True
    raise SystemExit


def _start(start: Callable | None, given: tuple) -> None:
    """One thread for each process; Ctrl-C is the parent's affair, which then asks to stop."""
    import cv2
    import torch

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, _stop)
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 2)  # the tracker's native code reports its start there
    os.close(null)
    if start:
        start(*given)
