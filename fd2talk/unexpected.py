"""Work on many files: one of them must not stop the others, however it fails."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from shared.errors import Fd2TalkError

T = TypeVar("T")
_LONGEST = 200


@dataclass(frozen=True)
class Unexpected:
    """How the work on one file ended. Text alone: exceptions of libraries may not travel between processes.

    Attributes:
        file: its name.
        error: type and text of the exception.
    """

    file: str
    error: str

    def __str__(self) -> str:
        return f"{self.file}: unexpected {self.error}"


def guarded(work: Callable[..., T], file: str, arguments: tuple) -> T | Unexpected:
    """Call `work(*arguments)`, and return an exception that nobody expected instead of raising it.

    Args:
        work: what is done with a file.
        file: its name.
        arguments: of `work`.

    Raises:
        Fd2TalkError: as `work`; it is no bug.
        Exception: a package is missing or does not fit, so that no other file would fare better.
    """
    try:
        return work(*arguments)
    except Fd2TalkError:
        raise
    except Exception as error:
        from fd2talk.dependencies import broken_dependency

        if broken_dependency(error):
            raise
        text = " ".join(str(error).split())[:_LONGEST]
        return Unexpected(file, f"{type(error).__name__}: {text}" if text else type(error).__name__)
