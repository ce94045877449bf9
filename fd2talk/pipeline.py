"""Photo and speech -> a talking portrait: both stages, one after the other."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from fd2talk.talking_head import Frames, TalkingHead
from shared.errors import UsageError
from shared.media import FPS, read_audio, read_image
from shared.motion import Motion
from shared.photo_fit import PhotoFit
from shared.retarget import pose_onto_photo
from stage1_motion.interface import SamplingOptions
from stage1_motion.pipeline import MotionPipeline
from stage1_motion.postprocessing import PostProcessing
from stage1_motion.style import Style
from stage2_render import DEFAULT_RENDERER
from stage2_render.pipeline import MAX_SIZE, RenderPipeline


class TalkingHeadPipeline:
    """`MotionPipeline` and `RenderPipeline` in one; build it with `from_pretrained`.

    Args:
        speech_to_motion: stage one.
        render: stage two.
    """

    def __init__(self, speech_to_motion: MotionPipeline, render: RenderPipeline) -> None:
        self.speech_to_motion = speech_to_motion
        self.render = render

    @classmethod
    def from_pretrained(
        cls,
        name: str | Path = "bundled",
        *,
        model: str | None = None,
        person: str | Path | None = None,
        renderer: str = DEFAULT_RENDERER,
        device: str = "cpu",
        precision: str = "auto",
    ) -> TalkingHeadPipeline:
        """Load both stages.

        Args:
            name: `bundled`, or a folder of weights.
            model: motion model, see `MotionPipeline.from_pretrained`.
            person: a folder of `fd2talk personalise`, likewise.
            renderer: `geometry`, `repair` or `diffusion`, see `RenderPipeline`.
            device: for the networks, as torch names it.
            precision: of the renderer's networks: `auto`, `float32`, `bf16`, or, of repair on a CPU, `int8`.

        Raises:
            InputError: weights that are missing or cannot be read.
            UsageError: there is no such renderer.
        """
        render = RenderPipeline.from_pretrained(name, renderer=renderer, device=device, precision=precision)
        return cls(MotionPipeline.from_pretrained(name, model=model, person=person, device=device), render)

    def __call__(
        self,
        photo: str | os.PathLike | np.ndarray | PhotoFit,
        audio: str | os.PathLike | np.ndarray,
        *,
        seed: int = 0,
        options: SamplingOptions = SamplingOptions(),
        postprocessing: PostProcessing = PostProcessing(),
        still: bool = False,
        style: Style | None = None,
        pose_from: Motion | None = None,
        full: bool = True,
        max_size: int = MAX_SIZE,
        render_settings: Mapping[str, Any] | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> TalkingHead:
        """Generate the motion; frames are rendered when the result is saved or iterated over.

        Args:
            photo: a file, uint8 [H, W, 3] RGB, or a photo that has been fitted (`PhotoFit.fit`).
            audio: a file, or float32 [n], mono, 16 kHz, in [-1, 1].
            seed: of the motion; the same seed reproduces the output.
            options: of the motion sampler.
            postprocessing: which rules act on the generated motion.
            still: whether the head keeps the pose of the photo.
            style: how the person speaks, for models that take it.
            pose_from: motion whose head movement, from its rest, replaces the generated one.
            full: the whole photo, or the square head crop only.
            max_size: longest side of the frames in pixels.
            render_settings: other keyword arguments of `RenderPipeline.__call__`, such as `steps`.
            progress: called with the number of motion frames that are done, and of all of them.

        Raises:
            InputError: the photo or the audio cannot be used.
            UsageError: an option is out of range, or `still` and `pose_from` are both given.
        """
        if still and pose_from is not None:
            raise UsageError("still and pose_from exclude each other")
        if not isinstance(photo, PhotoFit):
            photo = PhotoFit.fit(photo if isinstance(photo, np.ndarray) else read_image(photo), self.render.model)
        motion = self.speech_to_motion(
            audio if isinstance(audio, np.ndarray) else read_audio(audio),
            photo=photo,
            seed=seed,
            options=options,
            postprocessing=postprocessing,
            still=still,
            style=style,
            progress=progress,
        ).resample(FPS)
        if pose_from is not None:
            motion = with_pose(motion, pose_from, photo, scale=options.pose_scale)
        settings = {"full": full, "max_size": max_size, "relative": False, **(render_settings or {})}
        frames = Frames(partial(self.render, photo, motion, **settings), len(motion))
        return TalkingHead(motion, frames, audio)


def with_pose(motion: Motion, pose: Motion, photo: PhotoFit, *, scale: float = 1.0) -> Motion:
    """Replace the head movement of a motion by that of another one.

    Args:
        motion: T frames at 25 per second.
        pose: used from its first frame on; where it is shorter it runs forwards and backwards, so that the head never
            jumps.
        photo: whose head pose is the rest.
        scale: factor on the size of the movement.
    """
    pose = pose.resample(FPS)
    forth_and_back = [*range(len(pose)), *range(len(pose) - 2, 0, -1)]
    order = np.resize(forth_and_back, len(motion))
    rotation, translation = pose_onto_photo(pose, photo, scale=scale)
    return replace(motion, rotation=rotation[order], translation=translation[order])
