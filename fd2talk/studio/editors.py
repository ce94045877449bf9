"""The editors of a page: each video has its own, which is kept while another one is shown."""

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
"""Number of editors that are kept; `Common.room` limits the frames of all of them together."""


@dataclass(eq=False)
class Choice:
    """Something that can be edited.

    Args:
        number: its id on the page.
        title: for people.
        generated: the generated video; None for a motion file that was opened.
        editor: made when it is first shown.
    """

    number: int
    title: str
    generated: Generated | None = None
    editor: Editor | None = None

    @property
    def is_edited(self) -> bool:
        """Whether its editor has edits, which closing it would lose."""
        return self.editor is not None and self.editor.is_edited


class Editors:
    """All editors of a page; `Page.edit` holds it."""

    def __init__(self) -> None:
        self.common = Common()
        self.choices: list[Choice] = []
        self.current: Choice | None = None
        self.session = ""  # of the page, when it was shown last
        self._numbers = count(1)
        self._used: list[Choice] = []

    @property
    def editor(self) -> Editor | None:
        """The editor that is shown, or None."""
        return self.current.editor if self.current else None

    def titles(self) -> list[tuple[str, int]]:
        """(title, number) of all choices; equal titles are numbered."""
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
        """Update the choices to the videos generated last.

        Args:
            made: all videos of the other tab. Earlier choices stay if they were edited or are shown.

        Returns:
            The new choices.
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
        """Add a motion file that was opened."""
        return self._new(title, None)

    def show(self, choice: Choice, editor: Editor) -> str:
        """Show a choice, and cancel the rendering of the previous one.

        Returns:
            The title of an edited choice that was closed because of `MOST_OPEN`; empty for none.
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
        """Close an edit, and show the one that was shown before it.

        Args:
            choice: whose edit it is. A video of the other tab can be chosen again, without its edits.
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
        """Note that a file was downloaded, see `Editor.downloaded`."""
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
