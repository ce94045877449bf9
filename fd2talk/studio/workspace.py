"""A visitor's folder, which holds all files that are read or written for them, and is removed with them."""

from __future__ import annotations

import os
import secrets
import shutil
from contextlib import suppress
from pathlib import Path

from fd2talk.file_names import safe_name
from shared.errors import UsageError

# Free bytes of the disk below which no further file is taken.
_LEAST_FREE = 1_000_000_000


class Workspace:
    """A folder of one visitor, created when it is first needed.

    Args:
        folder: path that does not exist yet, in an existing folder.
        most: bytes that its files may have together.
    """

    def __init__(self, folder: Path, most: int) -> None:
        # Resolved, so that paths inside can be compared with it.
        self.folder = folder.parent.resolve() / folder.name
        self._most, self._removed = most, False

    def new(self, suffix: str) -> Path:
        """A fresh path inside, whose name cannot be guessed.

        Args:
            suffix: of the file, such as ``.mp4``.

        Raises:
            UsageError: the visitor is gone, or their files have reached the limit, or the disk is nearly full.
        """
        return self._place(f"file{suffix}")

    def of_name(self, name: str) -> Path:
        """A fresh path inside with a client's file name (see `safe_name`), in a folder of its own.

        Raises:
            UsageError: as `new`.
        """
        return self._place(safe_name(name))

    def owns(self, path: str | os.PathLike) -> Path:
        """The real path of an existing file inside the folder.

        Raises:
            UsageError: with links and `..` resolved it lies outside, or it does not exist.
        """
        try:
            real = Path(path).resolve(strict=True)
        except (OSError, ValueError, RuntimeError):  # a missing file, a null byte, a loop of links
            real = Path()
        if not real.is_relative_to(self.folder) or not real.is_file():
            raise UsageError("this file is none of yours, or it was removed: please upload it again")
        return real

    @property
    def size(self) -> int:
        """Bytes of all files; files that disappear meanwhile are skipped."""
        total = 0
        for folder, _, names in os.walk(self.folder):
            for name in names:
                with suppress(OSError):
                    total += os.lstat(os.path.join(folder, name)).st_size
        return total

    def discard(self, *paths: Path) -> None:
        """Remove files made by `new` or `of_name`, with their folders; other paths are ignored."""
        for path in paths:
            if path.parent.parent == self.folder:
                shutil.rmtree(path.parent, ignore_errors=True)

    def remove(self) -> None:
        """Remove the folder; no further files can be made."""
        self._removed = True
        shutil.rmtree(self.folder, ignore_errors=True)

    def tidy(self) -> None:
        """Remove files that a job wrote after `remove`, before it was cancelled."""
        if self._removed:
            shutil.rmtree(self.folder, ignore_errors=True)

    def _place(self, name: str) -> Path:
        if self._removed:
            raise UsageError("your files were removed: reload the page")
        if self.folder.exists() and self.size > self._most:
            raise UsageError(f'your files take more than {self._most >> 20} MB: "Clear everything" removes them')
        if shutil.disk_usage(self.folder.parent).free < _LEAST_FREE:
            raise UsageError("the studio's disk is nearly full: try again later")
        folder = self.folder / secrets.token_urlsafe(16)
        folder.mkdir(parents=True, mode=0o700)
        return folder / name
