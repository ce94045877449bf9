"""The tab that edits motion on a timeline.

The state lives here, in `Page.edit`; the page's component (static/timeline*.js) gets it as its value, and sends
operations. Until their result arrives, the component shows the state that it expects.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import closing
from importlib import resources
from typing import Any

import gradio as gr

from fd2talk.commands.inputs import load_motion
from fd2talk.media_checks import named
from fd2talk.studio import results
from fd2talk.studio.editor import HEAVY, Editor
from fd2talk.studio.editors import MOST_OPEN, Choice, Editors
from fd2talk.studio.files_given import AnyFile, ImageFile
from fd2talk.studio.jobs import Cancelled, Finished, HandedOver, Progress, Report, Waiting
from fd2talk.studio.photos import Photo
from fd2talk.studio.same_page import NAME_AND_LOADS
from fd2talk.studio.studio import BUG, CHANGING, EDITING, Studio
from fd2talk.studio.visitors import Page
from shared.errors import Fd2TalkError, UsageError

# Seconds between two updates of the progress, and within which a cancelled rendering must stop.
_UPDATE_SECONDS, _STOP_SECONDS = 0.3, 30.0
_Shown = tuple[Any, Any, Any]  # the choices, the note about newer videos, the timeline
_SCRIPTS = ("timeline_math.js", "timeline_draw.js", "timeline_view.js", "timeline_record.js", "timeline.js")


def build(studio: Studio, tab: gr.Tab) -> None:
    """Add the tab's content to the page that is being built.

    Args:
        studio: which serves it.
        tab: when it is selected, the video generated last is opened or offered.
    """
    which = gr.Radio(visible=False, label="Which video is edited?", elem_id="edit-which")
    newer = gr.HTML(elem_id="edit-newer", js_on_load="element.setAttribute('role', 'status');")
    timeline = gr.HTML(
        value=None, html_template=_static("timeline.html"), js_on_load=script(), elem_id="timeline",
        head=f"<style>{_static('timeline.css')}</style>", apply_default_css=False,
    )  # fmt: skip
    with gr.Accordion("Open a motion file instead", open=False, elem_id="edit-open"):
        with gr.Row():
            photo = ImageFile(
                label="Photo", type="filepath", sources=["upload"], height=200, elem_id="edit-photo", buttons=[],
                image_mode=None, placeholder="A photo of a face; without one, that of the tab Generate",
            )  # fmt: skip
            motion = AnyFile(
                label="Motion (.npz, from fd2talk motion, track or this page)", file_types=[".npz"], type="filepath",
                height=200, elem_id="edit-motion",
            )  # fmt: skip
        opened = gr.Button("Open", elem_id="edit-open-button")
        failed = gr.HTML(elem_id="edit-failed")

    def on_select(by: str | None, request: gr.Request) -> Iterator[tuple]:  # a page may be loaded at this tab
        yield from _with_page(studio, request, _selected, lambda request: studio.loaded_page(request, by))

    def on_which(number: int, request: gr.Request) -> Iterator[tuple]:
        def chosen(studio: Studio, page: Page) -> Iterator[_Shown]:
            return _shown(studio, page, _editors(page).find(number))

        yield from _with_page(studio, request, chosen)

    def on_open(photo_path: str | None, motion_path: str | None, request: gr.Request) -> Iterator[tuple]:
        try:
            page = studio.page(request)
            for shown in _of_files(studio, page, photo_path, motion_path):
                yield "", *shown
        except Cancelled:
            return
        except Fd2TalkError as error:
            yield results.alert(str(error)), *[gr.skip()] * 3
        except Exception:
            studio.log_bug()
            yield results.alert(BUG), *[gr.skip()] * 3

    def on_edit(event: gr.EventData, request: gr.Request) -> Iterator[tuple]:
        yield from _with_page(studio, request, lambda studio, page: _edited(studio, page, event._data))

    quiet: dict[str, Any] = {"show_progress": "hidden", "concurrency_limit": None, "trigger_mode": "multiple"}
    shown = [which, newer, timeline]
    by = gr.Textbox(visible=False, elem_id="edit-loaded")
    tab.select(on_select, by, shown, js=NAME_AND_LOADS, **quiet)
    which.input(on_which, which, shown, **quiet)
    opened.click(on_open, [photo, motion], [failed, *shown], **quiet | {"trigger_mode": "once"})
    timeline.edit(on_edit, None, shown, **quiet)


def script() -> str:
    """The whole JavaScript of the timeline component."""
    mount = "mountTimeline(element, operation => trigger('edit', operation), props, watch, upload);"
    return "\n".join([*map(_static, _SCRIPTS), mount])


def _static(name: str) -> str:
    return resources.files("fd2talk.studio").joinpath("static").joinpath(name).read_text(encoding="utf-8")


def _with_page(
    studio: Studio,
    request: gr.Request,
    work: Callable[[Studio, Page], Iterator[_Shown]],
    page_of: Callable[[gr.Request], Page] | None = None,
) -> Iterator[_Shown]:
    """Run a handler; its errors are shown in the timeline."""
    page = None
    try:
        page = (page_of or studio.page)(request)
        yield from work(studio, page)
    except Cancelled:
        return
    except Fd2TalkError as error:
        yield gr.skip(), gr.skip(), _failed(page, str(error))
    except Exception:
        studio.log_bug()
        yield gr.skip(), gr.skip(), _failed(page, BUG)


def _failed(page: Page | None, sentence: str) -> dict[str, Any]:
    editor = page.edit.editor if page and page.edit else None
    if editor is None:
        return _nothing(page.edit if page else None, error=sentence)
    editor.error, editor.message = sentence, ""
    return editor.state()


def _nothing(editors: Editors | None, message: str = "", error: str = "") -> dict[str, Any]:
    """The state without an editor."""
    acknowledged = editors.common.acknowledged if editors else 0
    said = {"message": message, "error": error[:1].upper() + error[1:]}
    return {"frames": 0, "acknowledged": acknowledged, "revision": time.time(), **said}


def _editors(page: Page) -> Editors:
    if page.edit is None:
        page.edit = Editors()
        page.edit.session = page.session
    return page.edit


def _selected(studio: Studio, page: Page) -> Iterator[_Shown]:
    """Show the video generated last; if another one was edited or opened, only offer it."""
    editors = _editors(page)
    new, current = editors.offer(page.generated), editors.current
    if new and (current is None or (current.generated is not None and not current.is_edited)):
        yield from _shown(studio, page, new[0])
        return
    if new:
        said = "Newer videos are there" if len(new) > 1 else "A newer video is there"
        titles = dict((number, title) for title, number in editors.titles())
        names = " and ".join(titles[choice.number] for choice in new)
        yield _choices(editors), results.notes([f"{said}: {names}. Choose it above; this edit stays."]), gr.skip()
    else:
        yield _choices(editors), gr.skip(), gr.skip()
    if editors.session != page.session:  # the page was loaded again
        editors.session = page.session
        yield from _resumed(studio, page, editors)


def _resumed(studio: Studio, page: Page, editors: Editors) -> Iterator[_Shown]:
    """After a reload: follow a running job of the editor, then show and render it."""
    editor = editors.editor
    if editor is None:
        return
    news = studio.follow(page, CHANGING)
    if news is not None:
        try:
            for state in _followed(editor, news, heavy=True):
                yield gr.skip(), gr.skip(), state
        except HandedOver:
            raise
        except Fd2TalkError as error:
            editor.error, editor.message = str(error), ""
    yield gr.skip(), gr.skip(), editor.state("" if editor.is_drawn else "preparing")
    for state in _drawn(studio, page, editor):
        yield gr.skip(), gr.skip(), state


def _choices(editors: Editors) -> Any:
    value = editors.current.number if editors.current else None
    visible = len(editors.choices) > (1 if editors.current else 0)
    return gr.update(choices=editors.titles(), value=value, visible=visible)


def _shown(studio: Studio, page: Page, choice: Choice, editor: Editor | None = None) -> Iterator[_Shown]:
    """Show a choice with its editor, which is made if there is none."""
    editors = _editors(page)
    editor = editor or choice.editor
    if editor is None:
        assert choice.generated is not None  # files are opened when they are offered
        editor = Editor.of_generated(studio, page, choice.generated, number=choice.number, common=editors.common)
    editor.message = editor.error = ""
    lost = editors.show(choice, editor)
    editors.offer(page.generated)  # the previous one is removed if it was replaced and has no edits
    if lost:
        editor.message = f"{lost} was closed with its edits: {MOST_OPEN} videos can be edited at a time"
    yield _choices(editors), "", editor.state("" if editor.is_drawn else "preparing")
    for state in _drawn(studio, page, editor):
        yield gr.skip(), gr.skip(), state


def _of_files(studio: Studio, page: Page, photo: str | None, motion: str | None) -> Iterator[_Shown]:
    """Open a motion file with a photo, by default that of the other tab."""
    if not motion:
        raise UsageError("give a motion file first")
    path = page.workspace.owns(motion)
    read = named(lambda path: load_motion(str(path), studio.engine.face_model), path)
    if photo:
        with studio.engine.tracking, studio.notes.collected(page.name):
            fit = Photo.read(page.workspace.owns(photo), studio.limits).fit
    elif page.photo is not None:
        fit = page.photo.fit
    else:
        raise UsageError("give a photo with a face first")
    editors = _editors(page)
    editor = Editor.of_motion(studio, page, fit, read, common=editors.common)
    choice = editors.opened(path.name)
    editor.number = choice.number
    yield from _shown(studio, page, choice, editor)


def _edited(studio: Studio, page: Page, operation: Any) -> Iterator[_Shown]:
    """Apply an operation of the page, then render the changed frames."""
    editors = _editors(page)
    if editors.editor is None:
        raise UsageError("generate a video first, or open a motion file")
    if not isinstance(operation, dict):
        raise UsageError("this is no operation")
    sequence, choices, closed = operation.get("sequence"), gr.skip(), ""
    # An operation names its editor: another one may have been chosen since it was sent.
    number = operation.get("editor", editors.editor.number)
    try:
        choice = editors.find(number)
        editor = choice.editor
        if editor is None:
            raise UsageError("this video was closed: choose it again")
        if operation.get("op") == "close":
            _close(studio, page, choice, editor)
            choices, closed = _choices(editors), f"Closed: {choice.title}"
        elif operation.get("op") in HEAVY:
            editor.turn += 1
            studio.stop(page, EDITING)
            work = _change(editor, operation)
            for state in _followed(editor, studio.run(page, work, CHANGING, stays=True), heavy=True):
                if editors.editor is editor:
                    yield gr.skip(), gr.skip(), state
        else:
            editor.apply(operation)
    except HandedOver:
        sequence = None  # numbered by a page that was reloaded
        raise
    except Fd2TalkError as error:  # nothing has changed, but a rendering may have been cancelled
        if editors.editor is not None:
            editors.editor.error, editors.editor.message = str(error), ""
    finally:
        if isinstance(sequence, int):
            editors.common.acknowledged = max(editors.common.acknowledged, sequence)
    # Meanwhile another editor may be shown, or none.
    if editors.editor is None:
        yield choices, gr.skip(), _nothing(editors, closed)
        return
    yield choices, gr.skip(), editors.editor.state()
    for state in _drawn(studio, page, editors.editor):
        yield gr.skip(), gr.skip(), state


def _change(editor: Editor, operation: dict) -> Callable[[Report], None]:
    """A job that changes the motion; it stores its error in the editor, as no page may be following it."""

    def work(report: Report) -> None:
        try:
            editor.generate(operation, report)
        except Cancelled:
            raise
        except Fd2TalkError as error:
            editor.error, editor.message = str(error), ""
            raise

    return work


def _close(studio: Studio, page: Page, choice: Choice, editor: Editor) -> None:
    """Cancel an edit's rendering and close it. Raises UsageError: the rendering does not stop in time."""
    editors = _editors(page)
    editor.turn += 1
    studio.stop(page, EDITING, CHANGING)
    if not editors.common.running.acquire(timeout=_STOP_SECONDS):
        raise UsageError("this video is still being rendered: try again in a moment")
    try:
        editors.close(choice, page.generated)
    finally:
        editors.common.running.release()
    if editors.editor is not None:
        editors.editor.message, editors.editor.error = f"Closed: {choice.title}", ""


