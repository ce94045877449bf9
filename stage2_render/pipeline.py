"""Photo and Motion -> frames: the public interface of stage two."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from shared.errors import InputError, UsageError
from shared.face_model.morphable import MorphableModel
from shared.media import FPS
from shared.motion import Motion
from shared.photo_fit import PhotoFit
from shared.prefetch import prefetch_map
from shared.retarget import is_of, onto_photo, with_still_eyes
from shared.upright import quarter_turns, turned, turned_motion
from shared.weights import bundled
from stage2_render import DEFAULT_RENDERER, PRECISIONS, RENDERERS
from stage2_render.framing import framed
from stage2_render.warp.mesh_warp import MeshWarp

if TYPE_CHECKING:
    from stage2_render.diffusion.render_model import RenderNetworks
    from stage2_render.live import LiveRenderer
    from stage2_render.repair.networks import RepairNetworks
    from stage2_render.repair.renderer import RepairRenderer

MAX_SIZE = 1280
"""Default for the longer side of the frames in pixels; larger photos are reduced to it."""

MAX_STEPS = 1000
"""Most steps of the diffusion renderer's sampler."""

# Smaller frames do not show a face.
_MIN_SIZE = 64
# Frames whose target meshes are computed at once.
_CHUNK = 64

# Files of the networks of each renderer that has some.
_FILES = {
    "repair": ("mouth.safetensors", "eye.safetensors"),
    "diffusion": ("autoencoder.safetensors", "unet.safetensors"),
}


