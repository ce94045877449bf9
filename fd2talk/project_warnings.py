"""The project's own warnings, passed on as sentences instead of printed with a line of code."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager

PACKAGES = ("fd2talk", "shared", "stage1_motion", "stage2_render")
"""The packages of this project."""


@contextmanager
def project_warnings(show: Callable[[str], object], *, once: bool = True) -> Iterator[None]:
    """Pass on the project's own warnings while this is open; those of libraries are ignored.

    It sets `warnings.showwarning`, which is common to all threads.

    Args:
        show: called with each warning, in one line.
        once: whether equal warnings are passed on once only.
    """
    seen: set[str] = set()

    def shown(message: Warning | str, *_: object, **__: object) -> None:
        sentence = " ".join(str(message).split())
        if not once or sentence not in seen:
            seen.add(sentence)
            show(sentence)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.filterwarnings("always", category=UserWarning, module=rf"({'|'.join(PACKAGES)})(\.|$)")
        warnings.showwarning = shown
        yield
