"""Keyframes: values of a face or a head at single moments, and their files.

A table (.csv) has the columns `time` in seconds, `part` and `value`, a row for each key:

    time,part,value
    0.4,all,as is                       the motion's own frame stays
    1.2,lips,gap=8                      the lips are 8 mm apart, and the mouth is otherwise as in the motion
    1.4,lips,smile=0.5                  the curve of ARKit, with the lips as far apart as in the motion
    1.4,upper,brows=-0.3                raised, or lowered, likewise
    2.0,head,yaw=10 pitch=-5            degrees: to the person's left, up; roll is the motion's own
    2.6,eyes,closed=1                   share of the lids' way: 0 is open as usual, 1 is closed
    3.0,face,smile.npz@0.4              as in another motion file at that time

`part` is lips, upper, eyes or head, face (the first three) or all. An empty value is "as is". Blank lines, and those
that begin with #, are skipped.

An archive (.npz) holds `time` [K] and `part` [K], and, where keys are not as in the motion, any of `expression` [K, D],
`rotation` [K, 3] and `translation` [K, 3], coefficients as in a motion file; a row of NaN is as is. `face_model` names
the face model of an expression.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from scipy.spatial.transform import Rotation

from shared.errors import InputError, UsageError
from shared.face_model.morphable import MorphableModel
from shared.media import FPS
from shared.motion import Motion
from shared.npz import read_npz
from stage1_motion.checks import is_real
from stage1_motion.editing.face_curves import LIMITS, ORDER, Rest, amount, direction
from stage1_motion.parts import FACE, PARTS

AS_IS = "as is"
OF_PART = {
    "gap": "lips", "smile": "lips", "brows": "upper", "closed": "eyes", "yaw": "head", "pitch": "head", "roll": "head",
}  # fmt: skip
"""The part (`parts.PARTS`) of each number."""
MOST_DEGREES = 90.0
_MOST = {"expression": 20.0, "rotation": math.pi / 2, "translation": 3.0}
"""Largest absolute values. Gaps and lids within their limits give expressions up to 8; the picture ends at +-1."""


@dataclass(frozen=True)
class Keyframe:
    """A keyframe.

    Args:
        time: seconds.
        part: of `parts.PARTS`, "face" or "all".
        numbers: any of gap in mm, smile, brows, closed, and yaw, pitch and roll in degrees.
        expression: [D], or None.
        rotation: [3], or None.
        translation: [3], or None.
        place: file and line, for messages.

    Raises:
        InputError: an unknown part, or values that are not finite, out of range, or of another part.
    """

    time: float
    part: str
    numbers: dict[str, float] = field(default_factory=dict)
    expression: np.ndarray | None = None
    rotation: np.ndarray | None = None
    translation: np.ndarray | None = None
    place: str = ""

    def __post_init__(self) -> None:
        wrong = f"{self.place or 'a keyframe'}: "
        if not (is_real(self.time) and math.isfinite(self.time)):
            raise InputError(f"{wrong}time {self.time!r} is not a number")
        try:
            mask = self.mask
        except InputError as error:
            raise InputError(f"{wrong}{error}") from None
        for name, number in self.numbers.items():
            if name not in OF_PART:
                raise InputError(f"{wrong}there is no value {name!r} (there are: {', '.join(OF_PART)})")
            if not mask[PARTS.index(OF_PART[name])]:
                raise InputError(f"{wrong}{name} is a value of {OF_PART[name]}, not of {self.part}")
            least, most = LIMITS.get(name, (-MOST_DEGREES, MOST_DEGREES))
            if not (is_real(number) and least <= number <= most):
                raise InputError(f"{wrong}{name} is a number from {least:g} to {most:g}, not {number}")
        for name, most in _MOST.items():
            values = getattr(self, name)
            if values is not None and not (np.abs(values) <= most).all():
                raise InputError(f"{wrong}{name} consists of numbers from {-most:.3g} to {most:.3g}")

    @property
    def mask(self) -> np.ndarray:
        """Bool [4], over `parts.PARTS`."""
        return part_mask([self.part])

    def put(self, motion: Motion, frame: int, model: MorphableModel, rest: Rest | None = None) -> None:
        """Write it into a frame of a motion, in place.

        Args:
            motion: at 25 frames per second.
            frame: its frame.
            model: its face model.
            rest: the resting face; None: that of the motion.

        Raises:
            InputError: a value that the face cannot reach.
        """
        face, head = self.mask[:3].any(), self.mask[3]
        if face and self.expression is not None:
            motion.expression[frame] = self.expression
        for name in ("rotation", "translation"):
            if head and getattr(self, name) is not None:
                getattr(motion, name)[frame] = getattr(self, name)
        for name in (name for name in ORDER if name in self.numbers):
            rest = rest or Rest.of(motion, model)
            try:
                more = amount(name, self.numbers[name], motion.expression[frame], rest, model)
            except InputError as error:
                raise InputError(f"{self.place or f'the key at {self.time:g} s'}: {error}") from None
            motion.expression[frame] += np.float32(more) * direction(name, rest, model)
        if angles := {name: value for name, value in self.numbers.items() if OF_PART[name] == "head"}:
            motion.rotation[frame] = turned(motion.rotation[frame], angles)


def head_angles(rotation: np.ndarray) -> np.ndarray:
    """Yaw, pitch and roll in degrees [T, 3] of rotations [T, 3]: R = Ry(yaw) Rx(-pitch) Rz(roll)."""
    return Rotation.from_rotvec(rotation).as_euler("YXZ", degrees=True) * [1, -1, 1]


def turned(rotation: np.ndarray, angles: dict[str, float]) -> np.ndarray:
    """The rotation [3] with some of its angles in degrees replaced."""
    yaw, pitch, roll = head_angles(rotation[None])[0]
    wanted = [angles.get("yaw", yaw), -angles.get("pitch", pitch), angles.get("roll", roll)]
    return Rotation.from_euler("YXZ", wanted, degrees=True).as_rotvec().astype(np.float32)


def part_mask(names: Sequence[str]) -> np.ndarray:
    """Mask of named parts, bool [4] over `parts.PARTS`; "face" names the first three, "all" all.

    Raises:
        InputError: an unknown part.
        UsageError: a string instead of a list of names.
    """
    if isinstance(names, str):
        raise UsageError(f"parts are a list of names, such as [{names!r}], not a text")
    mask = np.zeros(len(PARTS), bool)
    for name in names:
        if name not in (*PARTS, "face", "all"):
            raise InputError(f"there is no part {name!r} (there are: {', '.join(PARTS)}, face, all)")
        mask |= [name == "all" or part == name or (name == "face" and part in FACE) for part in PARTS]
    return mask


def as_is_every(seconds: float, frames: int) -> list[Keyframe]:
    """Keys that keep the motion's own frame ("as is"), one every so many seconds from the first frame on."""
    step = max(seconds, 1 / FPS)
    times = (index * step for index in range(math.ceil(frames / FPS / step)))
    return [Keyframe(time, "all") for time in times if round(time * FPS) < frames]