class RenderPipeline:
    """Renders motion with the person in a photo.

    Args:
        model: the face model that photos are fitted with; motions must belong to it.
        networks: of the repair or the diffusion renderer, on `device`; without them frames are the warped photo.
        device: of the networks.
        precision: of the networks, one of `stage2_render.PRECISIONS` (see `shared.precision`).
    """

    def __init__(
        self,
        model: MorphableModel,
        networks: RepairNetworks | RenderNetworks | None = None,
        device: str = "cpu",
        precision: str = "auto",
    ) -> None:
        self.model, self.networks, self.device, self.precision = model, networks, device, precision

    @classmethod
    def from_pretrained(
        cls,
        name: str | Path = "bundled",
        *,
        renderer: str = DEFAULT_RENDERER,
        device: str = "cpu",
        precision: str = "auto",
    ) -> RenderPipeline:
        """Load bundled weights, or those of a folder and the bundled ones for what it lacks.

        Args:
            name: "bundled"; or a folder with some of the subfolders `face_model`, `repair` and `diffusion`, or the
                `model.yaml` of a motion model; or the folder `best` of a training of the renderer.
            renderer: `geometry` (the warped photo), `repair` (networks repair mouth and eyes of the warped photo) or
                `diffusion` (networks paint every frame of the face from noise).
            device: of the networks; on CUDA `geometry` and `repair` do the whole rendering there.
            precision: of the networks: `auto`, `float32`, `bf16`, or, of repair on a CPU, `int8`.

        Raises:
            InputError: weights are missing or cannot be read, or the folder has none of this renderer.
            UsageError: unknown renderer, device or precision, or a precision for the one without networks.
        """
        if renderer not in RENDERERS:
            raise UsageError(f"unknown renderer {renderer!r}; available: {', '.join(RENDERERS)}")
        if renderer == "geometry" and precision != "auto":
            raise UsageError("the renderer geometry has no networks that a precision could be chosen for")
        if str(name) != "bundled" and not Path(name).is_dir():
            raise InputError(f"{name}: there is no such folder of weights")
        _check_folder(name, renderer)
        if precision not in PRECISIONS:
            raise UsageError(f"unknown precision {precision!r}; available: {', '.join(PRECISIONS)}")
        if device != "cpu":
            from shared.device import require_device

            require_device(device)
        model = MorphableModel.load(_own(name, "face_model") / "model.safetensors")
        if renderer == "geometry":
            return cls(model, device=device)
        import torch

        if renderer == "repair":
            from stage2_render.repair.networks import FILES, RepairNetworks

            repair = RepairNetworks.load(_of_training(name, FILES) or _own(name, "repair"), bundled("repair"))
            if precision == "int8":
                _check_int8(name, repair, device)
            return cls(model, _channels_last(repair.to(torch.device(device))), device, precision)

        if precision == "int8":
            raise UsageError("the renderer diffusion does not run in int8")
        from stage2_render.diffusion.render_model import UNET_FILE, RenderNetworks

        networks = RenderNetworks.load(_of_training(name, (UNET_FILE,)) or _own(name, "diffusion"))
        if networks.unet.config.coefficients != model.num_expression + 6:
            raise InputError(
                f"the renderer's weights are for another face model, with {networks.unet.config.coefficients} "
                f"coefficients instead of {model.num_expression + 6}"
            )
        warnings.warn(
            "diffusion paints every frame from noise: slow, and rough in open mouths and blinks (the renderer that had "
            "this name in version 0.1 is now repair, the default)",
            stacklevel=2,
        )
        return cls(model, _channels_last(networks.to(torch.device(device))), device, precision)

    @property
    def resolved_precision(self) -> str:
        """What the networks run in, `auto` decided for the device: `float32`, `bf16` or `int8`; "" without networks."""
        from shared.precision import resolved
        from stage2_render.repair.networks import RepairNetworks

        if self.networks is None:
            return ""
        int8 = isinstance(self.networks, RepairNetworks) and self.networks.can_int8
        return resolved(self.device, self.precision, int8=int8)

    @property
    def _samples(self) -> bool:
        """Whether frames are sampled from noise."""
        from stage2_render.repair.networks import RepairNetworks

        return self.networks is not None and not isinstance(self.networks, RepairNetworks)

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
        shared_noise: bool = True,
        seed: int = 0,
    ) -> Iterator[np.ndarray]:
        """Yield the frames of the talking portrait, uint8 [H, W, 3] RGB, at 25 per second; H and W are even.

        Memory does not grow with the length of the motion. `steps` and what follows it are of the diffusion renderer,
        see `DiffusionRenderer`.

        Args:
            photo: uint8 [H, W, 3] RGB, or its fit.
            motion: of T frames, at any frame rate.
            full: the framing of the photo; else the square head crop, at most 512 x 512.
            relative: apply the changes of the motion from its own rest to the photo's face, within what can be rendered
                (`shared.retarget.onto_photo`), as for a motion of another person; False: its
                coefficients are those of this face (as `MotionPipeline` generates them for a photo). None: False if the
                motion has the photo's identity.
            max_size: longer side of the frames in pixels.
            workers: threads that warp. The warp runs outside the interpreter lock for most of its time, so that a
                second thread uses what the first and the video encoder leave idle. 0: everything in this thread.
            steps: of the sampler, 1 to 1000.
            shared_noise: the same noise for all frames.
            seed: of the noise.

        Raises:
            InputError: no usable face in the photo, or a motion of another face model.
            UsageError: too small a `max_size`, steps outside 1 to 1000, or settings of another renderer.
        """
        if steps is not None and not (isinstance(steps, int) and 1 <= steps <= MAX_STEPS):
            raise UsageError(f"the renderer takes 1 to {MAX_STEPS} steps, not {steps}")
        if (steps, shared_noise, seed) != (None, True, 0) and not self._samples:
            raise UsageError("steps, shared_noise and seed are for the renderer diffusion")
        if motion.face_model != self.model.fingerprint:
            raise InputError(f"the motion belongs to face model {motion.face_model}, not {self.model.fingerprint}")
        if max_size < _MIN_SIZE:
            raise UsageError(f"frames of {max_size} pixels are too small; at least {_MIN_SIZE}")
        fitted = photo if isinstance(photo, PhotoFit) else PhotoFit.fit(photo, self.model)
        if relative is None:
            relative = not is_of(motion, fitted)
        motion = motion.resample(FPS)
        if relative:
            motion = onto_photo(motion, fitted)
        if fitted.eyes_hidden:
            motion = with_still_eyes(motion, fitted)
        turns = quarter_turns(fitted)
        if turns:  # the renderers know upright faces
            upright = self(
                turned(fitted, turns), turned_motion(motion, turns), full=full, relative=False, max_size=max_size,
                workers=workers, steps=steps, shared_noise=shared_noise, seed=seed,
            )  # fmt: skip
            return (np.ascontiguousarray(np.rot90(frame, -turns)) for frame in upright)
        fitted = framed(fitted, full, max_size)
        targets = _targets(fitted, motion)
        if self.networks is None:
            warp = MeshWarp(fitted.image, fitted.landmarks, fitted.crop)
            if _stays_on(self.device):
                return _on_device(warp, self.device, targets, workers)
            return prefetch_map(warp, targets, workers=workers, prefetch=workers, name="warp")
        from stage2_render.repair.networks import RepairNetworks

        if isinstance(self.networks, RepairNetworks):
            from stage2_render.repair.renderer import RepairRenderer

            repair = RepairRenderer(fitted, self.networks, self.device, self.precision)
            if _stays_on(self.device):
                return _on_device(repair, self.device, targets, workers)
            return repair.frames(targets, workers=workers)
        from stage2_render.diffusion.renderer import DiffusionRenderer

        renderer = DiffusionRenderer(
            fitted, self.networks, steps=steps, shared_noise=shared_noise, seed=seed,
            device=self.device, precision=self.precision,
        )  # fmt: skip
        coefficients = np.concatenate([motion.expression, motion.rotation, motion.translation], 1).astype(np.float32)
        return renderer.frames(coefficients, workers=workers)

    def live(self, photo: np.ndarray | PhotoFit, *, full: bool = True, max_size: int = MAX_SIZE) -> LiveRenderer:
        """Prepare a photo for motion that is generated for it while its frames are shown (`MotionPipeline.stream`).

        Args:
            photo: as in `__call__`, as are the others.
            full: likewise.
            max_size: likewise.

        Raises:
            InputError: no usable face in the photo.
            UsageError: too small a `max_size`, or the renderer diffusion, which takes seconds for a frame.
        """
        from stage2_render.live import LiveRenderer, on_device, with_repair, with_warp

        if self._samples:
            raise UsageError("the renderer diffusion is too slow for live pictures")
        if max_size < _MIN_SIZE:
            raise UsageError(f"frames of {max_size} pixels are too small; at least {_MIN_SIZE}")
        fitted = photo if isinstance(photo, PhotoFit) else PhotoFit.fit(photo, self.model)
        turns = quarter_turns(fitted)
        upright = framed(turned(fitted, turns), full, max_size)
        warp: MeshWarp | RepairRenderer
        if self.networks is None:
            warp = MeshWarp(upright.image, upright.landmarks, upright.crop)
            render = with_warp(warp)
        else:
            from stage2_render.repair.renderer import RepairRenderer

            warp = RepairRenderer(upright, cast("RepairNetworks", self.networks), self.device, self.precision)
            render = with_repair(warp)
        if _stays_on(self.device):
            from stage2_render.on_device.frames import DeviceFrames

            render = on_device(DeviceFrames(warp, self.device))
        return LiveRenderer(fitted, upright, turns, render)


