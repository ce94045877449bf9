"""Edit requests, in seconds of the original, and the constraints that follow from them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from shared.errors import InputError, UsageError
from shared.face_model.morphable import MorphableModel
from shared.media import FPS, SAMPLE_RATE, frame_count
from shared.motion import Motion
from stage1_motion.checks import check_covers, check_kind, is_real
from stage1_motion.editing.bend import CurveKey
from stage1_motion.editing.face_curves import CURVES, Rest
from stage1_motion.editing.keyframes import Keyframe, as_is_every, part_mask
from stage1_motion.editing.timeline import Insert, Timeline, edited_timeline, fitted, frame_range
from stage1_motion.interface import Constraint
from stage1_motion.parts import PARTS


@dataclass(frozen=True)
class EditRequest:
    """What stays and what changes; times are those of the original, in seconds.

    Args:
        keep: ranges that stay.
        keyframes: values of single frames.
        every: interval in seconds of keys that keep the motion's own frame; None: none.
        parts: the only parts that are generated ("lips", "upper", "eyes", "head", "face"); none: all.
        cuts: ranges to cut out of sound and motion.
        inserts: sound to insert. With cuts or inserts and none of the above, everything beside the seams stays.
        rest: resting face for the keyframes' numbers; None: that of the motion.
    """

    keep: Sequence[tuple[float, float]] = ()
    keyframes: Sequence[Keyframe] = ()
    every: float | None = None
    parts: Sequence[str] = ()
    cuts: Sequence[tuple[float, float]] = ()
    inserts: Sequence[Insert] = ()
    rest: Rest | None = None


@dataclass(frozen=True)
class Plan:
    """Arguments of `MotionPipeline.edit`, and the origin of frames.

    Args:
        motion: the original, rearranged by cuts and inserts.
        speech: float32 [n], or None.
        constraint: what stays.
        origin: int [T'], index in the original of each frame of the motion; -1 for new frames.
        heard: int [T''], index in the original sound of each frame of the sound; -1 for inserted ones.
    """

    motion: Motion
    speech: np.ndarray | None
    constraint: Constraint
    origin: np.ndarray
    heard: np.ndarray


def planned(motion: Motion, speech: np.ndarray | None, request: EditRequest, model: MorphableModel) -> Plan:
    """Turn a request into a constraint.

    Args:
        motion: the original, at 25 frames per second.
        speech: float32 [n], the speech to edit to; None: the motion's own sound. Cuts and inserts apply to it, in times
            of the motion.
        request: the edit.
        model: the face model.

    Raises:
        InputError: keys outside the motion, or speech that is shorter than the motion.
        UsageError: ranges that are reversed, overlap or lie outside, an unknown part, and arguments of another kind.
    """
    check_kind("motion", motion, Motion)
    every = request.every
    if every is not None and not (is_real(every) and 0 < every < np.inf):
        raise UsageError(f"every is a number of seconds above 0, not {every!r}")
    frames = len(motion)
    if speech is not None:
        check_covers(speech, frames)
    rearranged = bool(request.cuts or request.inserts)
    timeline = None
    mask = _mask(request, frames, rearranged)
    values = replace(motion, **{name: getattr(motion, name).copy() for name in _ARRAYS})
    keys = [*request.keyframes, *(() if every is None else as_is_every(every, frames))]
    keyed = np.zeros_like(mask)
    rest, curves = request.rest, list[CurveKey]()
    if rest is None and any(name in CURVES for key in keys for name in key.numbers):
        rest = Rest.of(motion, model)
    for key in keys:
        frame = _frame_of(key, frames)
        if not 0 <= frame < frames:
            where = f"{key.place}: " if key.place else ""
            raise InputError(
                f"{where}the key at {key.time:g} s lies outside the motion, which lasts {frames / FPS:.2f} s"
            )
        key.put(values, frame, model, rest)
        keyed[frame] |= key.mask
        curves += [CurveKey(frame, name, value) for name, value in key.numbers.items() if name in CURVES]
    if rearranged:
        sound = speech if speech is not None else motion.audio
        if sound is None and request.inserts:
            raise InputError("there is no sound that could be added to; give it (--audio)")
        silence = np.zeros(round(frames * SAMPLE_RATE / FPS), np.float32)
        sound = silence if sound is None else fitted(sound, frames) if speech is None else sound
        timeline = edited_timeline(sound, request.cuts, request.inserts)
        if sound is silence:
            timeline = replace(timeline, sound=None)
        for key in request.keyframes:
            if timeline.moved(_frame_of(key, frames)) is None:
                raise InputError(f"{key.place}: the key at {key.time:g} s lies in what --cut cuts out")
        motion, values = timeline.motion(motion), timeline.motion(values)
        speech, mask, keyed = timeline.sound, _moved(mask, timeline), _moved(keyed, timeline)
        moved = [(key, timeline.moved(key.frame)) for key in curves]
        curves = [replace(key, frame=frame) for key, frame in moved if frame is not None]
        mask &= ~timeline.seam[:, None]
    origin = np.arange(frames) if timeline is None else np.where(timeline.origin < frames, timeline.origin, -1)
    mask |= keyed
    if mask.all() and not rearranged and (speech is None or frame_count(len(speech)) == len(mask)):
        raise UsageError("everything is kept: there is nothing to generate")
    heard = np.arange(frames if speech is None else frame_count(len(speech))) if timeline is None else timeline.origin
    return Plan(motion, speech, Constraint(values, mask, curves, rest), origin, heard)


_ARRAYS = ("expression", "rotation", "translation")


def _frame_of(key: Keyframe, frames: int) -> int:
    """The nearest frame of a motion to a key; the last one up to its end."""
    frame = round(key.time * FPS)
    return frames - 1 if frame == frames and key.time <= frames / FPS else frame


def _mask(request: EditRequest, frames: int, rearranged: bool) -> np.ndarray:
    """Mask of kept ranges and parts, bool [T, 4], without keys."""
    mask = np.zeros((frames, len(PARTS)), bool)
    if request.parts:
        mask |= ~part_mask(request.parts)
    kept = [frame_range(span, frames, "--keep") for span in request.keep]
    for (start, stop), (after, _) in zip(sorted(kept), [*sorted(kept)[1:], (frames, frames)]):
        if stop > after:
            raise UsageError(f"ranges of --keep overlap at {after / FPS:g} s")
        mask[start:stop] = True
    if rearranged and not (kept or request.parts or request.keyframes or request.every is not None):
        mask[:] = True
    return mask


def _moved(mask: np.ndarray, timeline: Timeline) -> np.ndarray:
    """The mask [T, 4] on a new timeline; inserted frames, and those beyond the motion, are not given."""
    known = (timeline.origin >= 0) & (timeline.origin < len(mask))
    return known[:, None] & mask[np.where(known, timeline.origin, 0)]


def parse_ranges(text: str, option: str) -> list[tuple[float, float]]:
    """Read "0:1.2,3.5:5" -> seconds from, to; ":1.2" and "3.5:" go to the ends of the motion.

    Raises:
        UsageError: the text is malformed.
    """
    ranges = []
    for piece in text.split(","):
        start, colon, stop = piece.strip().partition(":")
        try:
            if not colon:
                raise ValueError
            ranges.append((float(start or 0), float(stop or np.inf)))
        except ValueError:
            raise UsageError(f"{option} {text}: {piece.strip()!r} is not FROM:TO in seconds") from None
        if np.isnan(ranges[-1]).any():
            raise UsageError(f"{option} {text}: {piece.strip()!r} is not FROM:TO in seconds")
    return ranges


def changed_frames(before: Motion, after: Motion, origin: np.ndarray | None = None) -> np.ndarray:
    """Bool [T'], whether a frame of `after` differs from its original frame in `before`.

    Args:
        before: the original.
        after: edited.
        origin: int [T'], see `Plan`; None: frames have not moved. Frames beyond it, and new ones (-1), have changed.
    """
    origin = np.arange(len(before)) if origin is None else origin
    origin = np.pad(origin, (0, max(0, len(after) - len(origin))), constant_values=-1)[: len(after)]
    known = (origin >= 0) & (origin < len(before))
    at = np.where(known, origin, 0)
    same = [(getattr(after, name) == getattr(before, name)[at]).all(1) for name in _ARRAYS]
    return ~(known & np.all(same, axis=0))
