"""The demo portraits with their tracked meshes, and meshes that are opened, turned or closed."""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np

from shared.face_model.mediapipe_mesh import INNER_LIPS
from shared.faces.crop import Crop
from shared.faces.tracker import track_photo
from shared.media import read_image
from shared.weights import bundled
from stage2_render.warp.mesh_warp import MeshWarp

UPPER_LIP, LOWER_LIP = list(INNER_LIPS[1:10]), list(INNER_LIPS[:10:-1])


@lru_cache(maxsize=4)
def portrait(name: str = "portrait_woman", size: int = 450) -> tuple[np.ndarray, np.ndarray]:
    """A photo uint8 [size, size, 3] and its mesh [478, 3] in pixels."""
    photo = read_image(bundled(f"demo/{name}.jpg"))
    photo = cv2.resize(photo, (size, size), interpolation=cv2.INTER_AREA)
    return photo, track_photo(photo)


@lru_cache(maxsize=3)
def warp_of(name: str = "portrait_woman", size: int = 450) -> MeshWarp:
    photo, vertices = portrait(name, size)
    return MeshWarp(photo, vertices, Crop.around(vertices))


def opened(vertices: np.ndarray, amount: float) -> np.ndarray:
    """The lower half of the face moved down, the lips parted by `amount` of the face's height."""
    out = vertices.copy()
    drop = amount * np.ptp(vertices[:468, 1])
    lip_line, chin = vertices[13, 1], vertices[152, 1]
    middle, half = vertices[13, 0], np.ptp(vertices[list(INNER_LIPS), 0]) / 2
    across = np.clip(1 - ((vertices[:, 0] - middle) / (2.2 * half)) ** 2, 0, 1)
    below = np.clip((vertices[:, 1] - lip_line) / (0.15 * (chin - lip_line)) + 0.5, 0, 1)
    below[UPPER_LIP], below[LOWER_LIP] = 0, 1
    across[list(INNER_LIPS)] = np.clip(1 - ((vertices[list(INNER_LIPS), 0] - middle) / half) ** 2, 0, 1)
    out[:, 1] += drop * across * below
    return out


def turned(vertices: np.ndarray, yaw: float, roll: float = 0.0) -> np.ndarray:
    """The head turned, in degrees."""
    y, r = np.deg2rad([yaw, roll])
    about_y = np.array([[np.cos(y), 0, np.sin(y)], [0, 1, 0], [-np.sin(y), 0, np.cos(y)]])
    about_z = np.array([[np.cos(r), -np.sin(r), 0], [np.sin(r), np.cos(r), 0], [0, 0, 1]])
    center = vertices[[234, 454, 152, 10]].mean(0)
    return ((vertices - center) @ (about_z @ about_y).T + center).astype(np.float32)


def mask_of(vertices: np.ndarray, ring, shape) -> np.ndarray:
    """The polygon of a ring of vertices, uint8 [H, W]."""
    mask = np.zeros(shape[:2], np.uint8)
    cv2.fillPoly(mask, [np.rint(vertices[list(ring), :2]).astype(np.int32)], 1)
    return mask