def _channels_last(networks: Any) -> Any:
    """The networks in the memory format in which convolutions are fastest."""
    import torch

    return networks.to(memory_format=torch.channels_last)


def _check_int8(name: str | Path, networks: RepairNetworks, device: str) -> None:
    if device != "cpu":
        raise UsageError(f"int8 is for the CPU, not for {device}")
    if not networks.mouth.ranges:
        raise InputError(f"{name}: these weights do not tell the ranges that int8 needs (scripts/measure_ranges.py)")
    if not networks.can_int8:
        raise UsageError("int8 does not work with this processor and version of torch")


def _stays_on(device: str) -> bool:
    """Whether frames are rendered on the device from mesh to pixels: it needs float64, which mps does not have."""
    return device.startswith("cuda")


def _on_device(
    renderer: MeshWarp | RepairRenderer, device: str, targets: Iterator[np.ndarray], workers: int
) -> Iterator[np.ndarray]:
    from stage2_render.on_device.frames import DeviceFrames

    return DeviceFrames(renderer, device).frames(targets, workers=workers)


def _check_folder(name: str | Path, renderer: str) -> None:
    """Say where a renderer's networks are not in the named folder of weights.

    Raises:
        InputError: nothing in it belongs to any renderer or motion model, or its subfolder of this one is empty.
    """
    if str(name) == "bundled" or renderer == "geometry":
        return
    folder, files = Path(name), [file for of in _FILES.values() for file in of]
    if any((place / file).is_file() for place in (folder, folder / renderer) for file in _FILES[renderer]):
        return
    known = ("model.yaml", "face_model", *_FILES, *files)
    if (folder / renderer).is_dir() or not any((folder / part).exists() for part in known):
        hint = "; if it is a person's, use --person" if (folder / "denoiser.safetensors").exists() else ""
        raise InputError(f"{name}: no weights of the renderer {renderer} ({' or '.join(_FILES[renderer])}){hint}")
    if not (folder / "model.yaml").exists():
        warnings.warn(f"{name} has no weights of the renderer {renderer}: the bundled ones are used", stacklevel=3)


def _own(name: str | Path, part: str) -> Path:
    """Folder of a part: in the named folder if it is there, else the bundled one."""
    own = Path(name) / part
    return own if str(name) != "bundled" and own.is_dir() else bundled(part)


def _of_training(name: str | Path, files: Iterable[str]) -> Path | None:
    """The named folder itself, if it holds one of these files, as `best` of a training does."""
    return Path(name) if str(name) != "bundled" and any((Path(name) / file).is_file() for file in files) else None


def _targets(photo: PhotoFit, motion: Motion) -> Iterator[np.ndarray]:
    """Vertices [478, 3] of each frame in photo pixels."""
    for start in range(0, len(motion), _CHUNK):
        part = slice(start, start + _CHUNK)
        yield from photo.vertices_px(motion.expression[part], motion.rotation[part], motion.translation[part])
