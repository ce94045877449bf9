"""What colours a photo has: its darkest tone, in faded prints and haze not black, and its tint in monochrome pictures.

Colours that are invented are computed as if the photo had its full contrast (`clear`), and brought to the photo's tones
at the end (`applied`), so that they are never darker than its own darks, and sepia where it is.
"""

from __future__ import annotations

import cv2
import numpy as np

LUMA = np.array([0.299, 0.587, 0.114], np.float32)
"""Luminance of RGB (ITU-R BT.601)."""

# The darkest tone is the mean of this share of the pixels: pupils and nostrils are darker than most, and small.
_DARKS = 0.003
# Darks up to the first luminance are those of ordinary photos; from the second one on the photo is faded.
_BLACK, _FADED = 25.0, 60.0
# Side to which the picture is reduced, which removes noise; luminances at which the tint is measured.
_SIDE, _LEVELS = 256, 32
# A picture has one tint where no more than this share of it is further from the mean colour of its luminance than this
# many grey levels, as a share of the contrast that is left. Stains and noise of old photographs (7 to 12) are all over
# them; what is red or blue in a picture of several colours (17 and more in 40 of 43) may be small.
_APART, _ONE_TINT = 0.02, 12.0


class Tone:
    """The tones of a photo.

    Args:
        region: of the photo, uint8 RGB [h, w, 3].
    """

    def __init__(self, region: np.ndarray) -> None:
        scale = min(1.0, _SIDE / max(region.shape[:2]))
        size = [max(1, round(n * scale)) for n in region.shape[1::-1]]
        colours = cv2.resize(region, size, interpolation=cv2.INTER_AREA).reshape(-1, 3).astype(np.float32)
        light = colours @ LUMA
        darks = colours[light <= np.quantile(light, _DARKS)].mean(0)
        faded = np.clip((darks @ LUMA - _BLACK) / (_FADED - _BLACK), 0, 1)
        self.darks = (faded * darks).astype(np.float32)
        self.contrast = 1 - self.darks / 255
        self.levels, self.tints = _tint(colours, light, _ONE_TINT * float(self.contrast.mean()))

    @property
    def is_tinted(self) -> bool:
        """Whether the photo has one tint, as grey and sepia ones."""
        return self.tints is not None

    def clear(self, colour: np.ndarray) -> np.ndarray:
        """Return a colour [..., 3] of the photo as it is with full contrast."""
        return np.maximum(colour - self.darks, 0) / self.contrast

    def applied(self, colour: np.ndarray) -> np.ndarray:
        """Return a colour [..., 3] of full contrast in the tones of the photo: `clear` inverted, and its tint."""
        return self.tinted(self.darks + colour * self.contrast)

    def tinted(self, colour: np.ndarray) -> np.ndarray:
        """Return colours [..., 3] in the photo's tint if it has one, as they are if it has several."""
        if self.tints is not None:
            light = colour @ LUMA
            colour = np.stack([np.interp(light, self.levels, tint) for tint in self.tints.T], -1)
        return colour.astype(np.float32)


def _tint(colours: np.ndarray, light: np.ndarray, most: float) -> tuple[np.ndarray, np.ndarray | None]:
    """Luminances [n] and the one colour [n, 3] that the picture has at each; None where it has several."""
    level = np.minimum(light / 256 * _LEVELS, _LEVELS - 1).astype(int)
    count = np.bincount(level, minlength=_LEVELS)
    sums = np.stack([np.bincount(level, channel, _LEVELS) for channel in colours.T], -1)
    known = count > 0
    tints = sums[known] / count[known, None]
    levels = tints @ LUMA
    # A level is eight grey values wide: the colours are compared without their luminance.
    tint = np.stack([np.interp(light, levels, channel) for channel in tints.T], -1)
    apart = colours - tint - (light - tint @ LUMA)[:, None]
    if np.quantile(np.linalg.norm(apart, axis=1), 1 - _APART) > most:
        return levels, None
    ends = np.array([0.0, 255.0])
    last = np.clip(tints[-1] + (255 - levels[-1]), 0, 255)
    return np.concatenate([ends[:1], levels, ends[1:]]), np.concatenate([0 * tints[:1], tints, last[None]])
