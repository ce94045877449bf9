"""The inside of the mouth, for a batch: `warp.mouth`."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from shared.face_model.mediapipe_mesh import INNER_LIPS
from stage2_render.on_device.boxes import Boxes, Size
from stage2_render.on_device.contact import DeviceSeam
from stage2_render.on_device.masks import blurred, gaussian, soft_mask
from stage2_render.on_device.planar import Rims, apply_affine, chain, follow, invert_affine, smoothstep
from stage2_render.on_device.prepared import PreparedModule, as_planes, per_frame
from stage2_render.on_device.sampling import sample, sample_pixels
from stage2_render.on_device.tone import DeviceTone
from stage2_render.warp.compositing import smoothstep as of_photo
from stage2_render.warp.mouth import JAW, LIP_CENTRE, MIDDLE_LOWER, MIDDLE_UPPER, MouthLayer


class DeviceMouth(PreparedModule):
    """The mouth of one photo.

    Args:
        mouth: of the photo.
        image: width and height of the region.
    """

    jaw: Tensor
    lip: Tensor
    middle_upper: Tensor
    middle_lower: Tensor
    source: Tensor
    down: Tensor
    depth: Tensor
    lip_within: Tensor
    upper: Tensor
    lower: Tensor
    cavity: Tensor
    upper_origin: Tensor
    upper_linear: Tensor
    lower_motion: Tensor
    upper_shift: Tensor
    kernel: Tensor
    light: Tensor

    def __init__(self, mouth: MouthLayer, image: Size) -> None:
        super().__init__()
        self._image, self._width, self._gap, self._box = image, mouth.width, mouth.gap, mouth.inside_box
        self._open = float(of_photo((mouth.gap - 0.03) / 0.05))
        self._slit = mouth.slit
        self.vertices = np.array(INNER_LIPS)
        self.rims = Rims(self.vertices)
        self.tone = DeviceTone(mouth.tone)
        self.seam = DeviceSeam(11, mouth.contact, 0.011 * mouth.width, image)
        upper = mouth.to_texture(mouth.upper, np.zeros(2))
        self.keep(
            jaw=np.array(JAW), lip=np.array(LIP_CENTRE), middle_upper=np.array(MIDDLE_UPPER),
            middle_lower=np.array(MIDDLE_LOWER), source=mouth.source, down=mouth.axes[1], depth=as_planes(mouth.depth),
            lip_within=as_planes(mouth.lip_within), upper=as_planes(mouth.upper), lower=as_planes(mouth.lower),
            cavity=mouth.cavity[None, :, None, None],
            upper_origin=mouth.upper_origin, upper_linear=upper[:, :2], upper_shift=upper[:, 2],
            lower_motion=mouth.to_texture(mouth.lower, mouth.lower_origin),
            kernel=gaussian(0.008 * mouth.width), light=gaussian(max(0.045 * mouth.width, 0.5)),
        )  # fmt: skip

    @property
    def margin(self) -> float:
        """Pixels by which what is painted may exceed the points of `vertices`."""
        return 8 + 0.2 * self._width

    def blend(self, images: Tensor, region: Tensor, points: Tensor, head: Tensor, size: Size) -> None:
        """Paint what is between the lips, then the line along which they meet; the arguments of `DeviceEye.blend`."""
        gap = self._mean_gap(points)
        outline = self.rims(points)
        boxes = Boxes.around(outline, 2 + 3 * 0.008 * self._width, size, self._image)
        mask = soft_mask(outline, boxes, self.kernel)
        in_photo = invert_affine(head)
        on_jaw = invert_affine(follow(head[..., :2], self.source[self.jaw], points[:, self.jaw]))
        # Back to front.
        layer = _over(self.cavity, self.lower, boxes.places(chain(self.lower_motion, on_jaw)))
        layer = _over(layer, self.upper, boxes.places(chain(self._teeth(points, in_photo, gap), in_photo)))
        # Little light enters a small opening, and the lips cast a shadow behind them.
        wide = smoothstep(gap / 0.13)
        light = smoothstep(blurred(mask, boxes, self.light) * 1.15)
        layer = self.tone.applied(layer * (0.3 + per_frame((0.7 * (0.35 + 0.65 * wide)).float()) * light))
        places = boxes.places(in_photo)
        own = self._own(places, gap)
        boxes.blend(images, layer + own * (sample_pixels(region, places) - layer), mask)
        shut = 1 - smoothstep((gap / max(self._gap, 1e-6) - 0.05) / 0.4)
        strength = 0.85 * shut * self._open
        self.seam.blend(images, points[:, self.rims.upper], points[:, self.rims.lower], strength, size)

    def _own(self, places: tuple[Tensor, Tensor], gap: Tensor) -> Tensor:
        """How far the photo's mouth is open at places of the photo, float32 [B, 1, h, w] in 0..1."""
        in_box = (places[0] - self._box[0], places[1] - self._box[1])
        depth, lip = sample(self.depth, in_box), sample(self.lip_within, in_box)
        parted = smoothstep((gap - self._gap) / 0.03)
        inside = (depth - per_frame(parted.float()) * lip) / max(0.015 * self._width, 1.0)
        own = (inside + per_frame((2 - 2.5 * parted).float())).clamp(0, 1)
        # A slit between closed lips shows nothing of the mouth.
        return own * per_frame((1 - parted * self._slit).float())

    def _mean_gap(self, points: Tensor) -> Tensor:
        """Mean height of the opening over the middle of the lips, in mouth widths, [B]."""
        apart = (points[:, self.middle_lower] - points[:, self.middle_upper]) @ self.down
        return apart.clamp_min(0).mean(1) / self._width

    def _teeth(self, points: Tensor, in_photo: Tensor, gap: Tensor) -> Tensor:
        """Motion from pixels of the photo to those of the upper teeth's texture, which lips pull down, [B, 2, 3]."""
        fallen = (apply_affine(in_photo, points[:, self.lip]) - self.source[self.lip]).mean(1) @ self.down
        lowered = 0.95 * (fallen / self._width).clamp(0, 0.2) + 0.05 * smoothstep(gap / 0.35)
        origin = self.upper_origin + self._width * self._slit * lowered[:, None] * self.down
        shift = self.upper_shift - origin @ self.upper_linear.T
        return torch.cat([self.upper_linear.expand(len(shift), 2, 2), shift[..., None]], -1)


def _over(below: Tensor, texture: Tensor, places: tuple[Tensor, Tensor]) -> Tensor:
    """Composite a premultiplied texture [1, 4, h, w] over images or a colour [.., 3, .., ..]."""
    layer = sample(texture, places, border="zeros")
    return below * (1 - layer[:, 3:]) + layer[:, :3]
