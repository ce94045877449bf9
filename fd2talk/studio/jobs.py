"""A bounded queue of jobs, run one at a time: one per visitor, cancelled when they leave."""

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


class HandedOver(Cancelled):
    """The job goes on, but another iterator follows it now, as after a reload."""


class Busy(UsageError):
    """The visitor has a job already.

    Args:
        doing: what that job does, as a sentence.
        here: whether it was begun on the same page.
    """

    def __init__(self, doing: str, here: bool) -> None:
        self.here = here
        where = "" if here else " of another window"
        super().__init__(f"you have a job already: {doing}{where}; wait for it, or stop it first")


@dataclass(frozen=True)
class Waiting:
    """The job is queued; `ahead` jobs come first, at least one."""

    ahead: int


@dataclass(frozen=True)
class Progress:
    """Progress of a job: its stage, the steps done, and their number (0: unknown)."""

    what: str
    done: int = 0
    total: int = 0


@dataclass(frozen=True)
class Shown:
    """An intermediate result, to be shown while the job goes on."""

    value: Any


@dataclass(frozen=True)
class Finished(Generic[T]):
    """The result of the job, the last event."""

    value: T


class Report:
    """Reports the progress of a job. Every call raises `Cancelled` if the job was cancelled."""

    def __init__(self, send: Callable[[Any], None], stops: threading.Event) -> None:
        self._send, self._stops = send, stops

    def __call__(self, what: str, done: int = 0, total: int = 0) -> None:
        """Report progress."""
        self.check()
        self._send(Progress(what, done, total))

    def show(self, value: Any) -> None:
        """Report an intermediate result."""
        self.check()
        self._send(Shown(value))

    def check(self) -> None:
        """Raises Cancelled: the job was cancelled."""
        if self._stops.is_set():
            raise Cancelled


@dataclass(eq=False)
class _Job:
    visitor: str
    page: str
    work: Callable[[Report], Any]
    doing: str
    gives_way: bool
    stays: bool
    stops: threading.Event = field(default_factory=threading.Event)
    cancelled: bool = False
    events: queue.SimpleQueue = field(default_factory=queue.SimpleQueue)
    last: Any = None
    shown: list[Shown] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def send(self, event: Any) -> None:
        """Send an event to the iterator that follows the job."""
        with self.lock:
            if isinstance(event, Shown):
                self.shown.append(event)
            else:
                self.last = event
            self.events.put(event)

    def handed_over(self) -> queue.SimpleQueue:
        """End the current iterator, and return the queue of a new one, with the last events to begin with."""
        with self.lock:
            self.events.put(HandedOver())
            self.events = queue.SimpleQueue()
            for event in [*self.shown, *([self.last] if self.last else [])]:
                self.events.put(event)
            return self.events


