"""From scanned meshes in FLAME's topology to the points of the project's own face."""

from __future__ import annotations

from functools import lru_cache
from math import gcd

import numpy as np
from scipy.signal import resample_poly

from shared.errors import InputError
from shared.face_model import load_bundled
from shared.face_model.camera import project
from shared.face_model.fitting import fit
from shared.face_model.flame import LANDMARKS
from shared.face_model.morphable import MorphableModel
from shared.faces.crop import Crop
from shared.faces.face_alignment_tracker import MESH_68
from shared.media import FPS, SAMPLE_RATE

FLAME_VERTICES = 5023

# Samples a second; others are damaged, and would ask for any amount of memory.
_RATES = (1000, 384_000)

# A virtual camera: a face of 200 mm is 400 pixels high in a frame of 512.
_FRAME, _PIXELS_PER_MM = 512, 2.0
# Of the landmarks those that have a vertex of their own: four of the inner lips share two, and would not part.
_USED = [place for place, vertex in enumerate(LANDMARKS) if LANDMARKS.count(vertex) == 1]
_FLAME, _OURS = (np.array(vertices)[_USED] for vertices in (LANDMARKS, MESH_68))
_EYE_CORNERS = [_USED.index(36), _USED.index(45)]


def points_of_meshes(vertices: np.ndarray, times: np.ndarray, template: np.ndarray) -> np.ndarray:
    """Move the project's face as landmarks of scanned meshes move.

    The face is the one whose landmarks are nearest to those of the person's neutral mesh; movements are counted from
    that mesh, so that it does not matter that landmarks of the two topologies are not the same points of the skin.

    Args:
        vertices: [T, 5023, 3] in metres, FLAME's topology, without head motion.
        times: [T], seconds of the meshes, rising.
        template: [5023, 3], the person's neutral face with closed lips, likewise.

    Returns:
        float32 [T', 478, 3], the mesh at 25 frames a second in pixels of a virtual camera.

    Raises:
        InputError: shapes are others, or a number is not finite.
    """
    if not len(vertices):
        raise InputError("there are no meshes")
    for what, shape in (("meshes have", vertices.shape[1:]), ("the neutral mesh has", template.shape)):
        if shape != (FLAME_VERTICES, 3):
            raise InputError(f"{what} shape {list(shape)}, FLAME's is [{FLAME_VERTICES}, 3]")
    marks, neutral = (1000 * np.asarray(mesh[..., _FLAME, :], np.float64) for mesh in (vertices, template))
    if not (np.isfinite(marks).all() and np.isfinite(neutral).all()):
        raise InputError("a vertex of the meshes is not finite")
    marks = _at_rate(marks, times)
    model, small = _models()
    pose = np.zeros(3, np.float32), np.array([0, 0, np.log(200 * _PIXELS_PER_MM / _FRAME)], np.float32)
    centred = neutral - neutral[_EYE_CORNERS].mean(0)
    identity = fit(small, project(centred, *pose)[None]).identity
    face = small.vertices(identity, np.zeros(model.num_expression))
    moved = project(face + marks - neutral, *(np.broadcast_to(part, (len(marks), 3)) for part in pose))
    found = fit(small, moved, identity=identity)
    mesh = project(model.vertices(identity, found.expression), found.rotation, found.translation)
    return Crop(_FRAME / 2, _FRAME / 2, _FRAME).to_pixels(mesh)


def speech_at_16_khz(samples: np.ndarray, rate: int) -> np.ndarray:
    """Convert sound of integers or floats [n] at any rate to float32 at 16 kHz in [-1, 1].

    Raises:
        InputError: samples of another shape or kind, one that is not finite, or a rate that no recorder has.
    """
    if samples.ndim != 1 or not len(samples):
        raise InputError(f"sound has shape {list(samples.shape)}, expected [n]")
    if samples.dtype.kind not in "iuf" or not np.isfinite(samples).all():
        raise InputError("samples of the sound are not finite numbers")
    if not _RATES[0] <= rate <= _RATES[1]:
        raise InputError(f"{str(rate)[:20]} samples a second is not a rate of sound")
    full = np.iinfo(samples.dtype).max if samples.dtype.kind in "iu" else 1.0
    step = gcd(SAMPLE_RATE, rate)
    sound = resample_poly(samples.astype(np.float64) / full, SAMPLE_RATE // step, rate // step)
    return np.clip(sound, -1, 1).astype(np.float32)


def _at_rate(marks: np.ndarray, times: np.ndarray) -> np.ndarray:
    """Positions [T, K, 3] at `times`, linearly interpolated to 25 frames a second from the first one on."""
    wanted = times[0] + np.arange(int(np.floor((times[-1] - times[0]) * FPS + 1e-6)) + 1) / FPS
    place = np.interp(wanted, times, np.arange(len(times)))
    low = np.minimum(place.astype(int), max(len(times) - 2, 0))
    high = np.minimum(low + 1, len(times) - 1)
    return marks[low] + (marks[high] - marks[low]) * (place - low)[:, None, None]


@lru_cache(maxsize=1)
def _models() -> tuple[MorphableModel, MorphableModel]:
    """The face model, and its landmarks alone."""
    model = load_bundled()
    return model, model.part(_OURS)
