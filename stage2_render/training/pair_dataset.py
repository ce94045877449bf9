"""The renderer's training set: pairs of frames of one face, the first one warped to the mesh of the second.

OUT/{train,val}/ hold, for N pairs that share R reference frames, and K heads:

    warped.npy     uint8 [N, 256, 256, 3]   the reference frame, warped by `MeshWarp`, in the target's face crop
    target.npy     uint8 [N, 256, 256, 3]   the real frame there
    maps.npy       uint8 [N, 9, 64, 64]     `conditioning_maps.encode_maps`
    reference.npy  uint8 [R, 256, 256, 3]   the reference frames in their own face crops
    heads.npy      uint8 [K, 256, 256, 3]   head crops
    facts.npz      reference int64 [N], rows of reference.npy; coefficients float32 [N, D + 6], the target's expression,
                   rotation and translation; boxes float32 [N, 3, 4], x0, y0, x1, y1 of mouth, right and left eye in the
                   crop; person, kind str [N]; opened float32 [N], the lips' aperture minus that of the reference; shut
                   bool [N], whether the eyes are shut and those of the reference are not; framing str, one of
                   `face_crop.FRAMINGS`

A pair of a clip (kind "clip") has two of its frames. A still photo (kind "portrait") has only one: there the reference
is the photo warped to the expression of another face, and warped is that image warped back.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from shared.errors import InputError
from stage2_render.diffusion.conditioning_maps import MAP_SIZE, MAPS
from stage2_render.diffusion.face_crop import SIZE

_IMAGE, _MAPS = (SIZE, SIZE, 3), (len(MAPS), MAP_SIZE, MAP_SIZE)
FILES = {"warped": _IMAGE, "target": _IMAGE, "maps": _MAPS, "reference": _IMAGE, "heads": _IMAGE}
"""Files of a split, without their suffix -> shape of a row."""


_NUMBERS, _LABELS = ("reference", "coefficients", "boxes"), ("person", "kind", "opened", "shut")


class Pairs:
    """A split of the set, memory-mapped.

    Attributes:
        warped, target, maps, heads: the files.
        reference_images: reference.npy.
        reference, coefficients, boxes, person, kind, opened, shut, framing: the facts.
    """

    def __init__(self, folder: str | Path) -> None:
        """Open a split. Raises InputError: the folder has no complete set of pairs."""
        folder = Path(folder)
        try:
            self.warped, self.target, self.maps, self.reference_images, self.heads = (
                np.load(folder / f"{name}.npy", mmap_mode="r") for name in FILES
            )
            with np.load(folder / "facts.npz", allow_pickle=False) as facts:
                self.reference, self.coefficients, self.boxes = (facts[k] for k in _NUMBERS)
                self.person, self.kind, self.opened, self.shut = (facts[k] for k in _LABELS)
                self.framing = str(facts["framing"]) if "framing" in facts else "face"
        except (OSError, KeyError, ValueError) as error:
            raise InputError(f"{folder}: not a set of pairs ({error})") from error

    def __len__(self) -> int:
        return len(self.warped)
