"""Meshes -> frames, in batches on a device: what leaves it are finished frames, in one transfer a batch."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import closing
from itertools import islice

import numpy as np
import torch

from shared.prefetch import prefetch_map
from stage2_render.on_device.mesh_warp import DeviceWarp
from stage2_render.on_device.repair import DeviceRepair

BATCH_SIZE = 16
"""Frames in one batch."""


class DeviceFrames:
    """Renders frames on a device.

    Args:
        renderer: of the photo; it is moved to the device.
        device: with float64 (CUDA, CPU).
    """

    def __init__(self, renderer: DeviceWarp | DeviceRepair, device: str | torch.device) -> None:
        self.renderer, self.device = renderer.to(torch.device(device)).eval(), torch.device(device)

    def frames(
        self, targets: Iterable[np.ndarray], *, workers: int = 1, batch_size: int = BATCH_SIZE
    ) -> Iterator[np.ndarray]:
        """Yield a frame uint8 [H, W, 3] for each target.

        Args:
            targets: meshes [478, 3] in photo pixels.
            workers: 0: no threads; else one renders a batch ahead of the consumer.
            batch_size: frames in one batch.
        """
        batches = _batches(iter(targets), batch_size)
        rendered = prefetch_map(self.render, batches, workers=min(workers, 1), prefetch=1, name="render")
        with closing(rendered):
            for batch in rendered:
                yield from batch

    def render(self, targets: np.ndarray) -> np.ndarray:
        """Render meshes [B, 478, 3] in photo pixels to frames uint8 [B, H, W, 3]."""
        room = self.renderer.room(targets)
        on_gpu = self.device.type == "cuda"
        meshes = torch.from_numpy(targets)
        meshes = (meshes.pin_memory() if on_gpu else meshes).to(self.device, non_blocking=True)
        with torch.inference_mode():
            frames = self.renderer(meshes, room).byte().permute(0, 2, 3, 1)
            finished = torch.empty(frames.shape, dtype=torch.uint8, pin_memory=on_gpu)
            finished.copy_(frames.contiguous(), non_blocking=True)
        if on_gpu:
            torch.cuda.current_stream(self.device).synchronize()
        return finished.numpy()


def _batches(targets: Iterator[np.ndarray], size: int) -> Iterator[np.ndarray]:
    while batch := list(islice(targets, size)):
        yield np.stack(batch)
