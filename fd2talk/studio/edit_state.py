"""A state in an edit's history, and arithmetic with ranges of its frames."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from fd2talk.studio.splice import Sound
from shared.audio import FPS
from shared.motion import Motion
from stage1_motion.editing.bend import CurveKey
from stage1_motion.editing.keyframes import OF_PART
from stage1_motion.editing.request import changed_frames
from stage1_motion.parts import PARTS

ARRAYS = ("expression", "rotation", "translation")
Span = tuple[int, int]
"""First frame, and one behind the last."""


@dataclass(frozen=True)
class Edit:
    """A state of the history.

    Args:
        base: the motion as generated, before the keys bend it.
        motion: the base, bent through the keys.
        keys: sorted by frame.
        locks: ranges that must not change, sorted; no two of them touch.
        sound: parts of files, played one after the other.
        what: the step that led here, for people.
    """

    base: Motion
    motion: Motion
    keys: tuple[CurveKey, ...] = ()
    locks: tuple[Span, ...] = ()
    sound: Sound = ()
    what: str = field(default="the original", compare=False)


def merged(now: Edit, made: Motion, new: np.ndarray, near: np.ndarray | None = None) -> Motion:
    """Replace frames of an edit's base by those of `made`.

    A run of bent frames that overlaps the new ones goes into the base as a whole, as it is in `made`, where it is bent
    already: bent once more, its two sides would not fit to each other.

    Args:
        now: the edit.
        made: T frames, which agree with the edit's motion outside the new ones.
        new: bool [T], frames to replace.
        near: bool [T], frames that count as new for the runs.
    """
    region = new.copy()
    for start, stop in spans_of(changed_frames(now.base, now.motion)):
        if (new if near is None else near | new)[start:stop].any():
            region[start:stop] = True
    values: dict[str, Any] = {
        name: np.where(region[:, None], getattr(made, name), getattr(now.base, name)) for name in ARRAYS
    }
    return replace(made, **values)


def with_keys(kept: np.ndarray, keys: Sequence[CurveKey]) -> np.ndarray:
    """Mask of what stays, bool [T, 4] over `parts.PARTS`: all parts of kept frames, and the part of each key."""
    mask = np.repeat(kept[:, None], len(PARTS), axis=1)
    for key in keys:
        mask[key.frame, PARTS.index(OF_PART[key.name])] = True
    return mask


def mask_of(spans: Sequence[Span], frames: int) -> np.ndarray:
    """Bool [T], True in the spans."""
    mask = np.zeros(frames, bool)
    for start, stop in spans:
        mask[start:stop] = True
    return mask


def spans_of(mask: np.ndarray) -> tuple[Span, ...]:
    """Runs of True in a mask [T]."""
    edges = np.flatnonzero(np.diff(np.r_[False, mask, False].astype(int)))
    return tuple((int(start), int(stop)) for start, stop in edges.reshape(-1, 2))


def dilated(mask: np.ndarray, frames: int) -> np.ndarray:
    """The mask [T], widened by so many frames on both sides."""
    return np.convolve(mask, np.ones(2 * frames + 1), "same")[: len(mask)] > 0 if mask.any() else mask


def in_seconds(start: int, stop: int) -> str:
    """Text of a span."""
    return f"{start / FPS:.2f} to {stop / FPS:.2f} s"
