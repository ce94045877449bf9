"""`fd2talk edit`: regenerates parts of a motion file or a video."""

from __future__ import annotations

import re
import warnings
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from fd2talk.commands.inputs import load_motion
from fd2talk.commands.style import read_style
from fd2talk.edit_preview import moments, write_preview
from fd2talk.edited_video import edited_sound, video_footage, watched
from fd2talk.options import EditOptions, FaceChoice, MotionModelOptions, MotionOptions, RendererOptions
from fd2talk.output import require_output, save_motion, write_video
from fd2talk.progress import counted, progress
from fd2talk.terminal import announce
from shared.device import require_device
from shared.errors import InputError, UsageError
from shared.face_model import MorphableModel, load_bundled
from shared.files import check_input
from shared.media import FPS, SAMPLE_RATE, frame_count, read_audio
from shared.motion import Motion
from shared.video_writer import KEEPING_CRF
from stage2_render.editing.footage import Footage
from stage2_render.editing.renderer import render_edit
from stage2_render.pipeline import RenderPipeline

if TYPE_CHECKING:
    from fd2talk.provenance.signer import Signer
    from stage1_motion.editing.request import EditRequest, Plan


# A comma before another TIME:, as names of files may have commas.
_NEXT_INSERT = re.compile(r",(?=\s*\d+(?:\.\d*)?:)")


def edit(
    source: str,
    output: str,
    *,
    audio: str | None,
    edits: EditOptions,
    motion_model: MotionModelOptions,
    motion_options: MotionOptions,
    renderer: RendererOptions,
    face: FaceChoice,
    weights: str,
    device: str,
    overwrite: bool,
    signer: Signer | None = None,
) -> None:
    """Write an edited motion, or video; see `MotionPipeline.edit`, `stage1_motion.editing.request`, `render_edit`."""
    inserts = [_insert(piece) for text in edits.insert for piece in _NEXT_INSERT.split(text)]
    inputs = (source, audio, motion_model.style, edits.keyframes, *(file for _, file in inserts))
    path = require_output(output, suffixes=(".npz", ".mp4"), overwrite=overwrite, inputs=inputs)
    of_video = path.suffix.lower() == ".mp4"
    if of_video and source.lower().endswith(".npz"):
        raise UsageError(f"{source} is a motion file, whose edit is one, too: -o must end in .npz")
    if of_video and renderer.name == "diffusion":
        raise UsageError("--renderer diffusion paints photos; videos are edited with repair or geometry")
    if signer and not of_video:
        warnings.warn(f"{path.name} is a motion file, which is not signed; videos are", stacklevel=2)
    if face and not of_video:
        raise UsageError("--face-index and --face-box are for the edit of a video (-o OUT.mp4)")
    picture = path.with_suffix(".png")
    if edits.preview:
        require_output(picture, suffixes=(".png",), overwrite=overwrite, inputs=inputs)
    require_device(device)
    check_input(source)
    speech = None if audio is None else read_audio(audio)
    render = RenderPipeline.from_pretrained(weights, **renderer.loading, device=device) if of_video else None
    model = render.model if render else load_bundled()
    footage = video_footage(source, model, face) if render else None
    motion = footage.motion if footage else load_motion(source, model).resample(FPS)
    if motion.face_model != model.fingerprint:
        raise InputError(f"{source}: the motion belongs to face model {motion.face_model}, not {model.fingerprint}")

    from stage1_motion.editing.request import planned  # takes seconds, after the inputs have been checked

    request = _request(edits, inserts, model)
    plan = planned(motion, speech, request, model)
    silent = plan.speech is None and plan.motion.audio is None
    if silent and not (edits.unconditional or plan.constraint.mask.all()):
        raise InputError(f"{source} has no sound; give the speech (--audio), or edit without any (--unconditional)")

    from stage1_motion.pipeline import MotionPipeline

    pipeline = MotionPipeline.from_pretrained(weights, **motion_model.loading, device=device)
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
    frames: dict[int, np.ndarray] | None = None
    if footage and render:
        frames = {}
        order = sorted(range(len(inserts)), key=lambda i: round(inserts[i][0] * FPS))
        added = [(inserts[i][1], frame_count(len(request.inserts[i].sound))) for i in order]
        signer = signer and signer.editing(source)
        _write_video(
            path, source, footage, render, result, plan, audio, added, frames, overwrite=overwrite, signer=signer
        )
    else:
        save_motion(path, result, overwrite=overwrite)
    if edits.preview:
        write_preview(picture, motion, result, plan, model, footage, frames, overwrite=overwrite)
    announce(path)


def _write_video(
    path: Path,
    source: str,
    footage: Footage,
    pipeline: RenderPipeline,
    result: Motion,
    plan: Plan,
    audio: str | None,
    inserts: list[tuple[str, int]],
    seen: dict[int, np.ndarray],
    *,
    overwrite: bool,
    signer: Signer | None,
) -> None:
    """Render the edited motion with its sound; the frames of the preview are put into `seen`."""
    from stage1_motion.editing.request import changed_frames

    origin = np.pad(plan.origin, (0, len(result) - len(plan.origin)), constant_values=-1)
    changed = changed_frames(footage.motion, result, origin)
    seconds = len(result) / FPS if result.audio is None else len(result.audio) / SAMPLE_RATE
    sound = edited_sound(source, audio, inserts, heard=plan.heard, changed=changed, seconds=seconds)
    frames = watched(render_edit(pipeline, footage, result, changed, origin), moments(len(result)), seen)
    frames = counted(frames, len(result), "rendering")
    write_video(path, frames, audio=sound, overwrite=overwrite, crf=KEEPING_CRF, source=result.source, signer=signer)


def _request(edits: EditOptions, inserts: list[tuple[float, str]], model: MorphableModel) -> EditRequest:
    """Convert the options to a request."""
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
