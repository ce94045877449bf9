"""The training set of the repair networks: pairs of frames of one face, the first one warped to the mesh of the second.

OUT/{train,val}/ hold, for N pairs that share R reference frames, and for each network (`mouth`, `eye`) with P parts
(1, 2) whose crops have H x W pixels and h x w cells:

    <network>_warped.npy      uint8 [N, P, H, W, 3]  the reference frame, warped by `MeshWarp`, in the target's crop
    <network>_target.npy      uint8 [N, P, H, W, 3]  the real frame there
    <network>_maps.npy        uint8 [N, P, M, h, w]  maps of the target's mesh, see `Part.maps`
    <network>_reference.npy   uint8 [R, P, H, W, 3]  the reference frames in their own crops
    <network>_reference_maps.npy  uint8 [R, P, M, h, w]  their maps
    facts.npz                 reference int64 [N], rows of the references; boxes float32 [N, 3, 4], x0, y0, x1, y1 of
                              lips and lids in the crops of `parts.PARTS`; person, kind str [N]; opened float32 [N], the
                              lips' aperture minus that of the reference; shut bool [N], whether the eyes are shut and
                              those of the reference are not; face float32 [N], height of the face in the source

A pair of a clip (kind "clip") has two of its frames. A still photo (kind "portrait") has only one: there the reference
is the photo warped to the expression of another face, and warped is that image warped back.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from shared.errors import InputError
from stage2_render.repair.parts import MAPS, PARTS, Part

NETWORKS: dict[str, tuple[Part, ...]] = {
    name: tuple(part for part in PARTS if part.network == name) for name in ("mouth", "eye")
}
"""Parts by network."""


def _shapes() -> dict[str, tuple[int, ...]]:
    shapes: dict[str, tuple[int, ...]] = {}
    for name, parts in NETWORKS.items():
        image, maps = (*parts[0].size[::-1], 3), (MAPS, *parts[0].map_size[::-1])
        rows = {"warped": image, "target": image, "maps": maps, "reference": image, "reference_maps": maps}
        shapes |= {f"{name}_{kind}": (len(parts), *shape) for kind, shape in rows.items()}
    return shapes


FILES = _shapes()
"""Files of a split, without their suffix -> shape of a row."""

_NUMBERS, _LABELS = ("reference", "boxes", "face"), ("person", "kind", "opened", "shut")


class Pairs:
    """A split of the set, memory-mapped.

    Attributes:
        files: name in `FILES` -> array, indexed by rows.
        reference, boxes, face, person, kind, opened, shut: the facts.
    """

    def __init__(self, folder: str | Path) -> None:
        """Open a split. Raises InputError: the folder has no complete set of pairs."""
        folder = Path(folder)
        try:
            self.files: Mapping[str, Any] = {name: np.load(folder / f"{name}.npy", mmap_mode="r") for name in FILES}
            with np.load(folder / "facts.npz", allow_pickle=False) as facts:
                self.reference, self.boxes, self.face = (facts[k] for k in _NUMBERS)
                self.person, self.kind, self.opened, self.shut = (facts[k] for k in _LABELS)
        except (OSError, KeyError, ValueError) as error:
            raise InputError(f"{folder}: not a set of pairs ({error})") from error
        for name, shape in FILES.items():
            if self.files[name].shape[1:] != shape:
                raise InputError(f"{folder}: pairs of other crops than those of this version; remove it")

    def __len__(self) -> int:
        return len(self.reference)

    def people(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the names, sorted, and the place among them of each pair's person [N]."""
        return np.unique(self.person, return_inverse=True)

    def of_photos(self) -> np.ndarray:
        """Return which pairs are of still photos, bool [N]."""
        return self.kind == "portrait"
