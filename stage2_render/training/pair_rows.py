"""One training pair: its images, maps and facts (see `pair_dataset` for the format)."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np

from shared.face_model.measures import lip_aperture
from shared.face_model.mediapipe_mesh import LEFT_EYE, OUTER_LIPS, RIGHT_EYE
from stage2_render.diffusion.conditioning_maps import conditioning_maps, encode_maps
from stage2_render.diffusion.face_crop import SIZE, FaceCrop
from stage2_render.training.pair_dataset import FILES
from stage2_render.warp.mesh_warp import MeshWarp

OPEN, SHUT = 0.8, 0.5
"""Eyes are open from this share of their usual opening, and shut below this share of the reference's."""

# Images that differ more than this (mean grey levels of thumbnails) differ by more than motion: light, a hand.
_MAX_DIFFERENCE = 22.0
# Side of a thumbnail in pixels.
_THUMBNAIL = 32
# Width of the mouth or an eye by which its box is larger on every side.
_MARGIN = 0.25


class Rows:
    """The output of one job: rows of the files and of the facts. References count from the job's first.

    Attributes:
        files: name -> rows, see `pair_dataset.FILES`.
        facts: name -> values of facts.npz.
    """

    def __init__(self) -> None:
        self.files: dict[str, list[np.ndarray]] = {name: [] for name in FILES}
        self.facts: dict[str, list] = {}

    def add(self, images: dict[str, np.ndarray], **facts: object) -> None:
        """Add one pair; its reference image is added by `add_reference`."""
        for name, image in images.items():
            self.files[name].append(image)
        for name, value in facts.items():
            self.facts.setdefault(name, []).append(value)

    def add_reference(self, image: np.ndarray) -> int:
        """Add a reference image in its face crop and return its row."""
        self.files["reference"].append(image)
        return len(self.files["reference"]) - 1

    def add_head(self, image: np.ndarray) -> None:
        """Add a head crop, resized to 256 x 256."""
        if image.shape[:2] != (SIZE, SIZE):
            smaller = max(image.shape[:2]) > SIZE
            image = cv2.resize(image, (SIZE, SIZE), interpolation=cv2.INTER_AREA if smaller else cv2.INTER_CUBIC)
        self.files["heads"].append(image)


def make_pair(
    warp: MeshWarp, source: np.ndarray, target: np.ndarray, frame: np.ndarray, source_crop: FaceCrop, crop: FaceCrop
) -> tuple[dict[str, np.ndarray], dict[str, Any]] | None:
    """Warp the reference to the target.

    Args:
        warp: of the reference frame.
        source: the reference's mesh [478, 3] in pixels.
        target: the target's mesh [478, 3].
        frame: the target frame uint8 [H, W, 3].
        source_crop: the reference's face crop.
        crop: the target's face crop.

    Returns:
        Images warped, target and maps; and facts boxes and opened. None when the frames differ by more than motion.
    """
    warped = warp.warp(target)
    images = {"warped": crop.take(warped.frame), "target": crop.take(frame)}
    if np.abs(thumbnail(images["warped"]) - thumbnail(images["target"])).mean() > _MAX_DIFFERENCE:
        return None
    images["maps"] = encode_maps(conditioning_maps(warped, target, source, crop, source_crop))
    opened = np.float32(lip_aperture(target) - lip_aperture(source))
    return images, {"boxes": feature_boxes(crop.points(target)), "opened": opened}


def thumbnail(image: np.ndarray) -> np.ndarray:
    """Reduce an image uint8 [H, W, 3] to float32 [32, 32, 3]."""
    return cv2.resize(image, (_THUMBNAIL, _THUMBNAIL), interpolation=cv2.INTER_AREA).astype(np.float32)


def feature_boxes(points: np.ndarray) -> np.ndarray:
    """Return the boxes of mouth, right and left eye of a mesh [478, 2] in crop pixels.

    Returns:
        float32 [3, 4]: x0, y0, x1, y1, with a quarter of their width as margin, within the crop.
    """
    boxes = []
    for ring in (OUTER_LIPS, RIGHT_EYE, LEFT_EYE):
        low, high = points[list(ring)].min(0), points[list(ring)].max(0)
        margin = _MARGIN * (high[0] - low[0])
        boxes.append(np.clip([*(low - margin), *(high + margin)], 0, SIZE))
    return np.array(boxes, np.float32)
