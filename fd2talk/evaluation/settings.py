"""What a protocol and the command line may set for the measuring of a pair."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from shared.metrics.beats import BEAT_SIGMA
from shared.metrics.sync import MAX_SHIFT


@dataclass(frozen=True)
class Settings:
    """motion: `file` (a clip's motion file where there is one) or `video` (always tracked from the pictures).
    identity: whose face carries the made mesh when it is compared, the clip's `own` where it has one, or the `real`
    one's. max_shift: frames to either side that lip synchronisation tries. beat_sigma: seconds. resampled: bring pairs
    of other rates, lengths and sizes together instead of refusing them. phones: clip name -> seconds of the middles of
    b, p and m.
    """

    motion: str = "file"
    identity: str = "own"
    max_shift: int = MAX_SHIFT
    beat_sigma: float = BEAT_SIGMA
    resampled: bool = False
    phones: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
