"""Routes the project's own warnings to the page whose photo or sound they are about."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

from fd2talk.project_warnings import project_warnings


class Notes:
    """Collects warnings by page. As `warnings.showwarning` is global, each thread notes the page it works for."""

    def __init__(self) -> None:
        self._of_thread = threading.local()
        self._said: dict[str, list[str]] = {}

    def installed(self) -> AbstractContextManager[None]:
        """While this is open, warnings of the project are collected, and those of libraries are ignored."""
        return project_warnings(self._show, once=False)

    @contextmanager
    def collected(self, page: str) -> Iterator[None]:
        """While this is open, warnings of this thread belong to a page; its earlier ones are removed."""
        self._of_thread.page, self._said[page] = page, []
        try:
            yield
        finally:
            self._of_thread.page = None

    def of(self, page: str) -> list[str]:
        """The last warnings of a page, each sentence once."""
        return list(dict.fromkeys(self._said.get(page, ())))

    def forget(self, page: str) -> None:
        """Forget a page that has closed."""
        self._said.pop(page, None)

    def _show(self, sentence: str) -> None:
        page = getattr(self._of_thread, "page", None)
        if page in self._said:
            self._said[page].append(sentence)
