"""The curves of the timeline: names and ranges, their values in a motion, and tables of their keys."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from shared.audio import FPS, SAMPLE_RATE
from shared.face_model.morphable import MorphableModel
from shared.motion import Motion
from stage1_motion.editing.bend import ANGLES, REACH, CurveKey
from stage1_motion.editing.face_curves import CURVES, Rest, read_curve
from stage1_motion.editing.keyframes import OF_PART, Keyframe, head_angles

PEAKS_PER_FRAME = 4


@dataclass(frozen=True)
class Curve:
    """A lane of the timeline.

    Args:
        name: as in keyframe files.
        label: for people.
        unit: of its values, or nothing.
        low: the lower end of its lane, unless values go beyond.
        high: the upper end.
        step: by which the keyboard changes a value.
        digits: after the point.
    """

    name: str
    label: str
    unit: str
    low: float
    high: float
    step: float
    digits: int


LANES = (
    Curve("gap", "Mouth opening", "mm", 0, 20, 0.5, 1),
    Curve("smile", "Smile", "", 0, 1, 0.05, 2),
    Curve("brows", "Brows", "", -0.5, 0.5, 0.05, 2),
    Curve("closed", "Blinks", "", 0, 1, 0.1, 2),
    Curve("yaw", "Head turn", "°", -10, 10, 0.5, 1),
    Curve("pitch", "Head nod", "°", -10, 10, 0.5, 1),
    Curve("roll", "Head tilt", "°", -10, 10, 0.5, 1),
)
BY_NAME = {curve.name: curve for curve in LANES}


def read_curves(motion: Motion, rest: Rest, model: MorphableModel) -> dict[str, np.ndarray]:
    """All curves of a motion, float [T] each, by name."""
    values = {name: read_curve(name, motion.expression, rest, model) for name in CURVES}
    return values | dict(zip(ANGLES, head_angles(motion.rotation).T))


def lanes(values: dict[str, np.ndarray], keys: Sequence[CurveKey]) -> list[dict]:
    """The lanes of the timeline as JSON-compatible values."""
    drawn = []
    for curve in LANES:
        own = [key for key in keys if key.name == curve.name]
        every = np.concatenate([values[curve.name], [key.value for key in own]])
        drawn.append(
            vars(curve)
            | {
                "low": min(curve.low, round(float(np.floor(every.min() / curve.step)) * curve.step, 4)),
                "high": max(curve.high, round(float(np.ceil(every.max() / curve.step)) * curve.step, 4)),
                "values": np.round(values[curve.name], curve.digits + 1).tolist(),
                "keys": [[key.frame, round(key.value, 4)] for key in sorted(own, key=lambda key: key.frame)],
                "reach": REACH[curve.name],
            }
        )
    return drawn


def waveform(sound: np.ndarray | None, frames: int) -> list[int]:
    """Peaks of a sound, float [n] at 16 kHz: `PEAKS_PER_FRAME` a frame, in hundredths of the loudest."""
    if sound is None:
        return []
    size = SAMPLE_RATE // FPS // PEAKS_PER_FRAME
    count = frames * PEAKS_PER_FRAME
    padded = np.pad(np.abs(sound[: count * size]), (0, max(0, count * size - len(sound))))
    peaks = padded.reshape(count, size).max(1)
    return np.round(100 * peaks / max(float(peaks.max()), 0.05)).astype(int).tolist()


def keyframe(key: CurveKey) -> Keyframe:
    """The key as the engine has it. Raises InputError: its value is out of range."""
    label = f"{BY_NAME[key.name].label} at {key.frame / FPS:.2f} s"
    return Keyframe(key.frame / FPS, OF_PART[key.name], {key.name: key.value}, place=label)


def keys_table(keys: Sequence[CurveKey]) -> str:
    """A file for `fd2talk edit --keyframes`: keys of one part in one frame share a row."""
    rows: dict[tuple[int, str], list[str]] = {}
    for key in sorted(keys, key=lambda key: (key.frame, [*OF_PART].index(key.name))):
        rows.setdefault((key.frame, OF_PART[key.name]), []).append(f"{key.name}={key.value:.4g}")
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["time", "part", "value"])
    writer.writerows([f"{frame / FPS:.2f}", part, " ".join(values)] for (frame, part), values in rows.items())
    return text.getvalue()
