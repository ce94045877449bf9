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
from shared.media import check_input, read_audio, read_image, read_video
from shared.motion import Motion
from shared.photo_fit import PhotoFit
from stage2_render import DEFAULT_RENDERER
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
    renderer: str | None,
    render_steps: int | None,
    device: str,
    overwrite: bool,
    **sampling: Any,
) -> None:
    """`fd2talk generate`: sampling holds seed, steps, pose_scale, expression_scale."""
    path = require_output(output, suffixes=_VIDEO, overwrite=overwrite, inputs=(photo, audio, pose_from or photo))
    if still and pose_from:
        raise UsageError("--still and --pose-from exclude each other")
    renderer = renderer or DEFAULT_RENDERER
    settings = diffusion_settings(renderer, render_steps)
    check_device(device)
    image, speech = read_image(photo), read_audio(audio)
    pose = Motion.load(pose_from) if pose_from else None
    render = RenderPipeline.from_pretrained(weights, renderer=renderer, device=device)
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
            render_settings=settings,
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
        fitted = fit_photo(RenderPipeline.from_pretrained(renderer="geometry"), photo, image, face_index, face_box)

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
    weights: str,
    renderer: str | None,
    render_steps: int | None,
    compare: bool,
    real: str | None,
    device: str,
    overwrite: bool,
    **switches: bool,
) -> None:
    """`fd2talk render`: switches holds no_geometry_guidance, no_detail_transfer, no_shared_noise."""
    path = require_output(output, suffixes=_VIDEO, overwrite=overwrite, inputs=(photo, motion, real or photo))
    if compare and renderer:
        raise UsageError("--compare shows every renderer and --renderer chooses one: give one of them")
    if real and not compare:
        raise UsageError("--real is shown by --compare, which was not given")
    renderer = "diffusion" if compare else renderer or DEFAULT_RENDERER
    settings = diffusion_settings(renderer, render_steps, **switches)
    check_device(device)
    image = read_image(photo)
    for file in (motion, *([real] if real else ())):
        check_input(file)
    moves = Motion.load(motion)
    pipeline = RenderPipeline.from_pretrained(weights, renderer=renderer, device=device)
    fitted = fit_photo(pipeline, photo, image, face_index, face_box)
    moves = moves.resample(25)
    frames = pipeline(fitted, moves, full=full, max_size=max_size, **settings)
    if compare:
        from fd2talk.compare import side_by_side

        warps = RenderPipeline(pipeline.model)(fitted, moves, full=full, max_size=max_size, workers=1)
        panels = {"warp": warps, "diffusion": frames}
        frames = side_by_side(panels | ({"real": read_video(real)} if real else {}))
    has_sound = moves.audio is not None and moves.audio.size > 0
    write_video(path, frames, len(moves), audio=moves.audio if has_sound else None, overwrite=overwrite)
    announce(path)


def diffusion_settings(renderer: str, steps: int | None, **switches: bool) -> dict[str, Any]:
    """Arguments for `RenderPipeline` from the options of that name; each switch is called no_ and turns something off.

    Raises UsageError: settings for a renderer that has none.
    """
    given = [name for name, value in {"render_steps": steps, **switches}.items() if value]
    if given and renderer != "diffusion":
        raise UsageError(f"--{given[0].replace('_', '-')} is for --renderer diffusion")
    settings: dict[str, Any] = {name.removeprefix("no_"): not off for name, off in switches.items()}
    return settings | ({"steps": steps} if steps else {})


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
    pipeline = RenderPipeline.from_pretrained(renderer="geometry")
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
    from fd2talk.export.writer import export as write

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
