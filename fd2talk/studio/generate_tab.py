"""The tab that makes a video: photo, speech, settings, progress, result."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import gradio as gr

from fd2talk.studio import controls, results, video_job
from fd2talk.studio.examples import PORTRAITS, SOUNDS
from fd2talk.studio.files_given import ImageFile, SoundFile
from fd2talk.studio.inputs import choose_face, is_known, take_photo, take_speech
from fd2talk.studio.same_page import NAME_AND_LOADS
from fd2talk.studio.studio import GENERATING, Studio
from shared.errors import UsageError

_CLICKED_EXAMPLE = """
element.addEventListener('click', event => {
  const button = event.target.closest('button[data-name]');
  if (button) trigger('click', {name: button.dataset.name});
});
"""
# Screen readers announce changes of a live region only if it existed before.
_LIVE = "element.setAttribute('role', 'status'); element.setAttribute('aria-live', 'polite');"


def build(studio: Studio, whole: gr.Blocks) -> None:
    """Add the tab to the page that is being built.

    Args:
        studio: which serves it.
        whole: the page, whose content is restored after a reload.
    """
    plain: dict[str, Any] = {"apply_default_css": False}
    with gr.Row(elem_classes="studio-columns"):
        with gr.Column(scale=5, min_width=300):
            gr.HTML("<h2>1. Photo</h2>")
            photo = ImageFile(
                label="Photo of a face, from the front", type="filepath", sources=["upload", "webcam"], height=300,
                elem_id="photo", buttons=[], image_mode=None, placeholder="Drop a photo here, or click to choose one",
            )  # fmt: skip
            portraits = gr.HTML(_example_pictures(), js_on_load=_CLICKED_EXAMPLE, elem_id="portraits", **plain)
            faces_said = gr.HTML(elem_id="faces-said", elem_classes="studio-said", js_on_load=_LIVE)
            with gr.Group(visible=False, elem_id="faces") as faces:
                numbered = gr.HTML(elem_id="numbered", **plain)
                face = gr.Radio(label="Which face speaks?", elem_id="face")
            gr.HTML("<h2>2. Speech</h2>")
            sound = SoundFile(
                label="Recording of speech", type="filepath", sources=["upload", "microphone"], elem_id="speech",
                buttons=[], editable=False,
            )  # fmt: skip
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

    # An error at the button may be about the input that is replaced now: clear it.
    def on_photo(path: str | None, request: gr.Request) -> Iterator[tuple]:
        clear = "" if path and not is_known(studio, request, path) else gr.skip()
        yield "<p>Looking for faces</p>" if path else "", gr.skip(), gr.skip(), gr.skip(), clear
        yield *take_photo(studio, request, path), clear

    def on_face(number: int | None, request: gr.Request) -> tuple:
        return choose_face(studio, request, number)

    def on_sound(path: str | None, request: gr.Request) -> tuple:
        clear = "" if path and not is_known(studio, request, path) else gr.skip()
        return take_speech(studio, request, path), clear

    def on_portrait(event: gr.EventData, request: gr.Request) -> Any:
        return _bundled(studio, request, PORTRAITS, event)

    def on_example_sound(event: gr.EventData, request: gr.Request) -> Any:
        return _bundled(studio, request, SOUNDS, event)

    def on_start(request: gr.Request, sound_path: str | None, *values: Any) -> Iterator[tuple]:
        yield from video_job.begun(studio, request, sound_path, values)

    def on_stop(request: gr.Request) -> tuple:
        page = studio.page(request)
        # A job of this page is followed by `on_start`, which will update the page.
        here = studio.jobs.has(page.visitor.name, page.name, GENERATING)
        studio.jobs.cancel_first(page.visitor.name)
        return (gr.skip(),) * 2 if here else ("", gr.update(interactive=False))

    def on_load(by: str | None, request: gr.Request) -> Iterator[tuple]:
        yield from _restored(studio, request, by, len(how.all))

    quiet: dict[str, Any] = {"show_progress": "hidden", "concurrency_limit": None}
    of_faces = [faces_said, faces, numbered, face]
    photo.change(on_photo, photo, [*of_faces, failed], show_progress="hidden", concurrency_limit=2)
    face.input(on_face, face, [faces_said, numbered], show_progress="hidden", concurrency_limit=2)
    sound.change(on_sound, sound, [sound_said, failed], show_progress="hidden", concurrency_limit=2)
    portraits.click(on_portrait, None, photo, **quiet)
    sounds.click(on_example_sound, None, sound, **quiet)
    outputs = [failed, stage, bar, shown, start, stop]
    start.click(on_start, [sound, *how.all], outputs, **quiet)
    stop.click(on_stop, None, [failed, stop], **quiet)
    by = gr.Textbox(visible=False, elem_id="loaded")
    whole.load(on_load, by, [photo, sound, *how.all, *outputs], js=NAME_AND_LOADS, **quiet)


def _restored(studio: Studio, request: gr.Request, by: str | None, controls_count: int) -> Iterator[tuple]:
    """Restore a page after a reload: photo, recording and controls; then its videos, or its running job."""
    nothing = (gr.skip(),) * (2 + controls_count)
    try:
        page = studio.loaded_page(request, by)
    except UsageError:  # shown with their first action
        yield *nothing, *video_job.NOTHING_NEW  # without any update gradio would clear all components
        return
    photo = gr.skip() if page.photo is None else str(page.photo.path)
    sound = gr.skip() if page.sound is None else str(page.sound)
    settings = controls.as_before(studio.engine, page.values) if page.values else nothing[2:]
    yield photo, sound, *settings, *video_job.NOTHING_NEW
    for outputs in video_job.resumed(studio, page):
        yield *nothing, *outputs


def _bundled(studio: Studio, request: gr.Request, known: dict, event: Any) -> Any:
    """Copy a bundled file to the visitor's folder; returns its path."""
    name = getattr(event, "name", None)
    if name not in known:
        return gr.skip()
    try:
        path = studio.page(request).workspace.of_name(str(name))
    except UsageError as error:
        raise gr.Error(str(error), print_exception=False) from None
    path.write_bytes(known[name].path.read_bytes())
    return str(path)


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
