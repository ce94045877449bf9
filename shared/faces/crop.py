"""The head crop: a square around the head, in which all of stage two takes place."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

# Side of the crop over the height of the face (brow-top of the oval to the chin).
CROP_FACTOR = 1.75


@dataclass(frozen=True)
class Crop:
    """A square of a picture: centre and side in pixels of that picture (it may extend beyond the edges)."""

    center_x: float
    center_y: float
    side: float

    @classmethod
    def around(cls, landmarks: np.ndarray) -> Crop:
        """Return the crop around tracked landmarks [..., 478, 3] in pixels (of one frame or of a whole clip)."""
        points = landmarks.reshape(-1, *landmarks.shape[-2:])[..., :468, :2]
        low, high = points.min(1), points.max(1)
        # The size of the median frame's face, but the middle of its positions: a fixed crop over the clip.
        height = float(np.median((high - low).max(-1)))
        center = (np.median(low, 0) + np.median(high, 0)) / 2
        # Hair extends further above the tracked points than the part of the neck that matters extends below them.
        return cls(float(center[0]), float(center[1] - 0.08 * height), CROP_FACTOR * height)

    def to_crop(self, landmarks: np.ndarray) -> np.ndarray:
        """Convert pixels [..., 3] (z negative towards the camera) to crop coordinates (depth positive towards it)."""
        center = np.array([self.center_x, self.center_y, 0.0], np.float32)
        return ((landmarks - center) * (2.0 / self.side) * np.array([1, 1, -1])).astype(np.float32)

    def to_pixels(self, points: np.ndarray) -> np.ndarray:
        """Invert `to_crop`."""
        center = np.array([self.center_x, self.center_y, 0.0], np.float32)
        return (points * np.array([1, 1, -1]) * (self.side / 2.0) + center).astype(np.float32)
