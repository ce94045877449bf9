"""Options that several commands of the command line share; those that belong together arrive as one dataclass."""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from functools import reduce, wraps
from typing import Any

import click

from fd2talk.cli_config import read_config
from fd2talk.options import (
    ExportOptions,
    FaceChoice,
    Framing,
    MotionModelOptions,
    MotionOptions,
    RendererOptions,
)
from shared.errors import UsageError
from stage1_motion.registry import BUNDLED
from stage2_render import DEFAULT_RENDERER, PRECISIONS, RENDERERS


class _FaceBox(click.ParamType):
    """LEFT,TOP,RIGHT,BOTTOM in pixels of the upright photo."""

    name = "left,top,right,bottom"

    def convert(self, value: Any, param: Any, ctx: Any) -> tuple[float, ...]:
        try:
            numbers = tuple(float(n) for n in (value.split(",") if isinstance(value, str) else value))
        except (TypeError, ValueError):
            numbers = ()
        if len(numbers) != 4 or not all(map(math.isfinite, numbers)):
            self.fail(f"{value!r} is not LEFT,TOP,RIGHT,BOTTOM in pixels", param, ctx)
        return numbers


class Number(click.FloatRange):
    """A number in a range, and never `nan`, which click lets pass."""

    name = "number"

    def convert(self, value: Any, param: Any, ctx: Any) -> float:
        """See click."""
        number = super().convert(value, param, ctx)
        if math.isnan(number):
            self.fail(f"{value!r} is not a number", param, ctx)
        return number


class _Separated(click.ParamType):
    """Values of a kind, separated by commas; what names a file, or a folder, is one value whatever it has in it."""

    def __init__(self, kind: click.ParamType) -> None:
        self.kind, self.name = kind, kind.name

    def convert(self, value: Any, param: Any, ctx: Any) -> tuple[Any, ...]:
        pieces = value.split(",") if isinstance(value, str) and not os.path.exists(value) else [value]
        return tuple(self.kind(one.strip() if isinstance(one, str) else one, param, ctx) for one in pieces)


def separated(*names: str, kind: click.ParamType = click.STRING, **settings: Any) -> Callable:
    """An option that may be repeated, and whose values may also be separated by commas: a tuple of all of them."""

    def joined(_: click.Context, __: click.Parameter, values: tuple[tuple[Any, ...], ...]) -> tuple[Any, ...]:
        return tuple(value for several in values for value in several)

    return click.option(*names, type=_Separated(kind), multiple=True, callback=joined, **settings)


def several(*options: Callable) -> Callable:
    """Join click options to one decorator."""
    return lambda command: reduce(lambda decorated, option: option(decorated), reversed(options), command)


def group(name: str, build: Callable[..., Any], *options: Callable) -> Callable:
    """Join click options to one decorator; their values arrive as one argument of the command.

    Args:
        name: of the argument.
        build: makes the argument from the values, which it receives by the options' names.
        options: decorators, as `click.option` returns them.
    """

    def decorate(command: Callable) -> Callable:
        @wraps(command)
        def grouped(**values: Any) -> Any:
            values[name] = build(**{key: values.pop(key) for key in keys})
            return command(**values)

        decorated = several(*options)(grouped)
        keys = [parameter.name for parameter in decorated.__click_params__[-len(options) :]]
        return decorated

    return decorate


def _motion_options(seed: int, still: bool, **values: Any) -> MotionOptions:
    from stage1_motion.interface import SamplingOptions
    from stage1_motion.postprocessing import PostProcessing

    ease = values.pop("ease")
    off = {name.removeprefix("no_"): values.pop(name) for name in list(values) if name.startswith("no_")}
    values["style_guidance"] = values.pop("style_scale")
    steps = PostProcessing(ease=ease, **{name: not value for name, value in off.items()})
    return MotionOptions(seed, SamplingOptions(**values), steps, still)


def _renderer_options(
    renderer: str, precision: str, render_steps: int | None, no_shared_noise: bool = False
) -> RendererOptions:
    given = {"--render-steps": render_steps, "--no-shared-noise": no_shared_noise}
    for option in (name for name, value in given.items() if value):
        if renderer != "diffusion":
            raise UsageError(f"{option} is for --renderer diffusion")
    return RendererOptions(renderer, precision, render_steps, not no_shared_noise)


