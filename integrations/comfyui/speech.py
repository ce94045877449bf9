"""Nodes of stage one: a photo, a speaking style, speech -> motion, and edits of motion."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch

from fd2talk import cli_options as common
from fd2talk.cli_edit import edits as edit_options
from fd2talk.options import MotionModelOptions
from shared.errors import InputError
from shared.face_model import load_bundled
from shared.media import FPS
from shared.motion import Motion
from shared.photo_fit import PhotoFit
from stage1_motion.editing.request import EditRequest, parse_ranges, planned
from stage1_motion.editing.timeline import Insert
from stage1_motion.style import Style

from . import engine, host, media
from .checks import check_connected, in_terms_of_widgets
from .widgets import Widgets

CATEGORY = "fd2talk"
PHOTO, MOTION, STYLE = "FD2TALK_PHOTO", "FD2TALK_MOTION", "FD2TALK_STYLE"
_STYLED = "diffposetalk"

_face = Widgets(common.face, only=("face_index", "face_box", "face_tracker"))
_motion = Widgets(
    common.motion_model,
    common.motion,
    common.running,
    # The style is an input of its own; a config or an output there is not.
    only=(
        "model", "seed", "pose_scale", "expression_scale", "articulation", "still", "steps", "pose_steps", "guidance",
        "style_scale", "eta", "solver", "no_rest", "no_lip_closure", "no_blinks", "blink_rate", "no_gaze", "ease",
        "person", "device",
    ),
    basic=("model", "seed", "pose_scale", "expression_scale", "still"),
)  # fmt: skip
_edits = Widgets(edit_options, only=("keep", "every", "part", "cut", "unconditional"))


class Photo:
    """A face in a photo, with the face model fitted to it."""

    CATEGORY = CATEGORY
    FUNCTION = "fit"
    RETURN_TYPES = (PHOTO,)
    RETURN_NAMES = ("photo",)
    DESCRIPTION = "Finds the face in a photo, for all other nodes of fd2talk."

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, dict]:
        """See ComfyUI."""
        return {"required": {"image": ("IMAGE", {"tooltip": "One photo."}), **_face.inputs()}}

    @in_terms_of_widgets()
    def fit(self, image: torch.Tensor, **values: Any) -> tuple[PhotoFit]:
        """Run the node. Raises as `PhotoFit.fit`."""
        face = _face.read(values)["face"]
        with host.noted():
            return (
                PhotoFit.fit(
                    media.picture(image), face_index=face.index, face_box=face.box, tracker=face.tracker
                ),
            )  # fmt: skip


class StyleOf:
    """A speaking style by name, or of a motion."""

    CATEGORY = CATEGORY
    FUNCTION = "read"
    RETURN_TYPES = (STYLE,)
    RETURN_NAMES = ("style",)
    DESCRIPTION = "How somebody speaks, for Speech to Motion with the model diffposetalk."

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, dict]:
        """See ComfyUI."""
        names = engine.style_names()
        return {
            "required": {"name": (names, {"default": names[0], "tooltip": "A style that comes with the weights."})},
            "optional": {"motion": (MOTION, {"tooltip": "Instead: the style of this motion, a second or longer."})},
        }

    @in_terms_of_widgets()
    def read(self, name: str, motion: Motion | None = None) -> tuple[Style]:
        """Run the node. Raises as `MotionPipeline.style_of`."""
        with host.noted():
            pipeline = engine.motion_pipeline(MotionModelOptions(_STYLED, None))
            return (pipeline.named_style(name) if motion is None else pipeline.style_of(motion, motion.source),)


class SpeechToMotion:
    """Stage one."""

    CATEGORY = CATEGORY
    FUNCTION = "generate"
    RETURN_TYPES = (MOTION,)
    RETURN_NAMES = ("motion",)
    DESCRIPTION = "Generates the motion of a face that says a recording, at 25 frames a second."

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, dict]:
        """See ComfyUI."""
        return {
            "required": {"audio": ("AUDIO", {"tooltip": "The speech."}), **_motion.inputs()},
            "optional": {
                "photo": (PHOTO, {"tooltip": "Whose face it is; without it an average face."}),
                "style": (STYLE, {"tooltip": "For the model diffposetalk."}),
            },
        }

    @in_terms_of_widgets()
    def generate(
        self, audio: dict[str, Any], photo: PhotoFit | None = None, style: Style | None = None, **values: Any
    ) -> tuple[Motion]:
        """Run the node. Raises as `MotionPipeline.__call__`."""
        options, samples = _motion.read(values), media.speech(audio)
        with host.noted():
            pipeline = engine.motion_pipeline(options["motion_model"], options["device"])
            motion = pipeline(
                samples, photo=photo, style=style, **vars(options["motion_options"]), progress=host.watcher()
            )
        return (motion.resample(FPS),)


class Edit:
    """Parts of a motion, generated anew."""

    CATEGORY = CATEGORY
    FUNCTION = "edit"
    RETURN_TYPES = (MOTION,)
    RETURN_NAMES = ("motion",)
    DESCRIPTION = (
        "Generates parts of a motion anew; the rest stays, bit by bit. Without keep, every and part everything is "
        "generated anew, but for cuts and inserted sound, which change only what lies about the seams."
    )

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, dict]:
        """See ComfyUI."""
        seconds = {"default": 0.0, "min": 0.0, "max": 14400.0, "step": 0.04, "tooltip": "Where, in seconds."}
        edits = _edits.inputs()
        for name in ("part", "cut"):  # several of them, with commas
            edits[name] = ("STRING", {"default": "", "tooltip": f"{edits[name][1]['tooltip']} Several: with commas."})
        return {
            "required": {"motion": (MOTION, {}), **edits, **_motion.inputs()},
            "optional": {
                "audio": ("AUDIO", {"tooltip": "Speech to edit the motion to; without it its own sound."}),
                "insert": ("AUDIO", {"tooltip": "Sound that is inserted."}),
                "insert_at": ("FLOAT", seconds),
                "style": (STYLE, {"tooltip": "For the model diffposetalk."}),
            },
        }

    @in_terms_of_widgets()
    def edit(
        self,
        motion: Motion,
        part: str = "",
        cut: str = "",
        audio: dict[str, Any] | None = None,
        insert: dict[str, Any] | None = None,
        insert_at: float = 0.0,
        style: Style | None = None,
        **values: Any,
    ) -> tuple[Motion]:
        """Run the node. Raises as `MotionPipeline.edit` and `planned`."""
        check_connected(motion, Motion, "motion")
        options = _motion.read(values)
        chosen = _edits.read({**values, "part": _several(part), "cut": _several(cut)})["edits"]
        speech = None if audio is None else media.speech(audio)
        request = EditRequest(
            keep=parse_ranges(chosen.keep, "keep") if chosen.keep else (),
            every=chosen.every,
            parts=chosen.part,
            cuts=[span for text in chosen.cut for span in parse_ranges(text, "cut")],
            inserts=() if insert is None else [Insert(insert_at, media.speech(insert))],
        )
        plan = planned(motion.resample(FPS), speech, request, load_bundled())
        silent = plan.speech is None and plan.motion.audio is None
        if silent and not (chosen.unconditional or plan.constraint.mask.all()):
            raise InputError("the motion has no sound; connect audio, or edit without any (unconditional)")
        how = options["motion_options"]
        with host.noted():
            pipeline = engine.motion_pipeline(options["motion_model"], options["device"])
            result = pipeline.edit(
                plan.motion,
                plan.speech,
                plan.constraint,
                seed=how.seed,
                options=replace(how.options, pose_scale=0.0) if how.still else how.options,
                postprocessing=how.postprocessing,
                style=style,
                unconditional=chosen.unconditional,
                progress=host.watcher(),
            )
        return (result,)


def _several(text: str) -> tuple[str, ...]:
    return tuple(piece.strip() for piece in text.split(",") if piece.strip())
