"""A filmed person as driver of another face: every part of the video counts from its own rest.

A video may be cut or zoomed, and may show several people one after the other, or nobody. Its parts are fitted each in a
head crop of their own and moved to one common rest; where nobody is seen the motion rests.
"""

from __future__ import annotations

import numpy as np
from scipy.ndimage import distance_transform_edt, label
from scipy.spatial.transform import Rotation

from shared.face_model.fitting import fit
from shared.face_model.morphable import MorphableModel
from shared.faces.crop import Crop
from shared.media import FPS
from shared.motion import Motion
from shared.retarget import resting_expression, resting_pose
from shared.tracking import Track, of_one_person, smoothed_expression, smoothed_pose

# Longer gaps without a face, in frames at 25 per second, are not bridged: the motion rests, and a new part begins.
_BRIDGED = 12
# Frames from motion to rest before a gap, and back behind it. It rests when the face is gone: on the last frames of a
# face that leaves the picture the tracker is unreliable.
_TO_REST = 10
# Frames on each side of a cut over which a jump of the pose, or of the expression, is spread: lips must stay in sync.
_POSE_BLEND, _EXPRESSION_BLEND = 10, 3
# A head does not grow by a quarter within so many frames: the camera zooms.
_ZOOM, _ZOOM_FRAMES = 0.22, 8
# Times of more parts are not listed.
_LISTED = 5


def driver_motion(model: MorphableModel, track: Track, *, source: str = "") -> tuple[Motion, list[str]]:
    """Fit the face model to the track of a video as it comes: cut, zoomed, with several people, or with nobody.

    Args:
        model: the face model.
        track: of T frames.
        source: text for the motion.

    Returns:
        The motion, T frames without jumps, with the identity of the person of most frames; and a clause about
        everything that was treated, for messages.
    """
    seen = track.confidence > 0
    gone = _long_gaps(seen)
    edges = sorted({*track.cuts, *_middles(gone)})
    zooming = np.concatenate([_zooming(shot) for shot in np.split(track.landmarks, edges)]) & seen
    usable = seen & ~zooming
    for start, stop in track.dissolves:  # two pictures at once
        usable[start:stop] = False
    usable = usable if usable.any() else seen
    parts = _parts(usable, [*edges, *_middles(zooming)])
    shots = [_shot(track, part[usable[part]]) for part in parts]
    own = of_one_person(model, shots) if len(parts) > 1 else np.ones(1, bool)

    values = np.zeros((len(seen), model.num_expression + 6), np.float32)  # expression, rotation, translation
    neutral = np.zeros((len(parts), values.shape[1]))
    groups = [np.flatnonzero(own), *np.flatnonzero(~own)[:, None]]
    for group in groups:
        result = fit(model, np.concatenate([shots[i].crop.to_crop(shots[i].landmarks) for i in group]))
        frames = np.concatenate([parts[i][usable[parts[i]]] for i in group])
        values[frames] = np.concatenate([result.expression, result.rotation, result.translation], axis=1)
        if group is groups[0]:
            identity = result.identity
        for i in group:
            values[parts[i]] = _filled(values[parts[i]], usable[parts[i]])
            neutral[i, :-6] = resting_expression(model, values[frames, :-6])  # of the person
            neutral[i, -6:] = np.concatenate(resting_pose(*_pose(values[parts[i][usable[parts[i]]]])))  # of the part
    main = neutral[max(groups[0], key=lambda i: len(shots[i].landmarks))]
    # At a distance of no frame from a gap the motion rests, at `_TO_REST` frames it is the tracked one.
    away = distance_transform_edt(~gone) if gone.any() else np.full(len(seen), np.inf)
    weight = _smoothstep(away / _TO_REST)[:, None]
    for part, rest in zip(parts, neutral):
        rotation, _ = _pose(values[part])
        turn = (Rotation.from_rotvec(rotation) * Rotation.from_rotvec(rest[-6:-3]).inv()).as_rotvec()
        values[part] = main + (values[part] - rest) * weight[part]
        turned = Rotation.from_rotvec(turn * weight[part]) * Rotation.from_rotvec(main[-6:-3])
        values[part, -6:-3] = turned.as_rotvec()
    starts = [int(part[0]) for part in parts[1:]]
    rotation, translation = _pose(_without_jumps(values, starts, _POSE_BLEND))
    motion = Motion(
        expression=_without_jumps(values, starts, _EXPRESSION_BLEND)[:, :-6],
        rotation=rotation,
        translation=translation,
        face_model=model.fingerprint,
        audio=track.audio,
        identity=identity,
        confidence=track.confidence,
        source=source,
    )
    return motion, _clauses(seen, gone, starts, sum(len(shot.landmarks) for shot, same in zip(shots, own) if not same))


