"""`fd2talk render`: photo and motion file -> video."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fd2talk.commands.inputs import fit_photo, load_motion
from fd2talk.options import FaceChoice, Framing, RendererOptions
from fd2talk.output import require_output, write_video
from fd2talk.progress import counted
from fd2talk.terminal import announce
from shared.device import require_device
from shared.errors import UsageError
from shared.files import check_input
from shared.media import FPS, read_image, read_video
from stage2_render.pipeline import RenderPipeline

if TYPE_CHECKING:
    from fd2talk.provenance.signer import Signer


def render(
    photo: str,
    motion: str,
    output: str,
    *,
    renderer: RendererOptions,
    compare: bool,
    real: str | None,
    framing: Framing,
    face: FaceChoice,
    weights: str,
    device: str,
    overwrite: bool,
    signer: Signer | None = None,
) -> None:
    """Write the video of a photo moved by a motion file (or video), with the motion's own sound.

    With `compare` the warped photo, the chosen renderer and the video `real`, if there is one, are side by side. The
    other arguments are the options of the command line.
    """
    path = require_output(output, suffixes=(".mp4",), overwrite=overwrite, inputs=(photo, motion, real))
    if compare and renderer.name == "geometry":
        raise UsageError("--compare shows geometry beside another renderer: choose another one with --renderer")
    if real and not compare:
        raise UsageError("--real needs --compare")
    require_device(device)
    image = read_image(photo)
    for file in (motion, *([real] if real else ())):
        check_input(file)
    pipeline = RenderPipeline.from_pretrained(weights, **renderer.loading, device=device)
    fitted = fit_photo(pipeline.model, photo, image, face)
    moves = load_motion(motion, pipeline.model).resample(FPS)
    frames = pipeline(fitted, moves, **vars(framing), **renderer.settings)
    if compare:
        from fd2talk.compare import side_by_side

        warped = RenderPipeline(pipeline.model)(fitted, moves, **vars(framing), workers=1)
        panels = {"geometry": warped, renderer.name: frames}
        frames = side_by_side(panels | ({"real": read_video(real)} if real else {}))
    has_sound = moves.audio is not None and moves.audio.size > 0
    frames = counted(frames, len(moves), "rendering")
    sound = moves.audio if has_sound else None
    write_video(path, frames, audio=sound, overwrite=overwrite, source=moves.source, signer=signer)
    announce(path)
