"""The tab that makes a video: photo, speech, settings, progress, result."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import gradio as gr

from fd2talk.studio import controls, results
from fd2talk.studio.examples import PORTRAITS, SOUNDS
from fd2talk.studio.generation import Generated, generate
from fd2talk.studio.inputs import choose_face, take_photo, take_speech
from fd2talk.studio.jobs import Busy, Cancelled, Finished, Progress, Report, Shown, Waiting
from fd2talk.studio.media import check_clip, read_speech
from fd2talk.studio.studio import GENERATING, Studio
from fd2talk.studio.visitors import Page
from shared.errors import Fd2TalkError, UsageError

# Seconds between two updates of the bar.
_PACE = 0.5
_CLICKED_EXAMPLE = """
element.addEventListener('click', event => {
  const button = event.target.closest('button[data-name]');
  if (button) trigger('click', {name: button.dataset.name});
});
"""
# The live region must be there before its text changes.
_LIVE = "element.setAttribute('role', 'status'); element.setAttribute('aria-live', 'polite');"


def build(studio: Studio) -> None:
    """Put the tab where it is called."""
    plain: dict[str, Any] = {"apply_default_css": False}
    with gr.Row(elem_classes="studio-columns"):
        with gr.Column(scale=5, min_width=300):
            gr.HTML("<h2>1. Photo</h2>")
            photo = gr.Image(
                label="Photo of a face, from the front", type="filepath", sources=["upload", "webcam"], height=300,
                elem_id="photo", buttons=[], image_mode=None, placeholder="Drop a photo here, or click to choose one",
            )  # fmt: skip
            photo.preprocess = controls.path_of  # type: ignore[method-assign]
            portraits = gr.HTML(_example_pictures(), js_on_load=_CLICKED_EXAMPLE, elem_id="portraits", **plain)
            faces_said = gr.HTML(elem_id="faces-said", elem_classes="studio-said", js_on_load=_LIVE)
            with gr.Group(visible=False, elem_id="faces") as faces:
                numbered = gr.HTML(elem_id="numbered", **plain)
                face = gr.Radio(label="Which face speaks?", elem_id="face")
            gr.HTML("<h2>2. Speech</h2>")
            sound = gr.Audio(
                label="Recording of speech", type="filepath", sources=["upload", "microphone"], elem_id="speech",
                buttons=[], editable=False,
            )  # fmt: skip
            sound.preprocess = controls.path_of  # type: ignore[method-assign]
            sounds = gr.HTML(_example_sounds(), js_on_load=_CLICKED_EXAMPLE, elem_id="sounds", **plain)
            sound_said = gr.HTML(elem_id="sound-said", elem_classes="studio-said", js_on_load=_LIVE)
        with gr.Column(scale=6, min_width=300):
            gr.HTML("<h2>3. How</h2>")
            how = controls.build(studio.engine)
            with gr.Row():
                start = gr.Button("Generate", variant="primary", size="lg", elem_id="generate", scale=3)
                stop = gr.Button("Stop", size="lg", elem_id="stop", interactive=False, scale=1, min_width=90)
            failed = gr.HTML(elem_id="failed", elem_classes="studio-said")
            stage = gr.HTML(elem_id="stage", elem_classes="studio-said", js_on_load=_LIVE)
            bar = gr.HTML(elem_id="bar", elem_classes="studio-said")
        shown = gr.HTML(results.empty(), elem_id="results", **plain)

    # What was said at the button may be about what is given now.
    def on_photo(path: str | None, request: gr.Request) -> Iterator[tuple]:
        clear = "" if path else gr.skip()
        yield _looking(path), gr.skip(), gr.skip(), gr.skip(), clear
        yield *take_photo(studio, request, path), clear

    def on_face(number: int | None, request: gr.Request) -> tuple:
        return choose_face(studio, request, number)

    def on_sound(path: str | None, request: gr.Request) -> tuple:
        return take_speech(studio, request, path), "" if path else gr.skip()

    def on_portrait(event: gr.EventData, request: gr.Request) -> Any:
        return _bundled(studio, request, PORTRAITS, event)

    def on_example_sound(event: gr.EventData, request: gr.Request) -> Any:
        return _bundled(studio, request, SOUNDS, event)

    def on_start(request: gr.Request, sound_path: str | None, *values: Any) -> Iterator[tuple]:
        yield from _followed(studio, request, sound_path, values)

    def on_stop(request: gr.Request) -> tuple:
        page = studio.page(request)
        here = studio.jobs.has(page.visitor.name, page.name, GENERATING)  # then who follows it says what comes of it
        studio.jobs.cancel_first(page.visitor.name)
        return (gr.skip(),) * 2 if here else ("", gr.update(interactive=False))

    quiet: dict[str, Any] = {"show_progress": "hidden", "concurrency_limit": None}
    of_faces = [faces_said, faces, numbered, face]
    photo.change(on_photo, photo, [*of_faces, failed], show_progress="hidden", concurrency_limit=2)
    face.input(on_face, face, [faces_said, numbered], show_progress="hidden", concurrency_limit=2)
    sound.change(on_sound, sound, [sound_said, failed], show_progress="hidden", concurrency_limit=2)
    portraits.click(on_portrait, None, photo, **quiet)
    sounds.click(on_example_sound, None, sound, **quiet)
    start.click(on_start, [sound, *how.all], [failed, stage, bar, shown, start, stop], **quiet)
    stop.click(on_stop, None, [failed, stop], **quiet)


def _followed(studio: Studio, request: gr.Request, sound: str | None, values: tuple) -> Iterator[tuple]:
    """Run a job, and tell the page how it goes: (failed, stage, bar, results, start, stop)."""
    skip, on, off = gr.skip(), gr.update(interactive=True), gr.update(interactive=False)
    page: Page | None = None

    def over(stage: str, sentence: str = "", stops: dict = off) -> tuple:
        """No job any more; what was made before it is shown again."""
        before = results.videos(page.generated, page, studio) if page and page.generated else results.empty()
        return results.alert(sentence), stage, "", before, on, stops

    try:
        page = studio.page(request)
        work = _work(studio, page, sound, values)
        if studio.jobs.has(page.visitor.name, page.name, GENERATING):
            yield (skip,) * 6  # a double click: the first one is followed already
            return
        yield "", "Starting", results.bar(0, 0, "Starting"), skip, off, on
        said, last = "starting", 0.0
        made: list[Generated] = []
        with closing(studio.run(page, work, GENERATING, gives_way=False)) as news:
            for new in news:
                if isinstance(new, Waiting):
                    said = f"Waiting: {new.ahead} job{'s' * (new.ahead != 1)} first"
                    yield skip, said, results.bar(0, 0, said), skip, skip, skip
                elif isinstance(new, Progress):
                    now = time.monotonic()
                    if new.what == said and now - last < _PACE:
                        continue
                    text = new.what[:1].upper() + new.what[1:]
                    stage = skip if new.what == said else text
                    yield skip, stage, results.bar(new.done, new.total, text), skip, skip, skip
                    said, last = new.what, now
                elif isinstance(new, Shown):
                    if isinstance(new.value, Generated):
                        made.append(new.value)
                        html = results.videos(made, page, studio)
                    else:
                        coming = results.preview(studio.url(new.value, page))
                        html = results.videos(made, page, studio, coming)
                    yield skip, skip, skip, html, skip, skip
                elif isinstance(new, Finished):
                    page.workspace.discard(*(file for one in page.generated for file in one.files.values()))
                    page.generated[:] = new.value
                    notes = results.notes(studio.notes.of(page.name))
                    said = "Done" if len(new.value) == 1 else "Done: both videos are below"
                    yield "", said, "", notes + results.videos(new.value, page, studio), on, off
    except Cancelled:
        yield over("Stopped")
    except Busy as busy:
        yield (skip,) * 6 if busy.here else over("", str(busy), on)
    except Fd2TalkError as error:
        yield over("", str(error))
    except Exception:
        studio.log_bug()
        yield over("", "something went wrong in the studio itself; whoever runs it finds the details in its log")


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
        return made

    return work


def _bundled(studio: Studio, request: gr.Request, known: dict, event: Any) -> Any:
    """A copy of a bundled file in the visitor's folder."""
    name = getattr(event, "name", None)
    if name not in known:
        return gr.skip()
    try:
        path = studio.page(request).workspace.of_name(str(name))
    except UsageError as error:
        raise gr.Error(str(error), print_exception=False) from None
    path.write_bytes(known[name].path.read_bytes())
    return str(path)


def _looking(path: str | None) -> str:
    return "<p>Looking for faces</p>" if path else ""


def _example_pictures() -> str:
    buttons = "".join(
        f'<button type="button" data-name="{name}"><img src="/studio/examples/{name}" alt="" width="64" height="64">'
        f"<span>{one.title}</span></button>"
        for name, one in PORTRAITS.items()
    )
    return _examples("photos", "Or one of these, who do not exist:", buttons)


def _example_sounds() -> str:
    buttons = "".join(f'<button type="button" data-name="{name}">{one.title}</button>' for name, one in SOUNDS.items())
    return _examples("recordings", "Or one of these:", buttons)


def _examples(what: str, said: str, buttons: str) -> str:
    return f'<div class="studio-examples" role="group" aria-label="Example {what}"><span>{said}</span>{buttons}</div>'
