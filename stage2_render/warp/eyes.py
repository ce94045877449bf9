"""Eyeballs: they turn with the iris and are layered behind the lids, which cover them without deforming them."""

from __future__ import annotations

from collections.abc import Iterator

import cv2
import numpy as np

from shared.face_model.mediapipe_mesh import LEFT_EYE, LEFT_IRIS, RIGHT_EYE, RIGHT_IRIS
from stage2_render.warp.compositing import (
    NOTHING,
    Affine,
    Layer,
    apply_affine,
    bounds,
    curve,
    follow,
    invert_affine,
    is_empty,
    opening,
    perpendicular,
    pixel_grid,
    seam,
    signed_distance,
    smoothstep,
    soft_mask,
)
from stage2_render.warp.lids import LidLayer

# Share of the tracked vertical gaze that is real: the movement of the lids moves the tracked iris as well.
VERTICAL_GAZE = 0.6
# All in widths of the eye: blur of the opening's rim; gap between the lids from which the photo shows the eyeball;
# depth inside the photo's opening at which the eyeball is fully visible; farthest movement of the iris.
_FEATHER, _OPEN, VISIBLE_DEPTH, MAX_GAZE = 0.012, 0.12, 0.04, 0.25
# From this share of the eye's opening on lids take their own colour as they close; they have it at the second.
LID_CLOSES, LID_CLOSED = 0.1, 0.4
# Heights above the upper rim, in widths of the eye, where lashes are looked for: the tracked rim may be a little low.
_LASHES = (0, 0.04, 0.08)


