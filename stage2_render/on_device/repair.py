"""The repair renderer on a device: `repair.renderer` for a batch of frames."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from shared.precision import autocast
from stage2_render.face_crop import TEMPLATE
from stage2_render.on_device.aligned_crop import DeviceCrops, template_similarity
from stage2_render.on_device.boxes import Size
from stage2_render.on_device.masks import averaged, filled
from stage2_render.on_device.mesh_warp import DeviceWarp, Room
from stage2_render.on_device.planar import Rims, apply_affine, smoothstep
from stage2_render.on_device.prepared import PreparedModule, module_list, per_frame
from stage2_render.on_device.stages import device_stage
from stage2_render.on_device.tone import DeviceTone
from stage2_render.repair.network import PhotoFeatures
from stage2_render.repair.parts import CLIP_SIZES, CROP_SCALE, MAP_FACTOR, PARTS, SHIFT, Part, window
from stage2_render.repair.renderer import MOVED, STILL, RepairRenderer
from stage2_render.repair.shares import Share

# Degrees between the corners of the polygon as which `cv2.circle` fills a circle, by its radius in pixels.
_CIRCLE_STEPS = ((3, 90.0), (10, 30.0), (15, 18.0))
_FINEST_STEP = 5.0


@dataclass(frozen=True)
class RepairRoom:
    """What has to be known of a batch of meshes before its work is given to the device.

    Attributes:
        warp: of the warp.
        canvases: of the crops of `PARTS` in the frames.
    """

    warp: Room
    canvases: list[Size]


class DevicePart(PreparedModule):
    """A part of the face.

    Args:
        part: which one.
        outline: its points in the photo's crop, [n, 2].
        features: of the photo, from the network's `encode_photo`.
        share: of what is painted.
    """

    anchor: Tensor
    at: Tensor
    mirror: Tensor
    vertices: Tensor
    outer: Tensor
    outline: Tensor
    window: Tensor
    angles: Tensor
    opening: Tensor

    def __init__(self, part: Part, outline: np.ndarray, features: PhotoFeatures, share: Share) -> None:
        super().__init__()
        self.part, self._share = part, share
        self.inner = Rims(np.array(part.inner))
        self.outer_rims = Rims(np.array(part.outer)) if part.network == "mouth" else None
        self._levels = [f"level_{number}" for number in range(len(features.levels))]
        for name, values in zip(self._levels, features.levels):
            self.register_buffer(name, values, persistent=False)
        self.register_buffer("opening", features.opening, persistent=False)
        self.keep(
            anchor=np.array(part.anchor), at=np.array(part.at),
            mirror=CROP_SCALE * np.array([[-1.0 if part.mirrored else 1.0], [1.0]]),
            vertices=np.array([*part.inner, *part.outer]), outer=np.array(part.outer),
            outline=outline.astype(np.float64), window=window(part.size).copy()[None, None],
            angles=np.arange(0, 360, _FINEST_STEP),
        )  # fmt: skip

    @property
    def features(self) -> PhotoFeatures:
        """What the network needs of the photo."""
        return PhotoFeatures([getattr(self, name) for name in self._levels], self.opening)

    def crops(self, similarity: Tensor, targets: Tensor, canvas: Size) -> DeviceCrops:
        """Return the crops of frames with meshes [B, 478, 3], from the similarities [B, 2, 3] of their faces."""
        linear = self.mirror * similarity[..., :2]
        shift = self.at - (linear @ targets[:, self.anchor, :2].mean(1)[..., None])[..., 0]
        return DeviceCrops(torch.cat([linear, shift[..., None]], 2), self.part.size, canvas)

    def canvas(self, similarity: Tensor) -> Size:
        """Return a canvas for the crops of all similarities [B, 2, 3], which are not on a device."""
        linear = CROP_SCALE * similarity[..., :2]
        sides = (
            linear.mT.abs()
            @ torch.tensor(self.part.size, dtype=linear.dtype)
            / linear[:, :, 0].square().sum(1)[:, None]
        )
        x, y = (16 * ((sides.amax(0) + 16) / 16).ceil()).int().tolist()
        return x, y

    def maps(self, points: Tensor) -> Tensor:
        """Draw the maps of meshes [B, 478, 2] in pixels of the crops: float32 [B, 2, h, w] in 0..1."""
        inner = self._filled(self.inner(points))
        if self.outer_rims is not None:
            second = self._filled(self.outer_rims(points)) & ~inner
        else:
            second = self._disc(points[:, self.outer]) & inner
        return torch.cat([averaged(mask, MAP_FACTOR) for mask in (inner, second)], 1)

    def strength(self, points: Tensor) -> Tensor:
        """How much of the repair is laid over frames with these points [B, 478, 2], float32 [B]."""
        distance = (points[:, self.vertices] - self.outline).square().sum(2).mean(1).sqrt()
        return (self._share(points) * smoothstep((distance - STILL) / (MOVED - STILL))).float()

    def _filled(self, outline: Tensor) -> Tensor:
        limit = CLIP_SIZES * max(self.part.size)
        return filled(outline.clamp(-limit, limit), self.part.size, SHIFT)

    def _disc(self, iris: Tensor) -> Tensor:
        """The iris, from its centre and rim [B, n, 2], as `cv2.circle` fills it."""
        centre, radius = iris[:, 0], (iris[:, 1:] - iris[:, :1]).norm(dim=2).mean(1)
        centre, radius = ((value * (1 << SHIFT)).round() / (1 << SHIFT) for value in (centre, radius))
        step = torch.full_like(radius, _FINEST_STEP)
        for below, degrees in reversed(_CIRCLE_STEPS):
            step = step.masked_fill(torch.floor(radius + 0.5) < below, degrees)
        angles = torch.deg2rad(torch.floor(self.angles / step[:, None]) * step[:, None])
        rim = centre[:, None] + radius[:, None, None] * torch.stack([angles.cos(), angles.sin()], 2)
        return filled(rim, self.part.size, 16)


class DeviceRepair(PreparedModule):
    """Animates one photo, a batch of frames at a time.

    Args:
        renderer: of the photo, whose prepared state and networks this takes.
    """

    template: Tensor
    points: Tensor

    def __init__(self, renderer: RepairRenderer) -> None:
        super().__init__()
        self._precision, self._detail = renderer.precision, renderer.detail
        self.warp = DeviceWarp(renderer.warp)
        self.tone = DeviceTone(renderer.tone)
        self.parts = module_list(map(DevicePart, PARTS, renderer.outlines, renderer.features, renderer.shares))
        self.networks = renderer.networks
        self._template = torch.tensor(list(TEMPLATE.values()), dtype=torch.float64)
        self.keep(template=self._template.numpy(), points=np.array(list(TEMPLATE)))

    @property
    def size(self) -> Size:
        """Width and height of the frames."""
        return self.warp.size

    def room(self, targets: np.ndarray) -> RepairRoom:
        """Return what `forward` needs to know of meshes [B, 478, 3] before it begins.

        Raises:
            ValueError: vertices of another shape, not finite, or no face.
        """
        room = self.warp.room(targets)
        points = torch.from_numpy(targets[:, list(TEMPLATE), :2].astype(np.float64))
        similarity = template_similarity(points, self._template)
        if not similarity.isfinite().all():
            raise ValueError("these vertices are no face")
        return RepairRoom(room, [part.canvas(similarity) for part in self.parts])

    def forward(self, targets: Tensor, room: RepairRoom) -> Tensor:
        """Render frames, and repair them; arguments and result are those of `DeviceWarp.forward`."""
        frames = self.warp(targets, room.warp)
        targets = targets.double()
        similarity = template_similarity(targets[:, self.points, :2], self.template)
        crops = [part.crops(similarity, targets, canvas) for part, canvas in zip(self.parts, room.canvases)]
        # Each network sees the warp, not what others painted.
        warped = [one.take(frames) for one in crops]
        points = [apply_affine(one.matrix, targets[..., :2]) for one in crops]
        maps = [part.maps(one) for part, one in zip(self.parts, points)]
        with device_stage("networks", targets), autocast(targets.device, self._precision):
            painted = [
                self.networks[part.part].repair(below / 127.5 - 1, drawn, part.features, self._detail)
                for part, below, drawn in zip(self.parts, warped, maps)
            ]
        for part, one, below, moved, (paint, cover) in zip(self.parts, crops, warped, points, painted):
            cover = cover.float()
            # From -1..1 to 0..255: (1 - cover) * warp + paint in both.
            paint = (paint.float() + cover) * 127.5
            if self.tone.is_tinted:
                kept = (1 - cover) * below
                paint = self.tone.tinted(kept + paint) - kept
            strength = per_frame(part.strength(moved)) * part.window
            one.lay(frames, strength * torch.cat([paint, cover], 1))
        return frames
