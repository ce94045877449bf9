"""Square crops of a face: upright on the skull, or the head crop."""

from __future__ import annotations

import numpy as np

from shared.faces.crop import Crop
from stage2_render.aligned_crop import AlignedCrop

SIZE = 256
"""Side of these crops in pixels."""

# Template positions of points that jaw, lids and brows do not move: those of the bundled face model's mean from the
# front, 120 px between the outer corners of the eyes and the middle of these at (128, 62). Nose bridge, then under the
# nose, then the corners of the eyes.
TEMPLATE = {
    168: (128.0, 53.6), 6: (128.0, 64.0), 197: (128.0, 73.2), 195: (128.0, 81.7),
    2: (128.0, 121.6), 97: (117.6, 121.4), 326: (138.4, 121.4),
    33: (68.0, 62.0), 133: (104.6, 63.7), 362: (151.4, 63.7), 263: (188.0, 62.0),
}  # fmt: skip
# Points whose squared distances from their mean sum to less than this (pixels^2) coincide.
_MIN_SPREAD = 1e-6


def face_crop(vertices: np.ndarray) -> AlignedCrop:
    """Return the crop of a face mesh [478, 2 or 3] in pixels: least squares from skull-fixed points to a template.

    Raises:
        ValueError: the points are not finite or coincide.
    """
    points = np.asarray(vertices, np.float64)[list(TEMPLATE), :2]
    # Similarities are complex affine functions: w = turn * z + shift.
    z, w = (p[:, 0] + 1j * p[:, 1] for p in (points, np.array(list(TEMPLATE.values()))))
    spread = z - z.mean()
    size = float((spread * spread.conj()).real.sum())
    if not np.isfinite(size) or size < _MIN_SPREAD:
        raise ValueError("these vertices are no face")
    turn = (spread.conj() @ w) / size
    shift = w.mean() - turn * z.mean()
    return AlignedCrop(
        np.array([[turn.real, -turn.imag, shift.real], [turn.imag, turn.real, shift.imag]]), (SIZE, SIZE)
    )


def head_crop(crop: Crop) -> AlignedCrop:
    """Return what covers exactly the head crop."""
    scale = SIZE / crop.side
    shift = [SIZE / 2 - 0.5 - scale * at for at in (crop.center_x, crop.center_y)]
    return AlignedCrop(np.array([[scale, 0, shift[0]], [0, scale, shift[1]]]), (SIZE, SIZE))
