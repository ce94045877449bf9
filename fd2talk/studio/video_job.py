"""The job of the tab Generate, and the updates of the page while it runs, also after a reload."""

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
from fd2talk.studio.studio import BUG, GENERATING, Studio
from fd2talk.studio.visitors import Page
from shared.errors import Fd2TalkError, UsageError

# Seconds between two updates of the bar.
_UPDATE_SECONDS = 0.5
_SKIP, _ON, _OFF = gr.skip(), gr.update(interactive=True), gr.update(interactive=False)
NOTHING_NEW = (_SKIP,) * 6
Updates = tuple[Any, Any, Any, Any, Any, Any]
"""Of the page: error, stage, progress bar, results, and the buttons Generate and Stop."""


def begun(studio: Studio, request: gr.Request, sound: str | None, values: tuple) -> Iterator[Updates]:
    """Begin a job, and yield updates while it runs."""
    page: Page | None = None
    try:
        page = studio.page(request)
        work = _work(studio, page, sound, values)
        if studio.jobs.has(page.visitor.name, page.name, GENERATING):
            yield NOTHING_NEW  # a double click: the first click follows the job
            return
        page.failed, page.values = "", values
        yield "", "Starting", results.bar(0, 0, "Starting"), _SKIP, _OFF, _ON
        yield from _followed(studio, page, studio.run(page, work, GENERATING, gives_way=False, stays=True))
    except Exception as error:
        yield _ended(studio, page, error)


def resumed(studio: Studio, page: Page) -> Iterator[Updates]:
    """After a reload: follow the page's running job, or show its videos or last error."""
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


def _followed(studio: Studio, page: Page, news: Iterator[Any]) -> Iterator[Updates]:
    stage_shown, last = "starting", 0.0
    made: list[Generated] = []
    with closing(news):
        for new in news:
            if isinstance(new, Waiting):
                stage_shown = f"Waiting: {new.ahead} job{'s' * (new.ahead != 1)} first"
                yield _SKIP, stage_shown, results.bar(0, 0, stage_shown), _SKIP, _SKIP, _SKIP
            elif isinstance(new, Progress):
                now = time.monotonic()
                if new.what == stage_shown and now - last < _UPDATE_SECONDS:
                    continue
                text = new.what[:1].upper() + new.what[1:]
                stage = _SKIP if new.what == stage_shown else text
                yield _SKIP, stage, results.bar(new.done, new.total, text), _SKIP, _SKIP, _SKIP
                stage_shown, last = new.what, now
            elif isinstance(new, Shown):
                if isinstance(new.value, Generated):
                    made.append(new.value)
                    html = results.videos(made, page, studio)
                elif new.value.exists():  # a preview; its file is removed when the video is complete
                    coming = results.preview(studio.url(new.value, page))
                    html = results.videos(made, page, studio, coming)
                else:
                    continue
                yield _SKIP, _SKIP, _SKIP, html, _SKIP, _SKIP
            elif isinstance(new, Finished):
                notes = results.notes(studio.notes.of(page.name))
                stage_shown = "Done" if len(new.value) == 1 else "Done: both videos are below"
                yield "", stage_shown, "", notes + results.videos(new.value, page, studio), _ON, _OFF


def _ended(studio: Studio, page: Page | None, error: Exception) -> Updates:
    """Updates after an error of a job. Called while the error is handled."""
    if isinstance(error, HandedOver):
        return NOTHING_NEW
    if isinstance(error, Cancelled):
        return _over(studio, page, "Stopped")
    if isinstance(error, Busy):
        return NOTHING_NEW if error.here else _over(studio, page, "", str(error), _ON)
    if isinstance(error, Fd2TalkError):
        return _over(studio, page, "", str(error))
    studio.log_bug()
    return _over(studio, page, "", BUG)


def _over(studio: Studio, page: Page | None, stage: str, sentence: str = "", stops: dict = _OFF) -> Updates:
    """Updates after the end of a job that made nothing; the earlier videos are shown again."""
    before = results.videos(page.generated, page, studio) if page and page.generated else results.empty()
    return results.alert(sentence), stage, "", before, _ON, stops


def _work(studio: Studio, page: Page, sound: str | None, values: tuple) -> Any:
    """The work of a job. Raises Fd2TalkError: an input is missing or invalid."""
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
        # Stored by the job itself, as no page may be following it.
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
            page.failed = BUG
            raise

    return kept
