"""Starts the process that makes videos, notices when it ends, and starts it again."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from fd2talk.service.errors import storing
from fd2talk.service.service import Service

_ROOT = Path(__file__).parents[2]
_LONGEST_PAUSE = 30.0
_SECONDS_BETWEEN_LOOKS = 0.2
_SECONDS_BETWEEN_TIDYING = 30.0
_SECONDS_OF_HEALTH = 10.0  # that the process lives, after which nothing is wrong with it any more
_FULL = 28  # see `fd2talk.service.worker`; not imported from there, as that is another program


class Supervisor:
    """Watches the process that makes the videos of a service, from a thread.

    Args:
        service: whose videos.
        engine: what makes them, MODULE:NAME.
        weights: for it.
        device: likewise.
    """

    def __init__(self, service: Service, engine: str, weights: str, device: str) -> None:
        self._service = service
        settings = {
            "folder": str(service.folders.folder), "engine": engine,
            "weights": weights if weights == "bundled" else os.path.abspath(weights), "device": device,
            "limits": dataclasses.asdict(service.limits), "start": service.start,
        }  # fmt: skip
        self._command = [sys.executable, "-m", "fd2talk.service.worker", json.dumps(settings)]
        self.process: subprocess.Popen[str] | None = None
        self._lock = threading.Lock()
        self._ended, self._failures = threading.Event(), 0
        self._cancelled: dict[str, float] = {}  # leases, and until when they must have been left
        self._reason: str | None = None  # why the process was ended from here
        self._begun = 0.0
        self._trouble: str | None = None
        self._thread = threading.Thread(target=self._run, name="supervisor", daemon=True)
        service.wake, service.cancel, service.trouble = self.wake, self.cancel, lambda: self.trouble

    @property
    def trouble(self) -> str | None:
        """Why no videos are being made, or None."""
        if not self._service.folders.has_room:
            return "the disk is nearly full"
        return self._trouble

    def start(self) -> None:
        """Begin."""
        self._begin()
        self._thread.start()

    def wake(self) -> None:
        """Tell the process to look for videos."""
        self._order("wake")

    def cancel(self, lease: str) -> None:
        """Have work left that is not wanted any more; the process notices, unless it hangs."""
        self._cancelled[lease] = time.monotonic() + self._service.limits.cancel_seconds

    def stop(self, grace: float, hurry: Callable[[], bool] = lambda: False) -> None:
        """End the process when it has finished the video that it makes; after that time the video waits again.

        Args:
            grace: seconds.
            hurry: whether to wait no longer.
        """
        self._ended.set()
        if self._thread.is_alive():
            self._thread.join()
        self._order("stop")
        until = time.monotonic() + grace
        process = self.process
        if process is not None:
            while process.poll() is None and time.monotonic() < until and not hurry():
                time.sleep(0.05)
            process.kill()
            process.wait()
        for lost in self._service.leases.give_back():
            self._service.say(f"{lost.id} was under way and waits again")

    def _begin(self) -> None:
        environment = {name: value for name, value in os.environ.items() if name != "FD2TALK_TOKEN"}
        # It works in a folder where no file has the name of a style; paths that are relative here lead to the same.
        environment["PYTHONPATH"] = _absolute([str(_ROOT), *os.environ.get("PYTHONPATH", "").split(os.pathsep)])
        if models := os.environ.get("FD2TALK_MODELS"):
            environment["FD2TALK_MODELS"] = _absolute(models.split(os.pathsep))
        new_group: dict[str, Any] = {"start_new_session": True}  # Ctrl-C is for this process
        if os.name == "nt":
            new_group = {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP}  # type: ignore[attr-defined]
        self._begun = time.monotonic()
        with self._lock:
            self.process = subprocess.Popen(
                self._command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=_stderr(), text=True,
                env=environment, cwd=self._service.folders.work, **new_group,
            )  # fmt: skip

    def _order(self, line: str) -> None:
        with self._lock:
            process = self.process
            try:
                if process is not None and process.stdin is not None:
                    process.stdin.write(f"{line}\n")
                    process.stdin.flush()
            except (OSError, ValueError):  # it has just ended
                pass

    def _run(self) -> None:
        tidied = time.monotonic()
        while not self._ended.wait(_SECONDS_BETWEEN_LOOKS):
            try:
                with storing():
                    self._look()
                    if time.monotonic() - tidied > _SECONDS_BETWEEN_TIDYING:
                        tidied = time.monotonic()
                        self._service.tidy()
            except Exception as error:  # a full disk: what was not written down is tried again
                self._service.say(f"cannot look after the videos: {error}")
                self._ended.wait(2)

    def _hangs(self) -> bool:
        """Whether it still has a video that was deleted a while ago."""
        work, now = self._service.folders.work, time.monotonic()
        for lease in [*self._cancelled]:
            if not (work / lease).exists():
                self._cancelled.pop(lease)
        return any(now > until for until in self._cancelled.values())

    def _end(self, process: subprocess.Popen[str], reason: str) -> None:
        self._reason = reason
        process.kill()
        process.wait()

    def _look(self) -> None:
        process, service = self.process, self._service
        if process is None:  # it could not be started
            return self._begin()
        code = process.poll()
        if code is None:
            if (video := service.leases.stalled(service.limits.stall_seconds)) is not None:
                self._end(process, f"did not come further with it for {service.limits.stall_seconds:g} seconds")
                service.say(f"{video.id}: its process {self._reason}")
            elif self._hangs():
                self._end(process, "did not leave a video that was deleted")
                service.say(f"the process that makes videos {self._reason}")
            elif self._failures and time.monotonic() - self._begun > _SECONDS_OF_HEALTH:
                self._failures, self._trouble = 0, None
            return
        how, wanted = self._reason or _how_it_ended(code), self._reason is not None
        lost = service.leases.crashed(service.limits.crashes, how)
        self._reason = None
        for one in lost:
            service.say(f"{one.id}: {one.failed or f'the process that made it {how}; it waits again'}")
            if one.failed is not None:
                service.give_up(one.id)
        service.sweep()
        if not lost and not wanted:
            self._failures += 1
            self._trouble = f"the process that makes videos {how}"
            service.say(self._trouble)
        with self._lock:
            self.process = None
        pause = min(0.1 * 2**self._failures, _LONGEST_PAUSE) if self._failures else 2.0 if code == _FULL else 0.0
        if not self._ended.wait(pause):
            self._begin()


def _how_it_ended(code: int) -> str:
    if code == _FULL:
        return "found the disk full"
    if code < 0:
        try:
            name = signal.Signals(-code).name
        except ValueError:
            name = str(-code)
        return f"was ended by the signal {name}" + (", perhaps for lack of memory" if -code == 9 else "")
    return f"ended with code {code}"


def _absolute(paths: list[str]) -> str:
    return os.pathsep.join(os.path.abspath(path) for path in paths if path)


def _stderr() -> Any:
    """Where our own lines go: file descriptor 2 may lead nowhere, see `fd2talk.terminal.native_output_hidden`."""
    try:
        return sys.stderr.fileno()
    except (OSError, ValueError, AttributeError):  # it has been replaced: a test, a notebook
        return None
