"""The package `face-alignment` (Bulat & Tzimiropoulos 2017): S3FD's boxes, and a second chance where no mesh is found.

Its 68 points are fitted by the face model, which gives the mesh. The package is the extra `[faces]`; its weights are
downloaded from its authors' address when they are first used, into torch's cache.
"""

from __future__ import annotations

import contextlib
import io
from functools import lru_cache
from importlib.util import find_spec
from typing import Any

import cv2
import numpy as np
from scipy.interpolate import RBFInterpolator

from shared.errors import InputError, UsageError
from shared.face_model.camera import project
from shared.face_model.fitting import fit
from shared.face_model.morphable import MorphableModel
from shared.faces.crop import Crop
from shared.faces.detection import FaceBox, in_reading_order

# The vertices of the mesh that lie where the 68 landmarks of Multi-PIE / iBUG 300-W do.
MESH_68 = (
    127, 234, 93, 58, 172, 136, 149, 148, 152, 377, 378, 365, 397, 288, 323, 454, 356,
    70, 63, 105, 66, 107, 336, 296, 334, 293, 300, 168, 197, 5, 4, 75, 97, 2, 326, 305,
    33, 160, 158, 133, 153, 144, 362, 385, 387, 263, 373, 380,
    61, 39, 37, 0, 267, 269, 291, 405, 314, 17, 84, 181, 78, 82, 13, 312, 308, 317, 14, 87,
)  # fmt: skip
# Longest side of the picture in which S3FD looks for faces: larger ones take long and show no more of them.
_SEARCH_SIDE = 640
# The published protocol of SyncNet: frames reduced to a quarter, and the least score of a box.
_SYNCNET_SCALE, _SYNCNET_SCORE = 0.25, 0.9
# Each round the depth of the points, which are flat, is that of the face fitted before.
_ROUNDS = 8
_HOW = "pip install 'fd2talk[faces]'"


def is_installed() -> bool:
    """Return whether the package can be imported."""
    return find_spec("face_alignment") is not None


def require_s3fd() -> None:
    """Raise UsageError when the package or S3FD's weights are missing."""
    _detector()


@lru_cache(maxsize=1)
def _detector() -> Any:
    return _loaded(lambda module: module.detection.sfd.FaceDetector(device="cpu"), "face_alignment.detection.sfd")


@lru_cache(maxsize=1)
def _aligner() -> Any:
    """The network of 68 points, which are the projections of points in space, also on the far side of the face."""

    def load(module: Any) -> Any:
        kind = module.LandmarksType.TWO_HALF_D
        return module.FaceAlignment(kind, device="cpu", flip_input=False, compile=False)

    return _loaded(load, "face_alignment")


def _loaded(load: Any, name: str) -> Any:
    """What `load` makes of the package.

    Raises:
        UsageError: it is not installed, or its weights can neither be found nor downloaded.
    """
    if not is_installed():
        raise UsageError(f"the package face-alignment is not installed ({_HOW})")
    import importlib

    import torch

    try:
        importlib.import_module(name)
        with contextlib.redirect_stderr(io.StringIO()):  # a line for each download
            return load(importlib.import_module("face_alignment"))
    except Exception as error:  # broken bytes raise every kind of error in torch's readers
        where = f"{torch.hub.get_dir()}/checkpoints"
        reason = " ".join(str(getattr(error, "reason", None) or error).split())[:120]
        raise UsageError(f"face-alignment cannot be used ({reason}); its weights belong into {where}") from error


def s3fd_faces(image: np.ndarray, side: int = _SEARCH_SIDE) -> list[FaceBox]:
    """Return S3FD's faces of a picture uint8 [H, W, 3] RGB in reading order.

    Args:
        image: the picture.
        side: the picture's longer side is reduced to it.

    Raises:
        UsageError: the package or its weights are missing.
    """
    scale = min(1.0, side / max(image.shape[:2]))
    size = [max(1, round(n * scale)) for n in image.shape[1::-1]]
    found = _detector().detect_from_image(cv2.resize(image, size, interpolation=cv2.INTER_AREA))
    boxes = np.array(found, np.float64).reshape(-1, 5) / [scale, scale, scale, scale, 1]
    return in_reading_order([FaceBox(*(float(value) for value in box)) for box in boxes])


def s3fd_boxes(frame: np.ndarray) -> list[FaceBox]:
    """Return the boxes of a video frame as SyncNet's published protocol detects them."""
    boxes = s3fd_faces(frame, max(1, round(_SYNCNET_SCALE * max(frame.shape[:2]))))
    return [box for box in boxes if box.score > _SYNCNET_SCORE]


def face_alignment_mesh(image: np.ndarray, box: FaceBox, model: MorphableModel) -> np.ndarray:
    """Find the 68 points of a face, and fit the face model to them.

    Args:
        image: uint8 [H, W, 3].
        box: where S3FD sees the face.
        model: the face model, of mediapipe's mesh.

    Returns:
        The mesh float32 [478, 3] in pixels of the image (z negative towards the camera), through the points.

    Raises:
        InputError: the points are not those of a face.
        UsageError: the package or its weights are missing.
    """
    found = _aligner().get_landmarks_from_image(image, [[box.left, box.top, box.right, box.bottom]])
    return mesh_of_68(np.asarray(found[0], np.float32)[:, :2], model)


def mesh_of_68(points: np.ndarray, model: MorphableModel) -> np.ndarray:
    """Fit the face model to 68 landmarks [68, 2] in pixels; see `face_alignment_mesh`.

    Raises:
        InputError: the points are not those of a face.
    """
    index = np.array(MESH_68)
    small = model.part(index)
    low, high = points.min(0), points.max(0)
    if not np.isfinite(points).all() or (high - low).min() < 2:
        raise InputError("face-alignment finds no face")
    side = 1.75 * 1.4 * float((high - low).max())  # the 68 points end at the brows
    x, y = (low + high) / 2
    crop = Crop(float(x), float(y), side)
    flat = crop.to_crop(np.concatenate([points, np.zeros((68, 1), np.float32)], 1))
    flat[:, 2] = _affine_depth(small.mean, flat)
    for _ in range(_ROUNDS):
        found = fit(small, flat[None])
        pose = found.rotation[0], found.translation[0]
        flat[:, 2] = project(small.vertices(found.identity, found.expression[0]), *pose)[:, 2]
    mesh = crop.to_pixels(project(model.vertices(found.identity, found.expression[0]), *pose))
    # What the model does not express, as large eyes of drawings, moves its surroundings with it.
    moved = RBFInterpolator(mesh[index, :2], points - mesh[index, :2], kernel="thin_plate_spline")(mesh[:, :2])
    mesh[:, :2] += moved.astype(np.float32)
    return mesh


def _affine_depth(vertices: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Depth [n] in crop units of vertices [n, 3] in mm that an affine camera projects to points [n, 2 or 3]."""
    design = np.concatenate([vertices, np.ones((len(vertices), 1))], 1)
    across, down = np.linalg.lstsq(design, points[:, :2], rcond=None)[0][:3].T
    scale = (np.linalg.norm(across) + np.linalg.norm(down)) / 2
    towards = np.cross(across, -down)  # y is up in the model, down in the picture
    towards = towards / max(float(np.linalg.norm(towards)), 1e-9)
    return (vertices @ towards * scale).astype(np.float32)
