"""What the commands do: check the output, then the inputs, then load models, then work.

Each prints the path of what it has written, and nothing else, on standard output.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from fd2talk.output import make_folder, require_output, write_video
from fd2talk.progress import progress
from fd2talk.terminal import announce
from shared.errors import InputError, UsageError
from shared.media import check_input, read_audio, read_image
from shared.motion import Motion
from shared.photo import PhotoFit
from stage2_render.pipeline import RenderPipeline

_VIDEO, _MOTION = (".mp4",), (".npz",)


def generate(
    photo: str,
    audio: str,
    output: str,
    *,
    pose_from: str | None,
    still: bool,
    full: bool,
    max_size: int,
    face_index: int | None,
    face_box: tuple[float, ...] | None,
    weights: str,
    device: str,
    overwrite: bool,
    **sampling: Any,
) -> None:
    """`fd2talk generate`: sampling holds seed, steps, pose_scale, expression_scale."""
    path = require_output(output, suffixes=_VIDEO, overwrite=overwrite, inputs=(photo, audio, pose_from or photo))
    if still and pose_from:
        raise UsageError("--still and --pose-from exclude each other")
    check_device(device)
    image, speech = read_image(photo), read_audio(audio)
    pose = Motion.load(pose_from) if pose_from else None
    render = RenderPipeline.from_pretrained(device=device)
    fitted = fit_photo(render, photo, image, face_index, face_box)

    from fd2talk.pipeline import TalkingHeadPipeline
    from stage1_motion.pipeline import MotionPipeline

    pipeline = TalkingHeadPipeline(MotionPipeline.from_pretrained(weights, device=device), render)
    with progress(None, "listening") as bar:
        frames = pipeline(
            fitted,
            speech,
            still=still,
            pose_from=pose,
            full=full,
            max_size=max_size,
            progress=bar.update_to,
            **sampling,
        )
    write_video(path, frames, len(pipeline.motion), audio=audio, overwrite=overwrite)
    announce(path)


def motion(
    audio: str,
    output: str,
    *,
    photo: str | None,
    face_index: int | None,
    face_box: tuple[float, ...] | None,
    weights: str,
    device: str,
    overwrite: bool,
    **sampling: Any,
) -> None:
    """`fd2talk motion`: sampling holds seed, steps, pose_scale, expression_scale, still."""
    path = require_output(output, suffixes=_MOTION, overwrite=overwrite, inputs=(audio,))
    check_device(device)
    if photo is None and (face_index is not None or face_box is not None):
        raise UsageError("--face-index and --face-box say where the face is in --photo, and there is no --photo")
    image, speech = None if photo is None else read_image(photo), read_audio(audio)
    fitted = None
    if photo is not None:
        fitted = fit_photo(RenderPipeline.from_pretrained(device=device), photo, image, face_index, face_box)

    from stage1_motion.pipeline import MotionPipeline

    pipeline = MotionPipeline.from_pretrained(weights, device=device)
    with progress(None, "listening") as bar:
        result = pipeline(speech, photo=fitted, progress=bar.update_to, **sampling)
    make_folder(path)
    result.save(path, overwrite=overwrite)
    announce(path)


def render(
    photo: str,
    motion: str,
    output: str,
    *,
    full: bool,
    max_size: int,
    face_index: int | None,
    face_box: tuple[float, ...] | None,
    device: str,
    overwrite: bool,
) -> None:
    """`fd2talk render`."""
    path = require_output(output, suffixes=_VIDEO, overwrite=overwrite, inputs=(photo, motion))
    check_device(device)
    image = read_image(photo)
    check_input(motion)
    moves = Motion.load(motion)
    pipeline = RenderPipeline.from_pretrained(device=device)
    fitted = fit_photo(pipeline, photo, image, face_index, face_box)
    moves = moves.resample(25)
    frames = pipeline(fitted, moves, full=full, max_size=max_size)
    has_sound = moves.audio is not None and moves.audio.size > 0
    write_video(path, frames, len(moves), audio=moves.audio if has_sound else None, overwrite=overwrite)
    announce(path)


def track(
    source: str,
    output: str,
    *,
    face_index: int | None,
    face_box: tuple[float, ...] | None,
    device: str,
    overwrite: bool,
) -> None:
    """`fd2talk track`."""
    from fd2talk.track import is_photo, photo_motion, video_motion

    path = require_output(output, suffixes=_MOTION, overwrite=overwrite, inputs=(source,))
    check_device(device)
    check_input(source)
    pipeline = RenderPipeline.from_pretrained(device=device)
    if is_photo(source):
        result = photo_motion(fit_photo(pipeline, source, read_image(source), face_index, face_box), source)
    elif face_index is not None or face_box is not None:
        raise UsageError("--face-index and --face-box are for photos; in a video the largest face is followed")
    else:
        result = video_motion(source, pipeline.model)
    make_folder(path)
    result.save(path, overwrite=overwrite)
    announce(path)


def export(motion: str, output: str, *, overwrite: bool) -> None:
    """`fd2talk export`."""
    from fd2talk.export import export as write

    path = require_output(output, suffixes=(".glb", ".csv", ".obj", ".ply"), overwrite=overwrite, inputs=(motion,))
    check_input(motion)
    moves = Motion.load(motion)
    make_folder(path)
    write(moves, path, overwrite=overwrite)
    announce(path)


def fit_photo(
    pipeline: RenderPipeline,
    path: str,
    image: np.ndarray,
    face_index: int | None,
    face_box: tuple[float, ...] | None,
) -> PhotoFit:
    """Fit the face of a photo that was read from `path`; errors name the file. The box is in the file's own pixels."""
    if face_box is not None:
        with Image.open(path) as file:  # `read_image` may have reduced it; its longer side is the same either way up
            face_box = tuple(v * max(image.shape[:2]) / max(file.size) for v in face_box)
    try:
        return pipeline.fit(image, face_index=face_index, face_box=face_box)
    except InputError as error:
        raise InputError(f"{Path(path)}: {error}") from error


def check_device(name: str) -> None:
    """Raises UsageError when torch has no such device here."""
    try:
        torch.zeros(1, device=name)
    except (RuntimeError, AssertionError, ValueError, ImportError) as error:
        raise UsageError(f"the device {name!r} is not to be had on this computer") from error
