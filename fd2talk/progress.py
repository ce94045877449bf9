"""Progress bars on standard error, for people: silent when nobody is watching."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from tqdm import tqdm

_FORMAT = "{desc}: {percentage:3.0f}%|{bar}| {n_fmt}/{total_fmt} [{elapsed}, {remaining} left, {rate_fmt}]"


@contextmanager
def progress(total: int | None, what: str, unit: str = "frame") -> Iterator[tqdm]:
    """A bar with rate and time left; `.update()` counts one up, `.update_to(done, total)` says where one is."""
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


class _Bar(tqdm):
    def update_to(self, done: int, total: int) -> None:
        """For callers that count for themselves."""
        self.total = total
        self.update(done - self.n)
