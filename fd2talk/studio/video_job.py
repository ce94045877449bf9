"""The job of the tab Generate: what it does, and what the page is told of it, also after the page was loaded again."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import gradio as gr

from fd2talk.media_checks import check_clip, read_speech
from fd2talk.studio import controls, results
from fd2talk.studio.generation import Generated, generate
from fd2talk.studio.jobs import Busy, Cancelled, Finished, HandedOver, Progress, Report, Shown, Waiting
from fd2talk.studio.studio import GENERATING, Studio
from fd2talk.studio.visitors import Page
from shared.errors import Fd2TalkError, UsageError

# Seconds between two updates of the bar.
_PACE = 0.5
_OURS = "something went wrong in the studio itself; whoever runs it finds the details in its log"
_SKIP, _ON, _OFF = gr.skip(), gr.update(interactive=True), gr.update(interactive=False)
NOTHING_NEW = (_SKIP,) * 6
Told = tuple[Any, Any, Any, Any, Any, Any]
"""For the page: what failed, the stage, the bar, the results, the buttons Generate and Stop."""


def begun(studio: Studio, request: gr.Request, sound: str | None, values: tuple) -> Iterator[Told]:
    """Begin a job, and tell the page how it goes."""
    page: Page | None = None
    try:
        page = studio.page(request)
        work = _work(studio, page, sound, values)
        if studio.jobs.has(page.visitor.name, page.name, GENERATING):
            yield NOTHING_NEW  # a double click: the first one is followed already
            return
        page.failed, page.values = "", values
        yield "", "Starting", results.bar(0, 0, "Starting"), _SKIP, _OFF, _ON
        yield from _followed(studio, page, studio.run(page, work, GENERATING, gives_way=False, stays=True))
    except Exception as error:
        yield _ended(studio, page, error)


def resumed(studio: Studio, page: Page) -> Iterator[Told]:
    """Show a page that was loaded again what it had, and go on telling it of a job that was begun before."""
    news = studio.follow(page, GENERATING)
    if news is not None:
        yield "", "Going on", results.bar(0, 0, "Going on"), _SKIP, _OFF, _ON
        try:
            yield from _followed(studio, page, news)
        except Exception as error:
            yield _ended(studio, page, error)
    elif page.generated or page.failed:
        shown = results.videos(page.generated, page, studio) if page.generated else _SKIP
        yield results.alert(page.failed), _SKIP, "", shown, _ON, _OFF
        page.failed = ""


def _followed(studio: Studio, page: Page, news: Iterator[Any]) -> Iterator[Told]:
    said, last = "starting", 0.0
    made: list[Generated] = []
    with closing(news):
        for new in news:
            if isinstance(new, Waiting):
                said = f"Waiting: {new.ahead} job{'s' * (new.ahead != 1)} first"
                yield _SKIP, said, results.bar(0, 0, said), _SKIP, _SKIP, _SKIP
            elif isinstance(new, Progress):
                now = time.monotonic()
                if new.what == said and now - last < _PACE:
                    continue
                text = new.what[:1].upper() + new.what[1:]
                stage = _SKIP if new.what == said else text
                yield _SKIP, stage, results.bar(new.done, new.total, text), _SKIP, _SKIP, _SKIP
                said, last = new.what, now
            elif isinstance(new, Shown):
                if isinstance(new.value, Generated):
                    made.append(new.value)
                    html = results.videos(made, page, studio)
                elif new.value.exists():  # a preview; one of a video that is there by now is gone
                    coming = results.preview(studio.url(new.value, page))
                    html = results.videos(made, page, studio, coming)
                else:
                    continue
                yield _SKIP, _SKIP, _SKIP, html, _SKIP, _SKIP
            elif isinstance(new, Finished):
                notes = results.notes(studio.notes.of(page.name))
                said = "Done" if len(new.value) == 1 else "Done: both videos are below"
                yield "", said, "", notes + results.videos(new.value, page, studio), _ON, _OFF


def _ended(studio: Studio, page: Page | None, error: Exception) -> Told:
    """A job that made nothing, or that was not begun. Called while the error is handled."""
    if isinstance(error, HandedOver):
        return NOTHING_NEW
    if isinstance(error, Cancelled):
        return _over(studio, page, "Stopped")
    if isinstance(error, Busy):
        return NOTHING_NEW if error.here else _over(studio, page, "", str(error), _ON)
    if isinstance(error, Fd2TalkError):
        return _over(studio, page, "", str(error))
    studio.log_bug()
    return _over(studio, page, "", _OURS)


def _over(studio: Studio, page: Page | None, stage: str, sentence: str = "", stops: dict = _OFF) -> Told:
    """No job any more; what was made before it is shown again."""
    before = results.videos(page.generated, page, studio) if page and page.generated else results.empty()
    return results.alert(sentence), stage, "", before, _ON, stops


def _work(studio: Studio, page: Page, sound: str | None, values: tuple) -> Any:
    """What a job is to do. Raises Fd2TalkError: it could not be done."""
    if page.photo is None:
        raise UsageError("give a photo with a face first")
    if not sound:
        raise UsageError("give a recording of speech first")
    photo, path = page.photo, page.workspace.owns(sound)
    settings = controls.settings_of(studio.engine, values)
    for one in settings:
        if isinstance(one.style, Path):
            check_clip(page.workspace.owns(one.style), studio.limits)
    face = photo.chosen if len(photo.faces) > 1 else None

    def work(report: Report) -> list[Generated]:
        speech = read_speech(path, studio.limits)
        made: list[Generated] = []
        for number, one in enumerate(settings, 1):
            label = f"video {number} of 2: " if len(settings) == 2 else ""
            made.append(
                generate(studio.engine, page.workspace, photo.fit, path, speech, one, report, face=face, label=label)
            )
            if number < len(settings):
                report.show(made[-1])
        report.check()
        # Here, as nobody may be following at the moment.
        page.workspace.discard(*(file for one in page.generated for file in one.files.values()))
        page.generated[:] = made
        return made

    def kept(report: Report) -> list[Generated]:
        try:
            return work(report)
        except Cancelled:
            raise
        except Fd2TalkError as error:
            page.failed = str(error)
            raise
        except Exception:
            page.failed = _OURS
            raise

    return kept
