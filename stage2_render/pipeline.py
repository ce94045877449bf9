"""Photo and Motion -> frames: what a person uses of stage two."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
from scipy.spatial.transform import Rotation

from shared.errors import InputError, UsageError
from shared.face_model.measures import lip_gap
from shared.face_model.morphable import MorphableModel
from shared.faces.crop import Crop
from shared.media import FPS
from shared.motion import Motion
from shared.photo_fit import PhotoFit
from shared.weights import bundled, resolve
from stage2_render import DEFAULT_RENDERER, RENDERERS
from stage2_render.prefetch import in_order
from stage2_render.warp.mesh_warp import MeshWarp

if TYPE_CHECKING:
    from stage2_render.diffusion.render_model import RenderNetworks

MAX_SIZE = 1280
"""Longer side of the frames in pixels, unless told otherwise; larger photos are reduced to it."""

CROP_SIZE = 512
"""Side in pixels of the head crop; a smaller one keeps the size it has in the photo."""

MAX_STEPS = 1000
"""Most steps of the diffusion renderer's sampler."""

# Frames whose target meshes are computed at once.
_CHUNK = 64


class RenderPipeline:
    """Paints motion onto the person in a photo.

    model: the face model that photos are fitted with and that motions must belong to. networks: of the learned
    renderer, on `device`; without them frames are the photo, warped.
    """

    def __init__(self, model: MorphableModel, networks: RenderNetworks | None = None, device: str = "cpu") -> None:
        self.model, self.networks, self.device = model, networks, device

    @classmethod
    def from_pretrained(
        cls, name: str | Path = "bundled", *, renderer: str = DEFAULT_RENDERER, device: str = "cpu"
    ) -> RenderPipeline:
        """Load what came with the project (`bundled`), or what a folder has of its own and the bundled rest.

        name: such a folder has the subfolders `face_model` and `renderer`, or one of them; or it is the renderer's
            itself, as a training leaves it in `best`: autoencoder.safetensors and unet.safetensors.
        renderer: `geometry` (the photo itself is warped; on the CPU, whatever the device) or `diffusion` (networks
        repair the warp's face: mouth, teeth, lids).
        Raises InputError: weights that are not there or cannot be read. UsageError: there is no such renderer.
        """
        if renderer not in RENDERERS:
            raise UsageError(f"there is no renderer {renderer!r}; there are: {', '.join(RENDERERS)}")
        if str(name) != "bundled" and not Path(name).is_dir():
            raise InputError(f"{name}: there is no such folder of weights")
        model = MorphableModel.load(_own(name, "face_model") / "model.safetensors")
        if renderer == "geometry":
            return cls(model)
        import torch

        from stage2_render.diffusion.render_model import RenderNetworks

        networks = RenderNetworks.load(Path(name) if _is_renderer(name) else _own(name, "renderer"))
        if networks.unet.config.coefficients != model.num_expression + 6:
            raise InputError(
                f"the renderer's weights are for another face model: they take {networks.unet.config.coefficients} "
                f"coefficients, not {model.num_expression + 6}"
            )
        return cls(model, networks.to(device, memory_format=torch.channels_last), device)

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
        steps: int | None = None,
        geometry_guidance: bool = True,
        detail_transfer: bool = True,
        shared_noise: bool = True,
        seed: int = 0,
    ) -> Iterator[np.ndarray]:
        """Yield the frames of the talking portrait, uint8 [H, W, 3] RGB, at 25 per second; H and W are even.

        photo: uint8 [H, W, 3] RGB, or its fit.
        full: the photo's own framing, its longer side at most `max_size`; else the square head crop, at most 512 x 512.
        relative: take the motion's changes from its own start and apply them to the photo's face, as a motion of
            somebody else needs; False: its coefficients are those of this very face (as `MotionPipeline` gives them for
            a photo). None: False if the motion names the photo's identity as its own.
        workers: threads that warp. The warp leaves the interpreter for most of its time, so a second one uses what the
            first and the encoder leave idle.
        steps, geometry_guidance, detail_transfer, shared_noise, seed: of the diffusion renderer, see
            `DiffusionRenderer`; the geometric one has none of these.

        Memory does not grow with the length. Raises InputError: no usable face in the photo, or a motion of another
        face model. UsageError: too small a `max_size`, or steps outside 1 to 1000.
        """
        if steps is not None and not 1 <= steps <= MAX_STEPS:
            raise UsageError(f"the renderer takes 1 to {MAX_STEPS} steps, not {steps}")
        if motion.face_model != self.model.fingerprint:
            raise InputError(f"the motion was made for face model {motion.face_model}, not {self.model.fingerprint}")
        fitted = photo if isinstance(photo, PhotoFit) else self.fit(photo)
        if relative is None:
            relative = not is_of(motion, fitted)
        motion = motion.resample(FPS)
        if relative:
            motion = onto_photo(motion, fitted)
        fitted = _sized(fitted, max_size) if full else _cropped(fitted)
        targets = _targets(fitted, motion)
        if self.networks is None:
            warp = MeshWarp(fitted.image, fitted.landmarks, fitted.crop)
            return in_order(warp, targets, workers=workers, ahead=workers, name="warp")
        from stage2_render.diffusion.renderer import DiffusionRenderer

        renderer = DiffusionRenderer(
            fitted,
            self.networks,
            steps=steps,
            geometry_guidance=geometry_guidance,
            detail_transfer=detail_transfer,
            shared_noise=shared_noise,
            seed=seed,
            device=self.device,
        )
        coefficients = np.concatenate([motion.expression, motion.rotation, motion.translation], 1).astype(np.float32)
        return renderer.frames(targets, coefficients, workers=workers)


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


def _own(name: str | Path, part: str) -> Path:
    """The folder of a part: one's own where there is one, else the bundled one."""
    has_own = str(name) != "bundled" and (Path(name) / part).is_dir()
    return resolve(name, part) if has_own else bundled(part)


def _is_renderer(name: str | Path) -> bool:
    return str(name) != "bundled" and (Path(name) / "unet.safetensors").is_file()


def _targets(photo: PhotoFit, motion: Motion) -> Iterator[np.ndarray]:
    """Each frame's vertices [478, 3] in photo pixels."""
    for start in range(0, len(motion), _CHUNK):
        part = slice(start, start + _CHUNK)
        yield from photo.vertices_px(motion.expression[part], motion.rotation[part], motion.translation[part])


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
