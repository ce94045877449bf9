"""The repair renderer of one photo: the warp is the frame, and networks repair mouth and eyes in crops of their own.

What they paint is laid over the frame at the frame's own resolution; the rest is the warp, pixel for pixel.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from itertools import islice

import numpy as np
import torch
from torch import Tensor

from shared.photo_fit import PhotoFit
from shared.precision import autocast, resolved
from shared.prefetch import prefetch_map
from shared.stages import stage
from shared.torch_threads import one_thread
from stage2_render.aligned_crop import AlignedCrop
from stage2_render.diffusion.tensors import to_tensor
from stage2_render.face_crop import face_crop
from stage2_render.repair.networks import RepairNetworks
from stage2_render.repair.parts import MOUTH, PARTS, Part, window
from stage2_render.repair.shares import Share
from stage2_render.warp.compositing import smoothstep
from stage2_render.warp.mesh_warp import MeshWarp
from stage2_render.warp.tone import Tone

BATCH_SIZE = 4
"""Frames in one batch of the networks."""

# Threads that run the networks on a CPU, each on one core: several batches at once keep cores busier than several cores
# at one batch, whose threads wait for each other, spinning, while others warp and encode.
_PAINTERS = 2

# Pixels of its crop by which the outline of a part has to move (root mean square) until it is repaired, and until it is
# repaired in full: where nothing moves, the photo is right. Most eyes do not move: their network is not even run.
STILL, MOVED = 0.4, 1.5

# Pixels of the mouth's crop for each of the photo. Up to the first number the photo's detail outside the opening is
# kept; from the second on the crop shows all of it, and the network may cover it.
_KEPT_UP_TO, _COVERED_FROM = 0.7, 1.0


@dataclass(frozen=True)
class Prepared:
    """A warped frame with the networks' input for it.

    Attributes:
        frame: uint8 [H, W, 3].
        crops: of each of `PARTS`.
        warped: the frame in them, uint8 [h, w, 3] each.
        maps: of the frame's mesh in them, uint8 [M, h / 2, w / 2] each.
        strengths: how much of each repair is laid over the frame, 0 to 1.
    """

    frame: np.ndarray
    crops: list[AlignedCrop]
    warped: list[np.ndarray]
    maps: list[np.ndarray]
    strengths: list[float]


class RepairRenderer:
    """Animates one photo. What depends on the photo alone is computed once, in the constructor.

    Args:
        photo: in the size of the frames.
        networks: on `device`.
        device: of the networks.
        precision: of the networks, one of `stage2_render.PRECISIONS`.
    """

    def __init__(
        self,
        photo: PhotoFit,
        networks: RepairNetworks,
        device: str | torch.device = "cpu",
        precision: str = "auto",
    ) -> None:
        self.device, self.precision = torch.device(device), resolved(device, precision, int8=networks.can_int8)
        self.networks = networks.in_int8 if self.precision == "int8" else networks
        self.warp = MeshWarp(photo.image, photo.landmarks, photo.crop)
        self.tone = Tone(face_crop(photo.landmarks).take(photo.image))
        scale = MOUTH.crop(photo.landmarks).scale
        self.detail = float(smoothstep((_COVERED_FROM - scale) / (_COVERED_FROM - _KEPT_UP_TO)))
        self.shares: list[Share] = []
        self.outlines, self.features = [], []
        for part in PARTS:
            crop = part.crop(photo.landmarks)
            points = crop.points(photo.landmarks)
            self.outlines.append(_outline(part, points))
            self.shares.append(Share.of(part, points, crop.scale))
            with torch.inference_mode():
                picture = to_tensor(crop.take(photo.image)[None], self.device)
                maps = self._maps_tensor([part.maps(points)])
                self.features.append(networks[part].encode_photo(picture, maps))

    def frames(
        self, targets: Iterable[np.ndarray], *, workers: int = 2, batch_size: int = BATCH_SIZE
    ) -> Iterator[np.ndarray]:
        """Yield a frame uint8 [H, W, 3] for each target.

        `workers` threads warp and as many, but at most two, run the networks, ahead of the consumer. Three or four
        batches of frames are held in memory, whatever the length.

        Args:
            targets: meshes [478, 3] in photo pixels.
            workers: number of warping threads; 0: no threads at all.
            batch_size: frames in one batch of the networks.
        """
        ahead = max(batch_size, workers)
        warped = prefetch_map(self.prepare, targets, workers=workers, prefetch=ahead, name="warp")
        batches = _batches(warped, batch_size)
        painters = min(workers, _PAINTERS)
        painted = prefetch_map(self.paint, batches, workers=painters, prefetch=painters, name="paint")
        with closing(warped), closing(painted):
            for batch in painted:
                yield from batch

    def prepare(self, target: np.ndarray) -> Prepared:
        """Warp the photo to a mesh [478, 3] and compute the networks' input. Safe to call from several threads."""
        frame = self.warp(target)
        crops = [part.crop(target) for part in PARTS]
        points = [crop.points(target) for crop in crops]
        maps = [part.maps(one) for part, one in zip(PARTS, points)]
        strengths = [self.strength(index, one) for index, one in enumerate(points)]
        return Prepared(frame, crops, [crop.take(frame) for crop in crops], maps, strengths)

    def strength(self, index: int, points: np.ndarray) -> float:
        """How much of the repair of one of `PARTS` a mesh [478, 2] in its crop needs, 0 to 1."""
        moved = _outline(PARTS[index], points) - self.outlines[index]
        distance = np.sqrt(np.square(moved).sum(1).mean())
        return float(self.shares[index](points) * smoothstep((distance - STILL) / (MOVED - STILL)))

    def paint(self, batch: list[Prepared]) -> list[np.ndarray]:
        """Repair the faces of prepared frames, in place, and return the frames."""
        moving = [[one for one in batch if one.strengths[index]] for index in range(len(PARTS))]
        with stage("networks", len(batch)):
            repairs = {index: self._repair(ones, index) for index, ones in enumerate(moving) if ones}
        for index, (paints, covers) in repairs.items():
            for one, paint, cover in zip(moving[index], paints, covers):
                if self.tone.is_tinted:
                    below = (1 - cover[..., None]) * one.warped[index]
                    paint = self.tone.tinted(below + paint) - below
                strength = one.strengths[index] * window(PARTS[index].size)
                one.crops[index].lay(one.frame, paint * strength[..., None], cover * strength)
        return [one.frame for one in batch]

    def _repair(self, batch: list[Prepared], index: int) -> tuple[np.ndarray, np.ndarray]:
        """Paint [B, h, w, 3] in 0..255 and cover [B, h, w] of one of `PARTS`."""
        network, precision = self.networks[PARTS[index]], autocast(self.device, self.precision)
        warped = np.stack([one.warped[index] for one in batch])
        with torch.inference_mode(), one_thread(self.device), precision:
            maps = self._maps_tensor([one.maps[index] for one in batch])
            paint, cover = network.repair(to_tensor(warped, self.device), maps, self.features[index], self.detail)
            # From -1..1 to 0..255: (1 - cover) * warp + paint in both.
            paints = ((paint + cover) * 127.5).permute(0, 2, 3, 1).cpu().numpy()
            return paints, cover[:, 0].cpu().numpy()

    def _maps_tensor(self, maps: list[np.ndarray]) -> Tensor:
        return torch.from_numpy(np.stack(maps)).to(self.device).float().div_(255)


def _outline(part: Part, points: np.ndarray) -> np.ndarray:
    """The points of a mesh [478, 2] that outline a part, [n, 2]."""
    return points[list((*part.inner, *part.outer))]


def _batches(prepared: Iterator[Prepared], size: int) -> Iterator[list[Prepared]]:
    while batch := list(islice(prepared, size)):
        yield batch
