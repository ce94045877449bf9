"""Textures from the photo: the face, and each eyeball with what the lids cover painted in."""

from __future__ import annotations

import io

import cv2
import numpy as np
from PIL import Image

from fd2talk.export.gaze import EYEBALL_MM
from shared.face_model.camera import project
from shared.photo_fit import PhotoFit
from stage2_render.warp.compositing import bounds, is_empty, signed_distance

# Powers of two, which every program takes.
_SIDES, _EYE_SIDE = (256, 512, 1024), 256
_SCLERA, _IRIS, _PUPIL = (226.0, 218.0, 212.0), (92.0, 66.0, 48.0), (18.0, 14.0, 12.0)
_IRIS_MM, _PUPIL_MM = 5.9, 2.2
# Lids that are closer than this share of the eye's width hide the eye.
_OPEN = 0.12


def photo_texture(photo: PhotoFit) -> tuple[np.ndarray, bytes]:
    """Return texture coordinates [478, 2] of the mesh, and the part of the photo that holds the face as a JPEG."""
    points = photo.landmarks[:, :2]
    height, width = photo.image.shape[:2]
    margin = 0.03 * np.ptp(points, axis=0).max()
    left, top = np.clip(np.floor(points.min(0) - margin), 0, [width - 1, height - 1]).astype(int)
    right, bottom = np.clip(np.ceil(points.max(0) + margin), [left + 1, top + 1], [width, height]).astype(int)
    uv = (points + 0.5 - [left, top]) / [right - left, bottom - top]
    return np.clip(uv, 0, 1), _jpeg(photo.image[top:bottom, left:right])


def eye_texture(photo: PhotoFit | None, centre: np.ndarray, ring: tuple[int, ...], iris: tuple[int, ...]) -> bytes:
    """Return a JPEG of an eyeball as seen from the front of the head.

    Between the lids it is the photo; what lids and lashes cover is painted in the colours of the visible part.

    Args:
        photo: None paints a plain eye.
        centre: of the eyeball in the head, [3] in mm.
        ring: vertices of the lids' rims.
        iris: vertices of the iris, its centre first.
    """
    offsets = ((np.arange(_EYE_SIDE) + 0.5) / _EYE_SIDE * 2 - 1) * EYEBALL_MM
    x, y = np.meshgrid(offsets, -offsets)
    plain = _painted(np.hypot(x, y), _SCLERA, _IRIS, _PUPIL, _IRIS_MM)
    if photo is None:
        return _jpeg(plain)
    front = np.sqrt(np.maximum(EYEBALL_MM**2 - x**2 - y**2, 0))
    surface = np.stack([x, y, front], -1).reshape(-1, 3) + centre
    corners = [ring[0], ring[len(ring) // 2]]
    places = photo.crop.to_pixels(project(surface, photo.rotation, photo.translation))[:, :2]
    own = photo.vertices(photo.expression)[corners].mean(0)
    flat = centre + [0, 0, EYEBALL_MM]
    flat[:2] = own[:2]
    shift = photo.landmarks[corners, :2].mean(0) - _pixels(photo, flat)
    places = (places + shift).reshape(_EYE_SIDE, _EYE_SIDE, 2).astype(np.float32)
    rim = photo.landmarks[list(ring), :2]
    width = float(np.linalg.norm(rim[0] - rim[len(ring) // 2]))
    height, across = photo.image.shape[:2]
    box = bounds(rim, 0.1 * width, (across, height))
    if is_empty(box, 4):
        return _jpeg(plain)
    depth = cv2.remap(
        signed_distance(rim, box), places - np.array(box[:2], np.float32), None, cv2.INTER_LINEAR, borderValue=-width
    )
    visible = np.clip(depth / (0.05 * width) - 0.6, 0, 1)
    if cv2.contourArea(rim.astype(np.float32)) < _OPEN * width**2 / 2 or visible.sum() < 20:
        return _jpeg(plain)
    seen = cv2.remap(photo.image, places, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE).astype(np.float64)
    middle = photo.landmarks[iris[0], :2]
    radius = np.linalg.norm(photo.landmarks[list(iris[1:]), :2] - middle, axis=1).mean()
    distance = np.linalg.norm(places - middle, axis=-1) / radius
    sclera = _colour(seen, (visible > 0.9) & (distance > 1.25), 60, _SCLERA)
    ring_colour = _colour(seen, (visible > 0.9) & (distance > 0.5) & (distance < 0.95), 50, _IRIS)
    pupil = _colour(seen, (visible > 0.9) & (distance < 0.3), 20, _PUPIL)
    painted = _painted(distance * _IRIS_MM, sclera, ring_colour, pupil, _IRIS_MM)
    return _jpeg(painted + visible[..., None] * (seen - painted))


def _pixels(photo: PhotoFit, point: np.ndarray) -> np.ndarray:
    return photo.crop.to_pixels(project(point[None], photo.rotation, photo.translation))[0, :2]


def _colour(image: np.ndarray, where: np.ndarray, percentile: float, otherwise: tuple[float, ...]) -> np.ndarray:
    """Mean colour of the pixels near a percentile of brightness among some of an image [H, W, 3]."""
    pixels = image[where]
    if len(pixels) < 8:
        return np.array(otherwise)
    order = np.argsort(pixels.sum(1))
    middle = int(len(order) * percentile / 100)
    near = max(2, len(order) // 10)
    return pixels[order[max(0, middle - near) : middle + near]].mean(0)


def _painted(distance: np.ndarray, sclera: object, iris: object, pupil: object, radius: float) -> np.ndarray:
    """An eye [H, W, 3] from the distance to the middle of its iris, mm."""

    def inside(edge: float) -> np.ndarray:
        return np.clip((edge - distance) / 0.5 + 0.5, 0, 1)[..., None]

    image = np.broadcast_to(np.asarray(sclera), (*distance.shape, 3))
    image = image + inside(radius) * (np.asarray(iris) - image)
    return image + inside(_PUPIL_MM) * (np.asarray(pupil) - image)


def _jpeg(image: np.ndarray) -> bytes:
    picture = Image.fromarray(np.clip(np.rint(image), 0, 255).astype(np.uint8))
    side = next((side for side in _SIDES if side >= max(picture.size)), _SIDES[-1])
    if picture.size != (side, side):
        picture = picture.resize((side, side), Image.Resampling.LANCZOS)
    content = io.BytesIO()
    picture.save(content, "JPEG", quality=92, subsampling=0)
    return content.getvalue()
