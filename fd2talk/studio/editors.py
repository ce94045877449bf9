"""The videos that a page edits: each has an editor with a history of its own, which stays while others are shown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from fd2talk.studio.editor import Common, Editor
from fd2talk.studio.generation import Generated
from fd2talk.studio.results import title_of
from shared.errors import UsageError

MOST_OPEN = 3
"""Editors that are kept; the frames of all of them together are bounded by `Common.room`."""


@dataclass(eq=False)
class Choice:
    """Something that can be edited.

    Args:
        number: by which the page names it.
        title: for people.
        generated: what it is, unless it is a file that was opened.
        editor: once it has been shown.
    """

    number: int
    title: str
    generated: Generated | None = None
    editor: Editor | None = None

    @property
    def is_edited(self) -> bool:
        """Whether something would be lost with its editor."""
        return self.editor is not None and self.editor.is_edited


class Editors:
    """What `Page.edit` holds."""

    def __init__(self) -> None:
        self.common = Common()
        self.choices: list[Choice] = []
        self.current: Choice | None = None
        self.session = ""  # of the page, when it was shown last
        self._numbers = count(1)
        self._used: list[Choice] = []

    @property
    def editor(self) -> Editor | None:
        """The one that is shown."""
        return self.current.editor if self.current else None

    def titles(self) -> list[tuple[str, int]]:
        """All choices, with names of which no two are the same."""
        seen: dict[str, int] = {}
        for choice in self.choices:
            seen[choice.title] = seen.get(choice.title, 0) + 1
        again: dict[str, int] = {}
        named = []
        for choice in self.choices:
            again[choice.title] = again.get(choice.title, 0) + 1
            several = seen[choice.title] > 1
            named.append((f"{choice.title} ({again[choice.title]})" if several else choice.title, choice.number))
        return named

    def find(self, number: object) -> Choice:
        """A choice by its number. Raises UsageError: there is none (any more)."""
        for choice in self.choices:
            if choice.number == number:
                return choice
        raise UsageError("this video is no longer there: choose another")

    def offer(self, made: Sequence[Generated]) -> list[Choice]:
        """Offer what was generated last beside what is being edited.

        Args:
            made: all videos of the other tab. Earlier ones stay if they were edited or are shown.

        Returns:
            Those that were not offered before.
        """
        known = [choice.generated for choice in self.choices]
        new = [self._new(title_of(one.settings), one) for one in made if not any(one is other for other in known)]
        for choice in [*self.choices]:
            is_there = choice.generated is None or any(choice.generated is one for one in made)
            if not is_there and choice is not self.current and not choice.is_edited:
                self._close(choice)
                self.choices.remove(choice)
        return new

    def opened(self, title: str) -> Choice:
        """Offer a file that somebody opened."""
        return self._new(title, None)

    def show(self, choice: Choice, editor: Editor) -> str:
        """Show one; rendering of the one before stops.

        Returns:
            The title of one that was closed with its edits, as there are too many; or nothing.
        """
        if self.current is not None and self.current is not choice and self.current.editor is not None:
            self.current.editor.turn += 1
        choice.editor, self.current = editor, choice
        self._used = [*(other for other in self._used if other is not choice and other.editor), choice]
        if len(self._used) <= MOST_OPEN:
            return ""
        others = self._used[:-1]
        spared = next((other for other in others if not other.is_edited), others[0])
        lost = spared.title if spared.is_edited else ""
        self._close(spared)
        if spared.generated is None:
            self.choices.remove(spared)
        return lost

    def close(self, choice: Choice, made: Sequence[Generated]) -> None:
        """Close an edit; the one that was shown before it is shown instead.

        Args:
            choice: whose edit it is. It can be chosen again, from the beginning, if it is a video of the other tab.
            made: all videos of the other tab.
        """
        self._close(choice)
        if choice.generated is None or not any(choice.generated is one for one in made):
            self.choices.remove(choice)
        if choice is self.current:
            self.current = self._used[-1] if self._used else None

    def close_all(self) -> None:
        """Close all edits, with their page."""
        for choice in self.choices:
            self._close(choice)
        self.choices, self.current = [], None

    def downloaded(self, path: Path) -> None:
        """A file was downloaded, which may be of one of the edits."""
        for choice in [*self.choices]:
            if choice.editor is not None:
                choice.editor.downloaded(path)

    def _new(self, title: str, generated: Generated | None) -> Choice:
        choice = Choice(next(self._numbers), title, generated)
        self.choices.append(choice)
        return choice

    def _close(self, choice: Choice) -> None:
        if choice.editor is not None:
            choice.editor.close()
        choice.editor = None
        self._used = [other for other in self._used if other is not choice]
