"""The sound of clips as a speech encoder takes it: in memory for clips in memory, else read piece by piece."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from shared.speech.features import mean_and_deviation, unit_variance
from stage1_motion.training.clips import Clip, ClipSet
from stage1_motion.training.sharded_clips import ShardedClip, ShardedClips


class Sounds:
    """Pieces of the sound of clips.

    Of clips in shards two numbers each are in memory, mean and deviation of their sound, known once it was read.

    Args:
        normalise: whether each clip's sound has zero mean and unit variance.
        groups: of clips whose sound will be asked for.
    """

    def __init__(self, normalise: bool, *groups: Sequence[Clip]) -> None:
        self._normalise = normalise
        here = [clip for group in groups if not isinstance(group, ClipSet) for clip in group]
        self._known = {clip.name: self._whole(clip) for clip in here}
        rows = max((len(group.shards) for group in groups if isinstance(group, ShardedClips)), default=0)
        self._levels = np.full((rows, 2), np.nan, np.float32)

    def _whole(self, clip: Clip) -> np.ndarray:
        assert clip.motion.audio is not None  # prepared motions have their sound
        return unit_variance(clip.motion.audio) if self._normalise else clip.motion.audio.astype(np.float32)

    def piece(self, clip: Clip, start: int, stop: int) -> np.ndarray:
        """Samples start to stop of a clip's sound, float32; fewer where it ends before."""
        if not isinstance(clip, ShardedClip):
            return self._known[clip.name][start:stop]
        if not self._normalise:
            return clip.sound(start, stop)
        if np.isnan(self._levels[clip.row]).any():
            self._levels[clip.row] = mean_and_deviation(clip.sound())
        mean, deviation = self._levels[clip.row]
        return (clip.sound(start, stop) - mean) / deviation
