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
from stage2_render.repair.renderer import RepairRenderer
from stage2_render.warp.mesh_warp import MeshWarp

# Frames in one batch: at most so many pixels, which take about 1 GB, and so many frames, so that the first does not
# wait long. A batch is some thousand kernels however large it is: of few frames it would be bound by launching them.
_PIXELS, _MOST = 16 * 2**20, 32


class DeviceFrames:
    """Renders frames on a device.

    Args:
        prepared: the renderer of the photo, whose state is copied to the device; of the repair renderer the networks
            are there already.
        device: one that computes in float64: CUDA or the CPU.
    """

    def __init__(self, prepared: MeshWarp | RepairRenderer, device: str | torch.device) -> None:
        self.device = torch.device(device)
        on_device = DeviceWarp(prepared) if isinstance(prepared, MeshWarp) else DeviceRepair(prepared)
        self.renderer: DeviceWarp | DeviceRepair = on_device.to(self.device)

    def frames(
        self, targets: Iterable[np.ndarray], *, workers: int = 1, batch_size: int | None = None
    ) -> Iterator[np.ndarray]:
        """Yield a frame uint8 [H, W, 3] for each target.

        Args:
            targets: meshes [478, 3] in photo pixels.
            workers: 0: no threads; else one renders a batch ahead of the consumer.
            batch_size: frames in one batch; None: by their size.
        """
        width, height = self.renderer.size
        size = batch_size or min(max(_PIXELS // (width * height), 1), _MOST)
        rendered = prefetch_map(
            self.render, _batches(iter(targets), size), workers=min(workers, 1), prefetch=1, name="render"
        )
        with closing(rendered):
            for batch in rendered:
                yield from batch

    def render(self, targets: np.ndarray) -> np.ndarray:
        """Render meshes [B, 478, 3] in photo pixels to frames uint8 [B, H, W, 3]."""
        room = self.renderer.room(targets)
        on_gpu = self.device.type == "cuda"
        meshes = torch.from_numpy(targets)
        with torch.inference_mode():
            meshes = (meshes.pin_memory() if on_gpu else meshes).to(self.device, non_blocking=True)
            frames = self.renderer(meshes, room).byte().permute(0, 2, 3, 1).contiguous()
            finished = torch.empty(frames.shape, dtype=torch.uint8, pin_memory=on_gpu)
            finished.copy_(frames, non_blocking=True)
        if on_gpu:
            torch.cuda.current_stream(self.device).synchronize()
        return finished.numpy()


def _batches(targets: Iterator[np.ndarray], size: int) -> Iterator[np.ndarray]:
    while batch := list(islice(targets, size)):
        yield np.stack(batch)
