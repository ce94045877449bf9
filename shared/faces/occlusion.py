"""What hides parts of a face in a photo: something before the mouth, and dark glasses before the eyes.

Rules on colours of the tracked face, chosen on 979 portraits and on masks, microphones, fingers and dark glasses that
were drawn on them. The numbers of each rule stand beside it.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from shared.face_model.mediapipe_mesh import INNER_LIPS, LEFT_EYE, OUTER_LIPS, RIGHT_EYE

# Points of the mesh. Skin around the mouth that a mask covers, skin above that it does not; forehead, lower cheeks.
_AROUND = (164, 167, 393, 165, 391, 18, 200, 83, 313, 199, 43, 273, 186, 410, 92, 322)
_ABOVE = (151, 108, 337, 9, 69, 299, 230, 450, 197, 195, 6, 118, 347)
_FOREHEAD = (151, 108, 337, 9, 69, 299, 104, 333)
_CHEEKS = (36, 266, 205, 425, 187, 411, 207, 427, 50, 280)
# On and near the line along which the lips meet.
_LIP_LINE = (13, 14, 82, 312, 87, 317, 78, 308)
# For each eye: its opening, the ring of folds round it, and points below it that glasses cover.
_EYES = (
    (RIGHT_EYE, (130, 247, 30, 29, 27, 28, 56, 190, 243, 112, 26, 22, 23, 24, 110, 25), (23, 230, 229, 231, 24, 22)),
    (LEFT_EYE, (359, 467, 260, 259, 257, 258, 286, 414, 463, 341, 256, 252, 253, 254, 339, 255),
     (253, 450, 449, 451, 254, 252)),
)  # fmt: skip
# Glasses are larger than the ring.
_LENS = 1.15
_LUMA = np.array([0.299, 0.587, 0.114], np.float32)


@dataclass(frozen=True)
class MouthColours:
    """How the mouth of a photo differs from the skin, in CIELAB: L 0..100, a to red, b to yellow.

    Attributes:
        lips: mean of the lips less the median of the skin around the mouth, [3].
        around: that median less the one of the skin above the mouth, [3].
        line: the darkest L on the line between the lips, less that of the skin around.
        spread: standard deviation of the skin around the mouth in a and b.
        lips_chroma: distance from grey of the lips.
        skin: median of the skin above the mouth, [3].
        contrast: range of L in the face; of 40 portraits 30 to 90, median 57, half of it in faded prints.
    """

    lips: np.ndarray
    around: np.ndarray
    line: float
    spread: float
    lips_chroma: float
    skin: np.ndarray
    contrast: float

    @classmethod
    def of(cls, image: np.ndarray, landmarks: np.ndarray) -> MouthColours:
        """Measure an image uint8 [H, W, 3] with its mesh [478, 3] in pixels."""
        image, points = _face(image, landmarks)
        lab = cv2.cvtColor(image.astype(np.float32) / 255, cv2.COLOR_RGB2Lab)
        around, above = (_at(lab, points, indices) for indices in (_AROUND, _ABOVE))
        skin = np.median(around, axis=0)
        face = _filled(image, cv2.convexHull(points.astype(np.float32))[:, 0])
        ring = (_filled(image, points[list(OUTER_LIPS)]) > 0) & ~(_filled(image, points[list(INNER_LIPS)]) > 0)
        lips = lab[ring].mean(0) if ring.any() else skin
        return cls(
            lips=lips - skin,
            around=skin - np.median(above, axis=0),
            line=float(_at(lab, points, _LIP_LINE)[:, 0].min() - skin[0]),
            spread=float(np.hypot(*around[:, 1:].std(0))),
            lips_chroma=float(np.hypot(*lips[1:])),
            skin=np.median(above, axis=0),
            contrast=float(np.subtract(*np.quantile(lab[face > 0][:, 0], (0.98, 0.02)))),
        )


def mouth_is_covered(image: np.ndarray, landmarks: np.ndarray) -> bool:
    """Return whether something is before the mouth of a photo, uint8 [H, W, 3], with its mesh [478, 3] in pixels."""
    found = MouthColours.of(image, landmarks)
    light, red, yellow = found.lips
    foreign = float(np.hypot(*found.around[1:]))
    from_skin = float(np.hypot(*(found.lips + found.around)[1:]))
    # No lips: neither their colour nor the dark line between them. In dark skin and in faded prints all differences
    # are smaller.
    scale = float(np.clip(found.skin[0] / 55, 0, 1) * np.clip(found.contrast / 57, 0, 1))
    flat = max(abs(red) / 1.6, abs(yellow) / 3, abs(light) / 9, -found.line / 16) < scale
    # Around the mouth is another colour than above it, and the lips are hardly redder.
    alien = foreign > 18 and red < 3 and found.line > -14
    # The lips are green, blue or grey in skin that is not.
    other = red < -5 and from_skin > 20
    colourful = float(np.hypot(*found.skin[1:])) > 14
    dark = light + found.around[0] < -20
    grey = colourful and (
        (found.lips_chroma < 6 and red < 1.5)
        or (found.lips_chroma < 0.45 * np.hypot(*found.skin[1:]) and red < 1 and dark)
    )
    patched = found.spread > 12 or (from_skin > 42 and red < 15)
    return bool(flat or alien or other or grey or patched)


def eyes_are_hidden(image: np.ndarray, landmarks: np.ndarray) -> bool:
    """Return whether dark glasses hide both eyes of a photo, uint8 [H, W, 3], with its mesh [478, 3] in pixels."""
    image, points = _face(image, landmarks)
    luma = image.astype(np.float32) @ _LUMA
    # The cheeks may be under a bright mask, the forehead under hair.
    skin = max(min(np.median(_at(luma, points, _CHEEKS)), np.quantile(_at(luma, points, _FOREHEAD), 0.75)), 1.0)
    around, below, contrast = [], [], []
    for opening, ring, under in _EYES:
        lens = points[list(ring)]
        lens = lens.mean(0) + _LENS * (lens - lens.mean(0))
        around.append(np.quantile(luma[_filled(image, lens) > 0], 0.6) / skin)
        below.append(np.median(_at(luma, points, under)) / skin)
        low, high = np.quantile(luma[_filled(image, points[list(opening)]) > 0], (0.05, 0.95))
        contrast.append((high - low) / skin)
    # Shadows and make-up darken the lids, hardly what is below them: of 979 portraits the darkest has .49 and .44.
    dark = max(around) < 0.48 and max(below) < 0.46
    # In dark skin: neither white nor iris.
    plain = max(around) < 0.65 and max(below) < 0.75 and max(contrast) < 0.18
    return bool(dark or plain)


def _face(image: np.ndarray, landmarks: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The part of the picture with the face, without noise, and the points [478, 2] in its pixels; never empty."""
    points = landmarks[:, :2]
    low, high = points.min(0), points.max(0)
    margin = 0.1 * (high - low)
    height, width = image.shape[:2]
    x0, y0 = np.clip(np.floor(low - margin), 0, [width - 2, height - 2]).astype(int)
    x1, y1 = np.clip(np.ceil(high + margin), [x0 + 2, y0 + 2], [width, height]).astype(int)
    part = cv2.GaussianBlur(image[y0:y1, x0:x1], (0, 0), max(0.008 * float(high[1] - low[1]), 0.5))
    return part, points - np.array([x0, y0], np.float32)


def _at(image: np.ndarray, points: np.ndarray, indices: tuple[int, ...]) -> np.ndarray:
    """Values of an image at some of the points."""
    height, width = image.shape[:2]
    x, y = np.clip(np.rint(points[list(indices)]), 0, [width - 1, height - 1]).astype(int).T
    return image[y, x]


def _filled(image: np.ndarray, outline: np.ndarray) -> np.ndarray:
    """Mask of a polygon, uint8 [H, W]; at least its first point."""
    mask = np.zeros(image.shape[:2], np.uint8)
    cv2.fillPoly(mask, [np.rint(outline).astype(np.int32)], 1)
    if not mask.any():
        height, width = mask.shape
        x, y = np.clip(np.rint(outline[0]), 0, [width - 1, height - 1]).astype(int)
        mask[y, x] = 1
    return mask