def _face(face_index: int | None, face_box: tuple[float, ...] | None, face_tracker: str = "auto") -> FaceChoice:
    if face_index is not None and face_box is not None:
        raise UsageError("--face-index and --face-box exclude each other")
    return FaceChoice(face_index, face_box, face_tracker)


def _search_models(_: click.Context, __: click.Parameter, folders: tuple[str, ...]) -> tuple[str, ...]:
    """Let this process, and those that it starts, search these folders first (`shared.published_files`)."""
    if missing := next((folder for folder in folders if not os.path.isdir(folder)), None):
        raise UsageError(f"--models {missing}: there is no such folder")
    if folders:
        before = os.environ.get("FD2TALK_MODELS")
        os.environ["FD2TALK_MODELS"] = os.pathsep.join([*folders, *([before] if before else [])])
    return folders


def output(metavar: str) -> Callable:
    """The file that a command writes."""
    return click.option("-o", "--output", required=True, metavar=metavar, help="The file to write.")


def weights(text: str) -> Callable:
    """A folder of weights, or the bundled ones."""
    return click.option("--weights", metavar="FOLDER", default="bundled", show_default=True, help=text)


def _integer(option: str, least: int, text: str, most: int | None = None, default: int | None = None) -> Callable:
    kind, shown = click.IntRange(least, most), default is not None
    return click.option(option, type=kind, metavar="N", default=default, show_default=shown, help=text)


def _number(option: str, most: float, text: str, default: float | None = None) -> Callable:
    kind, shown = Number(0, most), default is not None
    return click.option(option, type=kind, metavar="X", default=default, show_default=shown, help=text)


def _switch(option: str, text: str) -> Callable:
    return click.option(option, is_flag=True, help=text)


_STEPS = (
    "Number of denoising steps of the diffusion {}; more is slower (default: the number that the weights were tuned "
    "for)."
)
_GUIDANCE = (
    "Classifier-free guidance scale: how strongly speech drives the face; 1 is no amplification (default: the value "
    "that the weights were tuned for)."
)
_ETA = (
    "Noise added back at each step but the last: 0 is none (DDIM), 1 as in DDPM (default: the value that the weights "
    "were tuned for)."
)
_STYLE_SCALE = (
    "Guidance scale of the style: how strongly it shapes the motion; 0 ignores it, 1 is no amplification (default: the "
    "value that the weights were tuned for)."
)
_SOLVER = (
    "Sample with dpm-solver++, with renoise (the prediction noised anew at every step, as many as in training), or "
    "with a scheduler of diffusers, instead of ddim."
)
motion = group(
    "motion_options",
    _motion_options,
    _integer("--seed", 0, "Random seed; the same seed reproduces the output.", 2**63 - 1, default=0),
    _integer("--steps", 1, _STEPS.format("sampler that generates the motion"), 1000),
    _integer(
        "--pose-steps", 1, "The same for the network of the head's motion only (default: --steps if given).", 1000
    ),
    _number("--guidance", 100, _GUIDANCE),
    _number("--style-scale", 100, _STYLE_SCALE),
    _number("--eta", 1, _ETA),
    click.option("--solver", metavar="NAME", help=_SOLVER),
    _number("--pose-scale", 10, "Factor on the size of head motion.", 1.0),
    _number("--expression-scale", 10, "Factor on the size of facial motion.", 1.0),
    _number(
        "--articulation", 3, "Factor on the fast movements of the face: below 1 it mumbles, above it is crisper.", 1.0
    ),
    _switch("--still", "Keep the head in the pose of the photo; mouth and eyes move."),
    _switch("--no-rest", "Do not close the mouth in pauses of the speech."),
    _switch("--no-lip-closure", "Do not close the lips on b, p and m."),
    _switch("--no-blinks", "Do not add blinks."),
    _number("--blink-rate", 60, "Blinks a minute (default: as filmed people blink, about 17)."),
    _switch("--no-gaze", "Do not add eye movements."),
    click.option(
        "--ease/--no-ease",
        default=True,
        help="Begin where the photo is, and return there in the silence at the end; in edits: the mouth begins closed "
        "where it is generated, and closes in the silence at the end (default).",
    ),
)

