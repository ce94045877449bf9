"""`fd2talk generate`: photo and speech -> video."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fd2talk.generation import Generator
from fd2talk.output import require_output, write_video
from fd2talk.progress import counted, progress
from fd2talk.request import Request
from fd2talk.terminal import announce

if TYPE_CHECKING:
    from fd2talk.provenance.signer import Signer


def generate(
    request: Request, output: str, *, weights: str, device: str, overwrite: bool, signer: Signer | None = None
) -> None:
    """Write the video of the person in a photo saying a recording."""
    inputs = (request.photo, request.audio, request.pose_from, request.motion_model.style)
    path = require_output(output, suffixes=(".mp4",), overwrite=overwrite, inputs=inputs)
    generator = Generator(weights, device)
    with progress(None, "generating motion") as bar:
        talk = generator.talk(request, bar.update_to)
    frames = counted(talk.frames, len(talk), "rendering")
    write_video(path, frames, audio=talk.sound, overwrite=overwrite, source=talk.motion.source, signer=signer)
    announce(path)
