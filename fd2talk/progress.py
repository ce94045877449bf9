"""Progress bars on standard error, shown only on a terminal."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from typing import TypeVar

from tqdm import tqdm

T = TypeVar("T")
_FORMAT = "{desc}: {percentage:3.0f}%|{bar}| {n_fmt}/{total_fmt} [{elapsed}, {remaining} left, {rate_fmt}]"


@contextmanager
def progress(total: int | None, what: str, unit: str = "frame") -> Iterator[_Bar]:
    """Show a bar with rate and time left.

    Args:
        total: number of units; None while it is unknown.
        what: what is being done.
        unit: name of one unit.

    Yields:
        The bar: `update()` counts one more unit, `update_to(done, total)` sets both numbers.
    """
    bar = _Bar(
        total=total,
        desc=what,
        unit=unit,
        file=sys.stderr,
        disable=not sys.stderr.isatty(),
        dynamic_ncols=True,
        mininterval=0.2,
        bar_format=_FORMAT if total else None,
    )
    with bar:
        yield bar


def counted(items: Iterable[T], total: int, what: str) -> Iterator[T]:
    """Pass on what an iterable yields, while a bar counts it."""
    with closing(iter(items)) as iterator, progress(total, what) as bar:
        for item in iterator:
            yield item
            bar.update()


class _Bar(tqdm):
    def update_to(self, done: int, total: int) -> None:
        """Set the number of units that are done, and of all units."""
        self.total = total
        self.update(done - self.n)
