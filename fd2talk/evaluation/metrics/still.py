"""Pictures of one clip, for the report's page and its contact sheet."""

from __future__ import annotations

import cv2
import numpy as np

from fd2talk.evaluation.inputs.clip_reader import ClipReader, pick
from shared.face_model.measures import lip_aperture
from shared.metrics.rendering import head_distance, part_boxes

SIDE = 256
"""Height of a still in pixels."""


def still(generated: ClipReader, reference: ClipReader | None) -> np.ndarray:
    """Return the frame with the widest mouth, that mouth enlarged, and the frame with the largest move of the head.

    The reference decides which frames these are, so that all rows of a report show the same moments of a clip; before
    them a clip without reference has its photo, the first frame. A frame that the clip lacks is black.

    Args:
        generated: the clip that is shown.
        reference: its reference, or None.

    Returns:
        uint8 [SIDE, W, 3].
    """
    source = reference or generated
    landmarks = source.landmarks
    widest = int(lip_aperture(landmarks).argmax())
    moved = int(head_distance(landmarks, source.track.landmarks[0]).argmax())
    shown = dict(zip(sorted({widest, moved}), pick(generated.frames(), {widest, moved})))
    x0, y0, x1, y1 = part_boxes(landmarks[widest], (source.info.height, source.info.width))["mouth"][0]

    def mouth(frame: np.ndarray) -> np.ndarray:
        """A square around the mouth's box; the frame may have another size than the reference."""
        height, width = frame.shape[:2]
        scale = width / source.info.width
        side = min(int(scale * max(x1 - x0, y1 - y0)), height, width)
        left = int(np.clip(scale * (x0 + x1) / 2 - side / 2, 0, width - side))
        top = int(np.clip(scale * (y0 + y1) / 2 - side / 2, 0, height - side))
        return frame[top : top + side, left : left + side]

    missing = np.zeros((SIDE, SIDE, 3), np.uint8)
    cells = [] if reference else [generated.photo]
    cells += [shown.get(widest, missing), mouth(shown.get(widest, missing)), shown.get(moved, missing)]
    return np.hstack([_resized(cell) for cell in cells])


def _resized(picture: np.ndarray) -> np.ndarray:
    height, width = picture.shape[:2]
    method = cv2.INTER_AREA if height > SIDE else cv2.INTER_CUBIC
    return cv2.resize(picture, (round(width * SIDE / height), SIDE), interpolation=method)
