"""Generates videos for requests, with pipelines that are loaded once."""

from __future__ import annotations

import os
from collections.abc import Callable, Hashable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from fd2talk.commands.inputs import fit_photo, load_motion
from fd2talk.commands.style import read_style
from fd2talk.output import require_output, write_video
from fd2talk.pipelines import Pipelines
from fd2talk.recent import Recent
from fd2talk.request import Request
from fd2talk.talking_head import TalkingHead
from shared.device import require_device
from shared.files import check_input
from shared.media import read_audio, read_image

if TYPE_CHECKING:
    from fd2talk.provenance.signer import Signer

_CACHED = 4
"""Number of recently used values cached of each kind: motion models, renderers, photos, styles, head motions."""

Progress = Callable[[str, int, int], None]
"""Called with the stage, the steps done, and the steps in all."""


class Generator:
    """Generates any number of videos; models and inputs that several of them need are cached. Not thread-safe.

    Args:
        weights: `bundled`, or a folder.
        device: for the networks.
        threads: for warping and of the encoder; 1: everything in the calling thread. None: as `fd2talk generate`.

    Raises:
        UsageError: no such device.
    """

    def __init__(self, weights: str | Path = "bundled", device: str = "cpu", threads: int | None = None) -> None:
        require_device(device)
        self._threads = threads
        self._pipelines, self._recent = Pipelines(weights, device, _CACHED), Recent(_CACHED)

    def talk(self, request: Request, progress: Callable[[int, int], None] | None = None) -> TalkingHead:
        """Generate the motion; frames are rendered when the result is saved or iterated over.

        Args:
            request: what is wanted.
            progress: called with the number of motion frames that are done, and of all of them.

        Raises:
            InputError: a file that cannot be used.
            UsageError: an option that does not fit the model, or is out of range.
        """
        image, speech = read_image(request.photo), read_audio(request.audio)
        if request.pose_from:
            check_input(request.pose_from)
        render = self._pipelines.renderer(**request.renderer.loading)
        key: Hashable = (_version(request.photo), request.face)
        photo = self._recent.kept("photo", key, lambda: fit_photo(render.model, request.photo, image, request.face))
        pose = None
        if request.pose_from:
            path = request.pose_from
            pose = self._recent.kept("pose", _version(path), lambda: load_motion(path, render.model))

        # Importing stage one takes seconds, so it waits until the inputs have been checked.
        from fd2talk.pipeline import TalkingHeadPipeline

        motion = self._pipelines.motion(**request.motion_model.loading)
        style = request.motion_model.style
        read = None
        if style is not None:
            key = (_version(style), request.motion_model)
            read = self._recent.kept("style", key, lambda: read_style(style, motion))
        talk = TalkingHeadPipeline(motion, render)(
            photo,
            speech,
            **vars(request.motion_options),
            style=read,
            pose_from=pose,
            **vars(request.framing),
            render_settings={**request.renderer.settings, **self._workers},
            progress=progress,
        )
        return replace(talk, sound=request.audio)  # the file itself, at its own sampling rate

    def write(
        self,
        request: Request,
        path: str | os.PathLike,
        *,
        overwrite: bool = False,
        progress: Progress | None = None,
        signer: Signer | None = None,
    ) -> None:
        """Generate and write a video.

        Args:
            request: what is wanted.
            path: of the video, ending in .mp4. It appears only when the video is complete.
            overwrite: replace an existing file.
            progress: called for each step; an exception that it raises cancels the work, and no file is left.
            signer: signs the video with C2PA before it appears.

        Raises:
            InputError, UsageError: as `talk`, and an output that cannot be written to.
            Fd2TalkError: writing failed, for example because the disk is full.
        """
        inputs = (request.photo, request.audio, request.pose_from, request.motion_model.style)
        require_output(path, suffixes=(".mp4",), overwrite=overwrite, inputs=inputs)
        report = progress or _quiet
        talk = self.talk(request, lambda done, total: report("generating motion", done, total))
        write_video(
            path,
            _reported(talk, report),
            audio=talk.sound,
            overwrite=overwrite,
            source=talk.motion.source,
            signer=signer,
            threads=self._threads,
        )

    @property
    def _workers(self) -> dict[str, int]:
        """Keyword arguments of `RenderPipeline.__call__`."""
        return {} if self._threads is None else {"workers": 0 if self._threads == 1 else self._threads}


def _version(path: str) -> Hashable:
    """A key that changes when the file does; the text itself if there is no such file, as for the name of a style."""
    try:
        info = os.stat(path)
    except (OSError, ValueError):
        return path
    return path, info.st_ino, info.st_size, info.st_mtime_ns


def _quiet(what: str, done: int, total: int) -> None:
    pass


def _reported(talk: TalkingHead, report: Progress) -> Iterator[np.ndarray]:
    with closing(iter(talk.frames)) as frames:
        for number, frame in enumerate(frames, 1):
            yield frame
            report("rendering", number, len(talk))
