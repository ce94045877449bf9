"""Frames of motion that is still being generated: a few at a time, in the caller's thread."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from shared.errors import InputError
from shared.motion import Motion
from shared.photo_fit import PhotoFit
from shared.retarget import with_still_eyes
from shared.upright import turned_motion

if TYPE_CHECKING:
    from stage2_render.on_device.frames import DeviceFrames
    from stage2_render.repair.renderer import RepairRenderer
    from stage2_render.warp.mesh_warp import MeshWarp

Renders = Callable[[np.ndarray], list[np.ndarray]]
"""Meshes [T, 478, 3] in photo pixels -> T frames uint8 [H, W, 3]; called by several threads at once."""


class LiveRenderer:
    """One person's frames as motion comes, frame by frame or some at once; made by `RenderPipeline.live`.

    Several threads may call one object, each for other frames: on a CPU every call uses one core.

    Args:
        photo: as it was fitted.
        upright: the same in the size of the frames, turned until the face is upright.
        turns: quarter turns from one to the other.
        render: draws meshes of `upright`.
    """

    def __init__(self, photo: PhotoFit, upright: PhotoFit, turns: int, render: Renders) -> None:
        self._photo, self._upright, self._turns, self._render = photo, upright, turns, render
        height, width = upright.image.shape[:2]
        self.width, self.height = (height, width) if turns % 2 else (width, height)

    @property
    def still(self) -> np.ndarray:
        """The photo as frames show it, uint8 [height, width, 3]."""
        return np.ascontiguousarray(np.rot90(self._upright.image, -self._turns))

    def __call__(self, motion: Motion) -> list[np.ndarray]:
        """Render some frames, uint8 [height, width, 3] each.

        Args:
            motion: T frames at 25 per second, generated for this photo.

        Raises:
            InputError: the motion is of another face model.
        """
        if motion.face_model != self._photo.model.fingerprint:
            raise InputError(f"the motion belongs to face model {motion.face_model}, not that of the photo")
        if self._photo.eyes_hidden:
            motion = with_still_eyes(motion, self._photo)
        if self._turns:
            motion = turned_motion(motion, self._turns)
        frames = self._render(self._upright.vertices_px(motion.expression, motion.rotation, motion.translation))
        return [np.ascontiguousarray(np.rot90(frame, -self._turns)) for frame in frames]


def with_warp(warp: MeshWarp) -> Renders:
    """The warped photo."""
    return lambda targets: [warp(target) for target in targets]


def with_repair(repair: RepairRenderer) -> Renders:
    """The warped photo, repaired by networks, on a CPU or, the networks alone, on another device."""
    return lambda targets: repair.paint([repair.prepare(target) for target in targets])


def on_device(frames: DeviceFrames) -> Renders:
    """Either of them, on CUDA from mesh to pixels."""
    return lambda targets: list(frames.render(targets))
