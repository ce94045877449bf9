"""The lips of one frame of a video under any motion, laid over another frame in that frame's light."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import torch

from shared.face_model.mediapipe_mesh import OUTER_LIPS
from shared.photo_fit import PhotoFit
from stage2_render.repair.network import PhotoFeatures
from stage2_render.repair.parts import MOUTH, PARTS
from stage2_render.repair.renderer import RepairRenderer
from stage2_render.warp.compositing import blend, bounds, is_empty, opening, signed_distance, smoothstep
from stage2_render.warp.mesh_warp import MeshWarp

# Pixels of the mouth's crop over which lips pass into the skin around them, and share of it that is all lips.
_REACH, _CORE = 26.0, 0.3
# Light is compared outside of the lips, from this share of the reach on, on a grid of so many cells, and smoothed over
# so many of them; a difference of more grey levels is none of light.
_SKIN, _CELLS, _SMOOTH, _MOST = 0.25, 24, 3.0, 50.0


class LipsReference:
    """A frame that lends its lips.

    Args:
        index: its number.
        photo: the frame.
        renderer: of the photo, where networks repair frames.
    """

    def __init__(self, index: int, photo: PhotoFit, renderer: RepairRenderer | None) -> None:
        self.index, self.photo, self.renderer = index, photo, renderer
        self.warp = renderer.warp if renderer else MeshWarp(photo.image, photo.landmarks, photo.crop)

    @property
    def features(self) -> PhotoFeatures | None:
        """What the network of the mouth knows of it."""
        return self.renderer.features[PARTS.index(MOUTH)] if self.renderer else None

    def lay(self, frame: np.ndarray, target: np.ndarray, weight: float) -> None:
        """Paint lips and the skin around them over a frame, in place.

        Args:
            frame: uint8 [H, W, 3] of the same video, whose face has the mesh `target`.
            target: float32 [478, 3] in pixels.
            weight: opacity, 0..1.
        """
        anchor = list(MOUTH.anchor)
        # By whole pixels: the warp is then the only time that the picture is resampled.
        shift = np.rint((target[anchor, :2] - self.photo.landmarks[anchor, :2]).mean(0)).astype(int)
        size = np.array([frame.shape[1], frame.shape[0]])
        reach = _REACH / MOUTH.crop(target).scale
        outline = opening(target[list(OUTER_LIPS), :2].astype(np.float64))
        x0, y0, x1, y1 = bounds(outline, reach, (frame.shape[1], frame.shape[0]))
        (x0, y0), (x1, y1) = np.maximum((x0, y0), shift), np.minimum((x1, y1), size + shift)
        box = int(x0), int(y0), int(x1), int(y1)
        if weight <= 0 or is_empty(box, 2):
            return
        drawn = self.warp(target - np.array([*shift, 0], np.float32))
        lips = drawn[y0 - shift[1] : y1 - shift[1], x0 - shift[0] : x1 - shift[0]].astype(np.float32)
        depth = signed_distance(outline, box)
        mask = smoothstep((depth / reach + 1) / (1 - _CORE))
        skin = smoothstep(-depth / (_SKIN * reach)) * (0.02 + mask)
        lips += _light(frame[y0:y1, x0:x1].astype(np.float32) - lips, skin)
        blend(frame, lips, np.float32(weight) * mask, box)


Lips = Sequence[tuple[LipsReference, float]]
"""Frames that lend their lips to one that is drawn, in the order in which they are laid, with their opacities."""


def layered(weights: Sequence[float]) -> list[float]:
    """Return opacities of layers, each over those before it, of which `weights` remain at the end."""
    opacities, left = [], 1.0
    for weight in reversed(weights):
        opacities.append(min(weight / left, 1.0) if left > 0 else 0.0)
        left -= weight
    return opacities[::-1]


def mixed(features: PhotoFeatures, other: PhotoFeatures, share: float) -> PhotoFeatures:
    """Return features between two photos', of which the second has a share of 0..1."""
    levels = [torch.lerp(one, two, share) for one, two in zip(features.levels, other.levels)]
    return PhotoFeatures(levels, torch.lerp(features.opening, other.opening, share))


def _light(difference: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Smooth differences [h, w, 3], known as well as a weight [h, w] says, over all of the picture."""
    height, width = weight.shape
    scale = min(_CELLS / max(height, width), 1.0)
    size = max(round(width * scale), 1), max(round(height * scale), 1)
    limited = np.clip(difference, -_MOST, _MOST) * weight[..., None]
    known = cv2.resize(np.dstack([limited, weight]).astype(np.float32), size, interpolation=cv2.INTER_AREA)
    known = cv2.GaussianBlur(known, (0, 0), _SMOOTH, borderType=cv2.BORDER_CONSTANT)
    mean = known[..., :3] / np.maximum(known[..., 3:], 1e-4)
    return cv2.resize(mean, (width, height), interpolation=cv2.INTER_LINEAR)
