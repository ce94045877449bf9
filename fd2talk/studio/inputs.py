"""Handlers of a new photo or recording: read it within the limits, and describe it or its error."""

from __future__ import annotations

from typing import Any

import gradio as gr
import numpy as np

from fd2talk.media_checks import read_speech
from fd2talk.studio import results
from fd2talk.studio.photos import Photo
from fd2talk.studio.studio import Studio
from fd2talk.studio.visitors import Page
from shared.audio import SAMPLE_RATE
from shared.errors import Fd2TalkError, InputError, UsageError

# Shorter speech has no syllable; a peak below -60 dB comes from a microphone that was off.
_LEAST_SECONDS, _LEAST_PEAK = 0.1, 1e-3


def is_known(studio: Studio, request: gr.Request, path: str | None) -> bool:
    """Whether a photo or a recording is the one that the page has already, as after a reload."""
    try:
        page = studio.page(request)
    except UsageError:
        return False
    known = [page.sound, page.photo.path if page.photo else None]
    return path is not None and path in map(str, filter(None, known))


def take_photo(studio: Studio, request: gr.Request, path: str | None) -> tuple:
    """Read a photo; returns updates of the message, the group of faces, their picture, and the choice of one."""
    nothing = (gr.update(visible=False), "", gr.update(choices=[], value=None))
    try:
        page = studio.page(request)
        if page.photo is not None and str(page.photo.path) != path:
            page.workspace.discard(page.photo.path)
        notes = ""
        if is_known(studio, request, path) and page.photo is not None:  # with the face that was chosen
            photo = page.photo
        else:
            page.photo = None
            if not path:
                return "", *nothing
            file = page.workspace.owns(path)
            with studio.engine.tracking, studio.notes.collected(page.name):
                photo = Photo.read(file, studio.limits)
            page.photo = photo
            notes = results.notes(studio.notes.of(page.name))
        if len(photo.faces) == 1:
            return "<p>One face found.</p>" + notes, *nothing
        said = f"<p>{len(photo.faces)} faces found; face {photo.chosen} is chosen.</p>"
        choices = [(f"Face {number}", number) for number in range(len(photo.faces))]
        shown = _numbered(studio, photo, page)
        return said + notes, gr.update(visible=True), shown, gr.update(choices=choices, value=photo.chosen)
    except Fd2TalkError as error:
        return results.alert(str(error)), *nothing
    except Exception:
        studio.log_bug()
        return results.alert("this photo cannot be used"), *nothing


def choose_face(studio: Studio, request: gr.Request, number: int | None) -> tuple:
    """Choose another face of the photo; returns updates of the message and the picture."""
    page: Page | None = None
    try:
        page = studio.page(request)
        if page.photo is None or not isinstance(number, int) or not 0 <= number < len(page.photo.faces):
            return "", gr.skip()
        with studio.engine.tracking, studio.notes.collected(page.name):
            page.photo.choose(number)
        said = f"<p>Face {number} of {len(page.photo.faces)} speaks.</p>"
        return said + results.notes(studio.notes.of(page.name)), _numbered(studio, page.photo, page)
    except Fd2TalkError as error:
        kept = f"; face {page.photo.chosen} is kept" if page is not None and page.photo is not None else ""
        return results.alert(f"{error}{kept}"), gr.skip()


def take_speech(studio: Studio, request: gr.Request, path: str | None) -> Any:
    """Read a recording, so that its errors are reported at once; returns the message."""
    try:
        page = studio.page(request)
        page.sound = None
        if not path:
            return ""
        file = page.workspace.owns(path)
        with studio.notes.collected(page.name):
            speech = read_speech(file, studio.limits)
        if len(speech) < _LEAST_SECONDS * SAMPLE_RATE:
            raise InputError(f"this recording is shorter than {_LEAST_SECONDS:g} seconds: give a longer one")
        page.sound = file
        notes = studio.notes.of(page.name)
        if np.abs(speech).max() < _LEAST_PEAK:
            notes = [*notes, "this recording is silent, the mouth would stay shut; was the microphone on?"]
        return f"<p>{len(speech) / SAMPLE_RATE:.1f} seconds.</p>" + results.notes(notes)
    except Fd2TalkError as error:
        return results.alert(str(error))
    except Exception:
        studio.log_bug()
        return results.alert("this recording cannot be used")


def _numbered(studio: Studio, photo: Photo, page: Page) -> str:
    path = page.workspace.new(".jpg")
    photo.numbered().save(path, quality=90)
    numbers = ", ".join(str(number) for number in range(len(photo.faces)))
    text = f"The photo with its faces numbered {numbers} from the left, row by row; {photo.chosen} is chosen"
    return f'<img class="studio-numbered" src="{studio.url(path, page)}" alt="{text}">'
