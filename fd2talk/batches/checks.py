"""Checks of a row's inputs that need neither models nor decoding."""

from __future__ import annotations

import math
import os
from functools import cache
from pathlib import Path

from fd2talk.request import Request
from shared.containers import open_media
from shared.errors import InputError, UsageError
from shared.files import check_input
from shared.images import check_image
from shared.media import FPS
from shared.weights import resolve
from stage1_motion.registry import BUNDLED, PERSONALISED, STYLED


class Inputs:
    """Checks photos and recordings, each file once."""

    def __init__(self) -> None:
        self._photo, self._sound = cache(_photo_error), cache(_sound)

    def frames(self, photo: str, audio: str) -> int:
        """Return the number of frames of a recording, from the duration in its header.

        Raises:
            InputError: the photo's header is not that of a picture, or the recording has no sound.
        """
        frames, error = self._sound(audio)
        if error := self._photo(photo) or error:
            raise InputError(error)
        return frames


def _photo_error(path: str) -> str:
    try:
        check_image(path)
    except InputError as error:
        return str(error)
    return ""


def _sound(path: str) -> tuple[int, str]:
    try:
        with open_media(path) as container:
            if any(stream.type == "audio" for stream in container.streams):
                return math.ceil((container.duration or 0) / 1e6 * FPS), ""
            return 0, f"cannot read {path}: it has no sound track"
    except InputError as error:
        return 0, str(error)


def check_files(request: Request) -> None:
    """Check that the files named by options exist. Raises InputError."""
    if request.pose_from:
        check_input(request.pose_from)
    person, style = request.motion_model.person, request.motion_model.style
    if person is not None and not os.path.isdir(person):
        raise InputError(f"{person!r} is no folder, let alone one of `fd2talk personalise`")
    if style and os.path.isabs(style):
        check_input(style)


def check_style(request: Request, weights: str) -> None:
    """Check that the motion model takes styles, and has the named one; skipped if weights are not bundled.

    Raises:
        UsageError: it takes none, or has none of that name.
        InputError: the style is a file that does not exist.
    """
    style, model = request.motion_model.style, request.motion_model.model
    if style is None or weights != "bundled":
        return
    model = model or (PERSONALISED if request.motion_model.person else BUNDLED[0])
    if model not in STYLED:
        raise UsageError(f"the motion model {model} takes no style; use the model diffposetalk")
    if style in (known := _styles(model)):
        return
    if not Path(style).suffix and not os.path.exists(style):
        raise UsageError(f"there is no style {style!r} (there are: {', '.join(known) or 'no named ones'})")
    check_input(style)


@cache
def _styles(model: str) -> list[str]:
    return sorted(path.stem for path in (resolve("bundled", model) / "styles").glob("*.npz"))
