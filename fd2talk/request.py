"""What a video is generated from: a photo, a recording, and options of a command line, a table or a program."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import click

from fd2talk import cli_options as common
from fd2talk.cli_config import defaults_of, names_of, refusal
from fd2talk.options import FaceChoice, Framing, MotionModelOptions, MotionOptions, RendererOptions
from shared.errors import UsageError


@dataclass(frozen=True)
class Request:
    """A photo, a recording, and how the one shall say the other; see `fd2talk generate --help`.

    Args:
        photo: file.
        audio: file with the speech.
        motion_model: which, and whose way of speaking.
        motion_options: how motion is generated.
        pose_from: a motion file, video or photo whose head motion replaces the generated one, or None.
        renderer: which.
        framing: what of the photo is shown.
        face: which of the photo.

    Raises:
        UsageError: options that exclude each other.
    """

    photo: str
    audio: str
    motion_model: MotionModelOptions
    motion_options: MotionOptions
    pose_from: str | None
    renderer: RendererOptions
    framing: Framing
    face: FaceChoice

    def __post_init__(self) -> None:
        if self.motion_options.still and self.pose_from:
            raise UsageError("--still and --pose-from exclude each other")


options = common.several(
    common.motion_model,
    common.motion,
    click.option("--pose-from", metavar="MOTION", help="Take the head motion from this motion file, video or photo."),
    common.renderer,
    common.framing,
    common.photo_face,
)
"""Decorator: the options of a request arrive as keyword arguments of `Request`."""


@click.command("generate")
@options
def _grouped(**values: Any) -> dict[str, Any]:
    return values


OPTIONS = tuple(option for option in _grouped.params if isinstance(option, click.Option))
"""The same as a list: names, types, ranges, defaults and help."""

FILE_OPTIONS = ("style", "person", "pose_from")
"""Options that name a file or a folder; `style` may be the name of a style instead."""

NAMES = names_of(_grouped)
"""All names that values may have, with `-`."""


def request_from(photo: str, audio: str, values: Mapping[str, object]) -> Request:
    """Make a request from options by name, such as the cells of a table or a JSON object.

    Args:
        photo: file.
        audio: file with the speech.
        values: by the names of `OPTIONS`, with `-` or `_`; as text, or numbers and truth values. Switches, and their
            opposites such as `crop`, take true and false; None is not given.

    Raises:
        UsageError: an option that does not exist, or a value that it does not take.
    """
    try:
        context = _grouped.make_context("generate", [], default_map=defaults_of(_grouped, values))
        with context:
            return Request(photo, audio, **_grouped.invoke(context))
    except click.ClickException as error:
        raise UsageError(refusal(error)) from None
