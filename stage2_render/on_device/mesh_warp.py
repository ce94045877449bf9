"""The geometric renderer on a device: `warp.mesh_warp` for a batch of frames.

The classes of `warp` prepare what depends on the photo alone; it is moved to the device once. Per batch nothing comes
back before the finished frames: sizes of buffers are computed from the meshes where these come from (`room`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from stage2_render.on_device.boxes import Size
from stage2_render.on_device.eyes import DeviceEye
from stage2_render.on_device.flow import DeviceFlow
from stage2_render.on_device.mouth import DeviceMouth
from stage2_render.on_device.planar import follow
from stage2_render.on_device.prepared import PreparedModule, as_planes, module_list
from stage2_render.on_device.sampling import sample
from stage2_render.on_device.stages import device_stage
from stage2_render.warp.mesh_warp import SKULL, STILL, UNDER_NOSE, MeshWarp

# What smooth outlines exceed their points by.
_OVERSHOOT = 1.15


@dataclass(frozen=True)
class Room:
    """What has to be known of a batch of meshes before its work is given to the device.

    Attributes:
        reach: of `DeviceFlow.reaches`.
        eyes: canvas of each eye.
        mouth: its canvas.
    """

    reach: list[Size]
    eyes: list[Size]
    mouth: Size


class DeviceWarp(PreparedModule):
    """Animates one photo, a batch of frames at a time.

    Args:
        warp: of the photo, whose prepared state this takes.
    """

    photo: Tensor
    region: Tensor
    fine: Tensor
    source: Tensor
    offset: Tensor
    correction: Tensor
    to_linear: Tensor
    skull: Tensor
    under_nose: Tensor

    def __init__(self, warp: MeshWarp) -> None:
        super().__init__()
        self._rows, self._columns = slice(warp.top, warp.bottom), slice(warp.left, warp.right)
        self._cell = tuple(warp.cell.tolist())
        image = (warp.width, warp.height)
        self.flow = DeviceFlow(warp)
        self.eyes = module_list(DeviceEye(eye, image) for eye in warp.eyes)
        self.mouth = DeviceMouth(warp.mouth, image)
        self.keep(
            photo=as_planes(warp.photo), region=as_planes(warp.region), fine=as_planes(warp.fine),
            source=warp.source[:, :2].astype(np.float64), offset=np.array([warp.left, warp.top, 0.0]),
            correction=warp.correction.astype(np.float64), to_linear=warp.to_linear, skull=np.array(SKULL),
            under_nose=np.array(UNDER_NOSE),
        )  # fmt: skip

    @property
    def size(self) -> Size:
        """Width and height of the frames."""
        return self.photo.shape[3], self.photo.shape[2]

    def room(self, targets: np.ndarray) -> Room:
        """Return what `forward` needs to know of meshes [B, 478, 3] before it begins.

        Raises:
            ValueError: vertices of another shape, or not finite.
        """
        if targets.shape[1:] != (478, 3) or not np.isfinite(targets).all():
            raise ValueError(f"vertices must be finite [B, 478, 3], not {list(targets.shape)}")
        eyes = [_canvas(targets[:, eye.vertices], eye.margin) for eye in self.eyes]
        return Room(self.flow.reaches(targets), eyes, _canvas(targets[:, self.mouth.vertices], self.mouth.margin))

    def forward(self, targets: Tensor, room: Room) -> Tensor:
        """Render frames.

        Args:
            targets: vertices of the frames' meshes [B, 478, 3] in photo pixels.
            room: of these meshes.

        Returns:
            Whole numbers of 0 to 255, float32 [B, 3, H, W].
        """
        with device_stage("warp", targets):
            return self._frames(*self._corrected(targets.double() - self.offset), room)

    def _frames(self, target: Tensor, head: Tensor, room: Room) -> Tensor:
        frames = self.photo.repeat(len(target), 1, 1, 1)
        moved = self._moved(self.flow(target, room.reach))
        points = target[..., :2]
        for eye, size in zip(self.eyes, room.eyes):
            eye.blend_lids(moved, points, size)
        for eye, size in zip(self.eyes, room.eyes):
            eye.blend(moved, self.region, points, head, size)
        self.mouth.blend(moved, self.region, points, head, room.mouth)
        frames[..., self._rows, self._columns] = moved
        return frames

    def _corrected(self, target: Tensor) -> tuple[Tensor, Tensor]:
        """The target with the source's correction of the lips' points and lids that do not cross; the head's motion."""
        linear = (self.to_linear @ target[:, self.skull, :2]).mT
        head = follow(linear, self.source[self.under_nose], target[:, self.under_nose, :2])
        points = target[..., :2] + self.correction @ linear.mT
        for eye in self.eyes:
            eye.stop_lids(points)
        return torch.cat([points, target[..., 2:]], 2), head

    def _moved(self, displacement: Tensor) -> Tensor:
        """Warp the region through a displacement on the grid, [B, 3, h, w]; what does not move is the photo."""
        height, width = self.region.shape[2:]
        x, y = F.interpolate(2 * displacement, (height, width), mode="bilinear").unbind(1)
        columns, rows = (torch.arange(n, device=x.device, dtype=torch.float32) for n in (width, height))
        moved = sample(self.fine, (x + 2 * columns, y + 2 * rows[:, None])).round_()
        moving = (displacement.abs() > STILL).any(1)
        across, down = (
            _between(moving.any(axis), pixels, cell) for axis, pixels, cell in zip((1, 2), (columns, rows), self._cell)
        )
        return torch.where((down[:, :, None] & across[:, None])[:, None], moved, self.region)


def _between(moving: Tensor, pixels: Tensor, cell: float) -> Tensor:
    """Which pixels are between the first and the last moving cell, bool [B, n]."""
    number = torch.arange(moving.shape[1], device=moving.device).expand_as(moving)
    first = number.masked_fill(~moving, moving.shape[1]).amin(1, keepdim=True)
    last = number.masked_fill(~moving, -1).amax(1, keepdim=True)
    return (pixels >= torch.floor(first * cell)) & (pixels < torch.ceil((last + 1) * cell))


def _canvas(points: np.ndarray, margin: float) -> Size:
    """Size of a canvas for points [B, n, 2 or 3] of a part, in sixteens."""
    x, y = 16 * np.ceil((_OVERSHOOT * np.ptp(points[..., :2], axis=1).max(0) + 2 * margin) / 16)
    return int(x), int(y)