class Jobs:
    """A queue and the thread that runs its jobs, one at a time, as a single video uses all cores.

    Args:
        waiting: jobs that may be queued; further ones are refused.
    """

    def __init__(self, waiting: int) -> None:
        self._most = waiting
        self._queue: deque[_Job] = deque()
        self._running: _Job | None = None
        self._changed, self._closed = threading.Condition(), False
        self._thread = threading.Thread(target=self._work_off, name="studio-jobs", daemon=True)
        self._thread.start()

    def run(
        self,
        visitor: str,
        page: str,
        work: Callable[[Report], T],
        doing: str = "it is done",
        gives_way: bool = False,
        stays: bool = False,
    ) -> Iterator[Any]:
        """Queue a job, and follow it. Closing the iterator cancels the job, unless it `stays`.

        Args:
            visitor: whose job it is; a visitor may have one job, and one more that gives way.
            page: on which it was begun.
            work: called in the thread of the queue.
            doing: what it does and where, as a sentence for the error `Busy`.
            gives_way: the job can be preempted by another one of the visitor: it is cancelled and queued again behind
                that, so that `work` may be called again. A later preemptible job of the same page replaces it.
            stays: it goes on when its iterator is closed; use `follow` and `cancel` for it.

        Yields:
            `Waiting`, `Progress` and `Shown`, and at the end `Finished`. Unread `Waiting` and `Progress` are skipped.

        Raises:
            Busy: the visitor has a job already.
            UsageError: the queue is full.
            Cancelled: the job was cancelled.
            HandedOver: another iterator follows it now (`follow`).
            Exception: what `work` raises.
        """
        job = _Job(visitor, page, work, doing, gives_way, stays)
        events = job.events
        with self._changed:
            if self._closed:
                raise Cancelled
            own = [other for other in self._jobs() if other.visitor == visitor]
            for other in own:
                if other.gives_way == gives_way and not (gives_way and other.page == page):
                    raise Busy(other.doing, other.page == page)
            behind = [other for other in own if other.gives_way and other in self._queue]
            if len(self._queue) - len(behind) >= self._most:
                raise UsageError(f"busy: {self._most} jobs are waiting already, try again in a minute")
            for other in behind:
                self._queue.remove(other)
            self._queue.append(job)
            for other in own:
                if gives_way and other.gives_way:  # replaced by this one
                    other.cancelled = True
                    if other in behind:
                        other.send(Cancelled())
                elif other in behind:
                    self._queue.append(other)
                if other.gives_way:
                    other.stops.set()  # unless it is cancelled, `_work_off` queues it again
            self._changed.notify_all()
            self._send_positions()
        yield from self._events(job, events)

    def follow(self, visitor: str, page: str, doing: str) -> Iterator[Any] | None:
        """Follow a job of a page with this `doing`; the iterator that followed it so far raises `HandedOver`.

        Returns:
            An iterator as of `run`, which repeats the last events first. None: there is no such job.
        """
        with self._changed:
            for job in self._jobs():
                if (job.visitor, job.page, job.doing) == (visitor, page, doing):
                    return self._events(job, job.handed_over())
        return None

    def cancel(self, visitor: str, page: str | None = None, doing: str | None = None) -> None:
        """Cancel the jobs of a visitor, of all pages or of one, of any kind or with this `doing`."""
        with self._changed:
            own = [job for job in self._jobs() if job.visitor == visitor]
            jobs = [job for job in own if page in (None, job.page) and doing in (None, job.doing)]
        for job in jobs:
            self._cancel(job)

    def cancel_first(self, visitor: str) -> None:
        """Cancel the job of a visitor, but not a preemptible one that waits for it."""
        with self._changed:
            own = [job for job in self._jobs() if job.visitor == visitor]
            jobs = [job for job in own if not job.gives_way] or own
        for job in jobs:
            self._cancel(job)

    def close(self) -> None:
        """Cancel all jobs, and wait for the thread to end."""
        with self._changed:
            self._closed = True
            jobs = self._jobs()
            self._changed.notify_all()
        for job in jobs:
            self._cancel(job)
        self._thread.join(timeout=30)

    def has(self, visitor: str, page: str, doing: str) -> bool:
        """Whether a page has a job with this `doing`."""
        with self._changed:
            return any((job.visitor, job.page, job.doing) == (visitor, page, doing) for job in self._jobs())

    @property
    def busy(self) -> bool:
        """Whether a job is running."""
        return self._running is not None

    def _events(self, job: _Job, events: queue.SimpleQueue) -> Iterator[Any]:
        try:
            while True:
                event = events.get()
                while isinstance(event, (Waiting, Progress)) and not events.empty():
                    event = events.get()
                if isinstance(event, BaseException):
                    raise event
                yield event
                if isinstance(event, Finished):
                    return
        finally:
            if not job.stays:
                self._cancel(job)

    def _jobs(self) -> list[_Job]:
        return [*self._queue, *([self._running] if self._running else [])]

    def _cancel(self, job: _Job) -> None:
        with self._changed:
            job.cancelled = True
            job.stops.set()
            if job in self._queue:
                self._queue.remove(job)
                job.send(Cancelled())
                self._send_positions()

    def _send_positions(self) -> None:
        running = self._running is not None and not self._running.stops.is_set()
        for place, job in enumerate(self._queue):
            ahead = place + running
            job.send(Waiting(ahead) if ahead else Progress("starting"))

    def _work_off(self) -> None:
        while True:
            with self._changed:
                self._running = None
                self._changed.wait_for(lambda: self._queue or self._closed)
                if self._closed:
                    return
                job = self._running = self._queue.popleft()
                self._send_positions()
                job.stops.clear()  # set if it was preempted while it was queued
            try:
                result: Any = Finished(job.work(Report(job.send, job.stops)))
                if job.cancelled:
                    result = Cancelled()
            except BaseException as error:  # raised again by the iterator that follows the job
                result = error
            with self._changed:  # before the result is sent: its receiver may begin the next job at once
                self._running = None
                requeued = isinstance(result, Cancelled) and job.stops.is_set() and not (job.cancelled or self._closed)
                if requeued:
                    self._queue.append(job)
                    self._send_positions()
            if not requeued:
                job.send(result)
            del job, result  # frees their memory while the thread waits
