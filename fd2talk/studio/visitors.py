"""Who is here: a visitor is a browser (a cookie), who has pages open; what a page holds is forgotten when it closes."""

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
from fd2talk.studio.workspace import Workspace
from shared.errors import UsageError

if TYPE_CHECKING:
    from fd2talk.studio.generation import Generated
    from fd2talk.studio.photos import Photo


@dataclass(eq=False)
class Page:
    """What one open page of a visitor holds in memory. Use it instead of `gr.State`, which lives on for an hour.

    Args:
        visitor: whose page it is.
        name: gradio's session hash.
        photo: the photo that was given, with its faces.
        generated: what was made last: one talking portrait, or two that are compared.
        edit: for the timeline's editors (`editors.Editors`).
        connections: that tell that the page is open; 0 for a moment when a line is bad.
    """

    visitor: Visitor
    name: str
    photo: Photo | None = None
    generated: list[Generated] = field(default_factory=list)
    edit: Any = None
    connections: int = 0

    @property
    def workspace(self) -> Workspace:
        """The visitor's folder."""
        return self.visitor.workspace


@dataclass(eq=False)
class Visitor:
    """A browser that opened the studio.

    Args:
        name: a secret that only its cookie has.
        workspace: its folder.
        pages: open ones, by gradio's session hash.
        seen: when it last asked for anything, as `time.monotonic` counts.
    """

    name: str
    workspace: Workspace
    pages: dict[str, Page] = field(default_factory=dict)
    seen: float = field(default_factory=time.monotonic)


class Visitors:
    """All visitors, and the folder in which each has their own. Safe to use from several threads.

    Args:
        limits: of a studio.
        stops: called when a page is lost, with the page: its work is to stop.
        empties: called when it will not come back: what it holds is to be let go.
    """

    def __init__(self, limits: Limits, stops: Callable[[Page], None], empties: Callable[[Page], None]) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="fd2talk-studio-")).resolve()
        self._limits, self._stops, self._empties = limits, stops, empties
        self._all: dict[str, Visitor] = {}
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._all)

    def new(self) -> Visitor:
        """Somebody new. Raises UsageError: too many are here."""
        self.forget_idle()
        with self._lock:
            if len(self._all) >= self._limits.visitors:
                # Those who never opened a page on the server's side cost nothing; the oldest of them makes room.
                idle = [visitor for visitor in self._all.values() if not visitor.pages]
                if not idle:
                    raise UsageError("the studio is busy: too many visitors are here, try again later")
                self._remove(min(idle, key=lambda visitor: visitor.seen))
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
            session: gradio's session hash.

        Raises:
            UsageError: nobody of that name is here (any more).
        """
        found = self.find(visitor)
        with self._lock:
            if found is None or not session or found.name not in self._all:
                raise UsageError("you were away for long, and your files were removed: reload the page")
            return found.pages.setdefault(session, Page(found, session))

    def claim(self, visitor: Visitor | None, session: object) -> None:
        """A page of this visitor, from now on. Raises UsageError: it is somebody else's, or none."""
        if visitor is None or not isinstance(session, str) or not session or len(session) > 100:
            raise UsageError("reload the page")
        if any(session in other.pages for other in [*self._all.values()] if other is not visitor):
            raise UsageError("this page is none of yours: reload it")
        self.page(visitor.name, session)

    def opened(self, visitor: Visitor, session: str) -> bool:
        """A page is open, or open again after its connection was lost. False: the visitor was forgotten."""
        with self._lock:
            if visitor.name not in self._all:
                return False
            visitor.pages.setdefault(session, Page(visitor, session)).connections += 1
            return True

    def lost(self, visitor: Visitor, session: str) -> None:
        """The connection of a page ended: its work stops, and if it does not come back it is closed."""
        with self._lock:
            page = visitor.pages.get(session)
            if page is None:
                return
            page.connections -= 1
            if page.connections:
                return
        self._stops(page)
        timer = threading.Timer(self._limits.leave_seconds, self._close, (page,))
        timer.daemon = True
        timer.start()

    def _close(self, page: Page) -> None:
        """Forget a page that did not come back; with their last page a visitor is gone."""
        with self._lock:
            if page.connections or page.visitor.pages.pop(page.name, None) is None:
                return
            self._empties(page)
            if not page.visitor.pages:
                self._remove(page.visitor)

    def forget_idle(self) -> None:
        """Remove those who have done nothing for long."""
        now = time.monotonic()
        for visitor in [*self._all.values()]:
            if now - visitor.seen > self._limits.idle_seconds:
                self._forget(visitor)

    def remove(self) -> None:
        """Forget everybody, and remove all files."""
        for visitor in [*self._all.values()]:
            self._forget(visitor)
        Workspace(self.folder, 0).remove()

    def _forget(self, visitor: Visitor) -> None:
        for page in [*visitor.pages.values()]:
            self._stops(page)
        with self._lock:
            for page in visitor.pages.values():
                self._empties(page)
            self._remove(visitor)

    def _remove(self, visitor: Visitor) -> None:
        self._all.pop(visitor.name, None)
        visitor.pages.clear()
        visitor.workspace.remove()
