"""Animation curves of a face: how they are measured on an expression, and how an expression is changed to a value.

`gap` and `closed` are heights on the mesh, which are linear in the expression. `smile` and `brows` are curves of ARKit
(`shared.arkit`), the weights of its shapes that reproduce the mesh best:

    smile = mean of mouthSmileLeft and mouthSmileRight
    brows = mean of browInnerUp, browOuterUpLeft and browOuterUpRight - mean of browDownLeft and browDownRight

To reach such a value, the shapes are added, without their effect on lip and lid gaps, until the fit finds the value.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from shared.arkit import NAMES, load_arkit_map, neutral_expression
from shared.errors import InputError
from shared.face_model.measures import lid_gap, lip_gap
from shared.face_model.morphable import MorphableModel
from shared.motion import Motion

CURVES = ("gap", "closed", "smile", "brows")
ORDER = (*CURVES, "smile", "brows")
"""Order in which keys are applied: smile and brows do not change gaps, but affect each other a little."""
LIMITS = {"gap": (-5.0, 60.0), "closed": (0.0, 1.0), "smile": (0.0, 1.0), "brows": (-1.0, 1.0)}
"""Least and largest value: gap in mm, the others as shares."""

_RAISED = {
    "smile": ("mouthSmileLeft", "mouthSmileRight"),
    "brows": ("browInnerUp", "browOuterUpLeft", "browOuterUpRight"),
}
_LOWERED: dict[str, tuple[str, ...]] = {"smile": (), "brows": ("browDownLeft", "browDownRight")}
# Largest amount of the shapes, and the rounds and steps of the search for the amount.
_REACH, _ROUNDS, _STEPS = 3.0, 3, 25
_TOLERANCE = 0.01


@dataclass(frozen=True)
class Rest:
    """The resting face, the zero of the curves.

    Args:
        expression: float32 [D], of the resting face with closed lips.
        lids: the usual height of the open eyes in mm.
        identity: float32 [D_id].
    """

    expression: np.ndarray
    lids: float
    identity: np.ndarray

    @classmethod
    def of(cls, motion: Motion, model: MorphableModel) -> Rest:
        """Of the person in a motion."""
        identity = np.zeros(model.num_identity, np.float32) if motion.identity is None else motion.identity
        lids = float(np.median(lid_gap(model.vertices(identity, motion.expression))))
        # Curves of ARKit are refused for other face models, so their rest is not used.
        known = model.fingerprint == load_arkit_map().face_model
        resting = neutral_expression(motion) if known else np.zeros(model.num_expression)
        return cls(resting.astype(np.float32), lids, identity)


def read_curve(name: str, expression: np.ndarray, rest: Rest, model: MorphableModel) -> np.ndarray:
    """Measure a curve [T] on expressions [T, D].

    Args:
        name: of `CURVES`.
        expression: [T, D].
        rest: the resting face.
        model: the face model.

    Raises:
        InputError: a curve of ARKit with another face model than the bundled one.
    """
    if name == "gap":
        return lip_gap(model.vertices(rest.identity, expression))
    if name == "closed":
        return 1 - lid_gap(model.vertices(rest.identity, expression)) / max(rest.lids, 1e-3)
    _check(name, model)
    weights = load_arkit_map().weights(expression, rest.expression, rest.identity)
    return _read(name, weights)


def direction(name: str, rest: Rest, model: MorphableModel) -> np.ndarray:
    """Change of the expression that raises a curve by about 1, float32 [D]; exactly by 1 for `gap` and `closed`."""
    if name == "gap":
        return model.extra["open"]
    if name == "closed":
        return model.extra["blink"] * np.float32(max(rest.lids, 1e-3))
    _check(name, model)
    return _shape(name, model)


def amount(
    name: str, value: float, expression: np.ndarray, rest: Rest, model: MorphableModel, near: float = 1e-4
) -> float:
    """The smallest amount of `direction` to add to an expression [D] so that a curve has a value.

    Args:
        name: of `CURVES`.
        value: target of the curve.
        expression: [D].
        rest: the resting face.
        model: the face model.
        near: differences up to which nothing needs to be added.

    Raises:
        InputError: no amount gives this face the value.
    """
    now = float(read_curve(name, expression[None], rest, model)[0])
    if abs(now - value) < near:
        return 0.0
    if name in ("gap", "closed"):
        return value - now
    towards = float(np.sign(value - now))
    steps = towards * np.linspace(0, _REACH, _STEPS)
    for _ in range(_ROUNDS):
        short = towards * (value - _added(name, steps, expression, rest, model))
        # A value at the bound of the curve is reached with a tolerance only.
        reached = np.flatnonzero(short <= 1e-4)
        if not len(reached):
            break
        if reached[0] == 0:
            return float(steps[0])
        steps = np.linspace(steps[reached[0] - 1], steps[reached[0]], _STEPS)
    found = float(steps[-1])
    if abs(_added(name, np.array([found]), expression, rest, model)[0] - value) > _TOLERANCE:
        raise InputError(f"{name}={value:g} is more than this face can do")
    return found


def _added(name: str, amounts: np.ndarray, expression: np.ndarray, rest: Rest, model: MorphableModel) -> np.ndarray:
    """The curve [K] with so much [K] of its direction added."""
    return read_curve(name, expression + amounts[:, None] * _shape(name, model), rest, model)


def _read(name: str, weights: np.ndarray) -> np.ndarray:
    value = weights[:, [NAMES.index(each) for each in _RAISED[name]]].mean(1)
    if _LOWERED[name]:
        value = value - weights[:, [NAMES.index(each) for each in _LOWERED[name]]].mean(1)
    return value


@lru_cache(maxsize=4)
def _direction_of(name: str) -> np.ndarray:
    """The shapes of a curve in sum, raised ones up and, at half the size, lowered ones down."""
    shapes = load_arkit_map().shapes
    up = shapes[[NAMES.index(each) for each in _RAISED[name]]].sum(0)
    down = sum((shapes[NAMES.index(each)] for each in _LOWERED[name]), np.zeros_like(up))
    return up - down / 2


def _shape(name: str, model: MorphableModel) -> np.ndarray:
    """`_direction_of` without what it does to the heights of lips and lids, which are curves of their own."""
    shape = _direction_of(name)
    moved = np.tensordot(shape, model.exp_basis, 1)
    shape = shape + lid_gap(moved) * model.extra["blink"]
    moved = np.tensordot(shape, model.exp_basis, 1)
    return (shape - lip_gap(moved) * model.extra["open"]).astype(np.float32)


def _check(name: str, model: MorphableModel) -> None:
    known = load_arkit_map().face_model
    if model.fingerprint != known:
        raise InputError(f"{name} is a curve of the face model {known}, this is {model.fingerprint}")