class EyeLayer:
    """One eye of the photo.

    Args:
        region: uint8 RGB [h, w, 3].
        source: the photo's mesh, float32 [478, 3] in pixels of the region.
        side: of the person, "right" or "left".
    """

    def __init__(self, region: np.ndarray, source: np.ndarray, side: str) -> None:
        self._region = region
        # Both rings from the left corner in the image along the upper rim.
        self.ring = np.array(RIGHT_EYE if side == "right" else np.roll(LEFT_EYE[::-1], -7))
        self.iris = np.array(RIGHT_IRIS if side == "right" else LEFT_IRIS)
        self.source = source[:, :2].astype(np.float64)
        self.corners = self.ring[[0, len(self.ring) // 2]]
        self.width = float(np.linalg.norm(np.subtract(*self.source[self.corners])))
        self.feather = _FEATHER * self.width
        height, width = region.shape[:2]
        outline = opening(self.source[self.ring])
        self.box = bounds(outline, 0.3 * self.width, (width, height))
        self.open_enough = self.gap(self.source) > _OPEN * self.width and not is_empty(self.box, 4)
        # Depth inside the photo's own opening: only there is the eyeball visible.
        self.depth = signed_distance(outline, self.box)
        self.lids = [LidLayer(region, self.source, side, upper=upper) for upper in (True, False)]
        # Colour of the lashes and their shadow: the darkest pixels at the rim of the upper lid.
        rim = curve(self.source[self.ring[: len(self.ring) // 2 + 1]])
        above = rim - np.array(_LASHES)[:, None, None] * self.width * self._down(self.source)
        x, y = np.clip(np.rint(above), 0, [width - 1, height - 1]).astype(int).transpose(2, 0, 1)
        colours = region[y, x].astype(np.float32)  # [3, points, RGB]
        rim = np.take_along_axis(colours, colours.sum(2).argmin(0)[None, :, None], 0)[0]
        self.lashes = 0.8 * rim[np.argsort(rim.sum(1))[: len(rim) // 2]].mean(0)

    @property
    def middle(self) -> tuple[np.ndarray, np.ndarray]:
        """Vertices in the middle of the upper and of the lower lid."""
        half = len(self.ring) // 2
        return self.ring[half // 2 - 1 : half // 2 + 2], self.ring[-half // 2 + 1 : -half // 2 - 2 : -1]

    def gap(self, points: np.ndarray) -> float:
        """Return the distance of the lids in their middle, pixels."""
        upper, lower = self.middle
        return max(float(((points[lower] - points[upper]) @ self._down(points)).mean()), 0.0)

    def stop_lids(self, points: np.ndarray) -> None:
        """Move the upper rim up, in place, where it is below the lower one; points: [478, 3] in region pixels.

        Lids meet along a curve, and a motion that closes them at one place would fold the skin at another.
        """
        half = len(self.ring) // 2
        upper, lower = self.ring[1:half], self.ring[:half:-1]
        down = self._down(points[:, :2])
        gap = (points[lower, :2] - points[upper, :2]) @ down
        points[upper, :2] += np.minimum(gap, 0)[:, None] * down

    def _down(self, points: np.ndarray) -> np.ndarray:
        """Unit vector [2] downwards, at right angles to the line through the corners."""
        return perpendicular(points[self.corners[1]] - points[self.corners[0]])

    def render(self, points: np.ndarray, head: Affine) -> Layer:
        """Return the eyeball between the lids.

        Where the lid hid the eyeball in the photo the layer is transparent and the stretched opening of the skin's warp
        is visible.

        Args:
            points: mesh of the frame, float64 [478, 2] in pixels of the region.
            head: motion of the head from the photo to the frame.
        """
        height, width = self._region.shape[:2]
        outline = opening(points[self.ring])
        box = bounds(outline, 2 + 3 * self.feather, (width, height))
        if not self.open_enough or is_empty(box, 2):
            return NOTHING
        back = invert_affine(self._motion(points, head))
        pixels = pixel_grid(box)
        iris = points[self.iris[0]]
        radius = np.linalg.norm(points[self.iris[1:]] - iris, axis=-1).mean()
        distance = cv2.magnitude(*cv2.split(pixels - iris.astype(np.float32)))
        turned = 1 - smoothstep((distance - float(1.1 * radius)) / max(0.35 * self.width, 1e-6))
        gaze = self._gaze(points, back)
        where = apply_affine(back.astype(np.float32), pixels) - gaze.astype(np.float32) * turned[..., None]
        layer = cv2.remap(self._region, where, None, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
        in_photo = where - np.array(self.box[:2], np.float32)
        depth = cv2.remap(self.depth, in_photo, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        alpha = soft_mask(outline, box, self.feather) * np.clip(depth / max(VISIBLE_DEPTH * self.width, 1.0), 0, 1)
        return layer.astype(np.float32), alpha, box

    def render_lids(self, points: np.ndarray, warped: np.ndarray) -> Iterator[Layer]:
        """Yield the lids in their own colour as they close.

        Args:
            points: mesh of the frame, float64 [478, 2] in pixels of the region.
            warped: the region, warped to it, uint8 RGB [h, w, 3].
        """
        closed = 1 - self.gap(points) / max(self.gap(self.source), 1e-6)
        upper = smoothstep((closed - LID_CLOSES) / (LID_CLOSED - LID_CLOSES)) * self.open_enough
        # Below the lower rim is the white of the eye, until the lids have met.
        for lid, strength in zip(self.lids, (upper, self._shut(points) * self.open_enough)):
            yield lid.render(points, warped, strength)

    def _shut(self, points: np.ndarray) -> float:
        """How nearly lids that are open in the photo have met, 0..1."""
        return 1 - smoothstep((self.gap(points) / max(self.gap(self.source), 1e-6) - 0.06) / 0.2)

    def render_contact(self, points: np.ndarray) -> Layer:
        """Return the line of lashes along which lids meet that are open in the photo; points: [478, 2]."""
        half = len(self.ring) // 2
        upper, lower = self.ring[: half + 1], np.r_[self.ring[0], self.ring[half:][::-1]]
        strength = 0.8 * self._shut(points) * self.open_enough
        if strength <= 0:
            return NOTHING
        # The tracked lower rim is a little above the lid's, where the eyeball is still visible.
        below = 0.03 * self.width * np.sin(np.linspace(0, np.pi, half + 1))[:, None] * self._down(points)
        rims = points[upper], points[lower] + below
        height, width = self._region.shape[:2]
        return seam(*rims, self.lashes, strength, 0.018 * self.width, (width, height))

    def _motion(self, points: np.ndarray, head: Affine) -> Affine:
        """Motion of the eye socket: the head's linear part, and the translation of the corners of the lids."""
        return follow(head[:, :2], self.source[self.corners], points[self.corners])

    def _gaze(self, points: np.ndarray, back: Affine) -> np.ndarray:
        """Movement of the iris in the socket [2], in photo pixels."""
        moved = apply_affine(back, points[self.iris[0]]) - self.source[self.iris[0]]
        openness = self.gap(points) / max(self.gap(self.source), 1e-6)
        # Behind a closing lid the tracked iris is unreliable; the eye then keeps its height.
        moved[1] *= VERTICAL_GAZE * smoothstep((openness - 0.4) / 0.4)
        limit = MAX_GAZE * self.width
        return moved * min(1.0, limit / max(float(np.linalg.norm(moved)), 1e-6))
