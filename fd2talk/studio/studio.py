"""What every tab of the page stands on: the pipelines, the queue, the visitors and the limits."""

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
from fd2talk.studio.visitors import Page, Visitors

VISITOR_COOKIE = "fd2talk_visitor"
FILES = "/studio/files/"
"""Where a visitor's files are served, to that visitor alone."""
GENERATING = "a video is being generated in the tab Generate"
EDITING = "frames are being rendered in the tab Edit"


class Studio:
    """A running studio without its page.

    Args:
        engine: the pipelines.
        limits: how much visitors may ask for.
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

    def run(
        self, page: Page, work: Callable[[Report], Any], doing: str = EDITING, gives_way: bool = True
    ) -> Iterator[Any]:
        """Do work in the queue, as `Jobs.run`; the project's warnings belong to the one who waits (`Notes`)."""

        def noted(report: Report) -> Any:
            try:
                with self.notes.collected(page.name):
                    return work(report)
            finally:
                page.workspace.tidy()

        return self.jobs.run(page.visitor.name, page.name, noted, doing, gives_way)

    def url(self, path: Path, page: Page) -> str:
        """Address of a file in a page's workspace."""
        return FILES + quote(path.relative_to(page.workspace.folder).as_posix())

    def log_bug(self) -> None:
        """Write the traceback of the exception at hand where the server was started; visitors do not see it."""
        traceback.print_exc(file=sys.stderr)

    def close(self) -> None:
        """Stop all jobs, and remove all files."""
        self.jobs.close()
        self.visitors.remove()

    def _stop(self, page: Page) -> None:
        self.jobs.cancel(page.visitor.name, page.name)

    def _empty(self, page: Page) -> None:
        self.notes.forget(page.name)
        page.photo, page.edit = None, None
        page.generated.clear()
