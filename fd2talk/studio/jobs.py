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


class HandedOver(Cancelled):
    """The job goes on, but somebody else follows it now."""


class Busy(UsageError):
    """The visitor has a job already.

    Args:
        doing: what it does, and in which tab, in words.
        here: whether it was begun on the page that asks for another.
    """

    def __init__(self, doing: str, here: bool) -> None:
        self.here = here
        where = "" if here else " of another window"
        super().__init__(f"you have a job already: {doing}{where}; wait for it, or stop it first")


@dataclass(frozen=True)
class Waiting:
    """So many jobs come first, at least one."""

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

    def __init__(self, tell: Callable[[Any], None], stops: threading.Event) -> None:
        self._tell, self._stops = tell, stops

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
    news: queue.SimpleQueue = field(default_factory=queue.SimpleQueue)
    last: Any = None
    shown: list[Shown] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def tell(self, new: Any) -> None:
        """Tell whoever follows it."""
        with self.lock:
            if isinstance(new, Shown):
                self.shown.append(new)
            else:
                self.last = new
            self.news.put(new)

    def handed_over(self) -> queue.SimpleQueue:
        """News from here on are for somebody else, who is told first what there was to see."""
        with self.lock:
            self.news.put(HandedOver())
            self.news = queue.SimpleQueue()
            for new in [*self.shown, *([self.last] if self.last else [])]:
                self.news.put(new)
            return self.news


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

    def run(
        self,
        visitor: str,
        page: str,
        work: Callable[[Report], T],
        doing: str = "it is done",
        gives_way: bool = False,
        stays: bool = False,
    ) -> Iterator[Any]:
        """Queue a job, and follow it. When the iterator is closed, the job stops, unless it `stays`.

        Args:
            visitor: who asks; they may have one job at a time, and one that gives way for it.
            page: on which.
            work: called in the thread of the queue.
            doing: what it does and where, as a sentence, for a visitor who asks for another job.
            gives_way: a job of the visitor that does not comes first. This one stops for it and is begun anew behind
                it: `work` may be called again. A later one of the same page that gives way takes its place.
            stays: it goes on when nobody follows it; `follow` and `cancel` reach it.

        Yields:
            `Waiting`, `Progress` and `Shown`, as they come; of several that wait to be read only the last, but for
            `Shown`. At last `Finished`.

        Raises:
            Busy: the visitor has a job already.
            UsageError: the queue is full.
            Cancelled: the job was stopped.
            HandedOver: it goes on, and somebody else follows it (`follow`).
            Exception: what `work` raises.
        """
        job = _Job(visitor, page, work, doing, gives_way, stays)
        news = job.news
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
                if gives_way and other.gives_way:  # its page has begun this one instead
                    other.cancelled = True
                    if other in behind:
                        other.tell(Cancelled())
                elif other in behind:
                    self._queue.append(other)
                if other.gives_way:
                    other.stops.set()  # if it is not cancelled, it is queued again as soon as it has stopped
            self._changed.notify_all()
            self._tell_positions()
        yield from self._news(job, news)

    def follow(self, visitor: str, page: str, doing: str) -> Iterator[Any] | None:
        """Follow the job of a page that does this, from here on; who followed it so far gets `HandedOver`.

        Returns:
            What `run` yields; first of all what there was to see so far. None: there is no such job.
        """
        with self._changed:
            for job in self._jobs():
                if (job.visitor, job.page, job.doing) == (visitor, page, doing):
                    return self._news(job, job.handed_over())
        return None

    def cancel(self, visitor: str, page: str | None = None, doing: str | None = None) -> None:
        """Stop the jobs of a visitor; with `page` only those that were begun there, with `doing` that do this."""
        with self._changed:
            own = [job for job in self._jobs() if job.visitor == visitor]
            jobs = [job for job in own if page in (None, job.page) and doing in (None, job.doing)]
        for job in jobs:
            self._cancel(job)

    def cancel_first(self, visitor: str) -> None:
        """Stop the job of a visitor; what gave way for it stays, and goes on."""
        with self._changed:
            own = [job for job in self._jobs() if job.visitor == visitor]
            jobs = [job for job in own if not job.gives_way] or own
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

    def has(self, visitor: str, page: str, doing: str) -> bool:
        """Whether a page has a job that does this."""
        with self._changed:
            return any((job.visitor, job.page, job.doing) == (visitor, page, doing) for job in self._jobs())

    @property
    def busy(self) -> bool:
        """Whether a job is running."""
        return self._running is not None

    def _news(self, job: _Job, news: queue.SimpleQueue) -> Iterator[Any]:
        try:
            while True:
                new = news.get()
                while isinstance(new, (Waiting, Progress)) and not news.empty():
                    new = news.get()
                if isinstance(new, BaseException):
                    raise new
                yield new
                if isinstance(new, Finished):
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
                job.tell(Cancelled())
                self._tell_positions()

    def _tell_positions(self) -> None:
        running = self._running is not None and not self._running.stops.is_set()
        for place, job in enumerate(self._queue):
            ahead = place + running
            job.tell(Waiting(ahead) if ahead else Progress("starting"))

    def _work_off(self) -> None:
        while True:
            with self._changed:
                self._running = None
                self._changed.wait_for(lambda: self._queue or self._closed)
                if self._closed:
                    return
                job = self._running = self._queue.popleft()
                self._tell_positions()
                job.stops.clear()  # it had given way while it waited
            try:
                result: Any = Finished(job.work(Report(job.tell, job.stops)))
                if job.cancelled:
                    result = Cancelled()
            except BaseException as error:  # whatever it is belongs to the one who waits for it
                result = error
            with self._changed:  # who has the result may begin the next job at once
                self._running = None
                again = isinstance(result, Cancelled) and job.stops.is_set() and not (job.cancelled or self._closed)
                if again:
                    self._queue.append(job)
                    self._tell_positions()
            if not again:
                job.tell(result)
            del job, result  # the thread shall not keep them while it waits for the next one
