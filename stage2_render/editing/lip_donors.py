"""Which frames of a video lend their lips to the frames that are drawn.

Lips that are wide open in a frame are thin, stretched and lit from within; closed by a warp they smear. Frames with
nearly closed mouths have lips that open well. One of them lends its lips to as many frames in a row as possible: lips
of another frame each time would flicker.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.ndimage import gaussian_filter1d, maximum_filter1d
from scipy.spatial.transform import Rotation

from shared.face_model.measures import lip_aperture, lip_gap
from shared.face_model.mediapipe_mesh import INNER_LIPS, OUTER_EYE_CORNERS, OUTER_LIPS
from shared.metrics.image import sharpness
from shared.motion import Motion
from stage2_render.editing.footage import Footage, FrameReader
from stage2_render.repair.parts import MOUTH
from stage2_render.warp.compositing import smoothstep

# Of each shot: frames whose lips are nearer than this quantile, or this near (mm) to the nearest ones; how many of
# them are looked at; and the quantile of their sharpness from which on they are sharp enough.
_CLOSED, _NEARLY, _LOOKS, _SHARP = 0.08, 0.8, 16, 0.5
# Most donors of a film: each holds pictures and features of a frame.
_MOST = 6
# What a frame costs from a donor: for each mm that it is too open, or its lips pressed; turned by so many degrees; per
# frame between them. And what a change of the donor costs, which is seen.
_TOO_OPEN, _PRESSED, _DEGREES, _FRAMES, _CHANGE = 0.5, 0.5, 8.0, 1000.0, 30.0
# Standard deviation, in frames, over which donors pass into each other.
_PASSING = 4.0
# Millimetres that the film's mouth has to be worse than the donor's until lips are lent, and lent in full; for how many
# frames around, and how softly that begins and ends.
_LENT, _HOLD, _SWELL = (0.8, 3.0), 8, 3.0
# Millimetres by which donors open further than these until lips of a film that is open itself are better: nothing is
# lent from there on, and in full up to the first.
_WIDE, _TOO_WIDE = 15.0, 25.0
# Degrees between two heads up to which lips are lent in full, and from which on they are not.
_NEAR, _FAR = 18.0, 32.0


@dataclass(frozen=True)
class MouthShapes:
    """Measures of mouths in mm, each [T]: height of the opening, width, and height of the lips without the opening."""

    gap: np.ndarray
    width: np.ndarray
    lips: np.ndarray

    @classmethod
    def of(cls, footage: Footage, motion: Motion) -> MouthShapes:
        """Measure the mouths of a motion of the filmed person."""
        vertices = footage.model.vertices(footage.identity, motion.expression)
        corners = vertices[:, INNER_LIPS[0]] - vertices[:, INNER_LIPS[len(INNER_LIPS) // 2]]
        gap = lip_gap(vertices)
        whole = vertices[:, OUTER_LIPS[5], 1] - vertices[:, OUTER_LIPS[15], 1]
        return cls(gap, np.linalg.norm(corners, axis=-1), whole - np.maximum(gap, 0))

    def excess(self, other: MouthShapes) -> np.ndarray:
        """How much worse lips have to be bent to become the `other` ones, in mm: closing them, or changing their width.

        Opening them costs nothing: what is between lips is painted.
        """
        return np.maximum(self.gap - np.maximum(other.gap, 0), 0) + 0.5 * np.abs(self.width - other.width)

    def __getitem__(self, index: Any) -> MouthShapes:
        return MouthShapes(self.gap[index], self.width[index], self.lips[index])


def lip_donors(
    footage: Footage, reader: FrameReader, after: Motion, filmed: np.ndarray, mouths: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Choose the frames that lend their lips.

    Args:
        footage: the video.
        reader: of its frames.
        after: the edited motion, T' frames.
        filmed: int [T'], the frame of the video that each frame is drawn from; -1: it is not drawn.
        mouths: [T'], how far its mouth is another one than in the video, 0..1.

    Returns:
        Their numbers, int [K], and how much of the lips of each frame is theirs, float32 [T', K]; K may be 0.
    """
    asked = (filmed >= 0) & (mouths > 0)
    before, then = MouthShapes.of(footage, footage.motion), MouthShapes.of(footage, after)
    found = _closed(footage, reader, np.unique(footage.shots[filmed[asked]]))
    chosen = _chosen(footage, after, filmed, asked, found, before, then)
    counts = np.bincount(chosen[chosen >= 0], minlength=len(found))
    if (counts > 0).sum() > _MOST:
        found = np.sort(found[np.argsort(counts)[-_MOST:]])
        chosen = _chosen(footage, after, filmed, asked, found, before, then)
    used = np.unique(chosen[chosen >= 0])
    found, shares = found[used], (chosen[:, None] == used).astype(np.float64)
    for shot in np.unique(footage.shots[found]):
        frames = np.flatnonzero((chosen >= 0) & (footage.shots[filmed] == shot))
        shares[frames] = gaussian_filter1d(shares[frames], _PASSING, axis=0, mode="nearest")
    lent = (shares * before[found].excess(then[:, None])).sum(1)
    worse = np.where(chosen >= 0, before[filmed].excess(then) - lent, 0)
    swelling = gaussian_filter1d(maximum_filter1d(worse, 2 * _HOLD + 1), _SWELL)
    near = (shares * smoothstep((_FAR - _degrees(footage, after.rotation, found)) / (_FAR - _NEAR))).sum(1)
    own = np.maximum(then.gap - before.gap[filmed] - _WIDE, 0)
    wide = (shares * np.maximum(then.gap[:, None] - before.gap[found] - _WIDE, 0)).sum(1) - own
    near *= 1 - smoothstep(gaussian_filter1d(wide, 2.0) / (_TOO_WIDE - _WIDE))
    weight = mouths * near * smoothstep((swelling - _LENT[0]) / (_LENT[1] - _LENT[0]))
    weights = (shares * weight[:, None]).astype(np.float32)
    return found[weights.any(0)], weights[:, weights.any(0)]


