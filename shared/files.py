"""Files come in checked and go out whole: a sentence for a bad path, a temporary name until the last byte is there."""

from __future__ import annotations

import errno
import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from shared.errors import Fd2TalkError, InputError, UsageError

PathLike = str | os.PathLike

# Errors of the storage, whoever meets them; everything else that fails inside `atomic_output` is reported as it is.
_STORAGE_ERRORS = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO}


def check_input(path: PathLike) -> Path:
    """Return `path` as a Path if it is a readable file with at least one byte.

    Raises:
        InputError: missing, a folder, not a plain file, not readable, or empty.
    """
    file = Path(path)
    try:
        mode = file.stat().st_mode
        if stat.S_ISDIR(mode):
            raise InputError(f"cannot read {path}: it is a folder, not a file")
        if not stat.S_ISREG(mode):
            raise InputError(f"cannot read {path}: it is not a plain file")
        with file.open("rb") as handle:
            empty = not handle.read(1)
    except (OSError, ValueError) as error:  # ValueError: a null byte in the name
        raise InputError(f"cannot read {path}: {_reason(error)}") from error
    if empty:
        raise InputError(f"cannot read {path}: the file is empty (zero bytes)")
    return file


def check_output(path: PathLike, overwrite: bool = False) -> Path:
    """Refuse, before any work is done, an output that could not be written at the end.

    Raises:
        UsageError: the file exists and `overwrite` is false, the path is a folder or a device, its folder is missing or
            cannot be written to, or the name is not a possible one.
    """
    file = Path(path)
    try:
        mode = file.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        mode = None
    except (OSError, ValueError) as error:  # a name too long, a folder that may not be entered, a null byte
        raise UsageError(f"cannot write {path}: {_reason(error)}") from error
    if mode is not None and stat.S_ISDIR(mode):
        raise UsageError(f"cannot write {path}: it is a folder; name a file in it")
    if mode is not None and not stat.S_ISREG(mode):
        raise UsageError(f"cannot write {path}: it is not a plain file")
    if mode is not None and not overwrite:
        raise UsageError(f"cannot write {path}: it already exists (ask for overwriting to replace it)")
    if not file.parent.is_dir():
        raise UsageError(f"cannot write {path}: the folder {file.parent} does not exist")
    if not os.access(file.parent, os.W_OK | os.X_OK):
        raise UsageError(f"cannot write {path}: the folder {file.parent} is not writable")
    return file


@contextmanager
def atomic_output(path: PathLike, overwrite: bool = False) -> Iterator[Path]:
    """Write a file under a temporary name beside it (same suffix), which becomes `path` only when the block succeeds.

    On any exception, KeyboardInterrupt and a signal handler's SystemExit included, the temporary file is deleted and
    what was at `path` before stays untouched.

    Raises:
        UsageError: as `check_output`.
        Fd2TalkError: the disk is full or failing.
    """
    target = check_output(path, overwrite)
    temporary = target.with_name(f".fd2talk-{secrets.token_hex(6)}{target.suffix}")
    try:
        # An ordinary open, not tempfile's: the result shall have the permissions that the user's umask gives.
        os.close(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
        yield temporary
        check_output(path, overwrite)  # somebody else may have written there in the meantime
        os.replace(temporary, target)
    except OSError as error:
        if error.errno in _STORAGE_ERRORS or error.filename == os.fspath(temporary):
            raise Fd2TalkError(f"cannot write {path}: {_reason(error)}") from error
        raise
    finally:
        with suppress(FileNotFoundError):
            temporary.unlink()


def _reason(error: Exception) -> str:
    """`No space left on device` out of any OSError; the message itself for others."""
    number = getattr(error, "errno", None)
    if isinstance(error, FileNotFoundError):
        return "there is no such file"
    return os.strerror(number) if number else str(error)
