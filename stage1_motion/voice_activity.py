"""Where somebody speaks: a linear probe on the speech encoder's features. Silence, noise and music rest the mouth."""

from __future__ import annotations

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
from shared.speech.data import load_recordings
from shared.speech.encoder import SpeechEncoder

# At 25 fps: pauses shorter than this are left to the motion model, shorter bursts are no speech; lips part before a
# word is heard and settle after it.
_PAUSE, _BURST, _BEFORE, _AFTER = 10, 3, 3, 4
_SILENCE = 3e-4  # root mean square of a frame that nobody could hear


class VoiceActivity:
    """weights [S] and bias of a logistic regression on features [T, S]."""

    def __init__(self, weights: np.ndarray, bias: float):
        self.weights, self.bias = np.asarray(weights, np.float32), float(bias)

    @classmethod
    def load(cls, path: str | Path) -> VoiceActivity:
        """Read what `save` wrote. Raises InputError when it is no such file."""
        try:
            tensors = load_file(str(path))
            return cls(tensors["weights"], tensors["bias"][0])
        except (KeyError, OSError, SafetensorError) as error:
            raise InputError(f"{path}: not a voice activity probe ({error})") from None

    def save(self, path: str | Path) -> None:
        """Write one small safetensors file."""
        with atomic_output(path, overwrite=True) as temporary:
            save_file({"weights": self.weights, "bias": np.array([self.bias], np.float32)}, str(temporary))

    def probability(self, features: np.ndarray) -> np.ndarray:
        """Features [T, S] -> [T]."""
        return 1 / (1 + np.exp(-(features @ self.weights + self.bias)))

    def __call__(self, features: np.ndarray, audio: np.ndarray) -> np.ndarray:
        """Features [T, S] and the audio they are of -> [T] in [0, 1], with soft edges."""
        active = median_filter(self.probability(features), 5, mode="nearest") > 0.5
        active &= _loudness(audio, len(features)) > _SILENCE
        pad = np.pad(active, _PAUSE)  # beyond the ends nobody speaks, but an end is no pause either
        pad = binary_closing(binary_opening(pad, np.ones(_BURST)), np.ones(_PAUSE))
        structure = np.ones(2 * _AFTER + 1, bool)
        structure[: _AFTER - _BEFORE] = False  # the origin lies in the middle: _BEFORE to the left, _AFTER to the right
        pad = binary_dilation(pad, structure)
        soft = convolve1d(pad.astype(np.float32), np.array([1, 2, 3, 2, 1], np.float32) / 9, mode="nearest")
        return soft[_PAUSE:-_PAUSE]


def _loudness(audio: np.ndarray, frames: int) -> np.ndarray:
    """[frames]: root mean square of the 80 ms round each frame."""
    size = SAMPLE_RATE // FPS
    padded = np.pad(np.square(audio.astype(np.float32)), (size, 2 * size))[: (frames + 2) * size]
    padded = np.pad(padded, (0, (frames + 2) * size - len(padded)))
    blocks = padded.reshape(-1, size).mean(1)  # block k begins at sample (k - 1) * size
    return np.sqrt((blocks[:frames] + blocks[1 : frames + 1]) / 2)


def fit(features: np.ndarray, speaks: np.ndarray, *, penalty: float = 1e-2, iterations: int = 100) -> VoiceActivity:
    """Logistic regression of speaks [n] (0 or 1) on features [n, S], both classes counting alike."""
    x, y = torch.from_numpy(features).float(), torch.from_numpy(speaks).float()
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
    return VoiceActivity(scaled.numpy(), float(weights[-1] - (scaled * mean).sum()))


def run(config: dict[str, Any]) -> dict[str, Any]:
    """`fd2talk train configs/bundled/voice_activity.yaml`: aligned sentences, as they are and degraded, against their
    pauses, noise and music; accuracy on speakers that were held out."""
    encoder = SpeechEncoder.from_pretrained(config["speech_encoder"])
    paths = {name: config[name] for name in ("data", "models", "cache", "alignment")}
    sets = {}
    for split, count in (("train", int(config["sentences"])), ("test", int(config["sentences"]) // 4)):
        recordings = [r for r in load_recordings(**paths, splits=(split,), teach=False) if r.phones is not None]
        generator = np.random.default_rng(0)
        picks = generator.permutation(len(recordings))[:count]
        sets[split] = _examples(encoder, [recordings[i] for i in picks], generator)
    probe = fit(*sets["train"])
    features, speaks = sets["test"]
    right = (probe.probability(features) > 0.5) == (speaks > 0)
    output = Path(config["output"])
    output.mkdir(parents=True, exist_ok=True)
    probe.save(output / "voice_activity.safetensors")
    figures = {"speech_found": float(right[speaks > 0].mean()), "rest_found": float(right[speaks == 0].mean())}
    return {"best": str(output), "validation": figures}


def _examples(encoder: SpeechEncoder, recordings: list, generator: np.random.Generator) -> tuple:
    """Features and labels at 25 Hz; every sentence clean, degraded, or drowned out to noise alone."""
    features, labels = [], []
    audios = [r.audio.astype(np.float32) / 32768 for r in recordings]
    for index, (recording, audio) in enumerate(zip(recordings, audios)):
        spoken = recording.phones[: 4 * frame_count(len(audio)) : 4] > 0
        if index % 4 == 0:
            sound, spoken = noise(len(audio), [], generator), np.zeros(frame_count(len(audio)), bool)
            sound = sound / (np.abs(sound).max() + 1e-6) * 10 ** generator.uniform(-3, -0.3)
        elif index % 4 == 1:
            sound = audio
        elif index % 4 == 2:
            sound = degrade(audio, [], generator)
        else:  # pauses with a room's hum between the words
            sound = add_noise(audio, noise(len(audio), [], generator), generator.uniform(8, 30))
        found = encoder(sound.astype(np.float32))
        length = min(len(found), len(spoken))
        features.append(found[:length])
        labels.append(spoken[:length])
    return np.concatenate(features), np.concatenate(labels).astype(np.float32)
