"""Where the lower lip of an open mouth begins: the tracked rim often lies some pixels below it.

What is within the tracked opening stays with the teeth when the mouth opens further. A strip of lip among it would hang
below them.
"""

from __future__ import annotations

import cv2
import numpy as np

from shared.face_model.mediapipe_mesh import INNER_LIPS, OUTER_LIPS

# How far above the tracked rim lip is looked for: in mouth widths, and as a share of the opening.
_MOST, _SHARE = 0.06, 0.45
_STEPS = 16
# Places across the lip, from its inner to its outer rim, and across the opening, from the lower to the upper lip, that
# show the colours of both.
_LIP, _INSIDE = np.linspace(0.2, 0.5, 5), np.linspace(0.4, 0.8, 9)
# Colours (CIELAB) that differ by less are not told apart: a tongue has the lip's.
_LEAST, _SURE = 12.0, 24.0
_LIKE = 0.4  # from here on it is lip, where 0 is the inside and 1 the lip


def lip_within(region: np.ndarray, source: np.ndarray, width: float) -> np.ndarray:
    """Return the points of `INNER_LIPS` with those of the lower lip moved up to where the lip begins in the photo.

    Args:
        region: uint8 RGB [h, w, 3].
        source: the photo's mesh, float64 [478, 2] in pixels of the region.
        width: of the mouth in pixels.

    Returns:
        float64 [20, 2].
    """
    ring, half = source[list(INNER_LIPS)].copy(), len(INNER_LIPS) // 2
    upper, lower = ring[1:half], ring[:half:-1]  # [9, 2] each, from the left
    outer = source[list(OUTER_LIPS[:half:-1])]
    soft = cv2.GaussianBlur(region, (0, 0), max(0.006 * width, 0.4))
    lab = cv2.cvtColor(soft.astype(np.float32) / 255, cv2.COLOR_RGB2Lab)

    def colours(start: np.ndarray, end: np.ndarray, shares: np.ndarray) -> np.ndarray:
        """At shares [n] or [n, 9] of the ways from start to end: [n, 9, 3]."""
        places = start + shares.reshape(len(shares), -1, 1) * (end - start)
        return cv2.remap(lab, places.astype(np.float32), None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)

    lip, within = np.median(colours(lower, outer, _LIP), 0), colours(lower, upper, _INSIDE)
    farthest = np.linalg.norm(within - lip, axis=-1).argmax(0)  # teeth, or the dark below them
    inside = np.take_along_axis(within, farthest[None, :, None], 0)[0]
    apart = lip - inside
    contrast = np.linalg.norm(apart, axis=1)
    open_by = np.maximum(np.linalg.norm(upper - lower, axis=1), 1e-6)
    reach = np.minimum(_MOST * width / open_by, _SHARE)
    steps = np.linspace(0, 1, _STEPS)
    rising = colours(lower, upper, steps[:, None] * reach)
    likeness = ((rising - inside) * apart).sum(-1) / np.maximum(contrast, 1e-6) ** 2  # 1: lip, 0: inside
    is_lip = np.logical_and.accumulate(likeness > _LIKE)
    found = np.where(is_lip.all(0), 0.0, is_lip.sum(0) / (_STEPS - 1)) * reach
    found *= np.clip((contrast - _LEAST) / (_SURE - _LEAST), 0, 1)
    padded = np.pad(found, 1, mode="edge")
    found = np.median([padded[:-2], padded[1:-1], padded[2:]], 0)
    ring[:half:-1] = lower + found[:, None] * (upper - lower)
    return ring
