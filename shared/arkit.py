"""ARKit's 52 blendshape curves of a Motion, and the motion that such curves describe."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from safetensors import safe_open

from shared.bounded_fit import bounded_fit
from shared.errors import InputError
from shared.face_model import load_bundled
from shared.face_model.measures import LIDS, lip_gap
from shared.face_model.mediapipe_mesh import INNER_LIP_CENTRES
from shared.motion import Motion
from shared.retarget import resting_expression
from shared.weights import bundled

# In the order of Live Link Face's recordings; left and right are the person's.
NAMES = (
    "eyeBlinkLeft", "eyeLookDownLeft", "eyeLookInLeft", "eyeLookOutLeft", "eyeLookUpLeft", "eyeSquintLeft",
    "eyeWideLeft",
    "eyeBlinkRight", "eyeLookDownRight", "eyeLookInRight", "eyeLookOutRight", "eyeLookUpRight", "eyeSquintRight",
    "eyeWideRight",
    "jawForward", "jawRight", "jawLeft", "jawOpen",
    "mouthClose", "mouthFunnel", "mouthPucker", "mouthRight", "mouthLeft", "mouthSmileLeft", "mouthSmileRight",
    "mouthFrownLeft", "mouthFrownRight", "mouthDimpleLeft", "mouthDimpleRight", "mouthStretchLeft",
    "mouthStretchRight", "mouthRollLower", "mouthRollUpper", "mouthShrugLower", "mouthShrugUpper", "mouthPressLeft",
    "mouthPressRight", "mouthLowerDownLeft", "mouthLowerDownRight", "mouthUpperUpLeft", "mouthUpperUpRight",
    "browDownLeft", "browDownRight", "browInnerUp", "browOuterUpLeft", "browOuterUpRight",
    "cheekPuff", "cheekSquintLeft", "cheekSquintRight", "noseSneerLeft", "noseSneerRight", "tongueOut",
)  # fmt: skip


# The teacher never saw these move, so that no shape is known for them; `hand_made` has shapes for some.
UNSEEN = (
    "jawForward", "cheekPuff", "cheekSquintLeft", "cheekSquintRight", "noseSneerLeft", "noseSneerRight", "tongueOut",
)  # fmt: skip
# Lips of the resting face that are apart by no more than this, or pressed by no more, are taken to touch.
_SLIT_MM = (-0.8, 2.0)
# How strongly the fitted curves keep to the teacher's scores, against the fit of the mesh in mm^2.
_TEACHER = 10.0
# What a face at rest may show of a curve before it counts as an expression: faces differ by that much.
_EXPRESSION = 0.2
# What the mesh's groups weigh in the fit; the heights of lips and lids count besides, as they are seen first.
_GROUPS = {"mouth": 0.3, "eyes": 0.3, "brows": 0.3, "lips": 1.0}
_ELSEWHERE, _IRIS, _LID_HEIGHT = 0.05, 0.3, 0.3


@dataclass(frozen=True)
class ArkitMap:
    """Scores of the teacher, sigmoid(expression @ W_exp + identity @ W_id + bias), and the shape of every curve.

    All in the order of `NAMES`.

    Args:
        expression: W_exp, float32 [D, 52].
        identity: W_id, float32 [D_id, 52].
        bias: float32 [52].
        shapes: float32 [52, D], the expression coefficients that a curve of 1 adds; zeros for `UNSEEN`.
        gain: float32 [52], curve per score: a blink of 1 shuts the eye, the teacher's score is then lower.
        rest: float32 [D], expression of an average face at rest, lips closed.
        face_model: fingerprint of the face model that it was fitted for.
    """

    expression: np.ndarray
    identity: np.ndarray
    bias: np.ndarray
    shapes: np.ndarray
    gain: np.ndarray
    rest: np.ndarray
    face_model: str

    @classmethod
    def load(cls, path: str | Path) -> ArkitMap:
        """Read the file that ``scripts/fit_arkit.py`` writes."""
        with safe_open(str(path), "np") as file:
            face_model = json.loads(file.metadata()["arkit"])["face_model"]
            tensors = {name: file.get_tensor(name).astype(np.float32) for name in file.keys()}
        return cls(**tensors, face_model=face_model)

    def scores(self, expression: np.ndarray, identity: np.ndarray | None = None) -> np.ndarray:
        """Predict the teacher's scores [..., 52] in [0, 1] of an expression [..., D] and an identity [D_id]."""
        logits = expression @ self.expression + self.bias
        if identity is not None:
            logits = logits + identity @ self.identity
        return 1 / (1 + np.exp(-logits))

    def fit(self, motion: Motion, *, keep_expression: bool = False) -> tuple[np.ndarray, np.ndarray]:
        """Compute the curves of a motion: the weights of the shapes that reproduce its mesh.

        They are drawn to the changes of the teacher's scores, and count from the resting face.

        Args:
            motion: T frames.
            keep_expression: whether the expression of the resting face, such as a smile, is part of the curves.

        Returns:
            Curves float32 [T, 52] in [0, 1], and the expression [D] of the face for which they are all 0.

        Raises:
            InputError: the motion belongs to another face model.
        """
        if motion.face_model != self.face_model:
            raise InputError(
                f"blendshape curves need motion of the face model {self.face_model}, this is of {motion.face_model}"
            )
        start = neutral_expression(motion)
        curves = self.weights(motion.expression, start, motion.identity)
        if keep_expression:
            kept = self.weights(start[None], self.rest, motion.identity)[0]
            kept[kept < _EXPRESSION] = 0
            curves, start = curves + kept, start - kept @ self.shapes
        return np.clip(curves, 0, 1).astype(np.float32), start

    def weights(self, expression: np.ndarray, rest: np.ndarray, identity: np.ndarray | None) -> np.ndarray:
        """Return the curves [T, 52] in [0, 1] of expressions [T, D] of a face that rests with the expression [D]."""
        features = fit_features()
        prior = self.gain * (self.scores(expression, identity) - self.scores(rest, identity))
        prior[:, [NAMES.index(name) for name in UNSEEN]] = 0
        return bounded_fit(self.shapes @ features, (expression - rest) @ features, np.clip(prior, 0, 1), _TEACHER)

    def decode(self, curves: np.ndarray) -> np.ndarray:
        """Return the expression float32 [T, D] that curves [T, 52] describe, of an average face."""
        return (self.rest + curves @ self.shapes).astype(np.float32)


