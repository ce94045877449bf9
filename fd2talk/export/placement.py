"""Where the head of a Motion is in space, in millimetres."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from shared.motion import Motion


@dataclass(frozen=True)
class Placement:
    """Place and size of the head.

    A weak perspective camera has no distance, only a scale. The median scale of the clip is taken as life size; other
    frames keep their size in the image, as a scaling of the head.

    Args:
        scale: [T].
        shift: [T, 3] in mm: x right, y up; the origin is the centre of the crop.
        half_side: half of the crop's side in mm.
    """

    scale: np.ndarray
    shift: np.ndarray
    half_side: float

    @classmethod
    def of(cls, motion: Motion) -> Placement:
        """Compute the placement of a motion."""
        half_side = 100.0 / np.exp(np.median(motion.translation[:, 2]))
        scale = np.exp(motion.translation[:, 2]) * half_side / 100.0
        return cls(scale, motion.translation * [half_side, -half_side, 0.0], float(half_side))
