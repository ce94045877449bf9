"""Curves in the CSV format of Live Link Face (Epic Games): ARKit's blendshapes, angles of the head and of the eyes."""

from __future__ import annotations

import csv
import io
import re

import numpy as np
from scipy.spatial.transform import Rotation

from fd2talk.export.gaze import eye_angles
from shared.arkit import NAMES
from shared.errors import UsageError
from shared.motion import Motion

ANGLES = (
    "HeadYaw", "HeadPitch", "HeadRoll",
    "LeftEyeYaw", "LeftEyePitch", "LeftEyeRoll", "RightEyeYaw", "RightEyePitch", "RightEyeRoll",
)  # fmt: skip
HEADER = ("Timecode", "BlendShapeCount", *(name[0].upper() + name[1:] for name in NAMES), *ANGLES)
# The app counts frames of a second at this rate whatever rate it records at, in thousandths of a frame.
TIMECODE_RATE = 60
_DAY = 24 * 3600 * TIMECODE_RATE * 1000
_TIMECODE = re.compile(r"(\d{1,2}):(\d\d):(\d\d)[:;](\d{1,2}(?:\.\d+)?)")


def live_link_csv(motion: Motion, curves: np.ndarray, start: str | None = None) -> str:
    """Encode a motion as the app writes a recording: a row per frame, ten decimals, angles in radians.

    Args:
        motion: T frames.
        curves: [T, 52] in the order of `NAMES`.
        start: timecode of the first frame; None is 00:00:00:00.000.

    Raises:
        UsageError: `start` is not a timecode.
    """
    eyes = np.zeros((len(motion), 2, 3))
    eyes[..., :2] = eye_angles(motion)
    values = np.concatenate([curves, head_angles(motion.rotation), eyes.reshape(len(motion), 6)], axis=1)
    first = 0.0 if start is None else _start(start)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(HEADER)
    for index, row in enumerate(values):
        time = timecode(first + index / motion.fps)
        writer.writerow([time, len(row), *(f"{value + 0.0:.10f}" for value in row)])
    return text.getvalue()


def timecode(seconds: float) -> str:
    """Format seconds as HH:MM:SS:FF.fff, with FF counted at `TIMECODE_RATE`; it starts again after a day."""
    thousandths = round(seconds * TIMECODE_RATE * 1000) % _DAY
    whole, frame = divmod(thousandths, TIMECODE_RATE * 1000)
    return f"{whole // 3600:02d}:{whole // 60 % 60:02d}:{whole % 60:02d}:{frame / 1000:06.3f}"


def parse_timecode(text: str) -> tuple[int, float] | None:
    """Return whole seconds and the frame within the second, or None where `text` is no timecode."""
    match = _TIMECODE.fullmatch(text.strip())
    if match is None:
        return None
    hours, minutes, seconds = (int(match[k]) for k in (1, 2, 3))
    return (hours * 60 + minutes) * 60 + seconds, float(match[4])


def _start(text: str) -> float:
    parsed = parse_timecode(text)
    if parsed is None or parsed[1] >= TIMECODE_RATE:
        raise UsageError(f"{text!r} is not a timecode; HH:MM:SS:FF.fff has FF from 0 to {TIMECODE_RATE - 1}")
    return parsed[0] + parsed[1] / TIMECODE_RATE


def head_angles(rotation: np.ndarray) -> np.ndarray:
    """Convert head rotations to angles, with R = Ry(yaw) Rx(-pitch) Rz(roll).

    Args:
        rotation: [T, 3], axis-angle in radians.

    Returns:
        [T, 3] in radians: yaw (to the person's left), pitch (up), roll (the top of the head to the person's right).
    """
    yaw, down, roll = Rotation.from_rotvec(rotation).as_euler("YXZ").T
    return np.stack([yaw, -down, roll], axis=-1)


def head_rotation(angles: np.ndarray) -> np.ndarray:
    """Invert `head_angles`: [T, 3] in radians -> axis-angle [T, 3]."""
    return Rotation.from_euler("YXZ", angles * [1, -1, 1]).as_rotvec()
