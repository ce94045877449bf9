"""Motion of a head: its angles, their variation, the beats of its motion; and the rate of blinks.

Rotations are axis-angle in radians [T, 3] as in `shared.motion.Motion`: from the tracker for real clips and for
rendered videos, from stage one for motion that was not rendered. Axes: x to the person's left, y up, z to the camera.
"""

from __future__ import annotations

import numpy as np
from scipy.ndimage import gaussian_filter1d
from scipy.signal import find_peaks
from scipy.spatial.transform import Rotation

from shared.errors import InputError

MOTION_SMOOTHING = 5 / 60
"""Seconds of the Gaussian that smooths the head's speed. Bailando's evaluation: 5 frames of its 60 per second."""

_LEAST_SWING = 2.0  # degrees per second
_BLINK = 0.5  # of the lids' usual gap


def euler_degrees(rotation: np.ndarray) -> np.ndarray:
    """Convert axis-angle [T, 3] in radians to pitch, yaw, roll [T, 3] in degrees: R = R_y(yaw) R_x(pitch) R_z(roll).

    Pitch > 0: the chin moves down; yaw > 0: towards the person's left; roll > 0: onto the person's right shoulder.
    Degenerate where a head points straight up or down. A frame with NaN yields NaN.

    Raises:
        InputError: not [T, 3].
    """
    rotation = _rotations(rotation)
    angles = np.full(rotation.shape, np.nan)
    known = np.isfinite(rotation).all(1)
    if known.any():
        yaw, pitch, roll = Rotation.from_rotvec(rotation[known]).as_euler("YXZ", degrees=True).T
        angles[known] = np.stack([pitch, yaw, roll], 1)
    return angles


def head_diversity(rotation: np.ndarray) -> float:
    """Diversity of head motion within a clip: standard deviation over time, mean over pitch, yaw and roll, in degrees.

    0 for a still head; "higher is better" in the papers, but nearest to the real row is natural. std with 1/T.

    Source: FD2Talk §4.1, Table 1 ("extracting head motion feature embeddings using Hopenet and calculating their
    standard deviations", after SadTalker). **Not Hopenet**: the tracker's angles, so that the unit is known. Printed
    values (ground truth .256 and .307, without unit) are of other features and do not compare.

    Traps: it grows with a clip's length, as a head drifts, so compare clips of one length; noise of a tracker counts as
    motion; one slow turn and much nodding may score alike. NaN frames make it NaN.

    Args:
        rotation: [T, 3], axis-angle in radians.

    Raises:
        InputError: not [T, 3].
    """
    angles = np.unwrap(euler_degrees(rotation), period=360, axis=0)
    return float(angles.std(0).mean())


def motion_beats(rotation: np.ndarray, fps: float) -> np.ndarray:
    """Times in seconds [K] at which a moving head halts or turns back: minima of its smoothed angular speed.

    Speed: the angle in degrees between neighbouring frames times fps, placed midway between them, and smoothed by a
    Gaussian of 83 ms. A minimum counts where the speed rises by 2 degrees per second on either side before it falls
    lower, so that a still head, or one that turns evenly, has no beats, whatever the tracker's noise of some hundredths
    of a degree. Real talking heads have about one beat per second.

    Source: Bailando's evaluation (Gaussian over 5 frames at 60 fps, every local minimum of the mean speed of joints),
    cited by FD2Talk §4.1 and DiffPoseTalk §4.3. The least rise, and the angular speed in place of the joints', are
    ours.

    Args:
        rotation: [T, 3], axis-angle in radians.
        fps: frames per second.

    Raises:
        InputError: not [T, 3], not finite, or an invalid frame rate.
    """
    rotation = _rotations(rotation)
    if not np.isfinite(rotation).all():
        raise InputError("head rotations have a number that is not finite: a motion with gaps has no beats")
    _check_rate(fps)
    if len(rotation) < 3:
        return np.zeros(0)
    poses = Rotation.from_rotvec(rotation)
    speed = np.degrees((poses[1:] * poses[:-1].inv()).magnitude()) * fps
    smooth = gaussian_filter1d(speed, MOTION_SMOOTHING * fps)
    return (find_peaks(-smooth, prominence=_LEAST_SWING)[0] + 0.5) / fps


def blink_rate(lid_gap: np.ndarray, fps: float) -> float:
    """Blinks per minute; people in conversation blink 10 to 30 times. Nearest to the real row is natural.

    Source: this project's own definition, the same in all its tables; the papers define none.

    Traps: a short clip has 0 or many, so average over minutes, not over clips; a person with eyes shut for more than a
    quarter of a clip, or looking down, moves the threshold. NaN frames, or no frames, make it NaN.

    Args:
        lid_gap: [T], `shared.face_model.measures.lid_gap`, any unit.
        fps: frames per second.

    Raises:
        InputError: not [T], or an invalid frame rate.
    """
    count = len(blinks(lid_gap))
    _check_rate(fps)
    if not len(lid_gap) or np.isnan(lid_gap).any():
        return float("nan")
    return float(count / (len(lid_gap) / fps / 60))


def blinks(lid_gap: np.ndarray) -> np.ndarray:
    """First frame of each blink and the first one after it, int [K, 2].

    A blink is a run of frames, of any length, in which the lid gap is below half of its own 75th percentile; a blink at
    the beginning or the end of the clip counts. See `blink_rate`.

    Args:
        lid_gap: [T], any unit.

    Raises:
        InputError: not [T].
    """
    lid_gap = np.asarray(lid_gap, float)
    if lid_gap.ndim != 1:
        raise InputError(f"the lids' gap has shape {list(lid_gap.shape)}, expected [T]")
    closed = lid_gap < _BLINK * np.percentile(lid_gap, 75) if lid_gap.size else np.zeros(0, bool)
    return np.flatnonzero(np.diff(closed.astype(int), prepend=0, append=0)).reshape(-1, 2)


def _rotations(rotation: np.ndarray) -> np.ndarray:
    rotation = np.asarray(rotation, float)
    if rotation.ndim != 2 or rotation.shape[1] != 3 or not len(rotation):
        raise InputError(f"head rotations have shape {list(rotation.shape)}, expected [T, 3]")
    return rotation


def _check_rate(fps: float) -> None:
    if not (np.isfinite(fps) and fps > 0):
        raise InputError(f"{fps} frames per second is not a frame rate")
