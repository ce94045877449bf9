"""What can be read off speech without a motion model: where somebody speaks, and where lips must meet.

Two linear probes on the speech encoder's features. Where nobody speaks (silence, noise, music) the mouth rests; on
b, p and m lips close, whatever else the network would have averaged them to.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file
from scipy.ndimage import binary_closing, binary_dilation, binary_opening, convolve1d, median_filter

from shared.errors import InputError
from shared.files import atomic_output
from shared.media import FPS, SAMPLE_RATE, frame_count
from shared.speech.augment import add_noise, degrade, noise
from shared.speech.data import PHONES, Recording, load_recordings
from shared.speech.encoder import SpeechEncoder

# At 25 fps: pauses shorter than this are left to the motion model, shorter bursts are no speech; lips part before a
# word is heard and settle after it.
_PAUSE, _BURST, _BEFORE, _AFTER = 20, 3, 4, 6
_EDGE = np.hanning(11)[1:-1].astype(np.float32)
_SILENCE = 3e-4  # root mean square of a frame that nobody could hear
# Probability of a bilabial from which on lips approach each other, and from which on they meet.
_NEAR, _SHUT = 0.5, 0.85
_BILABIALS = [PHONES.index(phone) for phone in ("B", "P", "M")]


@dataclass
class Events:
    """speaks [T] and bilabial [T], both in [0, 1]: how far the mouth is in use; how far lips must be closed."""

    speaks: np.ndarray
    bilabial: np.ndarray


@dataclass
class Probe:
    """Logistic regression on the features of a frame and its neighbours: weights [3 S] and bias."""

    weights: np.ndarray
    bias: float

    def __call__(self, features: np.ndarray) -> np.ndarray:
        """Features [T, S] -> probabilities [T]."""
        return _apply(self, with_neighbours(features))


def _apply(probe: Probe, features: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-(features @ probe.weights + probe.bias)))


def with_neighbours(features: np.ndarray) -> np.ndarray:
    """[T, S] -> [T, 3 S]: the frame before, the frame, the frame after."""
    padded = np.pad(features, ((1, 1), (0, 0)), mode="edge")
    return np.concatenate([padded[:-2], features, padded[2:]], axis=1)


class Phonetics:
    """The two probes and what they mean for a mouth."""

    def __init__(self, speaks: Probe, bilabial: Probe):
        self.speaks, self.bilabial = speaks, bilabial

    @classmethod
    def load(cls, path: str | Path) -> Phonetics:
        """Read what `save` wrote. Raises InputError when it is no such file."""
        try:
            tensors = load_file(str(path))
            probes = [Probe(tensors[name][:-1], float(tensors[name][-1])) for name in ("speaks", "bilabial")]
        except (KeyError, OSError, SafetensorError) as error:
            raise InputError(f"{path}: not a file of phonetic probes ({error})") from None
        return cls(*probes)

    def save(self, path: str | Path) -> None:
        """Write one small safetensors file."""
        tensors = {
            name: np.append(probe.weights, probe.bias).astype(np.float32)
            for name, probe in (("speaks", self.speaks), ("bilabial", self.bilabial))
        }
        with atomic_output(path, overwrite=True) as temporary:
            save_file(tensors, str(temporary))

    def __call__(self, features: np.ndarray, audio: np.ndarray) -> Events:
        """Features [T, S] and the audio they are of -> events, with soft edges."""
        active = median_filter(self.speaks(features), 5, mode="nearest") > 0.5
        active &= _loudness(audio, len(features)) > _SILENCE
        shut = np.clip((self.bilabial(features) - _NEAR) / (_SHUT - _NEAR), 0, 1)
        return Events(_in_use(active), shut.astype(np.float32))


def _in_use(active: np.ndarray) -> np.ndarray:
    """Speech or not, bool [T] -> how far the mouth is in use [T]: bursts dropped, short pauses bridged, soft edges."""
    active = binary_opening(active, np.ones(_BURST))
    spoken = np.flatnonzero(active)
    if not len(spoken):
        return np.zeros(len(active), np.float32)
    first, last = spoken[[0, -1]]
    active[: first if first < _PAUSE else 0] = True  # silence before and after is a pause like any other
    active[last if len(active) - last <= _PAUSE else len(active) :] = True
    pad = binary_closing(np.pad(active, _PAUSE), np.ones(_PAUSE))
    structure = np.ones(2 * _AFTER + 1, bool)
    structure[: _AFTER - _BEFORE] = False  # the origin lies in the middle: _BEFORE to the left, _AFTER to the right
    pad = binary_dilation(pad, structure).astype(np.float32)
    return convolve1d(pad, _EDGE / _EDGE.sum(), mode="nearest")[_PAUSE:-_PAUSE]


def _loudness(audio: np.ndarray, frames: int) -> np.ndarray:
    """[frames]: root mean square of the 80 ms round each frame."""
    size = SAMPLE_RATE // FPS
    padded = np.pad(np.square(audio.astype(np.float32)), (size, 2 * size))[: (frames + 2) * size]
    padded = np.pad(padded, (0, (frames + 2) * size - len(padded)))
    blocks = padded.reshape(-1, size).mean(1)  # block k begins at sample (k - 1) * size
    return np.sqrt((blocks[:frames] + blocks[1 : frames + 1]) / 2)


def fit(features: np.ndarray, labels: np.ndarray, *, penalty: float = 1e-3, iterations: int = 100) -> Probe:
    """Logistic regression of labels [n] on features [n, 3 S] (`with_neighbours`), both classes counting alike."""
    x, y = torch.from_numpy(features).float(), torch.from_numpy(labels).float()
    mean, std = x.mean(0), x.std(0) + 1e-4
    x = (x - mean) / std
    class_weight = torch.where(y > 0, 0.5 / y.mean(), 0.5 / (1 - y.mean()))
    weights = torch.zeros(x.shape[1] + 1, requires_grad=True)
    optimiser = torch.optim.LBFGS([weights], max_iter=iterations, line_search_fn="strong_wolfe")

    def closure() -> torch.Tensor:
        optimiser.zero_grad()
        logits = x @ weights[:-1] + weights[-1]
        loss = torch.nn.functional.binary_cross_entropy_with_logits(logits, y, weight=class_weight)
        loss = loss + penalty * weights[:-1].square().sum()
        loss.backward()
        return loss

    optimiser.step(closure)
    weights = weights.detach()
    scaled = weights[:-1] / std
    return Probe(scaled.numpy(), float(weights[-1] - (scaled * mean).sum()))


def run(config: dict[str, Any]) -> dict[str, Any]:
    """`fd2talk train configs/bundled/phonetics.yaml`: aligned sentences, as they are and degraded, against their
    pauses, noise and music; both classes' accuracies on speakers that were held out."""
    encoder = SpeechEncoder.from_pretrained(config["speech_encoder"], layer=config.get("layer"))
    paths = {name: config[name] for name in ("data", "models", "cache", "alignment")}
    sets = {}
    for split, count in (("train", int(config["sentences"])), ("test", int(config["sentences"]) // 4)):
        recordings = [r for r in load_recordings(**paths, splits=(split,), teach=False) if r.phones is not None]
        generator = np.random.default_rng(0)
        picks = generator.permutation(len(recordings))[:count]
        sets[split] = _examples(encoder, [recordings[i] for i in picks], generator)
    features, labels = sets["train"]
    phonetics = Phonetics(*(fit(features, labels[:, k]) for k in (0, 1)))
    features, labels = sets["test"]
    figures = {}
    for k, name in enumerate(("speaks", "bilabial")):
        said, truth = _apply(getattr(phonetics, name), features) > 0.5, labels[:, k] > 0
        figures[f"{name}: found"] = float(said[truth].mean())
        figures[f"{name}: false alarms"] = float(said[~truth].mean())
    output = Path(config["output"])
    output.mkdir(parents=True, exist_ok=True)
    phonetics.save(output / "phonetics.safetensors")
    return {"best": str(output), "validation": figures}


def _examples(
    encoder: SpeechEncoder, recordings: list[Recording], generator: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Features [n, 3 S] and labels [n, 2] (speaks, bilabial) at 25 Hz; sentences are clean, degraded, in a hum, or
    drowned out to noise alone."""
    features, labels = [], []
    for index, recording in enumerate(recordings):
        audio = recording.audio.astype(np.float32) / 32768
        phones = recording.phones[: 4 * frame_count(len(audio)) : 4]
        truth = np.stack([phones > 0, np.isin(phones, _BILABIALS)], axis=1)
        if index % 4 == 0:
            sound, truth = noise(len(audio), [], generator), np.zeros_like(truth)
            sound = sound / (np.abs(sound).max() + 1e-6) * 10 ** generator.uniform(-3, -0.3)
        elif index % 4 == 1:
            sound = audio
        elif index % 4 == 2:
            sound = degrade(audio, [], generator)
        else:
            sound = add_noise(audio, noise(len(audio), [], generator), generator.uniform(8, 30))
        found = encoder(sound.astype(np.float32))
        length = min(len(found), len(truth))
        features.append(with_neighbours(found)[:length])
        labels.append(truth[:length])
    return np.concatenate(features), np.concatenate(labels).astype(np.float32)
