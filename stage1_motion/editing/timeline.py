"""Cuts and inserts of sound, in whole frames; everything behind is shifted and stays in sync."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from shared.errors import InputError, UsageError
from shared.media import FPS, SAMPLE_RATE, frame_count
from shared.motion import Motion

_FRAME = round(SAMPLE_RATE / FPS)  # samples
_CROSSFADE = 40
"""Samples on either side of a seam (5 ms in all) of the cross-fade of sound."""
_SEAM = 3
"""Frames on either side of a seam that are regenerated (0.24 s in all)."""

Piece = tuple[np.ndarray, int, int]
"""A sound, the first of its samples, and one behind the last."""


@dataclass(frozen=True)
class Insert:
    """Sound to insert.

    Args:
        time: position in seconds of the original.
        sound: float32 [n], mono, 16 kHz; the last frame is padded with silence.
    """

    time: float
    sound: np.ndarray


@dataclass(frozen=True)
class Timeline:
    """A clip after cuts and inserts.

    Args:
        origin: int [T'], index in the original of each frame; -1 for inserted ones.
        seam: bool [T'], frames beside a seam, and inserted ones, which are regenerated.
        sound: float32 [n'] with `frame_count(n')` = T', or None.
    """

    origin: np.ndarray
    seam: np.ndarray
    sound: np.ndarray | None

    def motion(self, motion: Motion) -> Motion:
        """The motion on this timeline; inserted frames repeat the one before them, or else the first one."""
        at = np.maximum(np.maximum.accumulate(np.where(self.origin < 0, -1, np.arange(len(self.origin)))), 0)
        frames = np.clip(self.origin[at], 0, len(motion) - 1)
        confidence = None if motion.confidence is None else motion.confidence[frames]
        arrays = {name: getattr(motion, name)[frames] for name in ("expression", "rotation", "translation")}
        return replace(motion, **arrays, confidence=confidence, audio=self.sound)

    def moved(self, frame: int) -> int | None:
        """The new index of a frame of the original; None: it was cut out."""
        at = np.flatnonzero(self.origin == frame)
        return int(at[0]) if len(at) else None


def fitted(sound: np.ndarray, frames: int) -> np.ndarray:
    """Trim or pad a motion's sound to its frames; that of a tracked clip may differ by a fraction of a second."""
    if frame_count(len(sound)) == frames:
        return sound
    return _span(sound, 0, frames * _FRAME)


def edited_timeline(
    sound: np.ndarray, cuts: Sequence[tuple[float, float]] = (), inserts: Sequence[Insert] = ()
) -> Timeline:
    """Apply cuts and inserts, rounded to whole frames.

    Args:
        sound: float32 [n], mono, 16 kHz, of the original.
        cuts: (start, stop) in seconds of the original.
        inserts: sounds to insert.

    Raises:
        UsageError: a place outside the sound, ranges that are reversed or overlap, an insert within a cut, nothing is
            left.
    """
    frames = frame_count(len(sound))
    spans: list[tuple[int, int, Insert | None]] = [(*frame_range(cut, frames, "--cut"), None) for cut in cuts]
    for new in inserts:
        if not 0 <= new.time <= frames / FPS:
            raise UsageError(f"--insert {new.time:g} lies outside the motion, which lasts {frames / FPS:.2f} s")
        spans.append((round(new.time * FPS), round(new.time * FPS), new))
    spans.sort(key=lambda span: span[:2])
    pieces: list[Piece] = []
    origin: list[np.ndarray] = []
    seams, cursor = [], 0
    for start, stop, insert in spans:
        if start < cursor:
            raise UsageError(f"--cut and --insert overlap at {start / FPS:g} s")
        pieces.append((sound, cursor * _FRAME, min(start * _FRAME, len(sound))))
        origin.append(np.arange(cursor, start))
        seams.append(sum(map(len, origin)))
        if insert is not None:
            count = frame_count(len(insert.sound))
            if not count:
                raise InputError("the sound to be inserted is empty")
            pieces.append((insert.sound, 0, count * _FRAME))
            origin.append(np.full(count, -1))
            seams.append(seams[-1] + count)
        cursor = stop
    pieces.append((sound, cursor * _FRAME, len(sound)))
    origin.append(np.arange(cursor, frames))
    joined = np.concatenate(origin)
    if not len(joined):
        raise UsageError("--cut leaves nothing")
    seam = joined < 0
    for at in seams:
        if 0 < at < len(joined):
            seam[max(0, at - _SEAM) : at + _SEAM] = True
    # A cut at the end leaves no seam, and the last piece of sound may end within a frame.
    return Timeline(joined, seam, _crossfaded([piece for piece in pieces if piece[2] > piece[1]]))


def frame_range(seconds: tuple[float, float], frames: int, option: str) -> tuple[int, int]:
    """Convert (start, stop) in seconds to frames, stop excluded, rounded to the nearest.

    Raises:
        UsageError: the range is reversed, outside the motion, or has no frame.
    """
    try:
        start, stop = map(float, seconds)
    except (TypeError, ValueError):
        start = stop = np.nan
    if np.isnan([start, stop]).any():
        raise UsageError(f"{option} takes pairs of seconds (from, to), not {seconds!r}")
    stop = frames / FPS if stop == np.inf else stop
    shown = f"{option} {start:g}:{stop:g}"
    if stop < start:
        raise UsageError(f"{shown} is reversed: its end lies before its beginning")
    if start < 0 or stop > (frames + 0.5) / FPS:
        raise UsageError(f"{shown} lies outside the motion, which lasts {frames / FPS:.2f} s")
    first, last = round(start * FPS), min(round(stop * FPS), frames)
    if last <= first:
        raise UsageError(f"{shown} holds no frame")
    return first, last


def _crossfaded(pieces: Sequence[Piece]) -> np.ndarray:
    """Join the pieces with a cross-fade at every seam."""
    joined = np.concatenate([_span(*piece) for piece in pieces])
    at = 0
    for (before, begin, end), (after, follows, _) in zip(pieces, pieces[1:]):
        at += end - begin
        reach = min(_CROSSFADE, at, len(joined) - at)
        share = (np.arange(2 * reach, dtype=np.float32) + 0.5) / max(2 * reach, 1)
        leaving, coming = _span(before, end - reach, end + reach), _span(after, follows - reach, follows + reach)
        joined[at - reach : at + reach] = leaving + share * (coming - leaving)
    return joined


def _span(sound: np.ndarray, start: int, stop: int) -> np.ndarray:
    """Samples from start to stop; silence outside of the sound."""
    inner = sound[max(0, start) : max(0, stop)]
    before = max(0, min(-start, stop - start))
    return np.pad(inner, (before, stop - start - before - len(inner))).astype(np.float32)
