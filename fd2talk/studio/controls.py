"""The controls of the settings: components, their dependence on the model, and validation of their values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import gradio as gr

from fd2talk.studio.engine import RENDERERS, Engine
from fd2talk.studio.files_given import AnyFile
from fd2talk.studio.generation import Settings
from shared.errors import UsageError

TITLES = {
    "fd2talk": "FD2Talk: lively heads",
    "diffposetalk": "DiffPoseTalk: speaking styles",
    "diface": "3DiFACE: closest lips, fast",
    "facepolicy": "3DFacePolicy: for research",
}
SHORT_TITLES = {name: title.split(":")[0] for name, title in TITLES.items()}
_RENDERER_TITLES = {"repair": "Repair (networks mend mouth and eyes)", "geometry": "Geometry (warp only, by rules)"}
WHOLE, CROP = "Whole photo", "Head only"
ONE, SEEDS, MODELS = "One video", "Two seeds", "Two models"
_OWN_STYLE, _CLIP_STYLE = "The model's own", "Of a clip"


@dataclass(frozen=True)
class Controls:
    """The components, in the order in which `settings_of` takes their values."""

    model: gr.Dropdown
    style: gr.Dropdown
    clip: gr.File
    seed: gr.Number
    still: gr.Checkbox
    expression_scale: gr.Slider
    pose_scale: gr.Slider
    renderer: gr.Radio
    framing: gr.Radio
    max_size: gr.Slider
    compare: gr.Radio
    other_seed: gr.Number
    other_model: gr.Dropdown

    @property
    def all(self) -> list[Any]:
        """All of them, as inputs of an event."""
        return [*vars(self).values()]


def build(engine: Engine) -> Controls:
    """Add the controls to the page that is being built, and connect them."""
    names = engine.models
    choices = [(TITLES.get(name, name), name) for name in names]
    with gr.Row():
        model = gr.Dropdown(choices, value=names[0], label="Motion model", filterable=False, elem_id="model")
        seed = gr.Number(0, label="Seed", precision=0, info="Another number, other movements", elem_id="seed")
    style = gr.Dropdown(label="Speaking style", filterable=False, elem_id="style", **style_of_model(engine, names[0]))
    clip = AnyFile(
        label="Clip of somebody who talks, and agreed to it",
        file_types=["video", ".npz"],
        type="filepath",
        visible=False,
        elem_id="clip",
        height=120,
    )
    compare = gr.Radio([ONE, SEEDS, MODELS], value=ONE, label="Compare", elem_id="compare")
    with gr.Row(visible=False) as second:
        other_seed = gr.Number(1, label="Second seed", precision=0, visible=False, elem_id="other-seed")
        other = names[min(2, len(names) - 1)]
        other_model = gr.Dropdown(
            choices, value=other, label="Second model", filterable=False, visible=False, elem_id="other-model"
        )
    with gr.Accordion("More settings", open=False, elem_id="more"):
        still = gr.Checkbox(False, label="Keep the head still", elem_id="still")
        with gr.Row():
            expression_scale = gr.Slider(0, 2, 1, step=0.05, label="Size of facial movement", elem_id="expression")
            pose_scale = gr.Slider(0, 2, 1, step=0.05, label="Size of head movement", info=" ", elem_id="pose")
        renderer = gr.Radio(
            [(_RENDERER_TITLES[name], name) for name in RENDERERS], value=RENDERERS[0], label="Renderer",
            elem_id="renderer",
        )  # fmt: skip
        framing = gr.Radio([WHOLE, CROP], value=WHOLE, label="Framing", info=" ", elem_id="framing")
        max_size = gr.Slider(
            128, 1280, 1280, step=64, label="Longest side of the video in pixels", elem_id="max-size",
            info="A larger photo is reduced to it; smaller videos are made faster",
        )  # fmt: skip

    quiet: dict[str, Any] = {"show_progress": "hidden", "queue": True, "concurrency_limit": None}

    def on_model(name: str) -> tuple:
        return gr.update(**style_of_model(engine, name)), gr.update(visible=False)

    model.input(on_model, model, [style, clip], **quiet)
    style.change(lambda name: gr.update(visible=name == _CLIP_STYLE), style, clip, **quiet)
    still.change(
        lambda on: gr.update(interactive=not on, info="The head is kept still" if on else " "),
        still,
        pose_scale,
        **quiet,
    )
    compare.change(
        lambda kind: (
            gr.update(visible=kind != ONE), gr.update(visible=kind == SEEDS), gr.update(visible=kind == MODELS)
        ),
        compare, [second, other_seed, other_model], **quiet,
    )  # fmt: skip
    framing.change(
        lambda kind: gr.update(info="A square about the head, at most 512 pixels" if kind == CROP else " "),
        framing, framing, **quiet,
    )  # fmt: skip
    return Controls(
        model, style, clip, seed, still, expression_scale, pose_scale, renderer, framing, max_size, compare, other_seed,
        other_model,
    )  # fmt: skip


def style_of_model(engine: Engine, name: str) -> dict[str, Any]:
    """Arguments of the dropdown of styles for a motion model."""
    pipeline = engine.speech_to_motion(name)
    takes = "style" in pipeline.model.accepts
    known = [(style.replace("-", " "), style) for style in pipeline.style_names] if takes else []
    takers = [SHORT_TITLES.get(other, other) for other in engine.models if _takes_style(engine, other)]
    return {
        "choices": [_OWN_STYLE, *known, *([_CLIP_STYLE] if takes else [])],
        "value": _OWN_STYLE,
        "interactive": takes,
        "info": "How somebody moves when they speak"
        if takes
        else f"{SHORT_TITLES.get(name, name)} takes no style; {' and '.join(takers) or 'no model here'} does",
    }


def _takes_style(engine: Engine, name: str) -> bool:
    return "style" in engine.speech_to_motion(name).model.accepts


def settings_of(engine: Engine, values: Sequence[Any]) -> list[Settings]:
    """The settings of the video, or of the two that are compared.

    Args:
        engine: the pipelines.
        values: of `Controls.all`. They come from a browser, and are validated here.

    Raises:
        UsageError: an unknown model or renderer, or an invalid number.
    """
    given = dict(zip(Controls.__annotations__, values))
    for name, known in (("model", engine.models), ("other_model", engine.models), ("renderer", RENDERERS)):
        if given[name] not in known:
            raise UsageError(f"there is no {name.replace('_', ' ')} {str(given[name])[:40]!r}")
    takes = _takes_style(engine, given["model"])
    style: str | Path | None = None
    if takes and given["style"] == _CLIP_STYLE:
        if not given["clip"]:
            raise UsageError("give the clip that shows the style, or choose another style")
        style = Path(given["clip"])
    elif takes and given["style"] != _OWN_STYLE:
        style = str(given["style"])
    first = Settings(
        model=given["model"],
        style=style,
        seed=_whole(given["seed"], "the seed"),
        expression_scale=_number(given["expression_scale"], "the size of facial movement", 0, 10),
        pose_scale=1.0 if given["still"] else _number(given["pose_scale"], "the size of head movement", 0, 10),
        still=bool(given["still"]),
        renderer=given["renderer"],
        full=given["framing"] != CROP,
        max_size=_whole(given["max_size"], "the longest side", 64, 2048),
    )
    if given["compare"] == SEEDS:
        return [first, replace(first, seed=_whole(given["other_seed"], "the second seed"))]
    if given["compare"] == MODELS:
        other = given["other_model"]
        style = first.style if _takes_style(engine, other) else None
        return [first, replace(first, model=other, style=style)]
    return [first]


def as_before(engine: Engine, values: Sequence[Any]) -> list[Any]:
    """Updates that restore the values of the controls after a reload; `settings_of` has accepted them."""
    given = dict(zip(Controls.__annotations__, values))
    style = style_of_model(engine, given["model"])
    known = [choice if isinstance(choice, str) else choice[1] for choice in style["choices"]]
    given["style"] = given["style"] if given["style"] in known else style["value"]
    given["clip"] = given["clip"] if given["clip"] and Path(given["clip"]).is_file() else None
    style.pop("value")
    return [gr.update(value=value, **(style if name == "style" else {})) for name, value in given.items()]


def _whole(value: object, what: str, least: int = 0, most: int = 2**53) -> int:
    return int(_number(value, what, least, most))


def _number(value: object, what: str, least: float, most: float) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not least <= value <= most:
        raise UsageError(f"{what} is a number from {least:g} to {most:g}")
    return float(value)
