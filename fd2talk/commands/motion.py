"""`fd2talk motion`: speech -> motion file."""

from __future__ import annotations

from fd2talk.commands.inputs import fit_photo
from fd2talk.options import FaceChoice, MotionOptions
from fd2talk.output import require_output, save_motion
from fd2talk.progress import progress
from fd2talk.terminal import announce
from shared.device import require_device
from shared.errors import UsageError
from shared.face_model import load_bundled
from shared.media import read_audio, read_image


def motion(
    audio: str,
    output: str,
    *,
    photo: str | None,
    motion_options: MotionOptions,
    face: FaceChoice,
    weights: str,
    device: str,
    overwrite: bool,
) -> None:
    """Write the motion generated from a recording; see `MotionPipeline` for the arguments."""
    path = require_output(output, suffixes=(".npz",), overwrite=overwrite, inputs=(audio,))
    require_device(device)
    if photo is None and face:
        raise UsageError("--face-index and --face-box choose a face of --photo, which was not given")
    image = None if photo is None else read_image(photo)
    speech, fitted = read_audio(audio), None
    if photo is not None and image is not None:
        fitted = fit_photo(load_bundled(), photo, image, face)

    from stage1_motion.pipeline import MotionPipeline  # takes seconds, after the inputs have been checked

    pipeline = MotionPipeline.from_pretrained(weights, device=device)
    with progress(None, "generating motion") as bar:
        result = pipeline(speech, photo=fitted, **vars(motion_options), progress=bar.update_to)
    save_motion(path, result, overwrite=overwrite)
    announce(path)
