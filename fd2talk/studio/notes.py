"""The project's own warnings, which are for the visitor whose photo or sound they are about."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


class Notes:
    """Collects warnings by page. `warnings.showwarning` is one for all threads, so it asks which thread it is in."""

    def __init__(self) -> None:
        self._of_thread = threading.local()
        self._said: dict[str, list[str]] = {}

    @contextmanager
    def installed(self) -> Iterator[None]:
        """While this is open, warnings of the project are collected, and those of libraries are ignored."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            packages = "fd2talk|shared|stage1_motion|stage2_render"
            warnings.filterwarnings("always", category=UserWarning, module=rf"({packages})(\.|$)")
            warnings.showwarning = self._show  # type: ignore[assignment]  # of the arguments only the first is used
            yield

    @contextmanager
    def collected(self, page: str) -> Iterator[None]:
        """Warnings of this thread are those of a page, meanwhile; earlier ones of that page are forgotten."""
        self._of_thread.page, self._said[page] = page, []
        try:
            yield
        finally:
            self._of_thread.page = None

    def of(self, page: str) -> list[str]:
        """What was said to a page last, each sentence once."""
        return list(dict.fromkeys(self._said.get(page, ())))

    def forget(self, page: str) -> None:
        """Forget a page that has closed."""
        self._said.pop(page, None)

    def _show(self, message: Warning | str, *_: Any) -> None:
        page = getattr(self._of_thread, "page", None)
        if page in self._said:
            self._said[page].append(" ".join(str(message).split()))
