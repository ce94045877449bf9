"""Work that takes seconds: one job at a time, a bounded queue, one job a visitor, and an end when they leave."""

from __future__ import annotations

import queue
import threading
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from shared.errors import Fd2TalkError, UsageError

T = TypeVar("T")


class Cancelled(Fd2TalkError):
    """The visitor stopped the job, or left."""

    def __init__(self) -> None:
        super().__init__("stopped")


@dataclass(frozen=True)
class Waiting:
    """So many jobs come first."""

    ahead: int


@dataclass(frozen=True)
class Progress:
    """How far a job is: what it does, how many steps of it are done, and of how many (0: not known)."""

    what: str
    done: int = 0
    total: int = 0


@dataclass(frozen=True)
class Shown:
    """Something that can be shown while the job goes on."""

    value: Any


@dataclass(frozen=True)
class Finished(Generic[T]):
    """The result, the last that comes."""

    value: T


class Report:
    """How work tells how far it is. Every call raises `Cancelled` once nobody waits for the result any more."""

    def __init__(self, tell: Callable[[Any], None], cancelled: threading.Event) -> None:
        self._tell, self._cancelled = tell, cancelled

    def __call__(self, what: str, done: int = 0, total: int = 0) -> None:
        """So much of something is done."""
        self.check()
        self._tell(Progress(what, done, total))

    def show(self, value: Any) -> None:
        """This can be shown already."""
        self.check()
        self._tell(Shown(value))

    def check(self) -> None:
        """Go on? Raises Cancelled: no."""
        if self._cancelled.is_set():
            raise Cancelled


@dataclass(eq=False)
class _Job:
    visitor: str
    page: str
    work: Callable[[Report], Any]
    cancelled: threading.Event = field(default_factory=threading.Event)
    news: queue.SimpleQueue = field(default_factory=queue.SimpleQueue)


class Jobs:
    """A queue with a thread that works it off; two cores render one video faster than two at once.

    Args:
        waiting: jobs that may wait; further ones are refused.
    """

    def __init__(self, waiting: int) -> None:
        self._most = waiting
        self._queue: deque[_Job] = deque()
        self._running: _Job | None = None
        self._changed, self._closed = threading.Condition(), False
        self._thread = threading.Thread(target=self._work_off, name="studio-jobs", daemon=True)
        self._thread.start()

    def run(self, visitor: str, page: str, work: Callable[[Report], T]) -> Iterator[Any]:
        """Queue a job, and follow it. When the iterator is closed, the job stops.

        Args:
            visitor: who asks; they may have one job at a time.
            page: on which.
            work: called in the thread of the queue.

        Yields:
            `Waiting`, `Progress` and `Shown`, as they come; of several that wait to be read only the last, but for
            `Shown`. At last `Finished`.

        Raises:
            UsageError: the visitor has a job already, or the queue is full.
            Cancelled: the job was stopped.
            Exception: what `work` raises.
        """
        job = _Job(visitor, page, work)
        with self._changed:
            if self._closed:
                raise Cancelled
            if any(other.visitor == visitor for other in self._jobs()):
                raise UsageError("you have a job already: wait for it, or stop it first")
            if len(self._queue) >= self._most:
                raise UsageError(f"busy: {self._most} jobs are waiting already, try again in a minute")
            self._queue.append(job)
            self._changed.notify_all()
            self._tell_positions()
        try:
            while True:
                news = job.news.get()
                while isinstance(news, (Waiting, Progress)) and not job.news.empty():
                    news = job.news.get()
                if isinstance(news, BaseException):
                    raise news
                yield news
                if isinstance(news, Finished):
                    return
        finally:
            self._cancel(job)

    def cancel(self, visitor: str, page: str | None = None) -> None:
        """Stop the job of a visitor; with `page` only if it was begun there."""
        with self._changed:
            jobs = [job for job in self._jobs() if job.visitor == visitor and page in (None, job.page)]
        for job in jobs:
            self._cancel(job)

    def close(self) -> None:
        """Stop everything, and wait for it."""
        with self._changed:
            self._closed = True
            jobs = self._jobs()
            self._changed.notify_all()
        for job in jobs:
            self._cancel(job)
        self._thread.join(timeout=30)

    @property
    def busy(self) -> bool:
        """Whether a job is running."""
        return self._running is not None

    def _jobs(self) -> list[_Job]:
        return [*self._queue, *([self._running] if self._running else [])]

    def _cancel(self, job: _Job) -> None:
        job.cancelled.set()
        with self._changed:
            if job in self._queue:
                self._queue.remove(job)
                job.news.put(Cancelled())
                self._tell_positions()

    def _tell_positions(self) -> None:
        for place, job in enumerate(self._queue):
            job.news.put(Waiting(place + (self._running is not None)))

    def _work_off(self) -> None:
        while True:
            with self._changed:
                self._running = None
                self._changed.wait_for(lambda: self._queue or self._closed)
                if self._closed:
                    return
                job = self._running = self._queue.popleft()
                self._tell_positions()
            try:
                result: Any = Finished(job.work(Report(job.news.put, job.cancelled)))
                if job.cancelled.is_set():
                    result = Cancelled()
            except BaseException as error:  # whatever it is belongs to the one who waits for it
                result = error
            with self._changed:  # who has the result may begin the next job at once
                self._running = None
            job.news.put(result)
            del job, result  # the thread shall not keep them while it waits for the next one
