"""Engines: what makes a video in a worker process."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from fd2talk.service.limits import Limits

ENGINE = "fd2talk.service.engine:VideoEngine"


@dataclass(frozen=True)
class Work:
    """A video to make.

    Args:
        files: by role: `photo` and `audio`, perhaps `style` and `pose_from`.
        options: validated, by the names of `fd2talk.request.OPTIONS`.
        output: the MP4 to write, in a folder of its own.
    """

    files: dict[str, Path]
    options: dict[str, Any]
    output: Path


@dataclass(frozen=True)
class Facts:
    """Length in seconds and size in pixels of a written video; None where unknown."""

    seconds: float | None = None
    width: int | None = None
    height: int | None = None


ReportProgress = Callable[[str, int, int], None]
"""Called with the stage, the steps done and the steps in all; an exception that it raises cancels the work."""


class Engine(Protocol):
    """Makes videos, one after the other.

    `fd2talk serve --engine MODULE:NAME` takes another one, for tests of the service without networks: a callable that
    takes weights, device, limits and threads (see `VideoEngine`) and returns an `Engine`.
    """

    def __call__(self, work: Work, report: ReportProgress) -> Facts:
        """Make a video. Raises Fd2TalkError: why it cannot be made, in a sentence for the client."""


class VideoEngine:
    """The default engine. It signs videos if the environment names a certificate (`Signer.from_environment`).

    Args:
        weights: `bundled`, or a folder.
        device: for the networks.
        limits: of photos and sound.
        threads: of PyTorch; None: the default of a process that has all cores to itself.
    """

    def __init__(self, weights: str, device: str, limits: Limits, threads: int | None = None) -> None:
        if threads is not None:
            import cv2
            import torch

            torch.set_num_threads(threads)
            cv2.setNumThreads(1)
        from fd2talk.generation import Generator
        from fd2talk.provenance.signer import Signer

        self._generator, self._signer = Generator(weights, device, threads), Signer.from_environment()
        self._limits = limits

    def __call__(self, work: Work, report: ReportProgress) -> Facts:
        """Make a video. Raises as `Generator.write`, and InputError: a file beyond the limits."""
        from fd2talk.media_checks import check_clip, check_pixels, read_speech
        from fd2talk.request import request_from
        from shared.images import is_photo
        from shared.media import video_info

        report("reading the files", 0, 1)
        check_pixels(work.files["photo"], self._limits)
        read_speech(work.files["audio"], self._limits)
        given = {role: str(path) for role, path in work.files.items() if role in ("style", "pose_from")}
        for path in given.values():
            if is_photo(path):
                check_pixels(Path(path), self._limits)
            else:
                check_clip(Path(path), self._limits)
        request = request_from(str(work.files["photo"]), str(work.files["audio"]), work.options | given)
        self._generator.write(request, work.output, progress=report, signer=self._signer)
        info = video_info(work.output)
        return Facts(info.duration, info.width, info.height)
