"""Photo and speech -> a talking portrait: both stages, one after the other."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from shared.errors import UsageError
from shared.media import FPS, read_audio, read_image
from shared.motion import Motion
from shared.photo_fit import PhotoFit
from stage1_motion.pipeline import MotionPipeline
from stage2_render import DEFAULT_RENDERER
from stage2_render.pipeline import MAX_SIZE, RenderPipeline, pose_onto_photo

Progress = Callable[[int, int], None]
"""Called with the frames that are done and all frames."""


class TalkingHeadPipeline:
    """`MotionPipeline` and `RenderPipeline` in one; `motion` is what the last call generated."""

    def __init__(self, speech_to_motion: MotionPipeline, render: RenderPipeline) -> None:
        self.speech_to_motion = speech_to_motion
        self.render = render
        self.motion: Motion | None = None

    @classmethod
    def from_pretrained(
        cls, name: str | Path = "bundled", *, renderer: str = DEFAULT_RENDERER, device: str = "cpu"
    ) -> TalkingHeadPipeline:
        """Load both stages: what came with the project (`bundled`) or a folder. renderer: see `RenderPipeline`.

        Raises InputError: not there. UsageError: there is no such renderer.
        """
        render = RenderPipeline.from_pretrained(name, renderer=renderer, device=device)
        return cls(MotionPipeline.from_pretrained(name, device=device), render)

    def __call__(
        self,
        photo: str | os.PathLike | np.ndarray | PhotoFit,
        audio: str | os.PathLike | np.ndarray,
        *,
        seed: int = 0,
        steps: int | None = None,
        expression_scale: float = 1.0,
        pose_scale: float = 1.0,
        still: bool = False,
        pose_from: Motion | None = None,
        full: bool = True,
        max_size: int = MAX_SIZE,
        render_settings: Mapping[str, Any] | None = None,
        progress: Progress | None = None,
    ) -> Iterator[np.ndarray]:
        """Generate the motion (before this returns), then yield frames, uint8 [H, W, 3], 25 per second.

        photo: a file, uint8 [H, W, 3] RGB, or a fitted photo. audio: a file, or float32 [n] mono 16 kHz in [-1, 1].
        seed: the same seed gives the same video. steps: of the sampler; None for the default.
        expression_scale, pose_scale: how strongly face and head move, 1 as learned. still: the head keeps its pose.
        pose_from: take the head's movement from this motion instead of generating it. full, max_size: see
        `RenderPipeline`. render_settings: steps and switches of the diffusion renderer, see there. progress: told of
        the frames of motion that are done.

        Raises InputError: photo or audio cannot be used. UsageError: `still` and `pose_from` exclude each other.
        """
        if still and pose_from is not None:
            raise UsageError("a head that keeps still cannot follow a motion: give one of still and pose_from")
        if not isinstance(photo, PhotoFit):
            photo = self.render.fit(photo if isinstance(photo, np.ndarray) else read_image(photo))
        audio = audio if isinstance(audio, np.ndarray) else read_audio(audio)
        self.motion = self.speech_to_motion(
            audio,
            photo=photo,
            seed=seed,
            steps=steps,
            expression_scale=expression_scale,
            pose_scale=pose_scale,
            still=still,
            progress=progress,
        )
        if pose_from is not None:
            self.motion = with_pose(self.motion, pose_from, photo, scale=pose_scale)
        return self.render(photo, self.motion, full=full, relative=False, max_size=max_size, **(render_settings or {}))


def with_pose(motion: Motion, pose: Motion, photo: PhotoFit, *, scale: float = 1.0) -> Motion:
    """`motion` with the head's movement of `pose` (from its first frame on, times `scale`) instead of its own.

    Where `pose` is the shorter one it runs back and forth, so that the head never jumps.
    """
    pose = pose.resample(FPS).scaled(pose=scale)
    there_and_back = [*range(len(pose)), *range(len(pose) - 2, 0, -1)]
    order = np.resize(there_and_back, len(motion))
    rotation, translation = pose_onto_photo(pose, photo)
    return replace(motion, rotation=rotation[order], translation=translation[order])
