"""Progress on standard error: a bar on a terminal, elsewhere a line every half minute."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from typing import TypeVar

from tqdm import tqdm

from fd2talk.terminal import commands, printable, say, seconds_of_silence

T = TypeVar("T")
_FORMAT = "{desc}: {percentage:3.0f}%|{bar}| {n_fmt}/{total_fmt} [{elapsed}, {remaining} left, {rate_fmt}]"

SECONDS_BETWEEN_LINES = 30.0
"""Without a terminal."""


@contextmanager
def progress(total: int | None, what: str, unit: str = "frame") -> Iterator[_Bar | _Lines]:
    """Show a bar with rate and time left, or say from time to time how much is done where there is no terminal.

    Args:
        total: number of units; None while it is unknown.
        what: what is being done.
        unit: name of one unit.

    Yields:
        `update()` counts one more unit, `update_to(done, total)` sets both numbers, `tell(line)` prints a line.
    """
    if sys.stderr.isatty():
        shape = _FORMAT if total else None
        with _Bar(
            total=total, desc=what, unit=unit, file=sys.stderr, dynamic_ncols=True, mininterval=0.2, bar_format=shape
        ) as bar:
            yield bar
        return
    with closing(_Lines(total, what, unit)) as lines:
        yield lines


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

    def tell(self, line: str) -> None:
        """Print a line above the bar."""
        self.write(f"fd2talk: {printable(line)}", file=sys.stderr)


class _Lines:
    """A line whenever the command has said nothing for half a minute, from a thread: one step may take longer."""

    def __init__(self, total: int | None, what: str, unit: str) -> None:
        self._done, self._total, self._what, self._unit = 0, total, what, unit
        self._closed, self._command = threading.Event(), commands()
        self._thread = threading.Thread(target=self._run, name="progress", daemon=True)
        self._thread.start()

    def update(self, count: int = 1) -> None:
        """Count further units."""
        self._done += count

    def update_to(self, done: int, total: int) -> None:
        """Set the number of units that are done, and of all units."""
        self._done, self._total = done, total

    def tell(self, line: str) -> None:
        """Print a line."""
        say(line, 0)

    def close(self) -> None:
        """Stop."""
        self._closed.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._closed.wait(max(SECONDS_BETWEEN_LINES - seconds_of_silence(), 0.01)):
            if commands() != self._command:  # a signal may end it before `close` is called
                return
            if seconds_of_silence() >= SECONDS_BETWEEN_LINES:
                share = f"{100 * self._done / self._total:.0f} % of {self._total}" if self._total else f"{self._done}"
                say(f"{self._what}: {share} {self._unit}s" if self._done or self._total else f"{self._what} ...", 0)
