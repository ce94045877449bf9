"""One worker process, as the service controls it: start, commands, end, restart with backoff."""

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
_MAX_BACKOFF = 30.0
_SECONDS_OF_HEALTH = 10.0  # of running, after which earlier failures are forgotten
_DISK_FULL_CODE = 28  # exit code, as in `fd2talk.service.worker`, which is not imported as it is another program


class Process:
    """A worker process and its successors: when one has ended, the next one takes its place.

    Args:
        settings: of `fd2talk.service.worker.Settings`, without the name.
        folder: working directory of the process.
    """

    def __init__(self, settings: dict[str, Any], folder: Path) -> None:
        self._settings, self._folder = settings, folder
        self.name = ""
        """Unique name of the process that runs, or ended last; the names of its leases begin with it."""
        self.trouble: str | None = None
        """Why the process is unreliable, or None."""
        self._popen: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()
        self._reason: str | None = None  # why it was killed by `end`
        self._failures, self._started, self._not_before = 0, 0.0, 0.0

    @property
    def pid(self) -> int | None:
        """Process id, or None while there is no process."""
        return None if self._popen is None else self._popen.pid

    @property
    def is_expected(self) -> bool:
        """Whether no process runs, and the time to start one has come."""
        return self._popen is None and time.monotonic() >= self._not_before

    @property
    def is_ending(self) -> bool:
        """Whether `end` has killed it."""
        return self._reason is not None

    def begin(self) -> None:
        """Start a process. Raises OSError: the system cannot, for lack of memory for example."""
        environment = {name: value for name, value in os.environ.items() if name not in _SECRETS}
        # Its working directory has no file that a style's name could be taken for; so relative paths are made absolute.
        environment["PYTHONPATH"] = _absolute([str(_ROOT), *os.environ.get("PYTHONPATH", "").split(os.pathsep)])
        if models := os.environ.get("FD2TALK_MODELS"):
            environment["FD2TALK_MODELS"] = _absolute(models.split(os.pathsep))
        new_group: dict[str, Any] = {"start_new_session": True}  # so that Ctrl-C reaches the service only
        if os.name == "nt":
            new_group = {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP}  # type: ignore[attr-defined]
        name = secrets.token_hex(8)
        settings = json.dumps({**self._settings, "name": name})
        self.name, self._started, self._not_before = name, time.monotonic(), time.monotonic() + 1.0
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
            os.set_blocking(popen.stdin.fileno(), False)  # a process that hangs must not block `order`
        with self._lock:
            self._popen, self._reason = popen, None

    def order(self, line: str) -> None:
        """Send a command: `wake` or `stop`."""
        with self._lock:
            try:
                if self._popen is not None and self._popen.stdin is not None:
                    self._popen.stdin.write(f"{line}\n".encode())
            except (OSError, ValueError):  # it has just ended, or its pipe is full
                pass

    def end(self, reason: str) -> None:
        """Kill it; `ended` returns the reason when it is gone.

        Args:
            reason: for a message, such as `did not come further`.
        """
        if self._popen is not None:
            self._reason = reason
            self._popen.kill()

    def ended(self) -> str | None:
        """How it has ended, for a message; None: it runs, or there is none."""
        code = None if self._popen is None else self._popen.poll()
        if code is not None:
            return self._reason or _how_it_ended(code)
        if self._failures and time.monotonic() - self._started > _SECONDS_OF_HEALTH:
            self._failures, self.trouble = 0, None
        return None

    def rest(self, blamed: bool) -> bool:
        """Clean up after a process that has ended, and set when the next one may start.

        Args:
            blamed: it ended without a video, so that the next one may fail likewise: starts back off exponentially.

        Returns:
            Whether this counts as a failure (see `trouble`).
        """
        popen = self._popen
        assert popen is not None
        pause = 2.0 if popen.returncode == _DISK_FULL_CODE else 0.0
        blamed = blamed and self._reason is None
        if blamed:
            self._failures += 1
            self.trouble = f"a process that makes videos {_how_it_ended(popen.returncode)}"
        if self._failures:
            pause = min(0.1 * 2**self._failures, _MAX_BACKOFF)
        with self._lock:
            self._popen, self._not_before = None, time.monotonic() + pause
            _close(popen)
        return blamed

    def runs(self) -> bool:
        """Whether the process is running."""
        return self._popen is not None and self._popen.poll() is None

    def kill(self) -> None:
        """Kill it, and wait until it is gone."""
        if self._popen is not None:
            self._popen.kill()
            self._popen.wait()
            with self._lock:
                _close(self._popen)


def _how_it_ended(code: int) -> str:
    if code == _DISK_FULL_CODE:
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
    """Descriptor of `sys.stderr`; 2 itself may be redirected, see `fd2talk.terminal.native_output_hidden`."""
    try:
        return sys.stderr.fileno()
    except (OSError, ValueError, AttributeError):  # it has been replaced: a test, a notebook
        return None
