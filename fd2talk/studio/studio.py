"""The state that all tabs share: pipelines, queue, visitors and limits."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

from fd2talk.studio.engine import Engine
from fd2talk.studio.jobs import Jobs, Report
from fd2talk.studio.limits import Limits
from fd2talk.studio.notes import Notes
from fd2talk.studio.same_page import Loaded
from fd2talk.studio.visitors import Page, Visitor, Visitors

VISITOR_COOKIE = "fd2talk_visitor"
FILES = "/studio/files/"
"""Path under which a visitor's files are served, to that visitor only."""
GENERATING = "a video is being generated in the tab Generate"
EDITING = "frames are being rendered in the tab Edit"
CHANGING = "new motion is being generated in the tab Edit"


BUG = "something went wrong in the studio itself; whoever runs it finds the details in its log"
"""Message to visitors; the log has the traceback (`Studio.log_bug`)."""


class Studio:
    """A running studio without its page.

    Args:
        engine: the pipelines.
        limits: of visitors.
    """

    def __init__(self, engine: Engine, limits: Limits = Limits()) -> None:
        self.engine, self.limits = engine, limits
        self.jobs = Jobs(limits.waiting)
        self.visitors = Visitors(limits, self._stop, self._empty)
        self.notes = Notes()

    def page(self, request: Any) -> Page:
        """The page that a request of gradio (`gr.Request`) comes from.

        Raises:
            UsageError: the visitor was away for long.
        """
        return self.visitors.page(request.cookies.get(VISITOR_COOKIE), request.session_hash)

    def loaded_page(self, request: Any, by: object) -> Page:
        """The page of a request that a page makes as it is loaded; see `Visitors.loaded`.

        Args:
            request: of gradio (`gr.Request`).
            by: what `same_page.NAME_AND_LOADS` gave.

        Raises:
            UsageError: the visitor was away for long.
        """
        return self.visitors.loaded(request.cookies.get(VISITOR_COOKIE), request.session_hash, Loaded.parsed(by))

    def run(
        self,
        page: Page,
        work: Callable[[Report], Any],
        doing: str = EDITING,
        gives_way: bool = True,
        stays: bool = False,
    ) -> Iterator[Any]:
        """Run work in the queue, as `Jobs.run`, and collect its warnings for the page (`Notes`)."""

        def noted(report: Report) -> Any:
            try:
                with self.notes.collected(page.name):
                    return work(report)
            finally:
                page.workspace.tidy()

        return self.jobs.run(page.visitor.name, page.name, noted, doing, gives_way, stays)

    def follow(self, page: Page, doing: str) -> Iterator[Any] | None:
        """Follow a job of a page, as `Jobs.follow`."""
        return self.jobs.follow(page.visitor.name, page.name, doing)

    def stop(self, page: Page, *doing: str) -> None:
        """Cancel the jobs of a page with these `doing`."""
        for one in doing:
            self.jobs.cancel(page.visitor.name, page.name, one)

    def downloaded(self, visitor: Visitor, path: Path) -> None:
        """Note that a visitor has downloaded a file."""
        for page in [*visitor.pages.values()]:
            if page.edit is not None:
                page.edit.downloaded(path)

    def url(self, path: Path, page: Page) -> str:
        """URL path of a file in a page's workspace."""
        return FILES + quote(path.relative_to(page.workspace.folder).as_posix())

    def log_bug(self) -> None:
        """Print the traceback of the current exception on standard error; visitors do not see it."""
        traceback.print_exc(file=sys.stderr)

    def close(self) -> None:
        """Stop all jobs, and remove all files."""
        self.jobs.close()
        self.visitors.remove()

    def _stop(self, page: Page) -> None:
        if self.jobs.has(page.visitor.name, page.name, GENERATING):
            page.failed = "the video that was being made was stopped, as its page had been closed"
        self.jobs.cancel(page.visitor.name, page.name)

    def _empty(self, page: Page) -> None:
        self.notes.forget(page.name)
        if page.edit is not None:
            page.edit.close_all()
        page.workspace.discard(*(path for made in page.generated for path in made.files.values()))
        page.photo = page.sound = page.edit = None
        page.generated.clear()
