"""A visitor's folder: whatever is read or written for them lies inside, and all of it goes when they do."""

from __future__ import annotations

import os
import re
import secrets
import shutil
from contextlib import suppress
from pathlib import Path

from shared.errors import UsageError

_KEPT = re.compile(r"[^A-Za-z0-9._-]+")
_LONGEST_NAME = 60
# Bytes of the disk that visitors leave to others.
_LEAST_FREE = 1_000_000_000


class Workspace:
    """A folder of one visitor, made when it is first needed.

    Args:
        folder: which does not exist yet, in a folder that does.
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
        """A fresh path inside that keeps a file's own name as far as it is harmless, in a folder of its own.

        Raises:
            UsageError: as `new`.
        """
        plain = _KEPT.sub("_", os.path.basename(name.replace("\\", "/"))).lstrip(".")
        stem, suffix = os.path.splitext(plain)
        return self._place(f"{stem[:_LONGEST_NAME] or 'file'}{suffix[:10]}")

    def owns(self, path: str | os.PathLike) -> Path:
        """The real path of an existing file, when it lies inside.

        Raises:
            UsageError: it does not, links and `..` resolved, or there is no such file.
        """
        try:
            real = Path(path).resolve(strict=True)
        except (OSError, ValueError, RuntimeError):  # there is none, a null byte, a loop of links
            real = Path()
        if not real.is_relative_to(self.folder) or not real.is_file():
            raise UsageError("this file is none of yours, or it was removed: please upload it again")
        return real

    @property
    def size(self) -> int:
        """Bytes of all files; some may be removed meanwhile."""
        total = 0
        for folder, _, names in os.walk(self.folder):
            for name in names:
                with suppress(OSError):
                    total += os.lstat(os.path.join(folder, name)).st_size
        return total

    def discard(self, *paths: Path) -> None:
        """Remove files of one's own, with the folders that `new` made for them."""
        for path in paths:
            if path.parent.parent == self.folder:
                shutil.rmtree(path.parent, ignore_errors=True)

    def remove(self) -> None:
        """Remove the folder; nothing can be put there any more."""
        self._removed = True
        shutil.rmtree(self.folder, ignore_errors=True)

    def tidy(self) -> None:
        """Remove what was written after `remove`, by work that had not stopped yet."""
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