motion_model = group(
    "motion_model",
    MotionModelOptions,
    click.option(
        "--model",
        type=click.Choice(BUNDLED),
        help="Motion model (default: fd2talk, or that of --weights or --person).",
    ),
    click.option(
        "--style",
        metavar="CLIP|STYLE.npz|NAME",
        help="Speaking style, for --model diffposetalk: a clip or motion of somebody who talks, a file of `fd2talk "
        "style`, or a name such as calm.",
    ),
    click.option("--person", metavar="FOLDER", help="Way of speaking of a person, a folder of `fd2talk personalise`."),
)


def models_of(text: str, expose: bool = True) -> Callable:
    """Folders of model files, which all parts of the program search."""
    return click.option(
        "--models", multiple=True, metavar="FOLDER", expose_value=expose, callback=_search_models, help=text
    )


models = models_of(
    "Folder with model files that are not bundled; on Python 3.13 and later those of the face tracker.", expose=False
)
face_tracker = click.option(
    "--face-tracker",
    type=click.Choice(("auto", "mediapipe", "face-alignment")),
    default="auto",
    show_default=True,
    help="What finds the face of a photo; auto: mediapipe, and where it finds none the package face-alignment.",
)
_which_face = (
    _integer(
        "--face-index",
        0,
        "Which face: its number in reading order from 0, see `fd2talk faces` (default: the largest face).",
    ),
    click.option("--face-box", type=_FaceBox(), help="Where the face is, in pixels, if it is not detected."),
)
filmed_face = several(group("face", _face, *_which_face), models)
photo_face = group("face", _face, *_which_face, face_tracker)
face = several(photo_face, models)
framing = group(
    "framing",
    Framing,
    click.option("--full/--crop", default=True, help="The whole photo (default), or the square head crop only."),
    _integer("--max-size", 64, "Longest side of the video in pixels; larger photos are reduced.", 4096, default=1280),
)
precision = click.option(
    "--precision",
    type=click.Choice(PRECISIONS),
    default="auto",
    show_default=True,
    help="Precision of the renderer's networks; auto: int8 (repair) or bf16 where the processor is made for it.",
)
_renderer = (
    click.option(
        "--renderer",
        type=click.Choice(RENDERERS),
        default=DEFAULT_RENDERER,
        show_default=True,
        help="Warp the photo (geometry); warp it and repair mouth and eyes (repair); or paint the face of every frame "
        "from noise as in the paper (diffusion, slow and soft).",
    ),
    precision,
    _integer("--render-steps", 1, _STEPS.format("renderer"), 1000),
)
renderer = group("renderer", _renderer_options, *_renderer)
renderer_with_switches = group(
    "renderer",
    _renderer_options,
    *_renderer,
    _switch("--no-shared-noise", "Diffusion that starts from different noise in every frame."),
)


def fps(text: str) -> Callable:
    """A frame rate, or None."""
    return click.option("--fps", type=Number(1, 1000), metavar="X", help=text)


export = group(
    "options",
    ExportOptions,
    click.option(
        "--morphs",
        type=click.Choice(["arkit", "expression"]),
        default="arkit",
        show_default=True,
        help="Morph targets of a .glb: ARKit's 52, or those of the face model, which reproduce the motion exactly.",
    ),
    click.option(
        "--curves",
        type=click.Choice(["arkit", "visemes"]),
        default="arkit",
        show_default=True,
        help="Columns of a .csv: ARKit's 52 curves and the angles of head and eyes, or the 15 visemes of Oculus.",
    ),
    fps("Frame rate of curves (default: the motion's own; Live Link Face records 60 or 30)."),
    click.option("--start-timecode", metavar="HH:MM:SS:FF", help="Timecode of the first row of Live Link curves."),
    _switch("--keep-expression", "Curves include the expression that the face has at rest, such as a smile."),
)
overwrite = _switch("--overwrite", "Replace an existing output.")
config_and_overwrite = several(
    click.option(
        "--config",
        metavar="FILE.yaml",
        is_eager=True,
        expose_value=False,
        callback=read_config,
        help="YAML file with values for these options; the command line takes precedence.",
    ),
    overwrite,
)
_DEVICE = "Device for the networks, and with CUDA for the whole rendering: cpu, cuda, cuda:1, mps."
running = several(click.option("--device", default="cpu", show_default=True, help=_DEVICE), config_and_overwrite)
