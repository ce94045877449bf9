"""Starts the worker processes, and replaces those that crash, hang or make no progress."""

from __future__ import annotations

import dataclasses
import os
import threading
import time
from collections.abc import Callable

from fd2talk.service.errors import storing
from fd2talk.service.process import Process
from fd2talk.service.service import Service

_POLL_SECONDS = 0.2
_TIDY_SECONDS = 30.0


class Supervisor:
    """Watches the workers of a service, from a thread.

    Args:
        service: whose videos they make.
        engine: MODULE:NAME of what makes a video.
        weights: for the engine.
        device: likewise.
        workers: number of processes. A single one uses all cores; several share them.
    """

    def __init__(self, service: Service, engine: str, weights: str, device: str, workers: int = 1) -> None:
        self._service = service
        settings = {
            "folder": str(service.folders.folder), "engine": engine,
            "weights": weights if weights == "bundled" else os.path.abspath(weights), "device": device,
            "limits": dataclasses.asdict(service.limits), "start": service.start, "threads": _threads_of_each(workers),
        }  # fmt: skip
        self.processes = [Process(settings, service.folders.work) for _ in range(workers)]
        self._ended, self._lock = threading.Event(), threading.Lock()
        self._cancelled: dict[str, float] = {}  # lease -> time by which its worker must have abandoned it
        self._thread = threading.Thread(target=self._run, name="supervisor", daemon=True)
        service.wake, service.cancel, service.troubles = self.wake, self.cancel, self.troubles

    def troubles(self) -> list[str | None]:
        """For each worker, why it makes no videos, or None."""
        if not self._service.folders.has_room:
            return ["the disk is nearly full"] * len(self.processes)
        return [one.trouble for one in self.processes]

    def start(self) -> None:
        """Start the workers and the thread that watches them."""
        for one in self.processes:
            one.begin()
        self._thread.start()

    def wake(self) -> None:
        """Make idle workers look at the queue."""
        for one in self.processes:
            one.order("wake")

    def cancel(self, lease: str) -> None:
        """Give a worker some seconds to notice that its video was deleted; then it is killed."""
        with self._lock:
            self._cancelled[lease] = time.monotonic() + self._service.limits.cancel_seconds

    def stop(self, grace: float, hurry: Callable[[], bool] = lambda: False) -> None:
        """Stop the workers when their videos are finished; unfinished videos are queued again.

        Args:
            grace: seconds to wait for that.
            hurry: returns whether to stop waiting.
        """
        self._ended.set()
        if self._thread.is_alive():
            self._thread.join()
        for one in self.processes:
            one.order("stop")
        until = time.monotonic() + grace
        while any(one.runs() for one in self.processes) and time.monotonic() < until and not hurry():
            time.sleep(0.05)
        for one in self.processes:
            one.kill()
        for lost in self._service.leases.give_back():
            self._service.say(f"{lost.id} was under way and waits again")

    def _run(self) -> None:
        tidied = time.monotonic()
        while not self._ended.wait(_POLL_SECONDS):
            for one in self.processes:
                self._guarded(lambda one=one: self._check(one))  # type: ignore[misc]
            self._guarded(self._check_cancelled)
            if time.monotonic() - tidied > _TIDY_SECONDS:
                tidied = time.monotonic()
                self._guarded(self._service.tidy)

    def _guarded(self, look: Callable[[], None]) -> None:
        """Run one check; an error is logged, and neither stops the other checks nor the thread."""
        try:
            with storing():
                look()
        except Exception as error:  # a full disk, for example; the next round tries again
            self._service.say(f"cannot look after the videos: {error}")
            self._ended.wait(2)

    def _check(self, one: Process) -> None:
        if one.is_expected:
            return one.begin()
        if (how := one.ended()) is not None:
            return self._replace(one, how)
        seconds = self._service.limits.stall_seconds
        if not one.is_ending and (video := self._service.leases.stalled(one.name, seconds)) is not None:
            one.end(f"did not come further with it for {seconds:g} seconds")
            self._service.say(f"{video.id} does not come further; its process is ended")

    def _check_cancelled(self) -> None:
        """Kill workers that still make a video which was deleted `cancel_seconds` ago."""
        with self._lock:
            now = time.monotonic()
            late = [lease for lease, until in self._cancelled.items() if now > until]
            for lease in late:
                del self._cancelled[lease]
        for lease in late:
            if not (self._service.folders.work / lease).exists():  # it was abandoned in time
                continue
            for one in self.processes:
                if lease.startswith(f"{one.name}-") and not one.is_ending:
                    one.end("did not leave a video that was deleted")
                    self._service.say("a process does not leave a video that was deleted; it is ended")

    def _replace(self, one: Process, how: str) -> None:
        """Requeue or fail the video of a process that has ended, and remove its files."""
        service = self._service
        lost = service.leases.crashed(one.name, service.limits.crashes, how)
        for video in lost:
            service.say(f"{video.id}: {video.failed or f'the process that made it {how}; it waits again'}")
        service.sweep([other.name for other in self.processes if other is not one])
        if one.rest(blamed=not lost):
            service.say(f"{one.trouble}")
        if lost:
            self.wake()  # another one may have time for it


def _threads_of_each(workers: int) -> int | None:
    return None if workers == 1 else max((os.cpu_count() or 1) // workers, 1)
