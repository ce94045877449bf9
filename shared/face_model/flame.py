"""FLAME (Li et al., "Learning a model of facial shape and expression from 4D scans", SIGGRAPH Asia 2017)."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from shared.array_pickle import as_array, read_pickle
from shared.errors import InputError
from shared.face_model.convention import conventional
from shared.face_model.morphable import MorphableModel

_NUM_IDENTITY = 300
_SHAPES = {
    "v_template": (5023, 3),
    "shapedirs": (5023, 3, 400),
    "posedirs": (5023, 3, 36),
    "weights": (5023, 5),
    "J_regressor": (5, 5023),
}
_JAW, _EYEBALLS = 2, (3, 4)  # joints; 0 is the head, 1 the neck
# Radians of jaw rotation for coefficient 1 of the three jaw directions: about the opening of a jaw in speech.
JAW_STEP = 0.1
LANDMARKS = (
    2210, 1935, 868, 3424, 3385, 3389, 3419, 3415, 3414, 3634, 3643, 3587, 3581, 3652, 184, 560, 728, 1985, 3157, 335,
    3705, 3684, 3851, 3863, 16, 2138, 572, 3553, 3561, 3501, 3526, 2748, 2792, 3556, 1675, 1612, 2437, 2383, 2494, 3632,
    2278, 2296, 3833, 1343, 1034, 1175, 884, 829, 2715, 2813, 2774, 3543, 1657, 1696, 1579, 1795, 1865, 3503, 2948,
    2898, 2845, 2785, 3533, 1668, 1730, 1668, 3509, 2785,
)  # fmt: skip
"""The skin vertices nearest to the 68 static landmarks that are published with FLAME as points on triangles."""


def load_flame(path: str | Path) -> MorphableModel:
    """Read ``generic_model.pkl`` (2019, 2020) or ``flame2023*.pkl``: 300 identity and 100 expression directions.

    The file uses metres and the project's axes; coefficient 1 is one standard deviation. FLAME's jaw is a joint, not a
    linear direction: it is linearised at the closed mouth into three more expression directions (100, 101, 102:
    rotation about x, which opens the mouth, y and z; coefficient 1 is `JAW_STEP` radians), skinning weights and jaw
    pose correctives included. A linear jaw moves on the tangent: at 0.3 rad, a wide open mouth, the chin is 4 % too far
    from the joint. Neck and eyeball joints are left out: the neck belongs to the head pose, and eyeballs do not turn.
    Vertex groups are derived from the published static landmarks, on the skin without the eyeballs.

    The pickle is read by a reader that accepts arrays, sparse matrices and chumpy's wrapper and calls nothing else.

    Raises:
        InputError: no such file, not such a pickle, an array missing or of a wrong shape.
    """
    data = read_pickle(path, "FLAME model", "a face model")
    try:
        arrays = {name: as_array(data[name]) for name in _SHAPES}
        mean, betas = (arrays[name].astype(np.float32) for name in ("v_template", "shapedirs"))
        triangles = as_array(data["f"]).astype(np.int64)
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"{path}: not a FLAME model (it lacks {error})") from None
    for name, shape in _SHAPES.items():
        if arrays[name].shape != shape:
            raise InputError(f"{path}: {name} has shape {list(arrays[name].shape)}, FLAME's is {list(shape)}")
    weights, joint = arrays["weights"], arrays["J_regressor"][_JAW] @ mean
    jaw = _jaw_directions(mean, joint, weights[:, _JAW], arrays["posedirs"])
    betas = np.moveaxis(betas, -1, 0)
    identity, expression = betas[:_NUM_IDENTITY], np.concatenate([betas[_NUM_IDENTITY:], jaw])
    skin = np.flatnonzero(weights[:, _EYEBALLS].sum(1) < 0.5)
    return conventional(path, "flame", mean, identity, expression, triangles, np.array(LANDMARKS), skin)


def _jaw_directions(mean: np.ndarray, joint: np.ndarray, weights: np.ndarray, correctives: np.ndarray) -> np.ndarray:
    """Derivative [3, N, 3] of linear blend skinning by the jaw's axis-angle at zero, times `JAW_STEP`."""
    directions = []
    for axis in np.eye(3):
        x, y, z = axis
        generator = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])  # dR / d angle at 0
        # Pose correctives are linear in the nine elements of R - 1 of joints 1 to 4.
        corrective = correctives[:, :, (_JAW - 1) * 9 : _JAW * 9] @ generator.ravel()
        directions.append(weights[:, None] * ((mean - joint) @ generator.T) + corrective)
    return (np.array(directions) * JAW_STEP).astype(np.float32)
