"""One training pair: its images, maps and facts (see `pair_dataset` for the format)."""

from __future__ import annotations

from typing import Any

import numpy as np

from shared.face_model.measures import lip_aperture
from stage2_render.face_crop import face_crop
from stage2_render.repair.parts import PARTS, Part
from stage2_render.training.clip import thumbnail
from stage2_render.training.repair.pair_dataset import FILES, NETWORKS
from stage2_render.warp.mesh_warp import MeshWarp

OPEN, SHUT = 0.8, 0.5
"""Eyes are open from this share of their usual opening, and shut below this share of the reference's."""

# Images that differ more than this (mean grey levels of thumbnails) differ by more than motion: light, a hand.
_MAX_DIFFERENCE = 22.0
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

    def add_reference(self, frame: np.ndarray, mesh: np.ndarray) -> int:
        """Add a reference frame uint8 [H, W, 3] with its mesh [478, 3] in pixels and return its row."""
        for name, image in part_images(frame, mesh, "reference", "reference_maps").items():
            self.files[name].append(image)
        return len(self.files["mouth_reference"]) - 1


def make_pair(
    warp: MeshWarp, source: np.ndarray, target: np.ndarray, frame: np.ndarray
) -> tuple[dict[str, np.ndarray], dict[str, Any]] | None:
    """Warp the reference to the target.

    Args:
        warp: of the reference frame.
        source: the reference's mesh [478, 3] in pixels.
        target: the target's mesh [478, 3].
        frame: the target frame uint8 [H, W, 3].

    Returns:
        Images of the files, without those of the reference; and facts boxes and opened. None when the frames differ by
        more than motion.
    """
    warped = warp(target)
    face = face_crop(target)
    if np.abs(thumbnail(face.take(warped)) - thumbnail(face.take(frame))).mean() > _MAX_DIFFERENCE:
        return None
    images = part_images(warped, target, "warped", "maps") | part_images(frame, target, "target", None)
    opened = np.float32(lip_aperture(target) - lip_aperture(source))
    return images, {"boxes": np.array([_box(part, target) for part in PARTS], np.float32), "opened": opened}


def part_images(frame: np.ndarray, mesh: np.ndarray, image: str, maps: str | None) -> dict[str, np.ndarray]:
    """Cut the parts out of a frame with a mesh: arrays of the files <network>_<image> and <network>_<maps>."""
    out = {}
    for name, parts in NETWORKS.items():
        crops = [part.crop(mesh) for part in parts]
        out[f"{name}_{image}"] = np.stack([crop.take(frame) for crop in crops])
        if maps is not None:
            drawn = [part.maps(crop.points(mesh)) for part, crop in zip(parts, crops)]
            out[f"{name}_{maps}"] = np.stack(drawn)
    return out


def _box(part: Part, mesh: np.ndarray) -> list[float]:
    """The box of lips or lids in the crop, x0, y0, x1, y1, with a quarter of their width as margin."""
    points = part.crop(mesh).points(mesh)[list(part.outer if part.network == "mouth" else part.inner)]
    low, high = points.min(0), points.max(0)
    margin = _MARGIN * (high[0] - low[0])
    low, high = (np.clip(edge, 0, part.size) for edge in (low - margin, high + margin))
    return [*low, *high]
