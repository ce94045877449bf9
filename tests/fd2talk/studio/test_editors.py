"""Which editors a page keeps, and when one is closed; with editors that only count."""

from pathlib import Path
from types import SimpleNamespace

import pytest

pytest.importorskip("gradio", reason="the extra studio is not installed")

from fd2talk.studio.editors import MOST_OPEN, Editors  # noqa: E402
from fd2talk.studio.generation import Settings  # noqa: E402
from shared.errors import UsageError  # noqa: E402


class FakeEditor:
    def __init__(self, is_edited=False):
        self.is_edited, self.closed, self.turn = is_edited, 0, 0

    def close(self):
        self.closed += 1


def made(model="fd2talk", style=None, seed=0):
    return SimpleNamespace(settings=Settings(model=model, style=style, seed=seed))


@pytest.fixture
def editors():
    return Editors()


def test_choices_are_named_as_in_the_other_tab(editors):
    editors.offer([made("diffposetalk", "lively"), made(seed=4)])
    editors.opened("talk.npz")
    editors.opened("talk.npz")
    titles = [title for title, _ in editors.titles()]
    assert titles == ["DiffPoseTalk, style lively, seed 0", "FD2Talk: lively heads".split(":")[0] + ", seed 4",
                      "talk.npz (1)", "talk.npz (2)"]  # fmt: skip
    assert [number for _, number in editors.titles()] == [1, 2, 3, 4]
    assert editors.find(2).title.endswith("seed 4")
    for number in (9, None, "1"):
        with pytest.raises(UsageError, match="no longer there"):
            editors.find(number)
    editors.offer([made(style=Path("/secret/clip.mp4"))])
    assert "secret" not in str(editors.titles())


def test_each_keeps_its_editor_while_another_is_shown(editors):
    pair = [made(), made(seed=1)]
    first, second = editors.offer(pair)
    one, other = FakeEditor(is_edited=True), FakeEditor()
    assert editors.show(first, one) == "" and editors.editor is one
    assert editors.show(second, other) == "" and editors.editor is other
    assert one.turn == 1 and not one.closed and first.editor is one  # it only stops to render
    assert editors.show(first, first.editor) == "" and editors.editor is one and not other.closed


def test_a_new_video_is_offered_beside_what_was_edited_and_replaces_what_was_not(editors):
    pair = [made(), made(seed=1)]
    first, second = editors.offer(pair)
    one, other = FakeEditor(is_edited=True), FakeEditor()
    editors.show(second, other)
    editors.show(first, one)
    assert editors.offer(pair) == []
    [new] = editors.offer([made(seed=2)])
    assert editors.choices == [first, new] and other.closed == 1 and not one.closed
    editors.show(new, FakeEditor())
    editors.offer([new.generated])
    assert first in editors.choices and first.editor is one


def test_a_file_that_was_opened_stays(editors):
    file = editors.opened("talk.npz")
    editors.show(file, FakeEditor())
    [new] = editors.offer([made()])
    editors.show(new, FakeEditor())
    editors.offer([made(seed=3)])
    assert file in editors.choices and not file.editor.closed


def test_beyond_the_limit_those_without_edits_go_first(editors):
    several = [made(seed=seed) for seed in range(MOST_OPEN + 2)]
    choices = editors.offer(several)
    opened = [FakeEditor(is_edited=number != 1) for number in range(MOST_OPEN + 2)]
    for choice, editor in zip(choices[:MOST_OPEN], opened):
        assert editors.show(choice, editor) == ""
    assert editors.show(choices[MOST_OPEN], opened[MOST_OPEN]) == ""  # the second had nothing to lose
    assert [editor.closed for editor in opened] == [0, 1, 0, 0, 0] and choices[1].editor is None
    assert editors.show(choices[MOST_OPEN + 1], opened[MOST_OPEN + 1]) == choices[0].title
    assert opened[0].closed == 1 and len([choice for choice in choices if choice.editor]) == MOST_OPEN


def test_closing_shows_the_one_before_and_keeps_what_can_be_opened_again(editors):
    pair = [made(), made(seed=1)]
    first, second = editors.offer(pair)
    file = editors.opened("talk.npz")
    opened = [FakeEditor(is_edited=True) for _ in range(3)]
    for choice, editor in zip((first, file, second), opened):
        editors.show(choice, editor)
    editors.close(second, pair)
    assert opened[2].closed == 1 and editors.current is file and second in editors.choices and second.editor is None
    editors.close(file, pair)
    assert editors.current is first and file not in editors.choices
    editors.close(first, [])  # which is no longer in the other tab
    assert editors.current is None and editors.editor is None and editors.choices == [second]
    assert [editor.closed for editor in opened] == [1, 1, 1]


def test_one_that_is_not_shown_is_closed_alone(editors):
    first, second = editors.offer([made(), made(seed=1)])
    one, other = FakeEditor(), FakeEditor()
    editors.show(first, one)
    editors.show(second, other)
    editors.close(first, [first.generated, second.generated])
    assert editors.editor is other and one.closed == 1 and not other.closed


def test_with_their_page_all_are_closed(editors):
    choices = editors.offer([made(), made(seed=1)])
    opened = [FakeEditor(is_edited=True), FakeEditor()]
    for choice, editor in zip(choices, opened):
        editors.show(choice, editor)
    editors.close_all()
    assert [editor.closed for editor in opened] == [1, 1] and editors.choices == [] and editors.editor is None
