"""What can be read off speech without a motion model: where somebody speaks, and where lips must meet.

Linear probes on the speech encoder's features (trained by `speech_events_training`). Where nobody speaks (silence,
noise, music) the mouth rests; on b, p and m lips close, even where the average prediction is open.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from scipy.ndimage import binary_closing, binary_dilation, binary_opening, convolve1d, maximum_filter1d, median_filter

from shared.checkpoint import described_as, load_checkpoint, save_checkpoint
from shared.media import FPS, SAMPLE_RATE

# At 25 fps: pauses shorter than this are left to the motion model, shorter bursts are no speech; lips part before a
# word is heard and settle after it.
_PAUSE, _BURST, _BEFORE, _AFTER = 20, 3, 4, 6
# Of a shorter pause at the beginning or the end nobody knows how long it is, but a mouth that stands open before the
# first word or in the last frames would be seen; in less than _SETTLE frames it stays.
_SETTLE, _SETTLING = 4, 8
_EDGE = np.hanning(11)[1:-1].astype(np.float32)
_SILENCE = 3e-4  # root mean square below which a frame is inaudible
# Two probes vote on closed lips: one learned b, p, m from transcripts (and takes n for m), one learned shut lips from
# films. Their evidence overlaps, hence a factor under one on the sum of their logits. Where the probability peaks above
# _PEAK lips are shut, and partly so in the frames before and after: filmed lips take three frames to part.
_SHARE, _PEAK, _SIDES = 0.7, 0.4, (0.7, 0.3)


@dataclass
class SpeechEvents:
    """What happens in a recording, frame by frame.

    Args:
        speaks: float32 [T] in [0, 1], 1 while somebody speaks; soft edges.
        bilabials: float32 [T] in [0, 1], 1 where lips must be closed (b, p, m).
        settled: float32 [T] in [0, 1]: how far the mouth has closed in a silence at the beginning or the end that is
            too short to count as one in `speaks`; None: nowhere.
    """

    speaks: np.ndarray
    bilabials: np.ndarray
    settled: np.ndarray | None = None

    @property
    def articulates(self) -> np.ndarray:
        """float32 [T]: how far the mouth follows the speech: while somebody speaks, and less where it has settled."""
        return self.speaks if self.settled is None else self.speaks * (1 - self.settled)


def always_speaking(features: np.ndarray, audio: np.ndarray) -> SpeechEvents:
    """Stand-in for a `SpeechEventDetector` where none belongs to the encoder: no pauses, no closed lips."""
    return SpeechEvents(np.ones(len(features), np.float32), np.zeros(len(features), np.float32))


@dataclass
class Probe:
    """Logistic regression on the features of a frame and its neighbours: weights [3 S] and bias."""

    weights: np.ndarray
    bias: float

    def __call__(self, features: np.ndarray) -> np.ndarray:
        """Features [T, S] -> logits [T]; as of `with_neighbours`, which of an hour of speech would be large."""
        before, now, after = self.weights.reshape(3, -1)
        edges = [0, *range(len(features)), len(features) - 1]
        shares = [(features @ weights)[edges] for weights in (before, after)]
        return shares[0][:-2] + features @ now + shares[1][2:] + self.bias

    def logits(self, features: np.ndarray) -> np.ndarray:
        """Features with neighbours [n, 3 S] -> logits [n]."""
        return features @ self.weights + self.bias


def with_neighbours(features: np.ndarray) -> np.ndarray:
    """[T, S] -> [T, 3 S]: the frame before, the frame, the frame after."""
    padded = np.pad(features, ((1, 1), (0, 0)), mode="edge")
    return np.concatenate([padded[:-2], features, padded[2:]], axis=1)


PROBES = ("speaks", "bilabial", "closed")
_KIND = "speech event detector"


class SpeechEventDetector:
    """The probes by name (`PROBES`) and what they mean for a mouth."""

    def __init__(self, probes: dict[str, Probe]):
        self.probes = probes

    @classmethod
    def load(cls, path: str | Path) -> SpeechEventDetector:
        """Read what `save` wrote. Raises InputError when it is no such file."""
        tensors, _ = load_checkpoint(path, _KIND)
        with described_as(path, _KIND):
            return cls({name: Probe(tensors[name].numpy()[:-1], float(tensors[name][-1])) for name in PROBES})

    def save(self, path: str | Path) -> None:
        """Write one small file of weights."""
        tensors = {name: np.append(p.weights, p.bias).astype(np.float32) for name, p in self.probes.items()}
        save_checkpoint(path, _KIND, {name: torch.from_numpy(t) for name, t in tensors.items()}, half=False)

    def __call__(self, features: np.ndarray, audio: np.ndarray) -> SpeechEvents:
        """Features [T, S] and the audio they are of -> events, with soft edges."""
        active = self.active(features, audio)
        return SpeechEvents(_in_use(active), self.closed_lips(features), _settled(active))

    def in_use(self, features: np.ndarray, audio: np.ndarray) -> np.ndarray:
        """`SpeechEvents.speaks` alone."""
        return _in_use(self.active(features, audio))

    def active(self, features: np.ndarray, audio: np.ndarray, evidence: float = 0.0) -> np.ndarray:
        """Where speech is heard, bool [T], pauses and bursts of all lengths: where the logit is above `evidence`."""
        active = median_filter(self.probes["speaks"](features), 5, mode="nearest") > evidence
        return active & (_loudness(audio, len(features)) > _SILENCE)

    def closed_lips(self, features: np.ndarray) -> np.ndarray:
        """`SpeechEvents.bilabials` alone."""
        logits = _SHARE * (self.probes["bilabial"](features) + self.probes["closed"](features))
        return _shut(1 / (1 + np.exp(-logits)))


def _shut(probability: np.ndarray) -> np.ndarray:
    """Probability of closed lips [T] -> how far lips are shut [T]: at its peaks, and less beside them."""
    peaks = (probability == maximum_filter1d(probability, 5)) & (probability > _PEAK)
    shut = peaks.astype(np.float32)
    for distance, share in enumerate(_SIDES, 1):
        beside = maximum_filter1d(peaks.astype(np.float32), 2 * distance + 1, mode="constant")
        shut = np.maximum(shut, share * beside)
    return shut


def _in_use(active: np.ndarray) -> np.ndarray:
    """Speech or not, bool [T] -> how far the mouth is in use [T]: bursts dropped, short pauses bridged, soft edges."""
    active = binary_opening(active, np.ones(_BURST))
    spoken = np.flatnonzero(active)
    if not len(spoken):
        return np.zeros(len(active), np.float32)
    first, last = spoken[[0, -1]]
    # Silence before and after is a pause like any other: people part their lips to breathe in before they speak.
    active[: first if first < _PAUSE else 0] = True
    active[last if len(active) - last <= _PAUSE else len(active) :] = True
    pad = binary_closing(np.pad(active, _PAUSE), np.ones(_PAUSE))
    structure = np.ones(2 * _AFTER + 1, bool)
    structure[: _AFTER - _BEFORE] = False  # the origin lies in the middle: _BEFORE to the left, _AFTER to the right
    pad = binary_dilation(pad, structure).astype(np.float32)
    return convolve1d(pad, _EDGE / _EDGE.sum(), mode="nearest")[_PAUSE:-_PAUSE]


def _settled(active: np.ndarray) -> np.ndarray:
    """Speech or not, bool [T] -> `SpeechEvents.settled` [T], in the short silences at both ends."""
    active = binary_opening(active, np.ones(_BURST))
    return np.maximum(_closed(active[::-1], _BEFORE)[::-1], _closed(active, _AFTER))


def _closed(active: np.ndarray, hold: int) -> np.ndarray:
    """How far the mouth has closed in a short silence at the end, [T]: as late as after a long one, if it can.

    Args:
        active: speech or not, bool [T].
        hold: frames after the last word until the mouth is half closed.
    """
    spoken = np.flatnonzero(active)
    silence = len(active) - 1 - spoken[-1] if len(spoken) else 0
    if not _SETTLE <= silence < _PAUSE:
        return np.zeros(len(active), np.float32)
    duration = min(_SETTLING, silence)
    done = min(hold + _SETTLING // 2, silence)  # frames after the last word
    share = np.clip((np.arange(len(active)) - spoken[-1] - done + duration) / duration, 0, 1)
    return (share * share * (3 - 2 * share)).astype(np.float32)


def _loudness(audio: np.ndarray, frames: int) -> np.ndarray:
    """[frames]: root mean square of the 80 ms round each frame."""
    size = SAMPLE_RATE // FPS
    padded = np.zeros((frames + 2) * size, np.float32)
    inside = padded[size : size + len(audio)]
    inside[:] = audio[: len(inside)]
    np.square(padded, out=padded)
    blocks = padded.reshape(-1, size).mean(1)  # block k begins at sample (k - 1) * size
    return np.sqrt((blocks[:frames] + blocks[1 : frames + 1]) / 2)
