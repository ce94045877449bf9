"""Resolves a cell of a table to files: a single file, those of a folder, or those of a glob pattern."""

from __future__ import annotations

import glob
import os
import re
from pathlib import Path

from fd2talk.batches.ledger import Ledger
from fd2talk.batches.maker import STATE
from shared.errors import InputError

SOUNDS = (".wav", ".mp3", ".flac", ".ogg", ".opus", ".m4a", ".aac", ".aiff", ".wma", ".mp4", ".mov", ".mkv", ".webm")
"""Suffixes of the recordings of a folder or a pattern."""

_ADDRESS = re.compile(r"[a-z][a-z0-9+.-]+://", re.IGNORECASE)


class Sources:
    """Finds the files of cells.

    Args:
        folder: of the table, to which paths are relative.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._made: dict[Path, set[str]] = {}

    def place(self, cell: str) -> Path:
        """Return the path of a cell, with `~` as the home folder. Raises InputError: it is a URL."""
        if _ADDRESS.match(cell):
            raise InputError(f"{cell}: files are read, not addresses of the internet; download it first")
        path = self._folder / cell
        if cell.startswith("~") and not os.path.lexists(path):
            return self._folder / os.path.expanduser(cell)
        return path

    def find(self, cell: str, suffixes: tuple[str, ...], kind: str) -> list[str]:
        """Return the absolute paths of a cell's files.

        Args:
            cell: a file, a folder or a pattern. Of folders and patterns hidden files, videos made by a batch, and files
                with other suffixes (unless the pattern has one) are skipped.
            suffixes: of the files to find.
            kind: their name in messages.

        Raises:
            InputError: a folder or a pattern has no such files, or the cell is a URL.
            OSError: a folder cannot be read, or a name is too long.
            ValueError: a name has a null byte.
        """
        path = self.place(cell)
        if path.is_dir():
            named, files = suffixes, sorted(path.iterdir())
        elif glob.has_magic(cell) and not path.exists():
            own = Path(cell).suffix.lower()
            named = (own,) if own and not glob.has_magic(own) else suffixes
            pattern = os.path.join(glob.escape(str(self._folder)), os.path.expanduser(cell))
            files = sorted(map(Path, glob.glob(pattern, recursive=True)))
        else:
            return [str(path)]
        found = [file for file in files if file.suffix.lower() in named and _is_visible(file) and file.is_file()]
        own_work = {file for file in found if self._is_made(file)}
        if not (left := [str(file) for file in found if file not in own_work]):
            but = " but videos that a batch made" if own_work else ""
            where = "in this folder" if path.is_dir() else "have such a name"
            raise InputError(f"{cell}: no {kind}{but} {where}")
        return left

    def _is_made(self, file: Path) -> bool:
        """Whether a batch made a file, according to the ledgers of the folders above it."""
        for folder in file.parents:
            if folder not in self._made:
                journal = folder / STATE / "journal"
                self._made[folder] = Ledger(journal).outputs() if os.path.isdir(journal) else set()
            if file.relative_to(folder).as_posix() in self._made[folder]:
                return True
        return False


def _is_visible(file: Path) -> bool:
    return not file.name.startswith(".") and file.name.lower() not in ("thumbs.db", "desktop.ini")
