"""From which frames of a video each frame of its edit is drawn, and how they are mixed."""

from __future__ import annotations

import numpy as np

from shared.errors import InputError
from shared.media import FPS
from stage2_render.warp.compositing import smoothstep

# Most frames over which the two sides of a removed part are mixed, on each side of the seam; and, in the middle of an
# inserted part, the pictures before and behind it.
_SEAM, _INSERTED = 8, 12
# How far a frame that shows the face may be from the border of an inserted part.
_NEAR = 12

Sources = list[tuple[int, float]]
"""Frames of the video, with weights that sum to 1."""


def sources(
    source_index: np.ndarray,
    changed: np.ndarray,
    usable: np.ndarray,
    shots: np.ndarray,
    eyes_open: np.ndarray | None = None,
) -> list[Sources]:
    """Return what each frame of an edit is drawn from.

    A changed frame is drawn from the frame that was there: the same light, hair and background. Where nothing was, it
    is drawn from the frames at the borders of the inserted part, of which the first passes into the second half-way.
    Where a part was removed, both sides go on into the changed frames of the other and pass into each other.

    Args:
        source_index: int [T'], the frame of the video that was at each frame of the edit; -1: it is inserted.
        changed: bool [T'], what must be drawn; the others are kept.
        usable: bool [T], the frames of the video that show the face.
        shots: int [T], the number of each frame's shot: nothing is mixed across a cut.
        eyes_open: bool [T], frames that inserted ones should be drawn from: closed eyes hide what opens. None: all.

    Returns:
        One or two sources for each frame that is drawn; none for one that is kept, or in which there is no face.

    Raises:
        InputError: no frame near an inserted part shows the face.
        ValueError: an inserted frame that is kept, or a frame that the video does not have.
    """
    source_index, changed = np.asarray(source_index, int), np.asarray(changed, bool)
    filmed = source_index >= 0
    if (~filmed & ~changed).any() or not (-1 <= source_index).all() or not (source_index < len(usable)).all():
        raise ValueError("only frames of the video can be kept")
    found: list[Sources] = [
        [(int(index), 1.0)] if draw and index >= 0 and usable[index] else []
        for index, draw in zip(source_index, changed)
    ]
    edges = np.flatnonzero(np.diff(filmed.astype(int), prepend=1, append=1))
    for start, stop in zip(edges[::2], edges[1::2]):
        left = _nearest(source_index[start - 1], -1, usable, shots, eyes_open) if start else None
        right = _nearest(source_index[stop], 1, usable, shots, eyes_open) if stop < len(filmed) else None
        if left is None and right is None:
            why = "the speech is longer than the video" if stop == len(filmed) else "frames are to be inserted there"
            raise InputError(f"no face near {start / FPS:.2f} s, and {why}")
        reach = 0 if left is None or right is None or shots[left] != shots[right] else _INSERTED
        for frame, share in zip(range(start, stop), _passing(np.arange(start, stop), (start + stop) / 2, reach, reach)):
            found[frame] = _mixed(left, right, float(share))
    jumps = filmed[1:] & filmed[:-1] & (np.diff(source_index) != 1)
    for seam in np.flatnonzero(jumps) + 1:
        before, behind = source_index[seam - 1], source_index[seam]
        if shots[before] != shots[behind]:
            continue
        ahead, back = _run(changed & filmed, seam - 1, -1), _run(changed & filmed, seam, 1)
        frames = np.arange(seam - ahead, seam + back)
        for frame, share in zip(frames, _passing(frames, seam, ahead, back)):
            left = _held(before + frame - seam + 1, shots[before], usable, shots)
            right = _held(behind + frame - seam, shots[before], usable, shots)
            if left is not None and right is not None and found[frame]:
                found[frame] = _mixed(left, right, float(share))
    return found


def _nearest(index: int, step: int, usable: np.ndarray, shots: np.ndarray, preferred: np.ndarray | None) -> int | None:
    """The frame `index` or one of few further in the direction of `step` that shows the face, best with open eyes."""
    near = np.arange(index, index + step * _NEAR, step)
    near = near[(near >= 0) & (near < len(usable))]
    near = near[usable[near]]
    if preferred is not None:
        near = np.concatenate([near[preferred[near] & (shots[near] == shots[index])], near])
    return int(near[0]) if len(near) else None


def _passing(frames: np.ndarray, middle: float, before: int, behind: int) -> np.ndarray:
    """How far each frame is past a transition that begins `before` frames before its middle and ends `behind`: 0..1."""
    if before + behind == 0:
        return (frames >= middle).astype(float)
    return smoothstep((frames + 0.5 - (middle - before)) / (before + behind))


def _mixed(left: int | None, right: int | None, share: float) -> Sources:
    pair = [(index, weight) for index, weight in ((left, 1 - share), (right, share)) if index is not None]
    if len(pair) == 1 or left == right:
        return [(pair[0][0], 1.0)]
    return [(index, weight) for index, weight in pair if weight > 0]


def _run(marked: np.ndarray, start: int, step: int) -> int:
    """Length of the run of marked frames that begins at `start`, at most `_SEAM`."""
    ahead = marked[start::step][:_SEAM]
    return len(ahead) if ahead.all() else int(np.argmin(ahead))


def _held(index: int, shot: int, usable: np.ndarray, shots: np.ndarray) -> int | None:
    """The frame itself or, where the shot has none of that number, its nearest one; None if it shows no face."""
    first, last = np.flatnonzero(shots == shot)[[0, -1]]
    index = int(np.clip(index, first, last))
    return index if usable[index] else None