def _pose(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rotation and translation [T, 3] of coefficients [T, D + 6]."""
    return values[:, -6:-3], values[:, -3:]


def _long_gaps(seen: np.ndarray) -> np.ndarray:
    """The frames of long gaps, bool [T]."""
    runs, count = label(~seen)
    lengths = np.bincount(runs.ravel(), minlength=count + 1)
    return ~seen & (lengths[runs] > _BRIDGED)


def _zooming(landmarks: np.ndarray) -> np.ndarray:
    """The frames of one shot in which the camera zooms fast, bool [T]."""
    size = np.log(np.ptp(landmarks[:, :468, 1], axis=1))
    zooming = np.zeros(len(size), bool)
    for start in np.flatnonzero(np.abs(size[_ZOOM_FRAMES:] - size[:-_ZOOM_FRAMES]) > _ZOOM):
        zooming[start + 1 : start + _ZOOM_FRAMES] = True
    return zooming


def _middles(marked: np.ndarray) -> list[int]:
    """The middle frame of every run of True in bool [T]."""
    runs, count = label(marked)
    return [int(np.flatnonzero(runs == run).mean()) for run in range(1, count + 1)]


def _parts(usable: np.ndarray, edges: list[int]) -> list[np.ndarray]:
    """The frames of each part; one without a usable frame belongs to the part before it, or else behind it."""
    parts: list[np.ndarray] = []
    for part in np.split(np.arange(len(usable)), sorted(set(edges))):
        if parts and (not usable[part].any() or not usable[parts[-1]].any()):
            parts[-1] = np.concatenate([parts[-1], part])
        elif len(part):
            parts.append(part)
    return parts


def _shot(track: Track, frames: np.ndarray) -> Track:
    points = track.landmarks[frames]
    crop = track.crop if len(frames) == len(track.landmarks) else Crop.around(points)
    return Track(points, track.confidence[frames], crop)


def _filled(values: np.ndarray, usable: np.ndarray) -> np.ndarray:
    """Coefficients [T, D + 6] of one part, interpolated where they are not known, and without the tracker's noise."""
    known = np.flatnonzero(usable)
    if not usable.all():
        at = np.arange(len(values))
        values = np.stack([np.interp(at, known, column[known]) for column in values.T], axis=1).astype(np.float32)
    rotation, translation = map(smoothed_pose, _pose(values))
    return np.concatenate([smoothed_expression(values[:, :-6]), rotation, translation], axis=1)


def _without_jumps(values: np.ndarray, starts: list[int], frames: int) -> np.ndarray:
    """Spread the jump at each start of a part over so many frames on both sides, [T, K]; movement is kept."""
    edges = [0, *starts, len(values)]
    smooth = values.copy()
    for left, start, right in zip(edges[:-2], edges[1:-1], edges[2:]):
        jump = values[start] - values[start - 1]
        before, after = min(frames, start - left), min(frames, right - start)
        smooth[start - before : start] += 0.5 * _smoothstep(np.arange(1, before + 1) / before)[:, None] * jump
        smooth[start : start + after] -= 0.5 * _smoothstep(np.arange(after, 0, -1) / after)[:, None] * jump
    return smooth


def _smoothstep(x: np.ndarray) -> np.ndarray:
    x = np.clip(x, 0, 1)
    return x * x * (3 - 2 * x)


def _clauses(seen: np.ndarray, gone: np.ndarray, starts: list[int], strangers: int) -> list[str]:
    """What was found, in words."""
    found = []
    if not seen.all():
        rests = ", in which the motion rests" if gone.any() else ""
        found.append(f"no face in {(~seen).sum()} of {len(seen)} frames{rests}")
    if starts:
        times = ", ".join(f"{start / FPS:.2f}" for start in starts[:_LISTED])
        more = f" and {len(starts) - _LISTED} more" if len(starts) > _LISTED else ""
        other = f", perhaps another person in {strangers} of {len(seen)} frames" if strangers else ""
        found.append(f"cut, zoom or gap at {times} s{more}{other}: each part counts from its own rest")
    return found
