"""How much of a part its network paints, and how much stays the warp's.

The networks have learned from films whose faces are small: a crop has twice as many pixels as what it shows. Of sharper
photos they paint wide mouths as a pale veil without a dark interior, and lids that are half-way as a dark smear through
which the iris shows. The warp's drawn teeth and its lids have edges there, though harder ones than real: half of each
looks right, and is as sharp as filmed mouths. Of a mouth that is open in the photo they know the inside, and paint it
well.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from stage2_render.repair.parts import MOUTH, Part
from stage2_render.warp.compositing import smoothstep

# Pixels of a crop for each of the photo: films have 1.8 and more. From the first number on photos are sharper, and from
# the second on they are so sharp that the largest shares stay the warp's.
_SOFT, _SHARP = 2.0, 1.5
# These shares, by eye on two dozen portraits; mouths of films are as sharp as real ones with the first.
_MOUTH, _LIDS = 0.45, 0.6
# Opening of the lids over the photo's: half-way are those between the two inner numbers, not at all those outside.
_SHUT, _PARTED, _WIDE, _OPEN = 0.25, 0.45, 0.8, 0.95
# Lower openings of a photo, in pixels of the crop, are closed eyes.
_CLOSED = 2.0
# Openings in the same pixels, about 2 and 5 mm, from which a photo shows some of the mouth's inside, and enough of it.
_SHOWN, _KNOWN = 3.0, 7.0


@dataclass(frozen=True)
class Share:
    """The share of one part that its network paints.

    Args:
        part: which one.
        warp: the largest share that stays the warp's.
        height: of the opening between the lids in the photo, in pixels of the crop.
    """

    part: Part
    warp: float
    height: float

    @classmethod
    def of(cls, part: Part, points: Any, scale: float) -> Share:
        """For a photo.

        Args:
            part: which one.
            points: of the photo's mesh in the crop, [478, 2] in its pixels.
            scale: pixels of the crop for each of the photo.
        """
        height, sharp = float(part.height(points)), float(smoothstep((_SOFT - scale) / (_SOFT - _SHARP)))
        hidden = 1 - float(smoothstep((height - _SHOWN) / (_KNOWN - _SHOWN)))
        return cls(part, sharp * (_MOUTH * hidden if part is MOUTH else _LIDS), max(height, _CLOSED))

    def __call__(self, points: Any) -> Any:
        """Return the share in frames with these points [..., 478, 2], an array or a tensor, in pixels of the crop."""
        opening = self.part.height(points) / self.height
        if self.part is MOUTH:
            return 1 - self.warp + 0 * opening
        rising, falling = (opening - _SHUT) / (_PARTED - _SHUT), (_OPEN - opening) / (_OPEN - _WIDE)
        return 1 - self.warp * rising.clip(0, 1) * falling.clip(0, 1)
