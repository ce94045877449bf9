"""The diffusion renderer of one photo: networks paint every frame of the face from noise (FD2Talk §3.3).

They work in a square of the photo that does not move, and their image fades into the photo at its border; outside it
the frame is the photo. Nothing is warped.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import CancelledError
from contextlib import closing
from itertools import islice
from threading import Event

import numpy as np
import torch
from torch import Tensor

from shared.photo_fit import PhotoFit
from shared.precision import autocast
from shared.prefetch import prefetch_map
from shared.stages import stage
from stage2_render.aligned_crop import AlignedCrop
from stage2_render.diffusion.render_model import RenderNetworks
from stage2_render.diffusion.tensors import to_tensor
from stage2_render.face_crop import SIZE, head_crop
from stage2_render.warp.compositing import smoothstep

BATCH_SIZE = 8
"""Frames in one batch of the networks."""

# Share of the square's side over which the image fades into the photo, inside each border.
_FADE = 0.08


class DiffusionRenderer:
    """Animates one photo. What depends on the photo alone is computed once, in the constructor.

    Args:
        photo: in the size of the frames.
        networks: on `device`.
        steps: of the sampler, 1 to 1000; None: the default of the networks.
        shared_noise: all frames start from the same noise; otherwise each frame has its own, and the video flickers.
        seed: of the noise.
        device: of the networks.
        precision: of the networks, one of `stage2_render.PRECISIONS`.
    """

    def __init__(
        self,
        photo: PhotoFit,
        networks: RenderNetworks,
        *,
        steps: int | None = None,
        shared_noise: bool = True,
        seed: int = 0,
        device: str | torch.device = "cpu",
        precision: str = "auto",
    ) -> None:
        self.networks, self.device, self._steps = networks, torch.device(device), steps
        self._shared_noise, self._seed, self._precision = shared_noise, seed, precision
        self._photo, self._crop = photo.image, head_crop(photo.crop)
        own = np.concatenate([photo.expression, photo.rotation, photo.translation]).astype(np.float32)
        with torch.inference_mode():
            left, top, side = networks.window
            square = self._crop.take(photo.image)[top : top + side, left : left + side]
            image = to_tensor(square[None], self.device)  # [1, 3, S, S]
            self._reference = networks.encode_reference(image, torch.from_numpy(own)[None].to(self.device))

    def frames(
        self, coefficients: Iterable[np.ndarray], *, workers: int = 2, batch_size: int = BATCH_SIZE
    ) -> Iterator[np.ndarray]:
        """Yield a frame uint8 [H, W, 3] for each motion.

        A thread runs the networks, one batch ahead of the consumer: memory does not grow with the length.

        Args:
            coefficients: expression, rotation and translation [D + 6] of each frame.
            workers: 0: everything in this thread; otherwise one more runs the networks.
            batch_size: frames in one batch of the networks.
        """
        batches, stop = self._batches(iter(coefficients), batch_size), Event()

        def before_step() -> None:
            if stop.is_set():  # nobody waits for this batch any more
                raise CancelledError

        painted = prefetch_map(
            lambda b: self.paint(b[0], b[1], before_step),
            batches,
            workers=min(workers, 1),
            prefetch=1,
            name="paint",
            stop=stop,
        )
        with closing(painted):
            for batch in painted:
                yield from batch

    def paint(
        self, coefficients: np.ndarray, noise: Tensor, before_step: Callable[[], None] | None = None
    ) -> list[np.ndarray]:
        """Generate B frames from (beta, p) [B, D + 6] and noise [B, C, s, s]; see `RenderNetworks.generate`."""
        precision = autocast(self.device, self._precision)
        with stage("networks", len(coefficients)), torch.inference_mode(), precision:
            images = self.networks.generate(
                self._reference.repeated(len(coefficients)),
                torch.from_numpy(coefficients).to(self.device),
                noise.to(self.device),
                steps=self._steps,
                before_step=before_step,
            )
            contents = images.clamp(-1, 1).add(1).mul(127.5).permute(0, 2, 3, 1).cpu().numpy()
        return [paste(self._photo, self._crop, content, self.networks.window) for content in contents]

    def _batches(self, coefficients: Iterator[np.ndarray], size: int) -> Iterator[tuple[np.ndarray, Tensor]]:
        """Batches of frames, each with its noise."""
        generator = torch.Generator().manual_seed(self._seed)
        shape = self._reference.latents.shape[1:]
        shared = torch.randn(shape, generator=generator) if self._shared_noise else None
        while batch := list(islice(coefficients, size)):
            noise = [torch.randn(shape, generator=generator) if shared is None else shared for _ in batch]
            yield np.stack(batch), torch.stack(noise)  # [B, C, s, s]


def paste(photo: np.ndarray, crop: AlignedCrop, content: np.ndarray, window: tuple[int, int, int]) -> np.ndarray:
    """Return a copy of a photo with the networks' image in it.

    Args:
        photo: uint8 [H, W, 3].
        crop: its head crop.
        content: float32 [side, side, 3] in 0..255.
        window: left, top and side of the content in the head crop; it fades into the photo at its border.
    """
    left, top, side = window
    places = np.arange(side)
    ramp = smoothstep(np.minimum(places, places[::-1]) / (_FADE * side))
    whole, opacity = np.zeros((SIZE, SIZE, 3), np.float32), np.zeros((SIZE, SIZE), np.float32)
    whole[top : top + side, left : left + side] = content
    opacity[top : top + side, left : left + side] = np.outer(ramp, ramp)
    frame = photo.copy()
    crop.lay(frame, whole * opacity[..., None], opacity)
    return frame
