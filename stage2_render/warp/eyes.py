"""Eyeballs: they turn with the iris and lie behind the lids, which slide over them without squashing them."""

from __future__ import annotations

import cv2
import numpy as np

from shared.face_model.mediapipe_mesh import LEFT_EYE, LEFT_IRIS, RIGHT_EYE, RIGHT_IRIS
from stage2_render.warp.compositing import (
    Affine,
    Layer,
    apply_affine,
    bounds,
    curve,
    invert_affine,
    opening,
    pixel_grid,
    seam,
    signed_distance,
    smoothstep,
    soft_mask,
)

# How far down (and up) a gaze goes beyond what the lids' own movement fakes in the tracker.
_VERTICAL_GAZE = 0.6


class EyeLayer:
    """One eye of the photo (`side` of the person: "right" or "left").

    region: uint8 RGB [h, w, 3]; source: float32 [478, 3] in its pixels.
    """

    def __init__(self, region: np.ndarray, source: np.ndarray, side: str) -> None:
        self._region = region
        # Both from the image's left corner along the top.
        self._ring = np.array(RIGHT_EYE if side == "right" else np.roll(LEFT_EYE[::-1], -7))
        self._iris = np.array(RIGHT_IRIS if side == "right" else LEFT_IRIS)
        self._source = source[:, :2].astype(np.float64)
        self._corners = self._ring[[0, len(self._ring) // 2]]
        self._width = float(np.linalg.norm(np.subtract(*self._source[self._corners])))
        self._feather = 0.012 * self._width
        # How deep inside the photo's own opening a pixel lies: only from there may the eyeball be taken.
        height, width = region.shape[:2]
        outline = opening(self._source[self._ring])
        self._box = bounds(outline, 0.3 * self._width, (width, height))
        self._open_enough = self._gap(self._source) > 0.12 * self._width
        # The rim of the upper lid: lashes and their shade, which the tracked rim may run a little below of.
        rim = curve(self._source[self._ring[: len(self._ring) // 2 + 1]])
        above = rim - np.array([0, 0.04, 0.08])[:, None, None] * self._width * self._down(self._source)
        x, y = np.clip(np.rint(above), 0, [width - 1, height - 1]).astype(int).transpose(2, 0, 1)
        seen = region[y, x].astype(np.float32)  # [3, points, RGB]
        rim = np.take_along_axis(seen, seen.sum(2).argmin(0)[None, :, None], 0)[0]
        self._lashes = 0.8 * rim[np.argsort(rim.sum(1))[: len(rim) // 2]].mean(0)
        x0, y0, x1, y1 = self._box
        if x1 - x0 < 4 or y1 - y0 < 4:
            self._open_enough = False
            return
        self._depth = signed_distance(outline, self._box)

    def _gap(self, points: np.ndarray) -> float:
        """How far apart the lids are in their middle."""
        half = len(self._ring) // 2
        upper, lower = self._ring[half // 2 - 1 : half // 2 + 2], self._ring[-half // 2 + 1 : -half // 2 - 2 : -1]
        return max(float(((points[lower] - points[upper]) @ self._down(points)).mean()), 0.0)

    def stop_lids(self, points: np.ndarray) -> None:
        """Move the upper rim up again, in place, where it has gone through the lower one; [478, 3] in region pixels.

        Lids meet along a curve, and a motion that shuts them at one place would fold the skin at another.
        """
        half = len(self._ring) // 2
        upper, lower = self._ring[1:half], self._ring[:half:-1]
        down = self._down(points[:, :2])
        gap = (points[lower, :2] - points[upper, :2]) @ down
        points[upper, :2] += np.minimum(gap, 0)[:, None] * down

    def _down(self, points: np.ndarray) -> np.ndarray:
        """The way down, at right angles to the line through the corners: unit vector [2]."""
        across = points[self._corners[1]] - points[self._corners[0]]
        return np.array([-across[1], across[0]]) / max(float(np.linalg.norm(across)), 1e-6)

    def render(self, target: np.ndarray, head: Affine) -> Layer:
        """The eyeball between the lids.

        Only what the warp of the skin cannot do: where the eyeball's own place in the photo was hidden by a lid, the
        warp's stretched opening shows through.
        """
        points = target[:, :2].astype(np.float64)
        height, width = self._region.shape[:2]
        outline = opening(points[self._ring])
        box = bounds(outline, 2 + 3 * self._feather, (width, height))
        if not self._open_enough or min(box[2] - box[0], box[3] - box[1]) < 2:
            return None, None, box
        back = invert_affine(self._motion(points, head))
        pixels = pixel_grid(box)
        iris = points[self._iris[0]]
        radius = np.linalg.norm(points[self._iris[1:]] - iris, axis=-1).mean()
        distance = np.linalg.norm(pixels - iris, axis=-1)
        turns = 1 - smoothstep((distance - 1.1 * radius) / max(0.35 * self._width, 1e-6))
        gaze = self._gaze(points, back)
        where = (apply_affine(back, pixels) - gaze * turns[..., None]).astype(np.float32)
        layer = cv2.remap(self._region, where, None, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
        in_photo = where - np.array(self._box[:2], np.float32)
        seen = cv2.remap(self._depth, in_photo, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        alpha = soft_mask(outline, box, self._feather) * np.clip(seen / max(0.04 * self._width, 1.0), 0, 1)
        return layer.astype(np.float32), alpha, box

    def render_contact(self, target: np.ndarray) -> Layer:
        """The line of lashes along which lids meet that were apart in the photo."""
        points = target[:, :2].astype(np.float64)
        shut = 1 - smoothstep((self._gap(points) / max(self._gap(self._source), 1e-6) - 0.06) / 0.2)
        half = len(self._ring) // 2
        upper, lower = self._ring[: half + 1], np.r_[self._ring[0], self._ring[half:][::-1]]
        strength = 0.8 * shut * self._open_enough
        # The tracker's lower rim runs a little above the lid's, where the eyeball still shows.
        below = 0.03 * self._width * np.sin(np.linspace(0, np.pi, half + 1))[:, None] * self._down(points)
        rims = points[upper], points[lower] + below
        return seam(*rims, self._lashes, strength, 0.018 * self._width, self._region.shape[1::-1])

    def _motion(self, points: np.ndarray, head: Affine) -> Affine:
        """The eye's socket: the head's linear part, carried along with the corners of the lids."""
        offset = points[self._corners].mean(0) - head[:, :2] @ self._source[self._corners].mean(0)
        return np.concatenate([head[:, :2], offset[:, None]], 1)

    def _gaze(self, points: np.ndarray, back: Affine) -> np.ndarray:
        """How far the iris moved within the socket, in photo pixels."""
        moved = apply_affine(back, points[self._iris[0]]) - self._source[self._iris[0]]
        openness = self._gap(points) / max(self._gap(self._source), 1e-6)
        # Behind a closing lid the tracker guesses; the eye then keeps its height.
        moved[1] *= _VERTICAL_GAZE * smoothstep((openness - 0.4) / 0.4)
        limit = 0.25 * self._width
        return moved * min(1.0, limit / max(float(np.linalg.norm(moved)), 1e-6))
