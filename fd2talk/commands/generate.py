"""`fd2talk generate`: photo and speech -> video."""

from __future__ import annotations

from fd2talk.generation import Generator
from fd2talk.output import require_output, write_video
from fd2talk.progress import counted, progress
from fd2talk.request import Request
from fd2talk.terminal import announce


def generate(request: Request, output: str, *, weights: str, device: str, overwrite: bool) -> None:
    """Write the video of the person in a photo saying a recording."""
    inputs = (request.photo, request.audio, request.pose_from, request.motion_model.style)
    path = require_output(output, suffixes=(".mp4",), overwrite=overwrite, inputs=inputs)
    generator = Generator(weights, device)
    with progress(None, "generating motion") as bar:
        talk = generator.talk(request, bar.update_to)
    write_video(path, counted(talk.frames, len(talk), "rendering"), audio=talk.sound, overwrite=overwrite)
    announce(path)
