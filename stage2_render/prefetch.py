"""Work done in threads, a little ahead of whoever takes the results, in order and in bounded memory."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Item, Result = TypeVar("Item"), TypeVar("Result")


def in_order(
    work: Callable[[Item], Result], items: Iterable[Item], *, workers: int, ahead: int, name: str
) -> Iterator[Result]:
    """Yield work(item) for every item, at most `ahead` results early; `items` are read in the taker's thread.

    workers, name: how many threads, and what they are called.
    """
    pending: deque[Future] = deque()
    pool = ThreadPoolExecutor(workers, thread_name_prefix=name)
    try:
        for item in items:
            pending.append(pool.submit(work, item))
            if len(pending) > ahead:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
    finally:  # also when the taker stops early
        pool.shutdown(cancel_futures=True)