def _drawn(studio: Studio, page: Page, editor: Editor) -> Iterator[dict[str, Any]]:
    """Render the changed frames. A later call cancels an earlier one, whose frames are kept."""
    if editor.is_drawn:
        return
    editor.turn += 1
    turn = editor.turn
    studio.stop(page, EDITING)
    for state in _followed(editor, studio.run(page, lambda report: editor.draw(report, turn))):
        if editor.turn != turn:
            return
        yield state
    if editor.turn == turn:
        yield editor.state()


def _followed(editor: Editor, news: Iterator[Any], heavy: bool = False) -> Iterator[dict[str, Any]]:
    """Follow a job, one of the page's editors at a time; yields states with its progress."""
    if not editor.common.running.acquire(timeout=_STOP_SECONDS):
        raise UsageError("you have a job already: wait for it, or stop it first")
    try:
        last = 0.0
        with closing(news):
            for new in news:
                now = time.monotonic()
                if isinstance(new, Waiting):
                    yield editor.state(f"waiting: {new.ahead} job{'s' * (new.ahead != 1)} first", heavy=heavy)
                elif isinstance(new, Progress) and now - last > _UPDATE_SECONDS:
                    last = now
                    yield editor.state(new.what, new.done, new.total, heavy)
                elif isinstance(new, Finished):
                    return
    finally:
        editor.common.running.release()