def read_keyframes(path: str | Path, model: MorphableModel) -> list[Keyframe]:
    """Read a file of keyframes; the module describes its formats.

    Args:
        path: .csv or .npz.
        model: the face model of the motion that is edited.

    Raises:
        InputError: no such file, damaged, without a key, of another face model, or with a key that cannot be used.
    """
    path = Path(path)
    keys = _from_archive(path, model) if path.suffix.lower() == ".npz" else _from_table(path, model)
    if not keys:
        raise InputError(f"{path}: there are no keyframes in it")
    return keys


def _from_table(path: Path, model: MorphableModel) -> list[Keyframe]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, skipinitialspace=True)
            rows = [(reader.line_num, [text.strip() for text in row]) for row in reader]
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except (OSError, UnicodeError, csv.Error) as error:
        raise InputError(f"{path}: not a keyframe file ({error})") from None
    rows = [(line, row) for line, row in rows if any(row) and not row[0].startswith("#")]
    names = [name.lower() for name in rows[0][1]] if rows else []
    if not {"time", "part"} <= set(names):
        raise InputError(f"{path}: not a keyframe file; a table has the columns time, part and value")
    keys = []
    for line, row in rows[1:]:
        place = f"{path}, line {line}"
        if len(row) > len(names):
            raise InputError(f"{place}: there are more values than columns")
        time, part, value = (dict(zip(names, row)).get(name, "") for name in ("time", "part", "value"))
        keys.append(_key(_number(time, "time", place), part.lower(), value, path.parent, model, place))
    return keys


def _key(time: float, part: str, value: str, folder: Path, model: MorphableModel, place: str) -> Keyframe:
    if value.lower() in ("", AS_IS):
        return Keyframe(time, part, place=place)
    if "@" in value:
        name, _, moment = value.rpartition("@")
        other = Motion.load(folder / name, face_model=model.fingerprint)
        frame = round(_number(moment, "time", place) * other.fps)
        if not 0 <= frame < len(other):
            raise InputError(f"{place}: {name} lasts {len(other) / other.fps:.2f} s, there is no frame at {moment} s")
        pose = other.rotation[frame], other.translation[frame]
        return Keyframe(time, part, {}, other.expression[frame], *pose, place=place)
    numbers = {}
    for word in value.split():
        name, equals, number = word.partition("=")
        name = name.lower()
        if not equals or name not in OF_PART:
            raise InputError(
                f"{place}: {value!r} is neither 'as is', nor MOTION.npz@SECONDS, nor numbers such as gap=8 (names: "
                f"{', '.join(OF_PART)})"
            )
        numbers[name] = _number(number, name, place)
    return Keyframe(time, part, numbers, place=place)


def _number(text: str, name: str, place: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise InputError(f"{place}: {name} {text!r} is not a number")
    return number


def _from_archive(path: Path, model: MorphableModel) -> list[Keyframe]:
    data = read_npz(path, "keyframe file")
    if not {"time", "part"} <= data.keys():
        raise InputError(f"{path}: not a keyframe file (it lacks time or part)")
    times, parts = data["time"], data["part"]
    if times.ndim != 1 or times.dtype.kind not in "fiu" or parts.shape != times.shape or parts.dtype.kind != "U":
        raise InputError(f"{path}: time is a list of numbers, and part a list of as many names")
    if "face_model" in data and str(data["face_model"]) != model.fingerprint:
        raise InputError(f"{path}: the keys belong to face model {data['face_model']}, not {model.fingerprint}")
    sizes = {"expression": model.num_expression, "rotation": 3, "translation": 3}
    values: dict[str, np.ndarray] = {}
    for name, size in sizes.items():
        value = data.get(name)
        if value is None:
            continue
        if value.shape != (len(times), size) or value.dtype.kind not in "fiu" or np.isinf(value).any():
            raise InputError(f"{path}: {name} must be numbers [{len(times)}, {size}]")
        values[name] = value.astype(np.float32)
    keys = []
    for index, (time, part) in enumerate(zip(times, parts)):
        place = f"{path}, key {index + 1}"
        key = _key(_number(str(time), "time", place), str(part), "", path.parent, model, place)
        rows = {name: value[index] for name, value in values.items() if not np.isnan(value[index]).all()}
        if any(np.isnan(row).any() for row in rows.values()):
            raise InputError(f"{place}: a row is NaN as a whole, or not at all")
        keys.append(replace(key, **rows))
    return keys
