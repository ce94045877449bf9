"""ARKit's 52 blendshape scores of a Motion."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from safetensors import safe_open

from shared.errors import InputError
from shared.motion import Motion
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


@dataclass(frozen=True)
class ArkitMap:
    """The map scores = sigmoid(expression @ W_exp + identity @ W_id + bias), in the order of `NAMES`.

    Args:
        expression: W_exp, float32 [D, 52].
        identity: W_id, float32 [D_id, 52].
        bias: float32 [52].
        face_model: fingerprint of the face model that it was fitted for.
    """

    expression: np.ndarray
    identity: np.ndarray
    bias: np.ndarray
    face_model: str

    @classmethod
    def load(cls, path: str | Path) -> ArkitMap:
        """Read the file that ``scripts/fit_arkit.py`` writes."""
        with safe_open(str(path), "np") as file:
            face_model = json.loads(file.metadata()["arkit"])["face_model"]
            tensors = {name: file.get_tensor(name).astype(np.float32) for name in ("expression", "identity", "bias")}
        return cls(**tensors, face_model=face_model)

    def __call__(self, motion: Motion) -> np.ndarray:
        """Compute the scores of a motion.

        Returns:
            float32 [T, 52], in [0, 1].

        Raises:
            InputError: the motion belongs to another face model.
        """
        if motion.face_model != self.face_model:
            raise InputError(
                f"blendshape curves need motion of the face model {self.face_model}, this is of {motion.face_model}"
            )
        identity = np.zeros(len(self.identity), np.float32) if motion.identity is None else motion.identity
        logits = motion.expression @ self.expression + identity @ self.identity + self.bias
        return (1 / (1 + np.exp(-logits))).astype(np.float32)


@lru_cache(maxsize=1)
def load_arkit_map() -> ArkitMap:
    """Load the bundled map."""
    return ArkitMap.load(bundled("arkit/map.safetensors"))
