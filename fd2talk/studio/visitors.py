"""Visitors (browsers, identified by a cookie) and their open pages, whose data survives a reload."""

from __future__ import annotations

import secrets
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fd2talk.studio.limits import Limits
from fd2talk.studio.same_page import Loaded
from fd2talk.studio.workspace import Workspace
from shared.errors import UsageError

if TYPE_CHECKING:
    from fd2talk.studio.generation import Generated
    from fd2talk.studio.photos import Photo


@dataclass(eq=False)
class Page:
    """The data of an open page. Use it instead of `gr.State`, which is lost with a reload.

    Args:
        visitor: whose page it is.
        name: id for jobs and notes, which survives a reload.
        session: gradio's session hash, which changes with each reload.
        loaded: in which window, as far as it has said so.
        photo: the photo with its faces.
        sound: the recording.
        values: of the controls, when a video was last generated.
        generated: the last video, or two that are compared.
        failed: error of the last job.
        edit: the timeline's editors (`editors.Editors`).
        connections: number of open heartbeat connections.
        left: time (`time.monotonic`) when the last of them ended; None: it is open.
        expected: a new session has taken over the page, but has no connection yet; if the page is reloaded before
            that, the next session takes it over.
        timer: of the next step of removing a page that was left.
    """

    visitor: Visitor
    name: str
    session: str
    loaded: Loaded | None = None
    photo: Photo | None = None
    sound: Path | None = None
    values: tuple[Any, ...] = ()
    generated: list[Generated] = field(default_factory=list)
    failed: str = ""
    edit: Any = None
    connections: int = 0
    expected: bool = False
    left: float | None = None
    timer: threading.Timer | None = None

    @property
    def workspace(self) -> Workspace:
        """The visitor's folder."""
        return self.visitor.workspace

    @property
    def holds(self) -> bool:
        """Whether there is data to restore after a reload."""
        return bool(self.photo or self.sound or self.generated or self.edit)

    def came_back(self) -> None:
        """Mark the page as open, and cancel its removal."""
        self.left, self.expected = None, False
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None


@dataclass(eq=False)
class Visitor:
    """A browser that opened the studio.

    Args:
        name: the secret value of its cookie.
        workspace: its folder.
        pages: open pages, and those that may come back, by gradio's session hash.
        seen: time (`time.monotonic`) of its last request.
    """

    name: str
    workspace: Workspace
    pages: dict[str, Page] = field(default_factory=dict)
    seen: float = field(default_factory=time.monotonic)

    @property
    def is_away(self) -> bool:
        """Whether no page of theirs is open."""
        return all(page.left is not None for page in self.pages.values())


