"""`fd2talk edit`: motion file -> motion file, parts of which are generated anew."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from fd2talk.commands.inputs import load_motion
from fd2talk.commands.style import read_style
from fd2talk.edit_preview import write_preview
from fd2talk.options import EditOptions, MotionModelOptions, MotionOptions
from fd2talk.output import require_output, save_motion
from fd2talk.progress import progress
from fd2talk.terminal import announce
from shared.device import require_device
from shared.errors import InputError, UsageError
from shared.face_model import MorphableModel, load_bundled
from shared.media import FPS, read_audio

if TYPE_CHECKING:
    from stage1_motion.editing.request import EditRequest


def edit(
    source: str,
    output: str,
    *,
    audio: str | None,
    edits: EditOptions,
    motion_model: MotionModelOptions,
    motion_options: MotionOptions,
    weights: str,
    device: str,
    overwrite: bool,
) -> None:
    """Write an edited motion; see `MotionPipeline.edit` and `stage1_motion.editing.request`."""
    inserts = [_insert(text) for text in edits.insert]
    inputs = (source, audio, motion_model.style, edits.keyframes, *(file for _, file in inserts))
    path = require_output(output, suffixes=(".npz",), overwrite=overwrite, inputs=inputs)
    picture = path.with_suffix(".png")
    if edits.preview:
        require_output(picture, suffixes=(".png",), overwrite=overwrite, inputs=inputs)
    require_device(device)
    model = load_bundled()
    motion = load_motion(source, model).resample(FPS)
    if motion.face_model != model.fingerprint:
        raise InputError(f"{source}: the motion belongs to face model {motion.face_model}, not {model.fingerprint}")
    speech = None if audio is None else read_audio(audio)

    from stage1_motion.editing.request import planned  # takes seconds, after the inputs have been checked

    plan = planned(motion, speech, _request(edits, inserts, model), model)

    from stage1_motion.pipeline import MotionPipeline

    pipeline = MotionPipeline.from_pretrained(weights, model=motion_model.model, device=device)
    style = read_style(motion_model.style, pipeline)
    options = replace(motion_options.options, pose_scale=0.0) if motion_options.still else motion_options.options
    with progress(None, "generating motion") as bar:
        result = pipeline.edit(
            plan.motion,
            plan.speech,
            plan.constraint,
            seed=motion_options.seed,
            options=options,
            postprocessing=motion_options.postprocessing,
            style=style,
            unconditional=edits.unconditional,
            progress=bar.update_to,
        )
    save_motion(path, result, overwrite=overwrite)
    if edits.preview:
        write_preview(picture, motion, result, plan, model, overwrite=overwrite)
    announce(path)


def _request(edits: EditOptions, inserts: list[tuple[float, str]], model: MorphableModel) -> EditRequest:
    """The request that the options come to."""
    from stage1_motion.editing.keyframes import read_keyframes
    from stage1_motion.editing.request import EditRequest, parse_ranges
    from stage1_motion.editing.timeline import Insert

    return EditRequest(
        keep=[] if edits.keep is None else parse_ranges(edits.keep, "--keep"),
        keyframes=[] if edits.keyframes is None else read_keyframes(edits.keyframes, model),
        every=edits.every,
        parts=edits.part,
        cuts=[span for text in edits.cut for span in parse_ranges(text, "--cut")],
        inserts=[Insert(time, read_audio(file)) for time, file in inserts],
    )


def _insert(text: str) -> tuple[float, str]:
    """TIME:AUDIO -> seconds and file."""
    time, colon, file = text.partition(":")
    try:
        seconds = float(time)
    except ValueError:
        seconds = float("nan")
    if not colon or not file or seconds != seconds:
        raise UsageError(f"--insert {text} is not TIME:AUDIO, a time in seconds and a file")
    return seconds, file
