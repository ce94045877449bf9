"""Work in threads, ahead of the consumer: ordered results in bounded memory."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Event
from typing import TypeVar

Result = TypeVar("Result")


def prefetch_map(
    work: Callable[..., Result],
    *iterables: Iterable,
    workers: int,
    prefetch: int,
    name: str,
    stop: Event | None = None,
) -> Iterator[Result]:
    """Apply `work` to the items of the iterables as `map` does, in threads.

    Args:
        work: called in the threads.
        iterables: read in the consumer's thread.
        workers: number of threads; 0: each item in the consumer's thread, when it is asked for.
        prefetch: most results that are computed before the consumer asks for them.
        name: prefix of the threads' names.
        stop: set when the consumer stops, so that work that takes long can stop too.

    Yields:
        The results in order.
    """
    if workers == 0:
        yield from map(work, *iterables)
        return
    pending: deque[Future] = deque()
    pool = ThreadPoolExecutor(workers, thread_name_prefix=name)
    try:
        for items in zip(*iterables):
            pending.append(pool.submit(work, *items))
            if len(pending) > prefetch:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
    finally:  # also when the consumer stops early
        if stop is not None:
            stop.set()
        pool.shutdown(cancel_futures=True)
