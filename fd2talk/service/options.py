"""The fields of a request for a video, derived from the options of `fd2talk generate`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal

import click
from pydantic import ConfigDict, Field, ValidationError, create_model

from fd2talk.request import OPTIONS
from fd2talk.service.errors import Refused, given_twice
from fd2talk.service.uploads import PREFIX

FILES = ("photo", "audio", "style", "pose_from")
"""Fields that are files, or ids of uploads; `style` may also be the name of a style."""

FILE_SCHEMA = {"type": "string", "format": "binary", "minLength": 1}
"""JSON schema of a file in a form."""

RENDERERS = ("geometry", "repair")
"""The renderers that clients may choose; `diffusion` is not offered, as it takes minutes for a second of video."""

_UPLOAD = f"^{PREFIX}[0-9a-f]{{32}}$"
# Without dots and slashes: on the command line these may be paths.
_NAME = "^[A-Za-z0-9_+-]{1,64}$"
_BOX = r"^-?[0-9]{1,6}(\.[0-9]{1,6})?(,-?[0-9]{1,6}(\.[0-9]{1,6})?){3}$"
_SOLVER = r"^(ddim|renoise|dpm-solver\+\+|[A-Za-z0-9]{1,54}Scheduler)$"
# A folder on the server, and an option of the renderer diffusion.
_NOT_OFFERED = ("person", "render_steps", *FILES)
_OFFERED = tuple(option for option in OPTIONS if option.name not in _NOT_OFFERED)
_SWITCHES = {str(option.name): option for option in _OFFERED if option.is_flag}
_INTEGERS = {option.name for option in _OFFERED if isinstance(option.type, click.IntRange)}
_INTEGER = re.compile(r"-?[0-9]{1,30}")
_NUMBER = re.compile(r"-?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?")
_HINTS = {
    "photo": "send a file (-F photo=@photo.jpg) or the id of an upload",
    "audio": "send a file (-F audio=@speech.wav) or the id of an upload",
    "style": "give the name of a style, such as calm, send a file (-F style=@clip.mp4) or the id of an upload",
    "pose_from": "send a file (-F pose_from=@motion.npz) or the id of an upload",
    "face_box": "give left, top, right and bottom in pixels, as in 120,80,360,340",
    "solver": "give ddim, renoise, dpm-solver++, or a scheduler of diffusers, such as UniPCMultistepScheduler",
    "after": "give the id of a video, the `last_id` of the page before",
    "Idempotency-Key": "give 1 to 200 printable ASCII characters without spaces",
}
"""What to send, for the message of an invalid field."""


def _opposites() -> dict[str, str]:
    """Negative names of switches on the command line, such as `crop` and `no_ease` -> the switch."""
    found = {}
    for name, option in _SWITCHES.items():
        names = [one.lstrip("-").replace("-", "_") for one in option.secondary_opts]
        for opposite in names or [name.removeprefix("no_") if name.startswith("no_") else f"no_{name}"]:
            found[opposite] = name
    return found


_OPPOSITES = _opposites()


def _type(option: click.Option) -> Any:
    if option.name == "renderer":
        return Literal[RENDERERS]
    kind = option.type
    if isinstance(kind, click.Choice):
        return Literal[tuple(kind.choices)]
    if isinstance(kind, (click.IntRange, click.FloatRange)):
        ends: dict[str, Any] = {"gt" if kind.min_open else "ge": kind.min, "lt" if kind.max_open else "le": kind.max}
        if isinstance(kind, click.IntRange):
            return Annotated[int, Field(**ends)]
        return Annotated[float, Field(allow_inf_nan=False, **ends)]
    if option.name == "face_box":
        return Annotated[str, Field(pattern=_BOX)]
    return Annotated[str, Field(pattern=_SOLVER if option.name == "solver" else _NAME)]


def _field(option: click.Option) -> tuple[Any, Any]:
    if option.is_flag:
        return bool, Field(option.default is True, description=option.help)
    default = option.default if isinstance(option.default, (str, int, float)) else None
    return _type(option) | None if default is None else _type(option), Field(default, description=option.help)


_UPLOADED = "id of an upload; in a form, the file itself or an id."
_FIELDS: dict[str, Any] = {
    "photo": (Annotated[str, Field(pattern=_UPLOAD)], Field(description=f"Photo of the person: {_UPLOADED}")),
    "audio": (Annotated[str, Field(pattern=_UPLOAD)], Field(description=f"Speech, as sound or video: {_UPLOADED}")),
    "style": (
        Annotated[str, Field(pattern=_NAME)] | None,
        Field(
            None,
            description="Speaking style, for the model diffposetalk: a name such as `calm`, or the id of an upload of "
            "a clip, a motion or a style; in a form, also the file itself.",
        ),
    ),
    "pose_from": (
        Annotated[str, Field(pattern=_UPLOAD)] | None,
        Field(None, description=f"Motion, video or photo that the head's motion is taken from: {_UPLOADED}"),
    ),
    **{str(option.name): _field(option) for option in _OFFERED},
}
VideoRequest = create_model(
    "VideoRequest",
    __config__=ConfigDict(extra="forbid", strict=True),
    __doc__="A video that is wanted. Options are those of `fd2talk generate`, with `_` for `-`.",
    **_FIELDS,
)


def checked(values: Mapping[str, Any], files: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Validate the options of a request.

    Args:
        values: of JSON, by name.
        files: the files of a form, by field; these fields are not among `values`.

    Returns:
        The options that were given, without files.

    Raises:
        Refused: something is missing, unknown, or of the wrong kind; the sentence names it.
    """
    given = {str(name).replace("-", "_"): value for name, value in values.items()}
    for name, value in given.items():
        if isinstance(value, float) and value.is_integer() and name in _INTEGERS:  # 256.0 is a whole number in JSON
            given[name] = int(value)
    for opposite in given.keys() & _OPPOSITES.keys():
        name, value = _OPPOSITES[opposite], given.pop(opposite)
        if not isinstance(value, bool):
            raise Refused(422, "invalid_request", f"{opposite}: give true or false")
        if name in given:
            raise Refused(422, "invalid_request", f"{opposite}: {name} is given, too")
        given[name] = not value
    stand_ins = {name: PREFIX + "0" * 32 for name in files or ()}
    if twice := given.keys() & stand_ins.keys():
        raise given_twice(min(twice))
    try:
        found = VideoRequest.model_validate(given | stand_ins).model_dump(exclude_unset=True, exclude_none=True)
    except ValidationError as error:
        raise Refused(422, "invalid_request", sentence_of(error.errors())) from None
    return {name: value for name, value in found.items() if name not in stand_ins}


