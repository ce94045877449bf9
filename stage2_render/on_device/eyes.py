"""Eyeballs behind the lids, for a batch: `warp.eyes`."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from stage2_render.on_device.boxes import Boxes, Size
from stage2_render.on_device.contact import DeviceSeam
from stage2_render.on_device.lids import DeviceLid
from stage2_render.on_device.masks import gaussian, soft_mask
from stage2_render.on_device.planar import Rims, along, apply_affine, follow, invert_affine, perpendicular, smoothstep
from stage2_render.on_device.prepared import PreparedModule, as_planes, module_list
from stage2_render.on_device.sampling import sample, sample_pixels
from stage2_render.warp.eyes import LID_CLOSED, LID_CLOSES, MAX_GAZE, VERTICAL_GAZE, VISIBLE_DEPTH, EyeLayer


class DeviceEye(PreparedModule):
    """One eye of the photo.

    Args:
        eye: of the photo.
        image: width and height of the region.
    """

    iris: Tensor
    corners: Tensor
    gap_upper: Tensor
    gap_lower: Tensor
    inner_upper: Tensor
    inner_lower: Tensor
    source: Tensor
    depth: Tensor
    kernel: Tensor
    below: Tensor

    def __init__(self, eye: EyeLayer, image: Size) -> None:
        super().__init__()
        self._image, self._width, self._feather = image, eye.width, eye.feather
        self._open_enough, self._box = float(eye.open_enough), eye.box
        self._source_gap = max(eye.gap(eye.source), 1e-6)
        ring = eye.ring
        half = len(ring) // 2
        self.vertices = np.concatenate([ring, *(np.concatenate([lid.rim, lid.fold]) for lid in eye.lids)])
        self.rims = Rims(ring)
        self.lids = module_list(DeviceLid(lid, image) for lid in eye.lids)
        self.seam = DeviceSeam(half + 1, eye.lashes, 0.018 * eye.width, image)
        gap_upper, gap_lower = eye.middle
        self.keep(
            iris=eye.iris, corners=eye.corners, gap_upper=gap_upper, gap_lower=gap_lower,
            inner_upper=ring[1:half], inner_lower=ring[:half:-1], source=eye.source, depth=as_planes(eye.depth),
            kernel=gaussian(eye.feather), below=0.03 * eye.width * np.sin(np.linspace(0, np.pi, half + 1))[:, None],
        )  # fmt: skip

    @property
    def margin(self) -> float:
        """Pixels by which what is painted may exceed the points of `vertices`."""
        return 8 + 0.2 * self._width

    def stop_lids(self, points: Tensor) -> None:
        """Move the upper rim up where it is below the lower one, in place; points: float64 [B, 478, 2]."""
        upper, lower = points[:, self.inner_upper], points[:, self.inner_lower]
        down = self._down(points)
        gap = along(lower - upper, down)
        points.index_copy_(1, self.inner_upper, upper + gap.clamp_max(0)[..., None] * down[:, None])

    def blend_lids(self, images: Tensor, points: Tensor, size: Size) -> None:
        """Paint the lids in their own colour as they close, in place.

        Args:
            images: the warped region, whole numbers [B, 3, H, W].
            points: meshes, float64 [B, 478, 2] in pixels of the region.
            size: of the canvases.
        """
        openness = self._openness(points)
        upper = smoothstep((1 - openness - LID_CLOSES) / (LID_CLOSED - LID_CLOSES))
        for lid, strength in zip(self.lids, (upper, self._shut(openness))):
            lid.blend(images, points, strength * self._open_enough, size)

    def blend(self, images: Tensor, region: Tensor, points: Tensor, head: Tensor, size: Size) -> None:
        """Paint the eyeball between the lids, then the line of lashes along which they meet, in place.

        Args:
            images: the warped region, whole numbers [B, 3, H, W].
            region: of the photo [1, 3, H, W].
            points: meshes, float64 [B, 478, 2] in pixels of the region.
            head: motion of the head from the photo to the frame, [B, 2, 3].
            size: of the canvases.
        """
        openness = self._openness(points)
        outline = self.rims(points)
        boxes = Boxes.around(outline, 2 + 3 * self._feather, size, self._image)
        back = invert_affine(follow(head[..., :2], self.source[self.corners], points[:, self.corners]))
        iris = points[:, self.iris]
        radius = (iris[:, 1:] - iris[:, :1]).norm(dim=-1).mean(1).float()[:, None, None]
        from_iris = (pixel - iris[:, :1, axis, None].float() for axis, pixel in enumerate(boxes.pixels))
        distance = torch.hypot(*from_iris)
        turned = 1 - smoothstep((distance - 1.1 * radius) / max(0.35 * self._width, 1e-6))
        gaze = self._gaze(iris[:, :1], back, openness).float()[..., None, None]
        x, y = (at - gaze[:, axis] * turned for axis, at in enumerate(boxes.places(back)))
        layer = sample_pixels(region, (x, y))
        depth = sample(self.depth, (x - self._box[0], y - self._box[1]))
        visible = (depth / max(VISIBLE_DEPTH * self._width, 1.0)).clamp(0, 1) * self._open_enough
        boxes.blend(images, layer, soft_mask(outline, boxes, self.kernel) * visible)
        # The tracked lower rim is a little above the lid's, where the eyeball is still visible.
        lower = points[:, self.rims.lower] + self.below * self._down(points)[:, None]
        strength = 0.8 * self._shut(openness) * self._open_enough
        self.seam.blend(images, points[:, self.rims.upper], lower, strength, size)

    def _openness(self, points: Tensor) -> Tensor:
        """Distance of the lids in their middle, as a share of the photo's, [B]."""
        gap = along(points[:, self.gap_lower] - points[:, self.gap_upper], self._down(points)).mean(1)
        return gap.clamp_min(0) / self._source_gap

    def _down(self, points: Tensor) -> Tensor:
        left, right = points[:, self.corners].unbind(1)
        return perpendicular(right - left)

    @staticmethod
    def _shut(openness: Tensor) -> Tensor:
        """How nearly lids that are open in the photo have met, 0..1."""
        return 1 - smoothstep((openness - 0.06) / 0.2)

    def _gaze(self, iris: Tensor, back: Tensor, openness: Tensor) -> Tensor:
        """Movement of the iris [B, 1, 2] in the socket, [B, 2] in photo pixels."""
        x, y = (apply_affine(back, iris) - self.source[self.iris[:1]])[:, 0].unbind(1)
        moved = torch.stack([x, y * VERTICAL_GAZE * smoothstep((openness - 0.4) / 0.4)], 1)
        limit = MAX_GAZE * self._width
        return moved * (limit / moved.norm(dim=1, keepdim=True).clamp_min(1e-6)).clamp_max(1)
