"""Retargeting: apply the motion of one face to the face in a photo."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace

import numpy as np
from scipy.spatial.transform import Rotation

from shared.face_model.measures import gaze, lid_gap, lip_gap
from shared.face_model.morphable import MorphableModel
from shared.motion import Motion
from shared.photo_fit import PhotoFit

# Identity coefficients (in standard deviations) of one face agree to this.
_SAME_IDENTITY = 1e-3
# The resting face is the median over one in so many frames, those whose lips are closest.
_RESTING_SHARE = 10
# A driver that moves less is a still picture, shown for some time: turn of the head from its median in degrees, and
# largest movement of a vertex in mm, of frames spread evenly over it.
_STILL_DEGREES, _STILL_MM, _STILL_FRAMES = 1.0, 0.7, 50


@dataclass(frozen=True)
class _Limit:
    """A soft limit: sizes up to `knee` are kept, larger ones approach `most` and never reach it."""

    knee: float | np.ndarray
    most: float | np.ndarray

    def factors(self, sizes: np.ndarray) -> np.ndarray:
        """Return what to multiply values of these sizes [T] by, [T]."""
        room = self.most - self.knee
        kept = self.knee + room * np.tanh((sizes - self.knee) / room)
        return np.where(sizes > self.knee, kept / np.maximum(sizes, self.knee), 1.0)


# How far the renderer can move the head of a photo, by eye on the demo portraits: beyond 20 degrees cheeks stretch,
# beyond 30 hair and ears tear; so do they in shifts of 0.3 crop units and in changes of the size by a third.
_TURN, _SHIFT, _LOG_SCALE = _Limit(np.radians(15), np.radians(27)), _Limit(0.1, 0.22), _Limit(0.12, 0.25)
# A frame of a video whose head is turned aside shows little of the far half of the face, none of which can be unfolded:
# the most, by degrees that it is turned, by which it can turn back. By eye on filmed heads of 10 to 22 degrees.
_ASIDE, _BACK = np.radians([0, 5, 10, 15, 20, 30]), np.radians([60, 30, 14, 8, 5, 2])
# Movement that is made smaller by more than this share is worth a note.
_NOTED = 0.1
# Smaller turns, in radians, are none to be missed.
_NOTED_TURN = np.radians(5)


def is_of(motion: Motion, photo: PhotoFit) -> bool:
    """Return whether the motion was generated for the face in the photo: their identity coefficients agree."""
    if motion.identity is None or motion.identity.shape != photo.identity.shape:
        return False
    return np.allclose(motion.identity, photo.identity, atol=_SAME_IDENTITY)


def resting_expression(model: MorphableModel, expression: np.ndarray) -> np.ndarray:
    """Return the median [D] over the tenth of the frames [T, D] whose lips are closest: clips begin in mid-word."""
    gaps = lip_gap(model.vertices(np.zeros(model.num_identity, np.float32), expression))
    closest = np.argsort(gaps, kind="stable")[: max(1, len(expression) // _RESTING_SHARE)]
    return np.median(expression[closest], axis=0)


def resting_pose(rotation: np.ndarray, translation: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the median of head poses: rotation [T, 3] (axis-angle, radians), translation [T, 3] -> [3], [3]."""
    turns = Rotation.from_rotvec(rotation)
    mean = turns.mean()
    median = Rotation.from_rotvec(np.median((turns * mean.inv()).as_rotvec(), axis=0)) * mean
    return median.as_rotvec(), np.median(translation, axis=0)


def is_still(motion: Motion, model: MorphableModel) -> bool:
    """Return whether the motion does not move: that of a photo, or of a clip that shows one."""
    seen = _seen(motion)
    some = seen[np.linspace(0, len(seen) - 1, min(len(seen), _STILL_FRAMES)).round().astype(int)]
    rest, _ = resting_pose(motion.rotation[some], motion.translation[some])
    turns = Rotation.from_rotvec(motion.rotation[some]) * Rotation.from_rotvec(rest).inv()
    if np.degrees(turns.magnitude().max()) > _STILL_DEGREES:
        return False
    offsets = motion.expression[some] - np.median(motion.expression[some], axis=0)
    return bool(np.linalg.norm(np.tensordot(offsets, model.exp_basis, 1), axis=-1).max() <= _STILL_MM)


def onto_photo(motion: Motion, photo: PhotoFit) -> Motion:
    """Apply the changes of another person's motion to the face and pose of the photo.

    Changes count from the motion's own rest, `resting_expression` and `resting_pose`. Of a motion that does not move (a
    photo's) nothing shows how that face rests: its expression and its angle to the camera replace the photo's.

    Args:
        motion: T frames.
        photo: the fit whose expression and pose are the start.

    Returns:
        T frames with the photo's identity.
    """
    expression = motion.expression
    if not is_still(motion, photo.model):
        expression = photo.expression + expression - resting_expression(photo.model, expression[_seen(motion)])
    rotation, translation = pose_onto_photo(motion, photo)
    return replace(motion, expression=expression, rotation=rotation, translation=translation, identity=photo.identity)


