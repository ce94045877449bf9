"""The inside of the mouth, which a photo of closed lips does not show.

The layers between the lips are, from back to front: a dark cavity in the hue of the lips, tongue and lower teeth that
move with the jaw, upper teeth that move with the skull (they do not follow the lips, the lips uncover them), and, where
the mouth is open in the photo, the photo itself, also moving with the skull. Synthetic layers take their colours from
the photo's skin and lips, and their tones and tint from all of it (`tone`).
"""

from __future__ import annotations

import cv2
import numpy as np

from shared.face_model.mediapipe_mesh import INNER_LIP_CENTRES, INNER_LIPS, OUTER_LIPS, groups
from stage2_render.warp.compositing import (
    NOTHING,
    Affine,
    Box,
    Layer,
    apply_affine,
    bounds,
    chain,
    follow,
    invert_affine,
    is_empty,
    opening,
    sample,
    seam,
    signed_distance,
    smoothstep,
    soft_mask,
)
from stage2_render.warp.lower_rim import lip_within
from stage2_render.warp.tone import LUMA, Tone

# Plain skin: cheeks, forehead, beside the nose.
_SKIN = (50, 280, 101, 330, 205, 425, 117, 346, 151, 108, 337, 36, 266)
# Tongue and lower teeth move with these: lower lip and chin.
JAW = (14, 87, 317, 17, 200, 199)
# Middle of the inner rims, from which the height of the opening is measured, and of the upper lip, which lowers teeth.
MIDDLE_UPPER, MIDDLE_LOWER, LIP_CENTRE = (81, 82, 13, 312, 311), (178, 87, 14, 317, 402), (13, 82, 312)
# Extent of the synthetic textures in mouth widths: x0, x1, y0, y1, y down from the line of the closed lips.
SPAN = (-0.6, 0.6, -0.35, 0.45)
# Edges of the teeth of one side from the middle outwards, in mouth widths (a mouth is about 52 mm wide).
_UPPER_EDGES = (0.0, 0.155, 0.275, 0.37, 0.44)
_LOWER_EDGES = (0.0, 0.10, 0.205, 0.305, 0.385)


