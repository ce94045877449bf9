"""Photo and Motion -> frames: what a person uses of stage two."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
from scipy.spatial.transform import Rotation

from shared.errors import InputError, UsageError
from shared.face_model.measures import lip_gap
from shared.face_model.morphable import MorphableModel
from shared.faces.crop import Crop
from shared.media import FPS
from shared.motion import Motion
from shared.photo import PhotoFit
from shared.weights import bundled
from stage2_render.geometry import MeshWarp

MAX_SIZE = 1280
"""Longer side of the frames in pixels, unless told otherwise; larger photos are reduced to it."""

CROP_SIZE = 512
"""Side in pixels of the head crop; a smaller one keeps the size it has in the photo."""

# Frames whose target meshes are computed at once.
_CHUNK = 64


class RenderPipeline:
    """Paints motion onto the person in a photo.

    model: the face model that photos are fitted with and that motions must belong to.
    """

    def __init__(self, model: MorphableModel) -> None:
        self.model = model

    @classmethod
    def from_pretrained(
        cls, name: str | Path = "bundled", *, renderer: str = "geometry", device: str = "cpu"
    ) -> RenderPipeline:
        """Load what came with the project (`bundled`), or what a folder has of its own.

        renderer: `geometry` (the photo itself is warped); it runs on the CPU, whatever the device.
        Raises InputError: weights that cannot be read. UsageError: there is no such renderer.
        """
        if renderer != "geometry":
            raise UsageError(f"there is no renderer {renderer!r}; there is: geometry")
        own = Path(name) / "face_model"
        return cls(MorphableModel.load((own if own.is_dir() else bundled("face_model")) / "model.safetensors"))

    def fit(
        self,
        image: np.ndarray,
        *,
        face_index: int | None = None,
        face_box: tuple[float, float, float, float] | None = None,
    ) -> PhotoFit:
        """Find and fit the face in a photo, uint8 [H, W, 3] RGB. Raises InputError: no face, too small, a profile."""
        return PhotoFit.fit(image, self.model, face_index=face_index, face_box=face_box)

    def __call__(
        self,
        photo: np.ndarray | PhotoFit,
        motion: Motion,
        *,
        full: bool = True,
        relative: bool | None = None,
        max_size: int = MAX_SIZE,
        workers: int = 2,
    ) -> Iterator[np.ndarray]:
        """Yield the frames of the talking portrait, uint8 [H, W, 3] RGB, at 25 per second; H and W are even.

        photo: uint8 [H, W, 3] RGB, or its fit.
        full: the photo's own framing, its longer side at most `max_size`; else the square head crop, at most 512 x 512.
        relative: take the motion's changes from its own start and apply them to the photo's face, as a motion of
            somebody else needs; False: its coefficients are those of this very face (as `MotionPipeline` gives them for
            a photo). None: False if the motion names the photo's identity as its own.
        workers: threads that warp. The warp leaves the interpreter for most of its time, so a second one uses what the
            first and the encoder leave idle.

        Memory does not grow with the length. Raises InputError: no usable face in the photo, or a motion of another
        face model.
        """
        if motion.face_model != self.model.fingerprint:
            raise InputError(f"the motion was made for face model {motion.face_model}, not {self.model.fingerprint}")
        fitted = photo if isinstance(photo, PhotoFit) else self.fit(photo)
        if relative is None:
            relative = not is_of(motion, fitted)
        motion = motion.resample(FPS)
        if relative:
            motion = onto_photo(motion, fitted)
        fitted = _sized(fitted, max_size) if full else _cropped(fitted)
        return _in_order(MeshWarp(fitted.image, fitted.landmarks, fitted.crop), _targets(fitted, motion), workers)


def is_of(motion: Motion, photo: PhotoFit) -> bool:
    """Whether the motion was made for this very face: they have one identity."""
    known = motion.identity is not None and motion.identity.shape == photo.identity.shape
    return known and np.allclose(motion.identity, photo.identity, atol=1e-3)


def onto_photo(motion: Motion, photo: PhotoFit) -> Motion:
    """Apply a foreign motion's changes to the photo's own face and pose.

    Pose changes count from the first frame. Expression changes count from the resting face, the mean over the tenth
    of the frames whose lips are closest: a clip may begin in mid-word.
    """
    gaps = lip_gap(photo.model.vertices(photo.identity * 0, motion.expression))
    resting = motion.expression[np.argsort(gaps)[: max(1, len(motion) // 10)]].mean(0)
    rotation, translation = pose_onto_photo(motion, photo)
    return replace(
        motion,
        expression=photo.expression + motion.expression - resting,
        rotation=rotation,
        translation=translation,
        identity=photo.identity,
    )


def pose_onto_photo(motion: Motion, photo: PhotoFit) -> tuple[np.ndarray, np.ndarray]:
    """Rotation and translation [T, 3] that move the photo's head as the motion moves its own from its first frame."""
    turns = Rotation.from_rotvec(motion.rotation)
    rotation = turns * turns[0].inv() * Rotation.from_rotvec(photo.rotation)
    translation = photo.translation + motion.translation - motion.translation[0]
    return rotation.as_rotvec().astype(np.float32), translation.astype(np.float32)


