"""What mediapipe needs around it: no notices on standard error, and one sentence when it does not work."""

from __future__ import annotations

import logging
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TextIO

from shared.errors import Fd2TalkError

_lock = threading.Lock()
_inside = 0
_kept: int | None = None
_stderr: TextIO | None = None


@contextmanager
def mediapipe_guard() -> Iterator[None]:
    """Hide what mediapipe prints while the block runs, and turn its failures into a sentence.

    Its native code writes to file descriptor 2 and to `sys.stderr`, which lead nowhere in the meantime; threads may
    overlap, and a closed descriptor (services, pythonw) is closed again afterwards. It imports matplotlib, which warns
    about a home folder that is not writable, although nothing is plotted.

    Raises:
        Fd2TalkError: mediapipe cannot be imported or started; often another package replaced one that it needs.
    """
    global _inside
    os.environ.setdefault("GLOG_minloglevel", "3")
    with _lock:
        _inside += 1
        if _inside == 1:
            _redirect()
    try:
        yield
    except (Fd2TalkError, MemoryError):
        raise
    except Exception as error:
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise Fd2TalkError(f"the face tracker mediapipe does not work ({reason}); see `fd2talk doctor`") from error
    finally:
        with _lock:
            _inside -= 1
            if _inside == 0:
                _restore()


def _redirect() -> None:
    global _kept, _stderr
    _kept = None
    with suppress(OSError):  # closed
        _kept = os.dup(2)
    null = os.open(os.devnull, os.O_WRONLY)
    if null != 2:  # the lowest free descriptor, which is 2 itself if only that is closed
        os.dup2(null, 2)
        os.close(null)
    _stderr, sys.stderr = sys.stderr, open(os.devnull, "w")  # which need not be descriptor 2
    _plots.addFilter(_drop)


def _restore() -> None:
    sys.stderr.close()
    sys.stderr = _stderr
    if _kept is None:
        os.close(2)
    else:
        os.dup2(_kept, 2)
        os.close(_kept)
    _plots.removeFilter(_drop)


_plots = logging.getLogger("matplotlib")


def _drop(record: logging.LogRecord) -> bool:
    return record.levelno >= logging.ERROR