class MouthLayer:
    """The mouth of one photo.

    Args:
        region: uint8 RGB [h, w, 3].
        source: the photo's mesh, float32 [478, 3] in pixels of the region.
    """

    def __init__(self, region: np.ndarray, source: np.ndarray) -> None:
        self._region = region
        self.source = source[:, :2].astype(np.float64)
        self._size = (region.shape[1], region.shape[0])
        corners = self.source[[INNER_LIPS[0], INNER_LIPS[len(INNER_LIPS) // 2]]]
        across = corners[1] - corners[0]
        outer = self.source[OUTER_LIPS[10]] - self.source[OUTER_LIPS[0]]
        # The width of pursed lips is less than that of the teeth; the face's width is a lower bound.
        face = np.linalg.norm(self.source[454] - self.source[234])
        self.width = max(float(np.linalg.norm(across)), 0.8 * float(np.linalg.norm(outer)), 0.27 * float(face), 2.0)
        axis = across / max(float(np.linalg.norm(across)), 1e-6)
        self.axes = np.stack([axis, [-axis[1], axis[0]]])
        upper, lower = self.source[list(INNER_LIP_CENTRES)]
        middle = (corners.mean(0) - upper) @ axis * axis
        self.upper_origin, self.lower_origin = upper + middle, lower + middle
        self.gap = self._mean_gap(self.source)
        # How far the photo's lips are closed: a slit between them shows nothing of the mouth.
        self.slit = 1 - float(smoothstep((self.gap - 0.015) / 0.03))
        outline = opening(self.source[list(INNER_LIPS)])
        self.inside_box = bounds(outline, 0.3 * self.width, self._size)
        self.depth = signed_distance(outline, self.inside_box)
        within = opening(lip_within(region, self.source, self.width))
        self.lip_within = np.maximum(self.depth - signed_distance(within, self.inside_box), 0)
        lips, skin = _colours(region, self.source)
        enamel = _own_enamel(region, self.depth, self.inside_box, self.width, skin)
        self.tone = Tone(region)
        lips, skin = self.tone.clear(lips), self.tone.clear(skin)
        enamel = None if enamel is None else self.tone.clear(enamel)
        self.upper, self.lower, self.cavity = _textures(lips, skin, enamel, self.width)
        self.contact = self.tone.applied(0.42 * lips)

    def render(self, points: np.ndarray, head: Affine) -> Layer:
        """Return what is visible between the lips.

        Args:
            points: mesh of the frame, float64 [478, 2] in pixels of the region.
            head: motion of the head from the photo to the frame.
        """
        outline = opening(points[list(INNER_LIPS)])
        feather = 0.008 * self.width
        box = bounds(outline, 2 + 3 * feather, self._size)
        if is_empty(box, 2):
            return NOTHING
        mask = soft_mask(outline, box, feather)
        in_photo, on_jaw = invert_affine(head), invert_affine(self._jaw_motion(points, head))
        # Back to front.
        layer = self._over(self.cavity, self.lower, self.lower_origin, on_jaw, box)
        layer = self._over(layer, self.upper, self._teeth_origin(points, head), in_photo, box)
        # Little light enters a small opening, and the lips cast a shadow behind them.
        light = cv2.GaussianBlur(mask, (0, 0), max(0.045 * self.width, 0.5))
        wide = smoothstep(self._mean_gap(points) / 0.13)
        layer *= (0.3 + float(0.7 * (0.35 + 0.65 * wide)) * smoothstep(light * 1.15))[..., None]
        layer = self.tone.applied(layer)
        photo = sample(self._region, in_photo, box, cv2.INTER_CUBIC)
        own = self._own(in_photo, box, points)[..., None]
        return layer + own * (photo - layer), mask, box

    def render_contact(self, points: np.ndarray) -> Layer:
        """Return the line along which lips meet that are open in the photo, where there is none; points: [478, 2]."""
        shut = 1 - smoothstep((self._mean_gap(points) / max(self.gap, 1e-6) - 0.05) / 0.4)
        strength = 0.85 * shut * smoothstep((self.gap - 0.03) / 0.05)
        upper, lower = points[list(INNER_LIPS[:11])], points[[INNER_LIPS[0], *INNER_LIPS[:9:-1]]]
        return seam(upper, lower, self.contact, strength, 0.011 * self.width, self._size)

    def disoccluded(self, points: np.ndarray, head: Affine, size: tuple[int, int], cell: np.ndarray) -> np.ndarray:
        """Return where the frame needs the inside of the mouth and the photo does not show it.

        Args:
            points: mesh of the frame, float64 [478, 2] in pixels of the region.
            head: motion of the head from the photo to the frame.
            size: (width, height) of a grid over the region.
            cell: width and height of its cells in pixels.

        Returns:
            float32 [height, width], 1 where the photo does not show it.
        """
        outline = (opening(points[list(INNER_LIPS)]) + 0.5) / cell - 0.5
        box = bounds(outline, 2, size)
        hidden = np.zeros(size[::-1], np.float32)
        if not is_empty(box):
            to_pixels = np.concatenate([np.diag(cell), cell[:, None] / 2 - 0.5], 1)
            own = self._own(chain(invert_affine(head), to_pixels), box, points)
            hidden[box[1] : box[3], box[0] : box[2]] = soft_mask(outline, box, 0) * (1 - own)
        return hidden

    def _over(self, below: np.ndarray, texture: np.ndarray, origin: np.ndarray, motion: Affine, box: Box) -> np.ndarray:
        """Composite a premultiplied texture over an image [h, w, 3] or a colour [3].

        Args:
            below: float32.
            texture: float32 [h, w, 4], over `SPAN`.
            origin: of the texture, in photo pixels.
            motion: from pixels of the frame to those of the photo.
            box: of the image.
        """
        to_texture = self.to_texture(texture, origin)
        layer = sample(texture, chain(to_texture, motion), box, cv2.INTER_LINEAR, cv2.BORDER_CONSTANT)
        return below * (1 - layer[..., 3:]) + layer[..., :3]

    def to_texture(self, texture: np.ndarray, origin: np.ndarray) -> Affine:
        """Return the motion from photo pixels to those of a texture [h, w, 4] over `SPAN` with this origin."""
        x0, x1, y0, y1 = SPAN
        scale = np.array([texture.shape[1] / (x1 - x0), texture.shape[0] / (y1 - y0)])
        linear = scale[:, None] * self.axes / self.width
        offset = -linear @ origin - scale * [x0, y0] - 0.5
        return np.concatenate([linear, offset[:, None]], 1)

    def _own(self, motion: Affine, box: Box, points: np.ndarray) -> np.ndarray:
        """How far the photo's mouth is open, float32 [h, w] in 0..1, at the places to which the motion takes a box."""
        left, top = self.inside_box[:2]
        in_box = chain(np.array([[1, 0, -left], [0, 1, -top]], np.float64), motion)
        depth, lip = (sample(of_photo, in_box, box, cv2.INTER_LINEAR) for of_photo in (self.depth, self.lip_within))
        # As the lips part, their rims must not remain on the teeth.
        parted = smoothstep((self._mean_gap(points) - self.gap) / 0.03)
        rim = max(0.015 * self.width, 1.0)
        own = np.clip((depth - np.float32(parted) * lip) / np.float32(rim) + np.float32(2 - 2.5 * parted), 0, 1)
        return own * np.float32(1 - parted * self.slit)

    def _mean_gap(self, points: np.ndarray) -> float:
        """Mean height of the opening over the middle of the lips, in mouth widths."""
        upper, lower = points[list(MIDDLE_UPPER)], points[list(MIDDLE_LOWER)]
        return float(np.maximum((lower - upper) @ self.axes[1], 0).mean()) / self.width

    def _teeth_origin(self, points: np.ndarray, head: Affine) -> np.ndarray:
        """Position of the closed lips' line on the skull, in photo pixels.

        A wide open mouth uncovers less of the teeth than the tracked points of the upper lip and of the skull (from the
        nose) imply: the teeth move down with the lip, and become a little more visible the wider it opens. Where the
        photo shows the inside, and with it where the teeth are, they stay: else they would hang out below the photo's.
        """
        lip, down = list(LIP_CENTRE), self.axes[1]
        fallen = (apply_affine(invert_affine(head), points[lip]) - self.source[lip]).mean(0) @ down
        fallen = np.clip(fallen / self.width, 0, 0.2)
        lowered = 0.95 * fallen + 0.05 * smoothstep(self._mean_gap(points) / 0.35)
        return self.upper_origin + self.width * lowered * self.slit * down

    def _jaw_motion(self, points: np.ndarray, head: Affine) -> Affine:
        """The head's linear part, and the translation of the jaw."""
        return follow(head[:, :2], self.source[list(JAW)], points[list(JAW)])


def lip_line_correction(region: np.ndarray, source: np.ndarray) -> np.ndarray:
    """Return the displacement from the tracked points of the lips to the lips of the photo.

    The tracked line between closed lips is a few pixels off; opened there, a strip of one lip would move with the
    other. The dark line is searched near the tracked one, and the result is smoothed along the mouth.

    Args:
        region: uint8 RGB [h, w, 3].
        source: the photo's mesh, float32 [478, 3] in pixels of the region.

    Returns:
        float32 [478, 2], 0 except for lip points.
    """
    points = source[:, :2].astype(np.float64)
    correction = np.zeros((478, 2), np.float32)
    left, right = points[INNER_LIPS[0]], points[INNER_LIPS[10]]
    width = float(np.linalg.norm(right - left))
    if width < 12:
        return correction
    axis = (right - left) / width
    down = np.array([-axis[1], axis[0]])
    upper, lower = points[list(INNER_LIPS[1:10])], points[list(INNER_LIPS[:10:-1])]
    gap = (lower - upper) @ down / width
    closed = 1 - smoothstep((gap.max() - 0.02) / 0.03)
    if closed == 0:
        return correction
    # Luminance on a grid along the tracked line: 33 places across, +-8 % of the width up and down.
    middle = np.concatenate([[left], (upper + lower) / 2, [right]])
    along = (middle - left) @ axis / width
    places, offsets = np.linspace(0.06, 0.94, 33), np.linspace(-0.08, 0.08, 33)
    row = np.interp(places, along, (middle - left) @ down / width)
    spots = left + width * (places[:, None] * axis + row[:, None] * down)
    grid = (spots[None] + width * offsets[:, None, None] * down).astype(np.float32)
    grey = cv2.GaussianBlur(cv2.cvtColor(region, cv2.COLOR_RGB2GRAY), (0, 0), max(0.008 * width, 0.6))
    profile = cv2.remap(grey, grid, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE).astype(np.float64)
    profile = cv2.GaussianBlur(profile, (5, 1), 0)
    # Soft minimum of the luminance, with a preference for the tracked line.
    contrast = max(float(profile.max() - profile.min()), 8.0)
    score = -(profile - profile.min(0)) / (0.06 * contrast) - (offsets[:, None] / 0.05) ** 2
    share = np.exp(score - score.max(0))
    found = (share * offsets[:, None]).sum(0) / share.sum(0)
    depth = np.clip(np.median(profile, axis=0) - profile.min(0), 0.5, None)
    line = np.polynomial.Polynomial.fit(places, found, 4, w=depth)
    # Only lip points move, and those far from the line hardly do.
    lips = groups()["lips"]
    x, y = (points[lips] - left) @ axis / width, (points[lips] - left) @ down / width
    away = abs(y - np.interp(x, along, (middle - left) @ down / width))
    ends = smoothstep((x + 0.02) / 0.1) * smoothstep((1.02 - x) / 0.1)
    move = np.clip(line(np.clip(x, 0.06, 0.94)), -0.06, 0.06) * ends * (1 - smoothstep(away / 0.15)) * closed
    correction[lips] = (width * move[:, None] * down).astype(np.float32)
    return correction


def _colours(region: np.ndarray, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean colour of the lips and median colour of the skin, float [3] in 0..255."""
    height, width = region.shape[:2]
    lips = np.zeros((height, width), np.uint8)
    cv2.fillPoly(lips, [np.rint(points[list(OUTER_LIPS)]).astype(np.int32)], 1)
    cv2.fillPoly(lips, [np.rint(points[list(INNER_LIPS)]).astype(np.int32)], 0)
    soft = cv2.GaussianBlur(region, (0, 0), max(0.008 * width, 0.5))
    where = np.clip(np.rint(points[list(_SKIN)]), 0, [width - 1, height - 1]).astype(int)
    skin = np.median(soft[where[:, 1], where[:, 0]].astype(np.float32), axis=0)
    return (np.array(cv2.mean(region, lips)[:3], np.float32) if lips.any() else skin), skin


def _own_enamel(
    region: np.ndarray, depth: np.ndarray, box: tuple[int, int, int, int], width: float, skin: np.ndarray
) -> np.ndarray | None:
    """Colour of the teeth in the photo, float [3], or None when none are visible."""
    inside = region[box[1] : box[3], box[0] : box[2]][depth > 0.02 * width].astype(np.float32)
    if len(inside) < 12:
        return None
    light = inside @ LUMA
    teeth = inside[light >= np.quantile(light, 0.6)].mean(0)
    return teeth if teeth @ LUMA > 0.7 * (skin @ LUMA) else None


def _textures(
    lips: np.ndarray, skin: np.ndarray, enamel: np.ndarray | None, width: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Textures of upper teeth and lower jaw, premultiplied RGBA float32 over `SPAN`, and the cavity's colour."""
    scale = float(np.clip(1.25 * width, 48, 320))
    x0, x1, y0, y1 = SPAN
    columns, rows = np.arange(round((x1 - x0) * scale)), np.arange(round((y1 - y0) * scale))
    x, y = np.meshgrid(x0 + (columns + 0.5) / scale, y0 + (rows + 0.5) / scale)
    bright = float(skin @ LUMA)
    if enamel is None:
        # With part of the skin's tint: enamel is nearly white, but under the same light.
        ivory = 0.52 * bright + min(82.0, 0.85 * bright)
        enamel = ivory * (1 + 0.42 * (skin / max(bright, 1.0) - 1))
    lip_light = max(float(lips @ LUMA), 1.0)
    # Luminance relative to the skin, measured in open mouths of talking people: cavity a quarter, tongue six tenths.
    cavity = lips * min(0.38, 0.25 * bright / lip_light)
    tongue = lips * min(0.9, 0.62 * bright / lip_light)
    upper = _teeth(x, y, np.array(_UPPER_EDGES), edge=0.05 - 0.22 * x**2, enamel=enamel)
    lower = _teeth(x, -y, np.array(_LOWER_EDGES), edge=-0.035 - 0.25 * x**2, enamel=0.62 * enamel)
    upper = _with_shadow(upper, scale)
    # The tongue is brightest near the lower lip and dark at the back.
    blob = 1 - smoothstep((np.hypot(x / 0.42, (y - 0.12) / 0.33) - 0.5) / 0.5)
    shine = np.clip(1.05 - 1.5 * x**2, 0, 1) * (0.75 + 0.25 * smoothstep((y + 0.12) / 0.12))
    tongue = np.concatenate([(blob * shine)[..., None] * tongue, blob[..., None]], -1)
    return upper, (lower + (1 - lower[..., 3:]) * tongue).astype(np.float32), cavity.astype(np.float32)


def _teeth(x: np.ndarray, y: np.ndarray, edges: np.ndarray, edge: np.ndarray, enamel: np.ndarray) -> np.ndarray:
    """A row of teeth down to `edge`(x): premultiplied RGBA [h, w, 4]."""
    side = abs(x)
    nearest = abs(side[..., None] - edges[:-1]).min(-1)
    # Rounded corners, thin shadows between teeth, and less light at the sides of the arch.
    tooth = np.clip(np.searchsorted(edges, side) - 1, 0, len(edges) - 2)
    shorter = np.array([0.0, 0.012, 0.002, 0.012])[tooth]
    edge = edge - shorter - 0.014 * np.exp(-((nearest / 0.016) ** 2))
    alpha = smoothstep((edge - y) / 0.018 + 0.5) * (1 - smoothstep((side - 0.36) / 0.09))
    shade = (1 - 0.22 * np.exp(-((nearest / 0.009) ** 2))) * (1 - 2.4 * side**2)
    # Enamel is a little clearer at the cutting edge, darker towards the gums.
    shade = shade * (0.88 + 0.12 * smoothstep((y - edge + 0.12) / 0.12))
    return np.concatenate([enamel * (np.clip(shade, 0, 1) * alpha)[..., None], alpha[..., None]], -1).astype(np.float32)


def _with_shadow(teeth: np.ndarray, scale: float) -> np.ndarray:
    """The row with its shadow (black, premultiplied) behind and below."""
    shade = cv2.GaussianBlur(teeth[..., 3], (0, 0), 0.022 * scale)
    shade = 0.75 * np.roll(shade, round(0.025 * scale), axis=0)
    out = teeth.copy()
    out[..., 3] = teeth[..., 3] + (1 - teeth[..., 3]) * shade
    return out
