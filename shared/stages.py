"""Named stages of the work on a frame, which `fd2talk benchmark` times; nothing is recorded unless it asks."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from statistics import median


@dataclass(frozen=True)
class Times:
    """Seconds of wall-clock time, and of processor time of all threads of this process."""

    wall: float
    processor: float

    def __sub__(self, other: Times) -> Times:
        return Times(self.wall - other.wall, self.processor - other.processor)

    def __mul__(self, factor: float) -> Times:
        return Times(self.wall * factor, self.processor * factor)


class Stages:
    """The times of named stages, recorded while stages follow each other in one thread."""

    def __init__(self) -> None:
        self._times: defaultdict[str, list[tuple[Times, int]]] = defaultdict(list)

    def add(self, name: str, times: Times, frames: int) -> None:
        """Record one run of a stage over so many frames."""
        self._times[name].append((times, frames))

    def per_frame(self) -> dict[str, Times]:
        """Return the median over the runs of each stage, in seconds a frame."""
        return {
            name: Times(median(t.wall / n for t, n in runs), median(t.processor / n for t, n in runs))
            for name, runs in self._times.items()
        }

    def total(self) -> Times:
        """Return the sum over all stages and runs, in seconds."""
        runs = [times for several in self._times.values() for times, _ in several]
        return Times(sum(times.wall for times in runs), sum(times.processor for times in runs))


_recording: Stages | None = None


@contextmanager
def recorded() -> Iterator[Stages]:
    """Record the stages that run in the block."""
    global _recording
    before, _recording = _recording, Stages()
    try:
        yield _recording
    finally:
        _recording = before


@contextmanager
def stage(name: str, frames: int = 1, wait: Callable[[], object] = int) -> Iterator[None]:
    """Name what happens in the block, and the number of frames that it is for; stages do not contain each other.

    While stages are recorded, `wait` is called before and after, so that work which a device does later counts.
    """
    stages = _recording
    if stages is None:
        yield
        return
    wait()
    begun = now()
    yield
    wait()
    stages.add(name, now() - begun, frames)


def now() -> Times:
    """Return the times since some moment in the past: differences count."""
    return Times(time.perf_counter(), time.process_time())