def _closed(footage: Footage, reader: FrameReader, shots: np.ndarray) -> np.ndarray:
    """Sharp frames of some shots with nearly closed mouths, int [K], in order."""
    corners = footage.model.vertices(footage.identity, 0 * footage.motion.expression[0])[list(OUTER_EYE_CORNERS)]
    gaps = lip_aperture(footage.track.landmarks) * np.linalg.norm(corners[0] - corners[1])
    looks = []
    for shot in shots:
        of_shot = np.flatnonzero(footage.usable & (footage.shots == shot))
        if len(of_shot):
            most = max(np.quantile(gaps[of_shot], _CLOSED), gaps[of_shot].min() + _NEARLY)
            closed = of_shot[gaps[of_shot] <= most]
            looks.append(closed[np.unique(np.linspace(0, len(closed) - 1, _LOOKS).round().astype(int))])
    sharp = {k: _sharpness(reader[k], footage.track.landmarks[k]) for of_shot in looks for k in of_shot.tolist()}
    kept = [[k for k in one if sharp[k] >= np.quantile([sharp[k] for k in one], _SHARP)] for one in looks]
    return np.array([k for one in kept for k in one], int)


def _sharpness(image: np.ndarray, points: np.ndarray) -> float:
    """Of the mouth's crop."""
    return sharpness(MOUTH.crop(points).take(image))


def _chosen(
    footage: Footage,
    after: Motion,
    filmed: np.ndarray,
    asked: np.ndarray,
    found: np.ndarray,
    before: MouthShapes,
    then: MouthShapes,
) -> np.ndarray:
    """Which of `found` lends to each frame, int [T']; -1: none, as there is none in its shot, or nothing is asked."""
    chosen = np.full(len(filmed), -1)
    for shot in np.unique(footage.shots[found]):
        own = np.flatnonzero(footage.shots[found] == shot)
        frames = np.flatnonzero(asked & (footage.shots[filmed] == shot))
        if not len(frames):
            continue
        donors = found[own]
        pressed = np.maximum(np.median(before.lips[donors]) - before.lips[donors], 0)
        cost = _TOO_OPEN * before[donors].excess(then[frames, None]) + _PRESSED * pressed
        cost += np.square(_degrees(footage, after.rotation[frames], donors) / _DEGREES)
        cost += np.abs(filmed[frames, None] - donors) / _FRAMES
        chosen[frames] = own[_steady(cost)]
    return chosen


def _steady(cost: np.ndarray) -> np.ndarray:
    """The choice for each frame that costs least in all, int [T], of costs [T, K] and `_CHANGE` for each change."""
    total, back = np.zeros(cost.shape[1]), np.zeros(cost.shape, int)
    for frame, now in enumerate(cost):
        changed = total > total.min() + _CHANGE
        back[frame] = np.where(changed, total.argmin(), np.arange(len(now)))
        total = np.minimum(total, total.min() + _CHANGE) + now
    path = [int(total.argmin())]
    for before in back[:0:-1]:
        path.append(int(before[path[-1]]))
    return np.array(path[::-1])


def _degrees(footage: Footage, rotation: np.ndarray, found: np.ndarray) -> np.ndarray:
    """Angle between heads with a rotation [T, 3] and those of some frames, [T, K]."""
    heads = Rotation.from_rotvec(rotation)
    turns = [(heads * Rotation.from_rotvec(footage.motion.rotation[k]).inv()).magnitude() for k in found]
    return np.degrees(np.stack(turns, 1)) if turns else np.zeros((len(rotation), 0))