def neutral_expression(motion: Motion) -> np.ndarray:
    """Return the expression [D] from which curves count: that of the resting face, with lips that touch."""
    model = load_bundled()
    opening = model.extra["open"]
    rest = resting_expression(model, motion.expression)
    # A curve counts from closed lips; a slit between them, which most tracked faces have, is no curve above 0.05.
    gap = lip_gap(model.vertices(np.zeros(model.num_identity), rest))
    slit = np.clip(gap, *_SLIT_MM) / lip_gap(np.tensordot(opening, model.exp_basis, 1))
    return rest - slit * opening


@lru_cache(maxsize=1)
def fit_features() -> np.ndarray:
    """Return what a fit compares, per expression coefficient of the bundled model: [D, F] in mm, weighted."""
    model = load_bundled()
    weights = np.full(model.num_vertices, _ELSEWHERE)
    for name, weight in _GROUPS.items():
        weights[model.groups[name]] = np.maximum(weights[model.groups[name]], weight)
    weights[468:] = _IRIS
    weighted = (model.exp_basis * np.sqrt(weights / weights.sum())[:, None]).reshape(model.num_expression, -1)
    upper, lower = INNER_LIP_CENTRES
    lips = model.exp_basis[:, upper, 1:2] - model.exp_basis[:, lower, 1:2]
    lids = [model.exp_basis[:, above, 1] - model.exp_basis[:, below, 1] for above, below in LIDS]
    return np.concatenate([weighted, lips, _LID_HEIGHT * np.stack(lids, 1) / np.sqrt(len(LIDS))], axis=1)


@lru_cache(maxsize=1)
def load_arkit_map() -> ArkitMap:
    """Load the bundled map."""
    return ArkitMap.load(bundled("arkit/map.safetensors"))
