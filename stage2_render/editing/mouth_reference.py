"""One frame of a video that shows the teeth: what is between the lips of all frames that are drawn.

A frame that is its own photo shows the inside of its mouth as it was, behind other lips; drawn from each frame anew,
teeth would come and go.
"""

from __future__ import annotations

import cv2
import numpy as np

from shared.face_model.measures import lip_gap
from shared.face_model.mediapipe_mesh import INNER_LIPS
from shared.photo_fit import PhotoFit
from stage2_render.editing.footage import Footage, FrameReader
from stage2_render.repair.parts import MOUTH, PARTS
from stage2_render.repair.renderer import RepairRenderer
from stage2_render.warp.compositing import blend, bounds, chain, invert_affine, is_empty, opening, sample, soft_mask
from stage2_render.warp.mesh_warp import MeshWarp
from stage2_render.warp.tone import LUMA

# Frames that are looked at, the share of the frames with the widest mouths that they are taken from, and the height of
# an opening in mm below which nothing is visible in it.
_LOOKS, _WIDEST, _LEAST_GAP = 24, 0.4, 3.0
# Teeth are at least as bright as this share of the skin.
_TEETH = 0.75
# Vertices on the cheeks, whose colour tells the light.
_CHEEKS = (50, 280, 205, 425, 36, 266, 187, 411)
# How much the light of two frames may differ.
_LIGHT = 0.7, 1.4
# Feather of the opening's edge, in pixels of the mouth's crop.
_FEATHER = 0.7


class MouthReference:
    """The inside of the mouth as one frame shows it, under any motion.

    Args:
        index: the number of the frame.
        photo: the frame.
        renderer: of the photo, where networks repair frames.
    """

    def __init__(self, index: int, photo: PhotoFit, renderer: RepairRenderer | None) -> None:
        self.index, self.photo = index, photo
        self.warp = renderer.warp if renderer else MeshWarp(photo.image, photo.landmarks, photo.crop)
        self.features = renderer.features[PARTS.index(MOUTH)] if renderer else None
        self._skin = _cheeks(photo.image, photo.landmarks)

    def lay(self, frame: np.ndarray, target: np.ndarray, own: np.ndarray, photo: PhotoFit, weight: float) -> None:
        """Paint what is between the lips of a frame, in place.

        Args:
            frame: uint8 [H, W, 3], whose face has the mesh `target`.
            target: float32 [478, 3] in pixels.
            own: the same expression and pose of the face in the reference, [478, 3] in its pixels.
            photo: that the frame is drawn from.
            weight: opacity, 0..1.
        """
        crop = MOUTH.crop(target)
        outline, feather = opening(target[list(INNER_LIPS), :2].astype(np.float64)), _FEATHER / crop.scale
        box = bounds(outline, 2 + 3 * feather, (frame.shape[1], frame.shape[0]))
        if weight <= 0 or is_empty(box, 2):
            return
        motion = chain(invert_affine(MOUTH.crop(own).matrix), crop.matrix)
        inside = sample(self.warp(own), motion, box, cv2.INTER_CUBIC).astype(np.float32)
        light = np.clip(_cheeks(photo.image, photo.landmarks) / np.maximum(self._skin, 1), *_LIGHT).astype(np.float32)
        blend(frame, inside * light, np.float32(weight) * soft_mask(outline, box, feather), box)


def most_teeth(footage: Footage, reader: FrameReader, near: np.ndarray) -> int | None:
    """Choose the frame whose mouth shows most of the teeth.

    Args:
        footage: the video.
        reader: of its frames.
        near: bool [T], frames of the shots from which it should be.

    Returns:
        Its number; None if the mouth never opens.
    """
    gaps = lip_gap(footage.model.vertices(footage.identity, footage.motion.expression))
    usable = footage.usable & (gaps > _LEAST_GAP)
    usable = usable & near if (usable & near).any() else usable
    if not usable.any():
        return None
    open_enough = np.flatnonzero(usable & (gaps >= np.quantile(gaps[usable], 1 - _WIDEST)))
    looks = open_enough[np.unique(np.linspace(0, len(open_enough) - 1, _LOOKS).round().astype(int))]
    return int(max(looks, key=lambda index: _teeth(reader[index], footage.track.landmarks[index])))


def _teeth(image: np.ndarray, points: np.ndarray) -> float:
    """How much of the mouth's crop shows teeth, 0..1; without any, how dark it is between the lips, below 0."""
    crop = MOUTH.crop(points)
    inside = MOUTH.maps(crop.points(points))[0] > 127
    light = cv2.resize(crop.take(image), inside.shape[::-1], interpolation=cv2.INTER_AREA).astype(np.float32) @ LUMA
    skin = max(float(_cheeks(image, points) @ LUMA), 1.0)
    teeth = float((inside & (light > _TEETH * skin)).mean())
    return teeth or (float(light[inside].mean()) / skin if inside.any() else 0) - 1


def _cheeks(image: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Median colour of the cheeks, float32 [3]."""
    x, y = (np.clip(np.rint(points[list(_CHEEKS), k]).astype(int), 1, image.shape[1 - k] - 2) for k in (0, 1))
    patches = [image[b - 1 : b + 2, a - 1 : a + 2].reshape(-1, 3) for a, b in zip(x, y)]
    return np.median(np.concatenate(patches), axis=0).astype(np.float32)