def pose_onto_photo(motion: Motion, photo: PhotoFit, *, scale: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """Move the head of the photo as the motion moves its own from its rest, softly limited to what can be rendered.

    Where the motion does not move (`is_still`) the photo's head is turned to its angle to the camera.

    Args:
        motion: T frames.
        photo: whose pose is the start.
        scale: factor on the size of the movement.

    Returns:
        Rotation (axis-angle, radians) and translation, float32 [T, 3], as in `Motion`.
    """
    seen = _seen(motion)
    rest, middle = resting_pose(motion.rotation[seen], motion.translation[seen])
    start = Rotation.from_rotvec(photo.rotation)
    origin = start if is_still(motion, photo.model) else Rotation.from_rotvec(rest)
    turn = (Rotation.from_rotvec(motion.rotation) * origin.inv()).as_rotvec() * scale
    move = (motion.translation - middle) * scale
    turned, moved = _limits(turn, move)
    _note_limits(moved.min(1), turned, np.degrees(np.linalg.norm(turn, axis=1)))
    rotation = Rotation.from_rotvec(turn * turned[:, None]) * start
    translation = photo.translation + move * moved
    return rotation.as_rotvec().astype(np.float32), translation.astype(np.float32)


def moved_pose(
    motion: Motion, index: int, before: Motion, start: int, photo: PhotoFit
) -> tuple[np.ndarray, np.ndarray]:
    """Move the head of a photo, a frame of a video, as an edit of the video moves it from where it was.

    Args:
        motion: of the edit.
        index: its frame.
        before: the motion of the video.
        start: its frame that the photo is.
        photo: with a head crop of its own.

    Returns:
        Rotation and translation, float32 [3], softly limited to what can be rendered.
    """
    turn, _ = _edit_turns(motion.rotation[[index]], before.rotation[[start]])
    move = motion.translation[index] - before.translation[start]
    # The head has another size in the photo's crop.
    move = move * np.array([*2 * [np.exp(photo.translation[2] - before.translation[start, 2])], 1])
    _, moved = _limits(turn, move[None])
    rotation = Rotation.from_rotvec(turn[0]) * Rotation.from_rotvec(photo.rotation)
    return rotation.as_rotvec().astype(np.float32), (photo.translation + move * moved[0]).astype(np.float32)


def note_limited_turns(rotation: np.ndarray, filmed: np.ndarray) -> None:
    """Warn when `moved_pose` makes turns from `filmed` to `rotation`, [T, 3] each, much smaller."""
    if len(rotation):
        limited, turn = _edit_turns(rotation, filmed)
        size = np.linalg.norm(turn, axis=1)
        factors = 1 - np.linalg.norm(turn - limited, axis=1) / np.maximum(size, _NOTED_TURN)
        _note_limits(np.ones(len(turn)), factors, np.degrees(size))


def _edit_turns(rotation: np.ndarray, filmed: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Turns [T, 3] from filmed rotations [T, 3] to others: softly limited, and in full."""
    start = Rotation.from_rotvec(filmed)
    turn = (Rotation.from_rotvec(rotation) * start.inv()).as_rotvec()
    looks = np.arcsin(np.clip(start.as_matrix()[:, 0, 2], -1, 1))  # to the side, radians
    limited, back = turn.copy(), turn[:, 1] * looks < 0
    most = np.interp(np.abs(looks[back]), _ASIDE, _BACK)
    limited[back, 1] *= _Limit(most / 2, most).factors(np.abs(turn[back, 1]))
    limited *= _TURN.factors(np.linalg.norm(limited, axis=1))[:, None]
    return limited, turn


def _limits(turn: np.ndarray, move: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """What to multiply turns [T, 3] and movements [T, 3] of a head by: [T] and [T, 3]."""
    shifted, grown = _SHIFT.factors(np.linalg.norm(move[:, :2], axis=1)), _LOG_SCALE.factors(np.abs(move[:, 2]))
    return _TURN.factors(np.linalg.norm(turn, axis=1)), np.stack([shifted, shifted, grown], axis=1)


def with_still_eyes(motion: Motion, photo: PhotoFit) -> Motion:
    """Return the motion, of the photo's face, with lids and gaze as they are in the photo."""
    return replace(motion, expression=motion.expression - eye_part(photo.model, motion.expression - photo.expression))


def eye_part(model: MorphableModel, change: np.ndarray) -> np.ndarray:
    """Return what of a change of expression [..., D] moves lids and gaze."""
    moves = np.concatenate([model.extra["blink"][None], model.extra["gaze"]])  # [3, D], one of which moves the others
    measured = np.column_stack([lid_gap(model.exp_basis), gaze(model.exp_basis)])  # [D, 3] in mm
    return change @ measured @ np.linalg.inv(moves @ measured) @ moves


def _note_limits(moved: np.ndarray, turned: np.ndarray, degrees: np.ndarray) -> None:
    """Warn when factors [T] of movements and turns made some of them much smaller; `degrees` [T] is without them."""
    smaller = np.minimum(moved, turned) < 1 - _NOTED
    if smaller.any():
        turns = f"turns by up to {degrees.max():.0f} degrees" if turned.min() < 1 - _NOTED else ""
        moves = "shifts or grows too much" if moved.min() < 1 - _NOTED else ""
        warnings.warn(
            f"the head {' and '.join(filter(None, (turns, moves)))}, more than can be rendered: softly limited in "
            f"{smaller.sum()} of {len(smaller)} frames",
            stacklevel=2,
        )


def _seen(motion: Motion) -> np.ndarray:
    """The frames that show a face; all of them where that is not known."""
    if motion.confidence is None or not motion.confidence.any():
        return np.arange(len(motion))
    return np.flatnonzero(motion.confidence > 0)