def _targets(photo: PhotoFit, motion: Motion) -> Iterator[np.ndarray]:
    """Each frame's vertices [478, 3] in photo pixels."""
    for start in range(0, len(motion), _CHUNK):
        part = slice(start, start + _CHUNK)
        yield from photo.vertices_px(motion.expression[part], motion.rotation[part], motion.translation[part])


def _in_order(warp: MeshWarp, targets: Iterable[np.ndarray], workers: int) -> Iterator[np.ndarray]:
    """Warp a few frames ahead of whoever takes them, in their order."""
    pending: deque[Future] = deque()
    pool = ThreadPoolExecutor(workers, thread_name_prefix="warp")
    try:
        for target in targets:
            pending.append(pool.submit(warp, target))
            if len(pending) > workers:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
    finally:  # also when the taker stops early
        pool.shutdown(cancel_futures=True)


def _sized(photo: PhotoFit, max_size: int) -> PhotoFit:
    """The photo reduced to `max_size` where it is larger, with even sides."""
    if max_size < 64:
        raise UsageError(f"frames of {max_size} pixels are too small; at least 64")
    return _even(_scaled(photo, min(1.0, max_size / max(photo.image.shape[:2]))))


def _cropped(photo: PhotoFit) -> PhotoFit:
    """The square head crop, moved and reduced so far that it lies within the photo, as a photo of its own."""
    height, width = photo.image.shape[:2]
    side = int(min(photo.crop.side, height, width))
    left = int(np.clip(round(photo.crop.center_x - side / 2), 0, width - side))
    top = int(np.clip(round(photo.crop.center_y - side / 2), 0, height - side))
    inside = replace(
        photo,
        image=np.ascontiguousarray(photo.image[top : top + side, left : left + side]),
        landmarks=photo.landmarks - np.array([left, top, 0], np.float32),
        crop=replace(photo.crop, center_x=photo.crop.center_x - left, center_y=photo.crop.center_y - top),
    )
    return _even(_scaled(inside, min(1.0, CROP_SIZE / side)))


def _scaled(photo: PhotoFit, scale: float) -> PhotoFit:
    if scale == 1.0:
        return photo
    height, width = photo.image.shape[:2]
    size = (max(2, round(width * scale)), max(2, round(height * scale)))
    # Sides are rounded to pixels; x and y get the same factor, which is off by less than half a pixel at the far edge.
    return replace(
        photo,
        image=cv2.resize(photo.image, size, interpolation=cv2.INTER_AREA),
        landmarks=(photo.landmarks * scale).astype(np.float32),
        crop=Crop(photo.crop.center_x * scale, photo.crop.center_y * scale, photo.crop.side * scale),
    )


def _even(photo: PhotoFit) -> PhotoFit:
    """yuv420p has one colour sample per 2 x 2 pixels: drop an odd last row or column."""
    height, width = (n - n % 2 for n in photo.image.shape[:2])
    return replace(photo, image=np.ascontiguousarray(photo.image[:height, :width]))
