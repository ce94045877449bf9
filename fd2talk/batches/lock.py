"""A lock on an output folder; the operating system releases it when the process dies."""

from __future__ import annotations

import os
import platform
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from shared.errors import UsageError


@contextmanager
def only_run(file: Path, of: str) -> Iterator[None]:
    """Hold the lock of a folder while the block runs.

    Args:
        file: to lock; created if it does not exist, and not removed.
        of: name of the folder, for messages.

    Raises:
        UsageError: another process holds it, or the folder cannot be written to.
    """
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        opened = open(file, "a+", encoding="utf-8")
    except OSError as error:
        raise UsageError(f"cannot write to {of}: {error.strerror}") from error
    with opened as handle:
        try:
            _take(handle)
        except (BlockingIOError, PermissionError):
            raise UsageError(f"another `fd2talk batch` is writing to {of}{_holder(file)}") from None
        except OSError as error:  # some network file systems do not support locks
            warnings.warn(f"{of} cannot be locked ({error.strerror}): see that no other run writes there", stacklevel=2)
        _note(file)
        yield


def _note(file: Path) -> None:
    """Write who holds the lock to a file beside it, as a locked file cannot be read on Windows."""
    with suppress(OSError):  # another user's file, for example; the lock itself is held
        file.with_suffix(".holder").write_text(f"process {os.getpid()} on {platform.node()}", encoding="utf-8")


def _holder(file: Path) -> str:
    try:
        return f" ({file.with_suffix('.holder').read_text(encoding='utf-8')})"
    except (OSError, UnicodeError):
        return ""


if sys.platform == "win32":
    import msvcrt

    def _take(handle: IO[str]) -> None:
        handle.seek(0)
        msvcrt.locking(handle.fileno(), msvcrt.LK_NBLCK, 1)

else:
    import fcntl

    def _take(handle: IO[str]) -> None:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
