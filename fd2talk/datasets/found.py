"""What a data set's reader finds in a folder."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from shared.errors import InputError

VIDEO_SUFFIXES = (".mp4", ".mkv", ".webm", ".mov", ".avi")
SOUND_SUFFIXES = (".wav", ".m4a", ".flac", ".mp3", ".aac", ".ogg")
# What macOS puts into archives beside every file.
_NO_FOLDERS = ("__MACOSX",)


@dataclass(frozen=True)
class Found:
    """One clip of a data set.

    Args:
        file: the video; of a clip that has to be made, its name: PERSON/CLIP.suffix.
        person: whom it shows.
        published: `train`, `val` or `test` where the data set itself says so.
        sound: a file with the sound, for a video that has none.
        facts: further columns of the manifest.
        make: writes the clip that has to be made to a path.

    Raises:
        InputError: the name of a clip that has to be made leads out of the folder for such clips.
    """

    file: Path
    person: str
    published: str = ""
    sound: Path | None = None
    facts: dict[str, str] = field(default_factory=dict)
    make: Callable[[Path], None] | None = None

    def __post_init__(self) -> None:
        # Names may come out of a data set's own files. PERSON/CLIP of two folders' names is all that they may be.
        if self.make and (len(self.file.parts) != 2 or ".." in self.file.parts or self.file.is_absolute()):
            raise InputError(f"{str(self.file)[:200]}: not a name of a person and a clip")


@dataclass
class Reading:
    """The clips of a data set, and what is to be said about them.

    Attributes:
        clips: sorted by file.
        notes: one sentence each.
        folder: that was read.
    """

    folder: Path
    clips: list[Found] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def note(self, what: str, names: Iterable[object]) -> None:
        """Add `NUMBER WHAT (such as NAME)`, unless there are no names.

        Args:
            what: with the words that differ for a single name as `{plural|singular}`.
            names: of what it is about.
        """
        listed = sorted(str(name) for name in names)
        if listed:
            form = 2 if len(listed) == 1 else 1
            words = re.sub(r"\{([^|{}]*)\|([^|{}]*)\}", lambda match: match[form], what)
            self.notes.append(f"{len(listed)} {words} (such as {listed[0]})")

    def without_duplicates(self, keys: Mapping[Path, object]) -> None:
        """Keep of the clips with the same key the first one.

        Args:
            keys: of each clip's file.
        """
        first: dict[object, Path] = {}
        again = []
        for clip in sorted(self.clips, key=lambda clip: clip.file):
            if first.setdefault(keys[clip.file], clip.file) != clip.file:
                again.append(f"{self.name(clip.file)}, which is {self.name(first[keys[clip.file]])}")
        kept = set(first.values())
        self.clips = sorted((clip for clip in self.clips if clip.file in kept), key=lambda clip: clip.file)
        self.note("{clips are|clip is} there twice; the second is left out", again)

    def name(self, path: Path) -> str:
        """A path relative to the folder."""
        return path.relative_to(self.folder).as_posix() if path.is_absolute() else path.as_posix()


def counted(number: int, one: str, several: str = "") -> str:
    """`1 clip`, `2 clips`."""
    return f"{number} {one if number == 1 else several or f'{one}s'}"


def is_hidden(name: str) -> bool:
    """Whether a file or folder is one that readers pass over."""
    return name.startswith(".") or name in _NO_FOLDERS


def folders_below(folder: Path) -> Iterator[tuple[Path, list[str]]]:
    """Yield a folder and those below it, with the sorted names of their files, but nothing hidden."""
    for place, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not is_hidden(name))
        yield Path(place), sorted(name for name in names if not is_hidden(name))


def files_below(folder: Path, suffixes: tuple[str, ...]) -> Iterator[Path]:
    """Yield the files of a folder, at any depth and sorted, that have one of the suffixes and are not hidden."""
    for place, names in folders_below(folder):
        for name in names:
            if os.path.splitext(name)[1].lower() in suffixes:
                yield place / name
