"""Behaviour on a terminal: one line per error, no noise from libraries, and a clean end when the command is stopped."""

from __future__ import annotations

import contextlib
import faulthandler
import os
import signal
import sys
import threading
import time
import weakref
from collections.abc import Iterator
from typing import Any

from fd2talk.project_warnings import project_warnings
from shared.errors import Fd2TalkError

_stderr_closed = False
_last_line, _commands = time.monotonic(), 0


def say(sentence: str, exit_code: int) -> int:
    """Print one line on standard error and return the exit code.

    Why a command fails is printed on standard output where standard error is closed.
    """
    global _last_line
    _last_line = time.monotonic()
    with contextlib.suppress(OSError, ValueError, AttributeError):
        stream = sys.stdout if _stderr_closed and exit_code else sys.stderr
        print(f"fd2talk: {printable(sentence)}", file=stream, flush=True)
    return exit_code


def printable(text: str) -> str:
    """Return a text with codes instead of what a terminal would not print: new lines, colours, moves of the cursor.

    Names of files, and texts out of files, would otherwise look like further lines of ours.
    """
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in text)


def seconds_of_silence() -> float:
    """Return the time since the last line, or since the command began."""
    return time.monotonic() - _last_line


def commands() -> int:
    """Return a number that changes when a command of this process begins or ends."""
    return _commands


@contextlib.contextmanager
def command() -> Iterator[None]:
    """Run a command line: its standard streams are open, and its clock starts."""
    global _last_line, _commands
    _open_standard_streams()
    _last_line, _commands = time.monotonic(), _commands + 1
    try:
        yield
    finally:
        _commands += 1


def redirect_to_nowhere(descriptor: int) -> None:
    """Open a file descriptor, which may be closed, on the null device."""
    null = os.open(os.devnull, os.O_RDWR)
    if null != descriptor:  # the lowest free one, which may be `descriptor` itself
        os.dup2(null, descriptor)
        os.close(null)


def _open_standard_streams() -> None:
    """Give a process without standard streams (services, pythonw, `2>&-`) some that lead nowhere.

    Otherwise the first files that it opens become its standard streams, and libraries print into them.
    """
    global _stderr_closed
    closed = []
    for descriptor in (0, 1, 2):
        try:
            os.fstat(descriptor)
        except OSError:
            redirect_to_nowhere(descriptor)
            closed.append(descriptor)
    _stderr_closed = 2 in closed or sys.stderr is None
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115 - for the rest of the process


def announce(line: object) -> None:
    """Print a result on standard output. A closed pipe (`fd2talk ... | head`) is not an error."""
    try:
        print(line, flush=True)
    except UnicodeEncodeError:  # a name of a file that is not text
        print(printable(str(line)), flush=True)
    except BrokenPipeError:
        redirect_to_nowhere(sys.stdout.fileno())
    except OSError as error:  # a full disk; what is left in the buffer must not fail again at the end
        redirect_to_nowhere(sys.stdout.fileno())
        raise Fd2TalkError(f"cannot write to standard output: {error.strerror}") from error


class Stopped(BaseException):
    """Ctrl-C or SIGTERM, as an exception, so that unfinished files are removed."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.exit_code = 128 + number
        self.sentence = "interrupted" if number == signal.SIGINT else "terminated"


@contextlib.contextmanager
def signals() -> Iterator[None]:
    """Turn SIGINT and SIGTERM into `Stopped` while the block runs, unless they are ignored, as under nohup.

    Python raises the exception wherever it happens to be. In a finalizer or in a callback of a library it is swallowed
    and the work continues. An exception that ends inside the block is therefore raised again a moment later.
    """
    before: dict[signal.Signals, Any] = {}
    raised: weakref.ref | None = None
    again: threading.Timer | None = None

    def stop(number: int, _: Any) -> None:
        nonlocal raised
        if raised and raised():  # a second signal must not interrupt the clean-up
            return
        stopped = Stopped(number)
        raised = weakref.ref(stopped, lambda _: swallowed(number))
        try:
            raise stopped
        finally:
            del stopped  # otherwise its traceback, which holds this frame, would keep it alive

    def swallowed(number: int) -> None:
        nonlocal again
        if before:
            again = threading.Timer(0.05, signal.raise_signal, (number,))
            again.daemon = True
            again.start()

    def report(ignored: Any) -> None:
        if not isinstance(ignored.exc_value, Stopped):
            reported(ignored)

    try:
        for number in (signal.SIGINT, signal.SIGTERM):
            if signal.getsignal(number) is not signal.SIG_IGN:
                before[number] = signal.signal(number, stop)
    except ValueError:  # not the main thread: the program that runs this one handles its signals
        pass
    reported, sys.unraisablehook = sys.unraisablehook, report
    try:
        yield
    finally:
        sys.unraisablehook = reported
        handlers = tuple(before.items())
        before.clear()
        if again:
            again.cancel()
        for handled, handler in handlers:
            signal.signal(handled, handler)


def notes() -> contextlib.AbstractContextManager[None]:
    """Print the project's own warnings once, in one line each; those of libraries only with `python -W`."""
    if sys.warnoptions:
        return contextlib.nullcontext()
    return project_warnings(lambda sentence: say(f"note: {sentence}", 0))


@contextlib.contextmanager
def native_output_hidden() -> Iterator[None]:
    """Keep what native code of libraries prints (mediapipe at every start) off the terminal.

    Native code writes to file descriptor 2, which no Python setting changes. The descriptor is therefore redirected to
    nowhere, while Python's own standard error, and the report of a crash, use a copy of the original one.
    """
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    try:
        if sys.stderr.fileno() != 2:
            raise OSError
        copy = os.fdopen(os.dup(2), "w", buffering=1, encoding=sys.stderr.encoding, errors="backslashreplace")
    except (OSError, ValueError, AttributeError):  # standard error has been replaced: a test, a notebook
        yield
        return
    python_stderr, sys.stderr = sys.stderr, copy
    redirect_to_nowhere(2)
    faulthandler.enable(copy)
    try:
        yield
    finally:  # the traceback of a bug must be visible
        sys.stderr = python_stderr
        faulthandler.disable()
        os.dup2(copy.fileno(), 2)
        copy.close()
