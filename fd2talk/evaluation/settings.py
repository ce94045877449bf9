"""Measurement settings that a protocol and the command line may change."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from shared.media import FPS
from shared.metrics.beats import BEAT_SIGMA
from shared.metrics.sync import MAX_SHIFT


@dataclass(frozen=True)
class Settings:
    """How a pair of clips is measured.

    Args:
        fps: frame rate of the protocol's data: motions of this rate are measured at it, all others at 25.
        motion: `file` (the clip's motion file where it has one) or `video` (always tracked in the video).
        identity: the face on which generated and reference mesh are compared: the generated clip's `own` identity
            where it has one, or the `real` (reference) one's.
        max_shift: largest shift in frames, to either side, tried for lip synchronisation.
        beat_sigma: width of a beat's neighbourhood in seconds.
        resampled: bring pairs of different rates, lengths and sizes together instead of refusing them.
        phones: clip name -> seconds of the midpoints of its b, p and m.
        frames: the number of frames of each clip in which images are compared; None for all.
        style: `held-out`: measure motion only where no style is read from, in the second half of people with one clip.
        detector: whose boxes crop SyncNet's input: the tracked `mesh`, or `s3fd`, the published protocol's own.
    """

    fps: float = FPS
    motion: str = "file"
    identity: str = "own"
    max_shift: int = MAX_SHIFT
    beat_sigma: float = BEAT_SIGMA
    resampled: bool = False
    phones: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    frames: int | None = None
    style: str | None = None
    detector: str = "mesh"
