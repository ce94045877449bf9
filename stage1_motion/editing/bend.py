"""Bends a motion so that its curves pass through keys: the offset at a key fades into the frames around it.

Over time the offset is interpolated monotonically between keys (PCHIP; Fritsch and Carlson, 1980), and falls to 0
within a reach of the outermost ones: it neither jumps nor overshoots, and frames out of reach stay bit-identical.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.interpolate import PchipInterpolator
from scipy.spatial.transform import Rotation

from shared.face_model.morphable import MorphableModel
from shared.motion import Motion
from stage1_motion.editing.face_curves import ORDER, Rest, amount, direction
from stage1_motion.editing.keyframes import OF_PART, head_angles
from stage1_motion.editing.ramp import EYES_REACH, FACE_REACH, HEAD_REACH
from stage1_motion.parts import PARTS

ANGLES = ("yaw", "pitch", "roll")
REACH = dict.fromkeys(OF_PART, FACE_REACH) | {"closed": EYES_REACH} | dict.fromkeys(ANGLES, HEAD_REACH)
"""Frames within which the offset at a key fades to 0, by curve."""

# Offsets that count as 0: generated motion passes through a key up to rounding.
_NEAR = dict.fromkeys(OF_PART, 0.02) | {"gap": 0.02} | dict.fromkeys(ANGLES, 0.01)


@dataclass(frozen=True)
class CurveKey:
    """A value of a curve at a frame.

    Args:
        frame: of the motion.
        name: of the curve: gap, smile, brows, closed, yaw, pitch or roll.
        value: in the units of `keyframes`.
    """

    frame: int
    name: str
    value: float


def through_keys(
    motion: Motion, keys: Sequence[CurveKey], given: np.ndarray, rest: Rest, model: MorphableModel
) -> Motion:
    """Bend a motion through keys.

    Args:
        motion: T frames.
        keys: at most one of a curve in a frame.
        given: bool [T, 4] over `parts.PARTS`, what must not move, except in the keys' own frames. Frames with all parts
            given stay unchanged, with or without keys.
        rest: the resting face, the zero of the face's curves.
        model: the face model.

    Raises:
        InputError: a value that the face cannot reach.
    """
    expression, rotation = motion.expression.copy(), motion.rotation.copy()
    whole = given.all(1)
    for name in ORDER:
        offsets = {}
        for key in (key for key in keys if key.name == name and not whole[key.frame]):
            offsets[key.frame] = amount(name, key.value, expression[key.frame], rest, model, near=_NEAR[name])
        if any(offsets.values()):
            added = faded(offsets, given[:, PARTS.index(OF_PART[name])], REACH[name])
            rows = added != 0
            expression[rows] += added[rows, None] * direction(name, rest, model)
    turn = np.zeros((len(motion), 3), np.float32)
    angles = head_angles(rotation)
    for column, name in enumerate(ANGLES):
        offsets = {}
        for key in (key for key in keys if key.name == name and not whole[key.frame]):
            off = key.value - float(angles[key.frame, column])
            offsets[key.frame] = off if abs(off) > _NEAR[name] else 0.0
        if any(offsets.values()):
            turn[:, column] = faded(offsets, given[:, PARTS.index("head")], REACH[name])
    rows = turn.any(1)
    if rows.any():
        yaw, pitch, roll = (angles[rows] + turn[rows]).T
        rotation[rows] = Rotation.from_euler("YXZ", np.stack([yaw, -pitch, roll], 1), degrees=True).as_rotvec()
    return replace(motion, expression=expression, rotation=rotation)


def faded(offsets: dict[int, float], given: np.ndarray, reach: int) -> np.ndarray:
    """Spread offsets of single frames over the frames around them.

    Args:
        offsets: frame -> offset.
        given: bool [T], further frames whose offset is 0.
        reach: frames within which an offset falls to 0. Between two keys that are at most twice that apart the offset
            is interpolated.

    Returns:
        float32 [T], exactly 0 out of reach.
    """
    frames = len(given)
    knots = dict.fromkeys(np.flatnonzero(given).tolist(), 0.0) | offsets
    known = sorted(knots)
    for frame in offsets:
        for side in (-1, 1):
            others = [other for other in known if (other - frame) * side > 0]
            nearest = min(others, key=lambda other: abs(other - frame), default=None)
            room = 2 * reach if nearest in offsets else reach
            if nearest is None or abs(nearest - frame) > room:
                knots[frame + side * reach] = 0.0
                knots.setdefault(frame + side * (reach + 1), 0.0)  # so that the slope is 0 there, whatever lies beyond
    at = np.array(sorted(knots))
    values = np.array([knots[frame] for frame in at.tolist()])
    if len(at) == 1:  # in a motion of one frame
        return np.full(frames, values[0], np.float32) if frames == 1 else np.zeros(frames, np.float32)
    inside = np.arange(max(0, at[0]), min(frames, at[-1] + 1))
    faded = np.zeros(frames, np.float32)
    faded[inside] = PchipInterpolator(at, values)(inside)
    faded[np.abs(faded) < 1e-7] = 0
    return faded
