"""One of the processes that make videos, as the service sees it: started, told what to do, ended."""

from __future__ import annotations

import json
import os
import secrets
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

_ROOT = Path(__file__).parents[2]
_SECRETS = ("FD2TALK_TOKEN", "FD2TALK_TOKENS")
_LONGEST_PAUSE = 30.0
_SECONDS_OF_HEALTH = 10.0  # that it lives, after which nothing is wrong with it any more
_FULL = 28  # see `fd2talk.service.worker`; not imported from there, as that is another program


class Process:
    """A place for a process; when one has ended, the next one gets it.

    Args:
        settings: of `fd2talk.service.worker.Settings`, but for the name.
        folder: that it works in.
    """

    def __init__(self, settings: dict[str, Any], folder: Path) -> None:
        self._settings, self._folder = settings, folder
        self.name = ""
        """Leases of the process that runs, or ended last, begin with it; no process had it before."""
        self.trouble: str | None = None
        """Why it cannot be relied upon, or None."""
        self._popen: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()
        self._reason: str | None = None  # why it was ended from here
        self._failures, self._begun, self._next = 0, 0.0, 0.0

    @property
    def pid(self) -> int | None:
        """Its number, or None where there is none at the moment."""
        return None if self._popen is None else self._popen.pid

    @property
    def is_expected(self) -> bool:
        """Whether there is none, and it is time for one."""
        return self._popen is None and time.monotonic() >= self._next

    @property
    def is_ending(self) -> bool:
        """Whether it was ended from here."""
        return self._reason is not None

    def begin(self) -> None:
        """Start one. Raises OSError: the system has no room for it."""
        environment = {name: value for name, value in os.environ.items() if name not in _SECRETS}
        # It works in a folder where no file has the name of a style; paths that are relative here lead to the same.
        environment["PYTHONPATH"] = _absolute([str(_ROOT), *os.environ.get("PYTHONPATH", "").split(os.pathsep)])
        if models := os.environ.get("FD2TALK_MODELS"):
            environment["FD2TALK_MODELS"] = _absolute(models.split(os.pathsep))
        new_group: dict[str, Any] = {"start_new_session": True}  # Ctrl-C is for the service
        if os.name == "nt":
            new_group = {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP}  # type: ignore[attr-defined]
        name = secrets.token_hex(8)
        settings = json.dumps({**self._settings, "name": name})
        self.name, self._begun, self._next = name, time.monotonic(), time.monotonic() + 1.0
        try:
            popen = subprocess.Popen(
                [sys.executable, "-m", "fd2talk.service.worker", settings],
                stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=_stderr(), bufsize=0,
                env=environment, cwd=self._folder, **new_group,
            )  # fmt: skip
        except OSError as error:
            self.trouble, self._failures = f"a process that makes videos cannot be started: {error.strerror}", 1
            raise
        if os.name == "posix":
            assert popen.stdin is not None
            os.set_blocking(popen.stdin.fileno(), False)  # who orders does not wait for one that stands still
        with self._lock:
            self._popen, self._reason = popen, None

    def order(self, line: str) -> None:
        """Tell it something: `wake`, or `stop`."""
        with self._lock:
            try:
                if self._popen is not None and self._popen.stdin is not None:
                    self._popen.stdin.write(f"{line}\n".encode())
            except (OSError, ValueError):  # it has just ended, or has more to read than fits
                pass

    def end(self, reason: str) -> None:
        """End it at once; `ended` says so when that has happened.

        Args:
            reason: for the sentence, such as `did not come further`.
        """
        if self._popen is not None:
            self._reason = reason
            self._popen.kill()

    def ended(self) -> str | None:
        """How it has ended, for a sentence; None: it runs, or there is none."""
        code = None if self._popen is None else self._popen.poll()
        if code is not None:
            return self._reason or _how_it_ended(code)
        if self._failures and time.monotonic() - self._begun > _SECONDS_OF_HEALTH:
            self._failures, self.trouble = 0, None
        return None

    def rest(self, blamed: bool) -> bool:
        """Make room for the next one, after this one has ended.

        Args:
            blamed: it ended without having a video, so that the next one may do so, too: that one waits longer and
                longer.

        Returns:
            Whether this is trouble.
        """
        popen = self._popen
        assert popen is not None
        pause = 2.0 if popen.returncode == _FULL else 0.0
        blamed = blamed and self._reason is None
        if blamed:
            self._failures += 1
            self.trouble = f"a process that makes videos {_how_it_ended(popen.returncode)}"
        if self._failures:
            pause = min(0.1 * 2**self._failures, _LONGEST_PAUSE)
        with self._lock:
            self._popen, self._next = None, time.monotonic() + pause
            _close(popen)
        return blamed

    def runs(self) -> bool:
        """Whether it has not ended."""
        return self._popen is not None and self._popen.poll() is None

    def kill(self) -> None:
        """End it at once, and wait until that has happened."""
        if self._popen is not None:
            self._popen.kill()
            self._popen.wait()
            with self._lock:
                _close(self._popen)


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


def _close(popen: subprocess.Popen[bytes]) -> None:
    if popen.stdin is not None:
        popen.stdin.close()


def _absolute(paths: list[str]) -> str:
    return os.pathsep.join(os.path.abspath(path) for path in paths if path)


def _stderr() -> Any:
    """Where our own lines go: file descriptor 2 may lead nowhere, see `fd2talk.terminal.native_output_hidden`."""
    try:
        return sys.stderr.fileno()
    except (OSError, ValueError, AttributeError):  # it has been replaced: a test, a notebook
        return None
