"""`fd2talk live`: a page on which a portrait speaks in real time."""

from __future__ import annotations

import asyncio
import io
import sys
from collections.abc import Callable
from contextlib import closing
from typing import Any

from fd2talk.commands.inputs import fit_photo
from fd2talk.commands.style import read_style
from fd2talk.options import FaceChoice, MotionModelOptions
from fd2talk.serving import check_address
from shared.device import require_device
from shared.errors import UsageError
from shared.media import read_image


def live(
    photo: str,
    *,
    motion_model: MotionModelOptions,
    seed: int,
    size: int,
    full: bool,
    renderer: str,
    precision: str,
    host: str,
    port: int,
    token: str | None,
    face: FaceChoice,
    device: str,
) -> None:
    """Serve the page until stopped; the arguments are the options of the command line."""
    check_address(host, token)
    require_device(device)
    try:
        from fd2talk.live.listener import listening, serve
        from fd2talk.live.server import LiveServer
        from fd2talk.live.tracks import SOUND_RATE
    except ImportError as error:
        raise UsageError("fd2talk live needs aiohttp and aiortc: pip install 'fd2talk[live]'") from error
    image = read_image(photo)
    with closing(listening(host, port)) as at:  # a port in use is noticed before models are loaded
        import torch
        from PIL import Image

        from fd2talk.live.portrait import LivePortrait
        from stage1_motion.pipeline import MotionPipeline
        from stage2_render.pipeline import RenderPipeline

        sys.setswitchinterval(0.0005)  # painters hand over the interpreter to who sends sound ten times as often
        torch.set_num_threads(1)  # frames are painted by threads of ours, and torch's would wait for each other
        render = RenderPipeline.from_pretrained(renderer=renderer, precision=precision, device=device)
        fitted = fit_photo(render.model, photo, image, face)
        motion = MotionPipeline.from_pretrained(**motion_model.loading, device=device)
        style = read_style(motion_model.style, motion)
        settings: dict[str, Any] = {"size": size, "full": full, "sound_rate": SOUND_RATE, "seed": seed, "style": style}

        def make(notify: Callable[[str], None]) -> LivePortrait:
            return LivePortrait(fitted, motion, render, **settings, notify=notify)

        poster = io.BytesIO()
        Image.fromarray(render.live(fitted, full=full, max_size=size).still).save(poster, "JPEG", quality=90)
        server = LiveServer(make, poster.getvalue(), host=host, token=token)
        asyncio.run(serve(server.app(), at, host, token))
