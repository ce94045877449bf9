"""Unexpected errors of jobs: an error of one file must not stop the others."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from shared.errors import Fd2TalkError

T = TypeVar("T")
_LONGEST = 200


@dataclass(frozen=True)
class Unexpected:
    """An unexpected error of the work on one file. It has text only, as exceptions of libraries may not pickle.

    Attributes:
        file: its name.
        error: type and text of the exception.
    """

    file: str
    error: str

    def __str__(self) -> str:
        return f"{self.file}: unexpected {self.error}"


def guarded(work: Callable[..., T], file: str, arguments: tuple) -> T | Unexpected:
    """Call `work(*arguments)`, and return unexpected exceptions instead of raising them.

    Args:
        work: function that processes a file.
        file: its name.
        arguments: of `work`.

    Raises:
        Fd2TalkError: as `work`, an expected error.
        Exception: a package is missing or incompatible, so that all other files would fail, too.
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
