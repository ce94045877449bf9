"""Running statistics of speech, in the place of those of a whole recording, which a stream does not have.

Those of features begin at the values of typical recordings, which the first seconds of the stream outweigh little by
little.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from shared.checkpoint import described_as, load_checkpoint, save_checkpoint
from shared.media import FPS
from stage1_motion.motion_space import scaled_speech

_KIND = "speech statistics"
_PRIOR = 75.0
"""Frames of speech that outweigh the statistics of typical recordings."""

_MEMORY = 1500.0
"""Frames that are remembered, so that a stream adapts to another voice or room at any time."""

_LOUD = 1.93
"""Level of the loud frames (see `RunningLevel`) over the root mean square of the whole: median of training people."""

_FALL = 1.0
"""Decibels a second."""

_CONTRAST = 8.0
"""Speech is at least so many times louder than the noise between words: before the first word, or after silence, the
noise of a room would be as loud as words."""

_TYPICAL = 0.06
"""Root mean square of recorded speech: what is louder than an eighth of it is not taken for noise."""

_SILENT = 1e-4
"""Share of the greatest energy below which a frame is no noise but silence."""


@dataclass
class SpeechStatistics:
    """Of typical recordings, means over training people.

    Args:
        mean: float32 [S], of the speech encoder's features while somebody speaks.
        std: float32 [S], within a recording.
        weight: whether these are known: 0 begins with the stream's own.
    """

    mean: np.ndarray
    std: np.ndarray
    weight: float = 1.0

    @classmethod
    def unknown(cls, size: int) -> SpeechStatistics:
        """For features of which no statistics were saved."""
        return cls(np.zeros(size, np.float32), np.ones(size, np.float32), weight=0.0)

    @classmethod
    def load(cls, path: str | Path) -> SpeechStatistics:
        """Read what `save` wrote. Raises InputError when it is no such file."""
        tensors, _ = load_checkpoint(path, _KIND)
        with described_as(path, _KIND):
            return cls(tensors["mean"].numpy(), tensors["std"].numpy())

    def save(self, path: str | Path) -> None:
        """Write one small file."""
        tensors = {"mean": torch.from_numpy(self.mean), "std": torch.from_numpy(self.std)}
        save_checkpoint(path, _KIND, tensors, half=False)


class RunningFeatures:
    """Mean and standard deviation of features over the frames in which somebody spoke (see `normalise_speech`).

    Args:
        prior: where they begin.
    """

    def __init__(self, prior: SpeechStatistics) -> None:
        self._prior, self._weight = prior, 0.0
        self._mean = np.zeros(len(prior.mean))
        self._squares = np.zeros(len(prior.mean))  # weighted sum of squared deviations from the mean

    def update(self, features: np.ndarray, speaks: np.ndarray) -> None:
        """Add frames [n, S], each as far as somebody speaks in it, [n] in [0, 1]; each frame once."""
        weights = speaks.astype(float) + 1e-3
        weight = weights.sum()
        mean = weights @ features / weight
        total = self._weight + weight
        self._squares += weights @ np.square(features - mean)
        self._squares += np.square(mean - self._mean) * self._weight * weight / total
        self._mean += (mean - self._mean) * weight / total
        kept = min(1.0, _MEMORY / total)
        self._weight, self._squares = total * kept, self._squares * kept

    def normalise(self, features: np.ndarray) -> np.ndarray:
        """[n, S] -> float32 [n, S], by the statistics of all frames up to now."""
        prior = _PRIOR * self._prior.weight
        total = prior + self._weight
        mean = (prior * self._prior.mean + self._weight * self._mean) / total
        variance = (prior * np.square(self._prior.std) + self._squares) / total
        return scaled_speech(features, mean, np.sqrt(variance))


class RunningLevel:
    """The loudness by which sound is divided, in the place of a recording's root mean square (`unit_variance`).

        level = max(loud, min(contrast noise, typical), falling)
        loud^2 = sum e^2 / sum e / _LOUD^2,  noise^2: the 5th percentile of e,  e: mean square of a frame of the window

    Loud frames count most, so that noise between words says little; in a pause the level of the words before falls
    slowly.
    """

    def __init__(self) -> None:
        self._held = 0.0

    def update(self, frames: np.ndarray, new: int) -> float:
        """Root mean square of speech, from a window [n, samples] of which so many frames are new."""
        energy = np.square(frames, dtype=float).mean(1)
        loud = np.sqrt(np.square(energy).sum() / max(energy.sum(), 1e-12)) / _LOUD
        heard = energy[energy >= _SILENT * energy.max(initial=0)]
        noise = np.sqrt(np.quantile(heard, 0.05)) if len(heard) else 0.0
        self._held = max(loud, min(_CONTRAST * noise, _TYPICAL), self._held * 10 ** (-_FALL * new / FPS / 20))
        return float(self._held)
