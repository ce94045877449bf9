"""Stands in for `fd2talk.generation.Generator` in a batch: small videos at once, and failures by the photo's name."""

import os
import secrets
import signal
import time
from contextlib import closing
from pathlib import Path

import numpy as np

from fd2talk.output import write_video
from shared.errors import InputError

FRAMES = 10


class StubGenerator:
    """Frames as bright as ten times the seed. Each call leaves a file in `calls` beside the photo.

    Photos whose names contain `slow` take two seconds; `held` ones wait, half made, until `release` was called; `dies`
    kills the process, `once` only the first time; `faceless` is refused, `bug` raises what is no error of ours, `noisy`
    warns.
    """

    def __init__(self, weights="bundled", device="cpu", threads=1):
        self.threads = threads

    def write(self, request, path, *, progress=None, signer=None):
        photo = Path(request.photo)
        calls = photo.parent / "calls"
        calls.mkdir(exist_ok=True)
        before = len(list(calls.glob(f"{photo.stem}.*")))
        (calls / f"{photo.stem}.{os.getpid()}.{secrets.token_hex(4)}").touch()
        if "dies" in photo.stem and not ("once" in photo.stem and before):
            os.kill(os.getpid(), signal.SIGKILL)
        if "faceless" in photo.stem:
            raise InputError(f"{photo}: no face found in the photo")
        if "bug" in photo.stem:
            raise ZeroDivisionError("division\nby zero")
        if "noisy" in photo.stem:
            warn()
        with closing(self._frames(request, 0.2 if "slow" in photo.stem else 0.0, progress)) as frames:
            write_video(path, frames, audio=request.audio, signer=signer)

    def _frames(self, request, pause, progress):
        for number in range(1, FRAMES + 1):
            time.sleep(pause)
            while number > FRAMES // 2 and "held" in Path(request.photo).stem and not released(request.photo):
                time.sleep(0.02)
            yield np.full((64, 64, 3), 10 * request.motion_options.seed, np.uint8)
            if progress:
                progress("rendering", number, FRAMES)


def warn():
    """Warn as a module of ours does."""
    exec("import warnings; warnings.warn('the photo was\\nreduced', UserWarning)", {"__name__": "shared.images"})


def release(folder):
    """Let the photos in a folder whose names contain `held` be made to their end."""
    (Path(folder) / "released").touch()


def released(photo):
    """Whether `release` was called for the folder of a photo."""
    return (Path(photo).parent / "released").exists()


def calls(folder, stem=""):
    """How often photos were worked on."""
    return len(list((Path(folder) / "calls").glob(f"{stem}*")))
