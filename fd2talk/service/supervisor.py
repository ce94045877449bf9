"""Starts the processes that make videos, notices when one ends, hangs or stands still, and starts another one."""

from __future__ import annotations

import dataclasses
import os
import threading
import time
from collections.abc import Callable

from fd2talk.service.errors import storing
from fd2talk.service.process import Process
from fd2talk.service.service import Service

_SECONDS_BETWEEN_LOOKS = 0.2
_SECONDS_BETWEEN_TIDYING = 30.0


class Supervisor:
    """Watches the processes that make the videos of a service, from a thread.

    Args:
        service: whose videos.
        engine: what makes them, MODULE:NAME.
        weights: for it.
        device: likewise.
        workers: number of processes. One alone may use the whole computer; of several, each has its share of the cores.
    """

    def __init__(self, service: Service, engine: str, weights: str, device: str, workers: int = 1) -> None:
        self._service = service
        settings = {
            "folder": str(service.folders.folder), "engine": engine,
            "weights": weights if weights == "bundled" else os.path.abspath(weights), "device": device,
            "limits": dataclasses.asdict(service.limits), "start": service.start, "threads": _share(workers),
        }  # fmt: skip
        self.processes = [Process(settings, service.folders.work) for _ in range(workers)]
        self._ended, self._lock = threading.Event(), threading.Lock()
        self._cancelled: dict[str, float] = {}  # leases, and until when they must have been left
        self._thread = threading.Thread(target=self._run, name="supervisor", daemon=True)
        service.wake, service.cancel, service.troubles = self.wake, self.cancel, self.troubles

    def troubles(self) -> list[str | None]:
        """For each process, why it makes no videos, or None."""
        if not self._service.folders.has_room:
            return ["the disk is nearly full"] * len(self.processes)
        return [one.trouble for one in self.processes]

    def start(self) -> None:
        """Begin."""
        for one in self.processes:
            one.begin()
        self._thread.start()

    def wake(self) -> None:
        """Tell the processes to look for videos."""
        for one in self.processes:
            one.order("wake")

    def cancel(self, lease: str) -> None:
        """Have work left that is not wanted any more; its process notices, unless it hangs."""
        with self._lock:
            self._cancelled[lease] = time.monotonic() + self._service.limits.cancel_seconds

    def stop(self, grace: float, hurry: Callable[[], bool] = lambda: False) -> None:
        """End each process when it has finished the video that it makes; after that time the video waits again.

        Args:
            grace: seconds.
            hurry: whether to wait no longer.
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
        while not self._ended.wait(_SECONDS_BETWEEN_LOOKS):
            for one in self.processes:
                self._try(lambda one=one: self._look(one))  # type: ignore[misc]
            self._try(self._look_at_cancelled)
            if time.monotonic() - tidied > _SECONDS_BETWEEN_TIDYING:
                tidied = time.monotonic()
                self._try(self._service.tidy)

    def _try(self, look: Callable[[], None]) -> None:
        """One of several things to look after; what goes wrong with it is tried again, and does not stop the others."""
        try:
            with storing():
                look()
        except Exception as error:  # a full disk: nothing was written down
            self._service.say(f"cannot look after the videos: {error}")
            self._ended.wait(2)

    def _look(self, one: Process) -> None:
        if one.is_expected:
            return one.begin()
        if (how := one.ended()) is not None:
            return self._replace(one, how)
        seconds = self._service.limits.stall_seconds
        if not one.is_ending and (video := self._service.leases.stalled(one.name, seconds)) is not None:
            one.end(f"did not come further with it for {seconds:g} seconds")
            self._service.say(f"{video.id} does not come further; its process is ended")

    def _look_at_cancelled(self) -> None:
        """End a process that still has a video which was deleted a while ago."""
        with self._lock:
            now = time.monotonic()
            late = [lease for lease, until in self._cancelled.items() if now > until]
            for lease in late:
                del self._cancelled[lease]
        for lease in late:
            if not (self._service.folders.work / lease).exists():  # it was left in time
                continue
            for one in self.processes:
                if lease.startswith(f"{one.name}-") and not one.is_ending:
                    one.end("did not leave a video that was deleted")
                    self._service.say("a process does not leave a video that was deleted; it is ended")

    def _replace(self, one: Process, how: str) -> None:
        """Have its video made again, or given up, and remove what it has left."""
        service = self._service
        lost = service.leases.crashed(one.name, service.limits.crashes, how)
        for video in lost:
            service.say(f"{video.id}: {video.failed or f'the process that made it {how}; it waits again'}")
        service.sweep([other.name for other in self.processes if other is not one])
        if one.rest(blamed=not lost):
            service.say(f"{one.trouble}")
        if lost:
            self.wake()  # another one may have time for it


def _share(workers: int) -> int | None:
    return None if workers == 1 else max((os.cpu_count() or 1) // workers, 1)
