"""Curves in the CSV format of Live Link Face: ARKit's blendshapes and the head's angles."""

from __future__ import annotations

import csv
import io

import numpy as np
from scipy.spatial.transform import Rotation

from fd2talk.export.arkit import NAMES, load_arkit_map
from shared.motion import Motion

HEAD_NAMES = ("headYaw", "headPitch", "headRoll")


def live_link_csv(motion: Motion) -> str:
    """Encode a motion with a row per frame.

    Columns: Timecode (HH:MM:SS:FF.fff at the motion's frame rate), BlendshapeCount, 52 scores, 3 angles in radians.
    """
    values = np.concatenate([load_arkit_map()(motion), head_angles(motion.rotation)], axis=1)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["Timecode", "BlendshapeCount", *NAMES, *HEAD_NAMES])
    for index, row in enumerate(values):
        writer.writerow([_timecode(index, motion.fps), values.shape[1], *(f"{value + 0.0:.6f}" for value in row)])
    return text.getvalue()


def head_angles(rotation: np.ndarray) -> np.ndarray:
    """Convert head rotations to angles, with R = Ry(yaw) Rx(-pitch) Rz(roll).

    Args:
        rotation: [T, 3], axis-angle in radians.

    Returns:
        [T, 3] in radians: yaw (to the person's left), pitch (up), roll (the top of the head to the person's right).
    """
    yaw, down, roll = Rotation.from_rotvec(rotation).as_euler("YXZ").T
    return np.stack([yaw, -down, roll], axis=-1)


def _timecode(index: int, fps: float) -> str:
    """Hours, minutes, seconds, frame within the second; a fraction where the frame rate is no integer."""
    seconds = int(index / fps + 1e-9)
    frame = max(index - seconds * fps, 0.0)
    return f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}:{frame:06.3f}"
