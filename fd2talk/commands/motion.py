"""`fd2talk motion`: speech -> motion file."""

from __future__ import annotations

from fd2talk.commands.inputs import fit_photo
from fd2talk.commands.style import read_style
from fd2talk.options import FaceChoice, MotionModelOptions, MotionOptions
from fd2talk.output import require_output, save_motion
from fd2talk.progress import progress
from fd2talk.terminal import announce
from shared.device import require_device
from shared.errors import UsageError
from shared.face_model import load_bundled
from shared.media import read_audio, read_image


def motion(
    audio: str | None,
    output: str,
    *,
    photo: str | None,
    idle: float | None,
    listen: str | None,
    motion_model: MotionModelOptions,
    motion_options: MotionOptions,
    face: FaceChoice,
    weights: str,
    device: str,
    overwrite: bool,
) -> None:
    """Write the motion generated from a recording, or without one; see `MotionPipeline` for the arguments."""
    if [audio, idle, listen].count(None) != 2:
        raise UsageError("give either AUDIO or --idle SECONDS or --listen OTHER")
    inputs = (audio, listen, photo, motion_model.style)
    path = require_output(output, suffixes=(".npz",), overwrite=overwrite, inputs=inputs)
    require_device(device)
    if audio is None and motion_options.options.articulation != 1:
        raise UsageError("--articulation acts on speech, and --idle and --listen have none")
    if photo is None and face:
        raise UsageError("--face-index and --face-box choose a face of --photo, which was not given")
    image = None if photo is None else read_image(photo)
    sound, fitted = audio or listen, None
    speech = None if sound is None else read_audio(sound)
    if photo is not None and image is not None:
        fitted = fit_photo(load_bundled(), photo, image, face)

    from stage1_motion.pipeline import MotionPipeline  # takes seconds, after the inputs have been checked

    pipeline = MotionPipeline.from_pretrained(weights, **motion_model.loading, device=device)
    style = read_style(motion_model.style, pipeline)
    with progress(None, "generating motion") as bar:
        options = {"photo": fitted, "style": style, **vars(motion_options), "progress": bar.update_to}
        if speech is None:
            assert idle is not None
            result = pipeline.idle(idle, **options)
        else:
            result = (pipeline if audio else pipeline.listen)(speech, **options)
    save_motion(path, result, overwrite=overwrite)
    announce(path)
