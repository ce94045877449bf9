"""VRM animation 1.0 (`VRMC_vrm_animation`, VRM Consortium): head, mouth, blinks and gaze for any VRM avatar."""

from __future__ import annotations

import numpy as np
from scipy.spatial.transform import Rotation

from fd2talk.export.face_rig import continuous
from fd2talk.export.gaze import eye_angles
from fd2talk.export.gltf import Node, glb_bytes
from fd2talk.export.visemes import vowels
from shared.arkit import NAMES
from shared.motion import Motion

# The bones that the format requires, and the neck, in its rest pose: standing on y = 0, arms to the sides, looking
# along z. Where each begins, in its parent, in metres; those of the left side stand for both.
_BONES = {
    "hips": ("", (0, 0.9, 0)),
    "spine": ("hips", (0, 0.1, 0)),
    "neck": ("spine", (0, 0.42, 0)),
    "head": ("neck", (0, 0.1, 0)),
    "leftUpperArm": ("spine", (0.18, 0.38, 0)),
    "leftLowerArm": ("leftUpperArm", (0.28, 0, 0)),
    "leftHand": ("leftLowerArm", (0.25, 0, 0)),
    "leftUpperLeg": ("hips", (0.09, -0.04, 0)),
    "leftLowerLeg": ("leftUpperLeg", (0, -0.4, 0)),
    "leftFoot": ("leftLowerLeg", (0, -0.38, 0)),
}
# Of a turn of the head, what the neck does.
_NECK = 0.5
_EYES_ABOVE_HEAD_BONE = (0.0, 0.06, 0.0)
_EXTENSION = "VRMC_vrm_animation"


def vrm_animation(motion: Motion, curves: np.ndarray, times: np.ndarray, extras: dict) -> bytes:
    """Encode a motion as VRM animation.

    Args:
        motion: T frames.
        curves: [T, 52] in the order of `NAMES`.
        times: [T], seconds.
        extras: metadata of the asset.
    """
    turn = Rotation.from_rotvec(motion.rotation)
    neck = Rotation.from_rotvec(_NECK * turn.as_rotvec())
    tracks = {"neck": continuous(neck.as_quat()), "head": continuous((neck.inv() * turn).as_quat())}
    yaw, pitch = eye_angles(motion).mean(1).T
    gaze = Rotation.from_euler("YX", np.stack([yaw, -pitch], 1)).as_quat()
    expressions = {name: _as_translation(weights) for name, weights in _expressions(curves).items()}
    roots = [
        _bone("hips", tracks),
        *(Node(name, tracks={"translation": values}, at_rest=True) for name, values in expressions.items()),
        Node("lookAt", tracks={"rotation": continuous(gaze)}, at_rest=True),
    ]
    number = {node.name: {"node": index} for index, node in enumerate(node for root in roots for node in root.walk())}
    extension = {
        "specVersion": "1.0",
        "humanoid": {"humanBones": {node.name: number[node.name] for node in roots[0].walk()}},
        "expressions": {"preset": {name: number[name] for name in expressions}},
        "lookAt": number["lookAt"] | {"offsetFromHeadBone": list(_EYES_ABOVE_HEAD_BONE)},
    }
    return glb_bytes(roots, times, extras, {_EXTENSION: extension})


def _bone(name: str, tracks: dict[str, np.ndarray], mirror: bool = False) -> Node:
    """A bone with all below it; those below the left ones are turned to the right for `mirror`."""
    children = []
    for child, (parent, _) in _BONES.items():
        if parent == name:
            children.append(_bone(child, tracks, mirror))
            if child.startswith("left") and not name.startswith("left"):
                children.append(_bone(child, tracks, mirror=True))
    place = np.array(_BONES[name][1]) * ([-1, 1, 1] if mirror else [1, 1, 1])
    own = {"rotation": tracks[name]} if name in tracks else {}
    side = name.replace("left", "right") if mirror else name
    return Node(side, translation=place, tracks=own, children=tuple(children), at_rest=True)


def _expressions(curves: np.ndarray) -> dict[str, np.ndarray]:
    """Weights [T] of the preset expressions, by name.

    What both lids do is `blink`, as not every avatar can wink; each side has what it does beyond that.
    """
    left, right = (curves[:, NAMES.index(f"eyeBlink{side}")] for side in ("Left", "Right"))
    both = np.minimum(left, right)
    return vowels(curves) | {"blink": both, "blinkLeft": left - both, "blinkRight": right - both}


def _as_translation(weights: np.ndarray) -> np.ndarray:
    """Weights [T] -> translations [T, 3], whose x they are."""
    return np.outer(np.clip(weights, 0, 1), [1, 0, 0])