def from_form(values: Mapping[str, str]) -> dict[str, Any]:
    """Convert the fields of a form, which are text, to the types of JSON; invalid text stays text, for `checked`."""
    kinds = {str(option.name): option for option in _OFFERED}
    found: dict[str, Any] = {}
    for key, text in values.items():
        name = key.replace("-", "_")
        option = kinds.get(name)
        value: Any = text
        if (name in _SWITCHES or name in _OPPOSITES) and text.lower() in ("true", "false"):
            value = text.lower() == "true"
        elif name in _INTEGERS and _INTEGER.fullmatch(text):
            value = int(text)
        elif option is not None and isinstance(option.type, click.FloatRange) and _NUMBER.fullmatch(text):
            value = float(text)
        if name in found:
            raise given_twice(name)
        found[name] = value
    return found


def sentence_of(errors: Any) -> str:
    """The first of pydantic's errors and its field, as one sentence."""
    first = errors[0]
    place = next((str(part) for part in first["loc"] if part not in ("query", "path", "header", "body")), "")
    hint = _HINTS.get(place)
    message = {"missing": "it is missing", "extra_forbidden": "there is no such option"}.get(
        first["type"], first["msg"]
    )
    if hint and first["type"] == "missing":
        message = f"{message}: {hint}"
    elif hint or first["type"] == "string_pattern_mismatch":  # a regular expression explains nothing
        message = hint or "this is none of its values"
    return f"{place[:80]}: {message[:1].lower()}{message[1:]}" if place else message


def form_schema() -> dict[str, Any]:
    """The schema of a request as a form: that of JSON, with files."""
    schema = VideoRequest.model_json_schema()
    for name, field in schema["properties"].items():  # a field of a form is text, and cannot be null
        kinds = [kind for kind in field.pop("anyOf", ()) if kind != {"type": "null"}]
        schema["properties"][name] = {**(kinds[0] if kinds else {}), **field}
    for name in FILES:
        field = schema["properties"][name]
        schema["properties"][name] = FILE_SCHEMA | {"description": field["description"]}
    return schema
