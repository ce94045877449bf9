"""Check input and output paths before work starts, and write files atomically under a temporary name."""

from __future__ import annotations

import errno
import os
import secrets
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from shared.errors import Fd2TalkError, InputError, UsageError

PathLike = str | os.PathLike

# Errors of the storage itself; any other error inside `atomic_output` is passed on unchanged.
_STORAGE_ERRORS = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO}

_LONGEST = 4096


def check_input(path: PathLike) -> Path:
    """Return `path` as a Path if it is a readable file with at least one byte.

    Raises:
        InputError: the path is missing, a folder, not a plain file, not readable, or empty.
    """
    if not os.fspath(path):
        raise InputError("cannot read a file without a name")
    file, path = Path(path), _shown(path)
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
    """Return `path` as a Path if a file can be written there; called before any work is done.

    Args:
        path: the file to write.
        overwrite: accept an existing file.

    Raises:
        UsageError: the file exists and `overwrite` is false, the path is a folder or a device, its folder is missing or
            not writable, or the name is not valid.
    """
    file, path = Path(path), _shown(path)
    try:
        mode = file.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        mode = None
    except (OSError, ValueError) as error:  # a name too long, a folder that may not be entered, a null byte
        raise UsageError(f"cannot write {path}: {_reason(error)}") from error
    problems = {
        "it is a folder; name a file in it": mode is not None and stat.S_ISDIR(mode),
        "it is not a plain file": mode is not None and not stat.S_ISREG(mode),
        "it already exists (to replace it: --overwrite, or overwrite=True)": mode is not None and not overwrite,
        f"the folder {file.parent} does not exist": not file.parent.is_dir(),
        f"the folder {file.parent} is not writable": not os.access(file.parent, os.W_OK | os.X_OK),
    }
    if reason := next((reason for reason, found in problems.items() if found), None):
        raise UsageError(f"cannot write {path}: {reason}")
    return file


@contextmanager
def atomic_output(path: PathLike, overwrite: bool = False) -> Iterator[Path]:
    """Write a file under a temporary name beside it (same suffix), which becomes `path` only when the block succeeds.

    On any exception, including KeyboardInterrupt and the SystemExit of a signal handler, the temporary file is deleted
    and an existing file at `path` stays untouched.

    Args:
        path: the file to write.
        overwrite: replace an existing file.

    Yields:
        The temporary path to write to.

    Raises:
        UsageError: as `check_output`.
        Fd2TalkError: the disk is full or failing.
    """
    target = check_output(path, overwrite)
    temporary = target.with_name(f".fd2talk-{secrets.token_hex(6)}{target.suffix}")
    try:
        # An ordinary open, not tempfile's, so that the result has the permissions of the user's umask.
        os.close(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
        mode = stat.S_IMODE(temporary.stat().st_mode)
        yield temporary
        check_output(path, overwrite)  # another process may have written the file in the meantime
        temporary.chmod(mode)  # safetensors replaces the file by one that only its owner can read
        os.replace(temporary, target)
    except OSError as error:
        if error.errno in _STORAGE_ERRORS or error.filename == os.fspath(temporary):
            missing = isinstance(error, FileNotFoundError)
            reason = f"no file can be created in the folder {target.parent}" if missing else _reason(error)
            raise Fd2TalkError(f"cannot write {path}: {reason}") from error
        raise
    finally:
        with suppress(FileNotFoundError):
            temporary.unlink()


@contextmanager
def new_folders(*folders: PathLike) -> Iterator[None]:
    """Make folders, with those above them; when the block fails, those that were made for it and are empty are removed.

    Args:
        folders: that may exist already.

    Raises:
        UsageError: one of them cannot be made.
    """
    made: list[Path] = []
    try:
        for folder in map(Path, folders):
            made += make_folders(folder)
        yield
    except BaseException:
        remove_empty(made)
        raise


def remove_empty(folders: Iterable[Path]) -> None:
    """Remove those of these folders that hold nothing, in the reverse order."""
    for folder in reversed([*folders]):
        with suppress(OSError):  # not empty, or no longer there
            folder.rmdir()


def make_folders(folder: Path) -> list[Path]:
    """Make a folder, and return what had to be made, from the top. Raises UsageError: it cannot be made."""
    made = []
    try:
        missing = [one for one in (folder, *folder.parents) if not one.exists()]
        for one in reversed(missing):
            with suppress(FileExistsError):  # another process was faster
                one.mkdir()
                made.append(one)
        folder.mkdir(exist_ok=True)  # refuses what is no folder
    except OSError as error:
        remove_empty(made)
        raise UsageError(f"cannot write to {_shown(folder)}: {error.strerror}") from error
    return made


def _shown(path: PathLike) -> str:
    """A path for messages: of one that is longer than any that a system takes, the ends."""
    name = str(path)
    return name if len(name) <= _LONGEST else f"{name[:100]}...{name[-100:]}"


def _reason(error: Exception) -> str:
    """Return the short reason of an OSError, such as `No space left on device`; the message itself for other errors."""
    number = getattr(error, "errno", None)
    if isinstance(error, FileNotFoundError):
        return "there is no such file"
    return os.strerror(number) if number else str(error)
