"""The learned renderer of one photo: the warp makes the frame, networks repair its face, and the repair is laid over.

Everything learned happens in the face crop (`face_crop`). What the networks paint goes back at the frame's own
resolution, as far as their opacity says; the rest of the frame is the warp, pixel for pixel.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from itertools import islice

import cv2
import numpy as np
import torch
from torch import Tensor

from shared.photo_fit import PhotoFit
from shared.precision import has_fast_bf16
from stage2_render.diffusion.conditioning_maps import guidance_maps
from stage2_render.diffusion.face_crop import SIZE, FaceCrop, window
from stage2_render.diffusion.render_model import RenderNetworks
from stage2_render.prefetch import in_order
from stage2_render.warp.mesh_warp import MeshWarp

BATCH_SIZE = 4
"""Frames that go through the networks at once."""

# Painted and warped picture show the same, but for what is finer than four pixels, when they differ by less than about
# so many grey levels. The finer part is then the photo's: what is painted is an average of what could be there.
_AGREEMENT = 8.0


@dataclass(frozen=True)
class Prepared:
    """A warped frame uint8 [H, W, 3], its face crop, and what the networks are told: the frame there uint8
    [256, 256, 3], guidance maps float32 [9, 64, 64], coefficients float32 [D + 6]."""

    frame: np.ndarray
    crop: FaceCrop
    warped: np.ndarray
    maps: np.ndarray
    coefficients: np.ndarray


class DiffusionRenderer:
    """Animates one photo. Everything that depends on the photo alone is done once, here.

    photo: of the frames' size. networks: on `device`. steps: of the sampler, 1 to 1000; None for the networks' own
    number. geometry_guidance: start from the warp and tell the networks where everything lies; otherwise they sample
    from pure noise, as in the paper. detail_transfer: let them keep what the warp shows sharply; otherwise their
    picture replaces the whole face. shared_noise: all frames start from one noise, which lies in the face crop and so
    moves with the face; otherwise each has its own, and the picture boils. seed: of the noise.
    """

    def __init__(
        self,
        photo: PhotoFit,
        networks: RenderNetworks,
        *,
        steps: int | None = None,
        geometry_guidance: bool = True,
        detail_transfer: bool = True,
        shared_noise: bool = True,
        seed: int = 0,
        device: str | torch.device = "cpu",
    ) -> None:
        self.networks, self.device = networks, torch.device(device)
        # An autoencoder that does not look at the warp has nothing to keep of it.
        detail = detail_transfer and networks.autoencoder.transfers_detail
        self._options = {"steps": steps, "geometry": geometry_guidance, "detail": detail}
        self._shared_noise, self._seed = shared_noise, seed
        self._warp = MeshWarp(photo.image, photo.landmarks, photo.crop)
        self._source, self._head = photo.landmarks, photo.crop
        self._crop = self._framed(photo.landmarks)
        with torch.inference_mode():
            self._reference = networks.autoencoder.encode(self._tensor([self._crop.take(photo.image)]))

    def frames(
        self,
        targets: Iterable[np.ndarray],
        coefficients: Iterable[np.ndarray],
        *,
        workers: int = 2,
        batch_size: int = BATCH_SIZE,
    ) -> Iterator[np.ndarray]:
        """Yield a frame uint8 [H, W, 3] for each mesh [478, 3] in photo pixels and coefficients [D + 6] (expression,
        rotation, translation).

        `workers` threads warp, one paints, both ahead of whoever takes the frames. Two or three batches of frames are
        held at once, whatever the length.
        """
        warped = in_order(
            lambda item: self.prepare(*item),
            zip(targets, coefficients),
            workers=workers,
            ahead=max(batch_size, workers),
            name="warp",
        )
        with closing(warped):
            batches = self._batches(warped, batch_size)
            with closing(in_order(lambda b: self.paint(*b), batches, workers=1, ahead=1, name="paint")) as painted:
                for batch in painted:
                    yield from batch

    def prepare(self, target: np.ndarray, coefficients: np.ndarray) -> Prepared:
        """Warp the photo to a mesh [478, 3] and gather what the networks are told. Threads may share this."""
        warped, crop = self._warp.warp(target), self._framed(target)
        maps = guidance_maps(warped, target, self._source, crop, self._crop)
        return Prepared(warped.frame, crop, crop.take(warped.frame), maps, coefficients)

    def paint(self, batch: list[Prepared], noise: Tensor) -> list[np.ndarray]:
        """Repair the faces of prepared frames, in place, and return the frames. noise: [B, C, s, s]."""
        bf16 = has_fast_bf16(self.device)
        with torch.inference_mode(), torch.autocast(self.device.type, torch.bfloat16, enabled=bf16):
            repair = self.networks.repair(
                self._tensor([one.warped for one in batch]),
                self._reference.expand(len(batch), -1, -1, -1),
                torch.from_numpy(np.stack([one.maps for one in batch])).to(self.device),
                torch.from_numpy(np.stack([one.coefficients for one in batch])).to(self.device),
                noise.to(self.device),
                **self._options,
            )
            contents = repair.content.add(1).mul(127.5).permute(0, 2, 3, 1).contiguous().cpu().numpy()
            opacities = repair.opacity[:, 0].cpu().numpy() * window()
        for one, content, opacity in zip(batch, contents, opacities):
            if self._options["detail"]:
                agreement = _agreement(content, one.warped)
                content = content + agreement[..., None] * _fine(one.warped - content)
                # Where both agree the frame is changed by their difference, and keeps what the crop cannot hold.
                kept = opacity * agreement
                one.crop.lay(one.frame, content * opacity[..., None] - one.warped * kept[..., None], opacity - kept)
            else:
                one.crop.paste(one.frame, content, opacity)
        return [one.frame for one in batch]

    def _framed(self, vertices: np.ndarray) -> FaceCrop:
        """What the networks see of a frame with this mesh."""
        return FaceCrop.framed(self.networks.framing, vertices, self._head)

    def _batches(self, prepared: Iterator[Prepared], size: int) -> Iterator[tuple[list[Prepared], Tensor]]:
        """Groups of frames, each with its noise."""
        generator = torch.Generator().manual_seed(self._seed)
        shape = self._reference.shape[1:]
        shared = torch.randn(shape, generator=generator) if self._shared_noise else None
        while batch := list(islice(prepared, size)):
            if shared is not None:
                yield batch, shared.expand(len(batch), *shape)
            else:
                yield batch, torch.stack([torch.randn(shape, generator=generator) for _ in batch])

    def _tensor(self, pictures: list[np.ndarray]) -> Tensor:
        """Pictures uint8 [256, 256, 3] -> float32 [B, 3, 256, 256] in [-1, 1]."""
        tensor = torch.from_numpy(np.stack(pictures)).to(self.device)
        return tensor.permute(0, 3, 1, 2).float().div_(127.5).sub_(1)


def _fine(picture: np.ndarray) -> np.ndarray:
    """What of a picture float32 [256, 256, 3] is finer than about four pixels."""
    return picture - cv2.GaussianBlur(picture, (0, 0), 2.0)


def _agreement(content: np.ndarray, warped: np.ndarray) -> np.ndarray:
    """How far two pictures [256, 256, 3] show the same, float32 [256, 256]: 1 down to 0."""
    size = (SIZE // 4, SIZE // 4)
    ours, theirs = (cv2.resize(picture, size, interpolation=cv2.INTER_AREA) for picture in (content, warped))
    # Of a neighbourhood, lest detail comes and goes from cell to cell and frame to frame.
    error = cv2.GaussianBlur(np.square(ours - theirs).mean(2), (0, 0), 1.5)
    return cv2.resize(np.exp(-error / _AGREEMENT**2), (SIZE, SIZE), interpolation=cv2.INTER_LINEAR)
