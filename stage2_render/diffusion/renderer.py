"""The diffusion renderer of one photo: the warp is the frame, networks repair its face, and the repair is blended in.

The networks work in the face crop (`face_crop`). Their output is blended into the frame at the frame's own resolution
with the predicted opacity; the rest of the frame is the warp, pixel for pixel.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor

from shared.photo_fit import PhotoFit
from shared.precision import has_fast_bf16
from shared.prefetch import prefetch_map
from shared.stages import stage
from stage2_render.diffusion.conditioning_maps import conditioning_maps
from stage2_render.diffusion.face_crop import SIZE, FaceCrop, window
from stage2_render.diffusion.render_model import RenderNetworks
from stage2_render.diffusion.tensors import to_tensor
from stage2_render.warp.mesh_warp import MeshWarp
from stage2_render.warp.tone import Tone

BATCH_SIZE = 4
"""Frames in one batch of the networks."""

# Detail transfer. Generated and warped image agree when they differ, apart from detail finer than about four pixels, by
# less than about this many grey levels. The detail is then the photo's: the generated one is an average of what is
# possible.
_AGREEMENT = 8.0
# Standard deviation in pixels of the blur that separates detail from the rest.
_DETAIL_BLUR = 2.0
# Agreement is measured on images reduced by this factor, and averaged over a neighbourhood (standard deviation in
# reduced pixels), or detail would flicker from cell to cell and frame to frame.
_AGREEMENT_REDUCTION, _AGREEMENT_BLUR = 4, 1.5


@dataclass(frozen=True)
class Prepared:
    """A warped frame with the networks' input for it.

    Attributes:
        frame: uint8 [H, W, 3].
        crop: its face crop.
        warped: the frame in that crop, uint8 [256, 256, 3].
        maps: conditioning maps float32 [9, 64, 64].
        coefficients: (beta, p), float32 [D + 6].
    """

    frame: np.ndarray
    crop: FaceCrop
    warped: np.ndarray
    maps: np.ndarray
    coefficients: np.ndarray


class DiffusionRenderer:
    """Animates one photo. What depends on the photo alone is computed once, in the constructor.

    Args:
        photo: in the size of the frames.
        networks: on `device`.
        steps: of the sampler, 1 to 1000; None: the default of the networks.
        geometry_conditioning: start from the warp and use warp and conditioning maps as input; otherwise sample from
            pure noise, as in the paper.
        detail_transfer: keep what the warp shows sharply; otherwise the generated image replaces the whole face.
        shared_noise: all frames start from the same noise, which is fixed in the face crop and so moves with the face;
            otherwise each frame has its own, and the video flickers.
        seed: of the noise.
        device: of the networks.
    """

    def __init__(
        self,
        photo: PhotoFit,
        networks: RenderNetworks,
        *,
        steps: int | None = None,
        geometry_conditioning: bool = True,
        detail_transfer: bool = True,
        shared_noise: bool = True,
        seed: int = 0,
        device: str | torch.device = "cpu",
    ) -> None:
        self.networks, self.device = networks, torch.device(device)
        # An autoencoder without detail transfer keeps nothing of the warp.
        self._detail = detail_transfer and networks.autoencoder.transfers_detail
        self._options: dict[str, Any] = {"steps": steps, "geometry": geometry_conditioning, "detail": self._detail}
        self._shared_noise, self._seed = shared_noise, seed
        self._warp = MeshWarp(photo.image, photo.landmarks, photo.crop)
        self._source, self._head = photo.landmarks, photo.crop
        self._crop = self._framed(photo.landmarks)
        with torch.inference_mode():
            face = self._crop.take(photo.image)
            self._tone = Tone(face)
            image = to_tensor(face[None], self.device)  # [1, 3, 256, 256]
            self._reference = networks.autoencoder.encode(image)  # [1, C, s, s]

    def frames(
        self,
        targets: Iterable[np.ndarray],
        coefficients: Iterable[np.ndarray],
        *,
        workers: int = 2,
        batch_size: int = BATCH_SIZE,
    ) -> Iterator[np.ndarray]:
        """Yield a frame uint8 [H, W, 3] for each target.

        `workers` threads warp and one runs the networks, ahead of the consumer. Two or three batches of frames are held
        in memory, whatever the length.

        Args:
            targets: meshes [478, 3] in photo pixels.
            coefficients: expression, rotation and translation [D + 6] of each.
            workers: number of warping threads; 0: no threads at all.
            batch_size: frames in one batch of the networks.
        """
        ahead = max(batch_size, workers)
        warped = prefetch_map(self.prepare, targets, coefficients, workers=workers, prefetch=ahead, name="warp")
        batches = self._batches(warped, batch_size)
        painted = prefetch_map(lambda b: self.paint(*b), batches, workers=min(workers, 1), prefetch=1, name="paint")
        with closing(warped), closing(painted):
            for batch in painted:
                yield from batch

    def prepare(self, target: np.ndarray, coefficients: np.ndarray) -> Prepared:
        """Warp the photo to a mesh [478, 3] and compute the networks' input. Safe to call from several threads."""
        warped, crop = self._warp.warp(target), self._framed(target)
        maps = conditioning_maps(warped, target, self._source, crop, self._crop)
        return Prepared(warped.frame, crop, crop.take(warped.frame), maps, coefficients)

    def paint(self, batch: list[Prepared], noise: Tensor) -> list[np.ndarray]:
        """Repair the faces of B prepared frames, in place, and return the frames; noise: [B, C, s, s]."""
        bf16 = has_fast_bf16(self.device)
        precision = torch.autocast(self.device.type, torch.bfloat16, enabled=bf16)
        with stage("networks", len(batch)), torch.inference_mode(), precision:
            repair = self.networks.repair(
                to_tensor(np.stack([one.warped for one in batch]), self.device),  # [B, 3, 256, 256]
                self._reference.expand(len(batch), -1, -1, -1),  # [B, C, s, s]
                torch.from_numpy(np.stack([one.maps for one in batch])).to(self.device),  # [B, 9, 64, 64]
                torch.from_numpy(np.stack([one.coefficients for one in batch])).to(self.device),  # [B, D + 6]
                noise.to(self.device),
                **self._options,
            )
            contents = repair.content.add(1).mul(127.5).permute(0, 2, 3, 1).contiguous().cpu().numpy()
            opacities = repair.opacity[:, 0].cpu().numpy() * window()
        for one, content, opacity in zip(batch, contents, opacities):
            content = self._tone.tinted(content)
            if self._detail:
                agreement = _agreement(content, one.warped)
                content = content + agreement[..., None] * _detail(one.warped - content)
                # Where both agree, their difference is added to the frame, which keeps its full resolution.
                kept = opacity * agreement
                one.crop.lay(one.frame, content * opacity[..., None] - one.warped * kept[..., None], opacity - kept)
            else:
                one.crop.paste(one.frame, content, opacity)
        return [one.frame for one in batch]

    def _framed(self, vertices: np.ndarray) -> FaceCrop:
        """The face crop of a frame with this mesh."""
        return FaceCrop.framed(self.networks.framing, vertices, self._head)

    def _batches(self, prepared: Iterator[Prepared], size: int) -> Iterator[tuple[list[Prepared], Tensor]]:
        """Batches of frames, each with its noise."""
        generator = torch.Generator().manual_seed(self._seed)
        shape = self._reference.shape[1:]
        shared = torch.randn(shape, generator=generator) if self._shared_noise else None
        while batch := list(islice(prepared, size)):
            noise = [torch.randn(shape, generator=generator) if shared is None else shared for _ in batch]
            yield batch, torch.stack(noise)  # [B, C, s, s]


def _detail(picture: np.ndarray) -> np.ndarray:
    """What is finer than about four pixels in float32 [256, 256, 3]."""
    return picture - cv2.GaussianBlur(picture, (0, 0), _DETAIL_BLUR)


def _agreement(content: np.ndarray, warped: np.ndarray) -> np.ndarray:
    """How well two images [256, 256, 3] agree, float32 [256, 256] in 0..1."""
    size = (SIZE // _AGREEMENT_REDUCTION, SIZE // _AGREEMENT_REDUCTION)
    small = [cv2.resize(picture, size, interpolation=cv2.INTER_AREA) for picture in (content, warped)]
    error = cv2.GaussianBlur(np.square(small[0] - small[1]).mean(2), (0, 0), _AGREEMENT_BLUR)
    return cv2.resize(np.exp(-error / _AGREEMENT**2), (SIZE, SIZE), interpolation=cv2.INTER_LINEAR)
