"""`fd2talk generate`: photo and speech -> video."""

from __future__ import annotations

from fd2talk.commands.inputs import fit_photo, load_motion
from fd2talk.commands.style import read_style
from fd2talk.options import FaceChoice, Framing, MotionModelOptions, MotionOptions, RendererOptions
from fd2talk.output import require_output, write_video
from fd2talk.progress import counted, progress
from fd2talk.terminal import announce
from shared.device import require_device
from shared.errors import UsageError
from shared.files import check_input
from shared.media import read_audio, read_image
from stage2_render.pipeline import RenderPipeline


def generate(
    photo: str,
    audio: str,
    output: str,
    *,
    motion_model: MotionModelOptions,
    motion_options: MotionOptions,
    pose_from: str | None,
    renderer: RendererOptions,
    framing: Framing,
    face: FaceChoice,
    weights: str,
    device: str,
    overwrite: bool,
) -> None:
    """Write the video of the person in a photo saying a recording; see `TalkingHeadPipeline` for the arguments."""
    inputs = (photo, audio, pose_from, motion_model.style)
    path = require_output(output, suffixes=(".mp4",), overwrite=overwrite, inputs=inputs)
    if motion_options.still and pose_from:
        raise UsageError("--still and --pose-from exclude each other")
    require_device(device)
    image, speech = read_image(photo), read_audio(audio)
    if pose_from:
        check_input(pose_from)
    render = RenderPipeline.from_pretrained(weights, **renderer.loading, device=device)
    fitted = fit_photo(render.model, photo, image, face)
    pose = load_motion(pose_from, render.model) if pose_from else None

    # Importing stage one takes seconds, so it waits until the inputs have been checked.
    from fd2talk.pipeline import TalkingHeadPipeline
    from stage1_motion.pipeline import MotionPipeline

    speech_to_motion = MotionPipeline.from_pretrained(weights, **motion_model.loading, device=device)
    style = read_style(motion_model.style, speech_to_motion)
    pipeline = TalkingHeadPipeline(speech_to_motion, render)
    with progress(None, "generating motion") as bar:
        talk = pipeline(
            fitted,
            speech,
            **vars(motion_options),
            style=style,
            pose_from=pose,
            **vars(framing),
            render_settings=renderer.settings,
            progress=bar.update_to,
        )
    # The sound is the file's, at its own rate.
    write_video(path, counted(talk.frames, len(talk), "rendering"), audio=audio, overwrite=overwrite)
    announce(path)