class Visitors:
    """All visitors, and the parent of their folders. Thread-safe.

    Args:
        limits: of a studio.
        stops: called with a page that was left for `leave_seconds`, to cancel its jobs.
        empties: called with a page that is removed, to free its data.
    """

    def __init__(self, limits: Limits, stops: Callable[[Page], None], empties: Callable[[Page], None]) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="fd2talk-studio-")).resolve()
        self._limits, self._stops, self._empties = limits, stops, empties
        self._all: dict[str, Visitor] = {}
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._all)

    def new(self) -> Visitor:
        """Add a visitor. Raises UsageError: there are too many."""
        self.forget_idle()
        if len(self._all) >= self._limits.visitors:
            # Visitors without an open page make room, the one with the oldest request first.
            away = [visitor for visitor in [*self._all.values()] if visitor.is_away]
            if not away:
                raise UsageError("the studio is busy: too many visitors are here, try again later")
            self.forget(min(away, key=lambda visitor: visitor.seen))
        with self._lock:
            name = secrets.token_urlsafe(24)
            visitor = Visitor(name, Workspace(self.folder / secrets.token_hex(8), self._limits.folder_bytes))
            self._all[name] = visitor
            return visitor

    def find(self, name: str | None) -> Visitor | None:
        """The visitor of a cookie, or None."""
        visitor = self._all.get(name or "")
        if visitor is not None:
            visitor.seen = time.monotonic()
        return visitor

    def page(self, visitor: str | None, session: str | None) -> Page:
        """The page of a request.

        Args:
            visitor: the cookie.
            session: gradio's session hash. An unknown one takes over the page that this visitor left last, as after a
                reload; if there is none, a new page is made.

        Raises:
            UsageError: there is no such visitor (any more).
        """
        found = self.find(visitor)
        with self._lock:
            if found is None or not session or found.name not in self._all:
                raise UsageError("you were away for long, and your files were removed: reload the page")
            return self._of_session(found, session)

    def loaded(self, visitor: str | None, session: str | None, by: Loaded | None = None, patience: float = 1.0) -> Page:
        """The page of the first request of a page that was loaded.

        A browser may end the connection of the page that was left seconds after it has loaded the next one: the page
        is known by its window. Where that does not help, and another page of this visitor has something that this one
        may be meant to have, wait a moment whether that was left.

        Args:
            visitor: the cookie.
            session: gradio's session hash.
            by: which load of which window it is, if it says so.
            patience: seconds.

        Raises:
            UsageError: as `page`.
        """
        until = time.monotonic() + patience
        while True:
            page = self.page(visitor, session)
            with self._lock:
                found = self._loaded_again(page, by, waits=time.monotonic() < until)
            if found is not None:
                return found
            time.sleep(0.05)

    def claim(self, visitor: Visitor | None, session: object) -> None:
        """Assign a session to this visitor. Raises UsageError: it is another visitor's, or invalid."""
        if visitor is None or not isinstance(session, str) or not session or len(session) > 100:
            raise UsageError("reload the page")
        if any(session in other.pages for other in [*self._all.values()] if other is not visitor):
            raise UsageError("this page is none of yours: reload it")
        self.page(visitor.name, session)

    def opened(self, visitor: Visitor, session: str) -> bool:
        """A connection of a page was opened. False: the visitor was forgotten."""
        with self._lock:
            if visitor.name not in self._all:
                return False
            page = self._of_session(visitor, session)
            page.connections += 1
            page.came_back()
            return True

    def lost(self, visitor: Visitor, session: str) -> None:
        """A connection of a page ended: unless it comes back, its jobs are cancelled, and later its data is removed."""
        with self._lock:
            page = visitor.pages.get(session)
            if page is None:
                return
            page.connections -= 1
            if not page.connections:
                self._leave(page)

    def forget_idle(self) -> None:
        """Forget visitors without requests for `idle_seconds`."""
        now = time.monotonic()
        for visitor in [*self._all.values()]:
            if now - visitor.seen > self._limits.idle_seconds:
                self.forget(visitor)

    def forget(self, visitor: Visitor) -> None:
        """Cancel a visitor's jobs, and remove their data and files."""
        for page in [*visitor.pages.values()]:
            self._stops(page)
        with self._lock:
            for page in visitor.pages.values():
                page.came_back()
                self._empties(page)
            self._remove(visitor)

    def remove(self) -> None:
        """Forget everybody, and remove all files."""
        for visitor in [*self._all.values()]:
            self.forget(visitor)
        Workspace(self.folder, 0).remove()

    def _of_session(self, visitor: Visitor, session: str) -> Page:
        if session not in visitor.pages:
            page = _left_last([*visitor.pages.values()])
            if page is None:
                page = Page(visitor, session, session)
            else:
                visitor.pages.pop(page.session)
                page.session, page.expected = session, True
            visitor.pages[session] = page
        return visitor.pages[session]

    def _loaded_again(self, page: Page, by: Loaded | None, waits: bool) -> Page | None:
        """Which page the one of a session is that was loaded; None: it may be another one that is not left yet."""
        others = [other for other in page.visitor.pages.values() if other is not page]
        if by is not None and not (page.loaded and page.loaded.name == by.name):
            loads = {one.loaded.count: one for one in others if one.loaded and one.loaded.name == by.name}
            if loads and max(loads) >= by.count:  # that page was loaded once more meanwhile
                return page
            if loads:
                page = self._given_to(page, loads[max(loads)])
                page.loaded = by
                return page
        if not page.holds:
            left = _left_last(others)
            if left is not None:
                page = self._given_to(page, left)
            elif waits and any(other.holds for other in others):
                return None
        page.loaded = by or page.loaded
        return page

    def _given_to(self, new: Page, page: Page) -> Page:
        """A page from now on is that of a newer session, whatever its own connections do."""
        pages, session, connections = page.visitor.pages, new.session, new.connections
        pages.pop(page.session)
        if new.holds:  # of another window, that was left: it may still come back there
            new.session = "left-" + secrets.token_hex(8)
            pages[new.session] = new
            self._leave(new)
        page.session, page.connections, pages[session] = session, connections, page
        if page.connections:
            page.came_back()
        elif page.left is None:
            self._leave(page)
        page.expected = not page.connections
        return page

    def _leave(self, page: Page) -> None:
        page.connections, page.left = 0, time.monotonic()
        self._after(self._limits.leave_seconds, self._stop, page)

    def _after(self, seconds: float, ends: Callable[[Page, float], None], page: Page) -> None:
        """Call `ends` later, unless the page comes back."""
        page.timer = threading.Timer(max(0.0, seconds), ends, (page, page.left))
        page.timer.daemon = True
        page.timer.start()

    def _stop(self, page: Page, left: float) -> None:
        """Cancel the jobs of a page that did not come back; its data is kept for a while."""
        if page.left != left:
            return
        self._stops(page)
        with self._lock:
            if page.left == left:
                rest = self._limits.keep_seconds - self._limits.leave_seconds
                self._after(rest if page.holds else 0, self._close, page)

    def _close(self, page: Page, left: float) -> None:
        """Remove a page that did not come back, and with the last page its visitor."""
        with self._lock:
            if page.left != left or page.visitor.pages.pop(page.session, None) is None:
                return
            self._empties(page)
            if not page.visitor.pages:
                self._remove(page.visitor)

    def _remove(self, visitor: Visitor) -> None:
        self._all.pop(visitor.name, None)
        visitor.pages.clear()
        visitor.workspace.remove()


def _left_last(pages: list[Page]) -> Page | None:
    """The one of these that was left last and has something to come back to, if any was."""
    left = [page for page in pages if page.left is not None and page.holds]
    return max(left, key=lambda page: (not page.expected, page.left or 0), default=None)
