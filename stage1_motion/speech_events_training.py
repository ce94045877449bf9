"""Training of the phonetic probes: logistic regressions, computed at once.

`speaks` and `bilabial` learn from aligned sentences, as they are and degraded; `closed` from the lips of the talking
clips, so that it knows what people do rather than what the transcript says.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from shared.errors import InputError
from shared.face_model import load_bundled
from shared.face_model.measures import lip_gap
from shared.media import frame_count
from shared.motion import Motion
from shared.prepared import load_motion, read_index
from shared.shards.reader import is_sharded
from shared.speech.encoder import SpeechEncoder
from shared.speech.training.augment import add_noise, degrade, noise
from shared.speech.training.recordings import PHONES, Recording, RecordingsConfig
from stage1_motion.speech_events import Probe, SpeechEventDetector, with_neighbours
from stage1_motion.training.clips import by_person, spread
from stage1_motion.training.sharded_clips import open_clips

_BILABIALS = [PHONES.index(phone) for phone in ("B", "P", "M")]
# Lips are closed where the gap is within this many standard deviations of the person's smallest.
_CLOSED = 0.35


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


@dataclass(frozen=True, kw_only=True)
class Config(RecordingsConfig):
    """`model: speech_events` of `fd2talk train`.

    Args:
        prepared: folder of `fd2talk prepare`, or what `fd2talk shard` made of it.
        speech_encoder: "bundled", a folder, or a name of the hub: whose features the detector is for.
        layer: its hidden state that is read; None: see `SpeechEncoder`.
        sentences: how many are used.
        clips: about so many filmed clips are learned from, of whole people evenly spread over all; 0: all. Their
            features are in memory, two gigabytes for a thousand clips of ten seconds.
        output: folder of the weights.
    """

    prepared: str = ".cache/prepared"
    speech_encoder: str = "bundled"
    layer: int | None = None
    sentences: int = 1600
    clips: int = 1000
    output: str


def run(config: Config) -> dict[str, Any]:
    """Learn from aligned sentences, clean and degraded, and from filmed lips.

    Speech against pauses, noise and music; the figures are both classes' accuracies on held-out speakers.
    """
    encoder = SpeechEncoder.from_pretrained(config.speech_encoder, layer=config.layer)
    sets = {}
    for split, count in (("train", config.sentences), ("test", config.sentences // 4)):
        recordings = [r for r in config.load(split, teach=False) if r.phones is not None]
        generator = np.random.default_rng(0)
        picks = generator.permutation(len(recordings))[:count]
        sets[split] = _examples(encoder, [recordings[i] for i in picks], generator)
    features, labels = sets["train"]
    detector = SpeechEventDetector({name: fit(features, labels[:, k]) for k, name in enumerate(("speaks", "bilabial"))})
    filmed = _talking_people(config.prepared, config.clips)
    detector.probes["closed"] = fit(*_filmed_lips(encoder, detector, filmed), penalty=3e-3)
    features, labels = sets["test"]
    figures = {}
    for k, name in enumerate(("speaks", "bilabial")):
        said, truth = detector.probes[name].logits(features) > 0, labels[:, k] > 0
        figures[f"{name}: found"] = float(said[truth].mean())
        figures[f"{name}: false alarms"] = float(said[~truth].mean())
    output = Path(config.output)
    output.mkdir(parents=True, exist_ok=True)
    detector.save(output / "speech_events.safetensors")
    return {"best": str(output), "validation": figures}


def _examples(
    encoder: SpeechEncoder, recordings: list[Recording], generator: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Features [n, 3 S] and labels [n, 2] (speaks, bilabial) at 25 Hz.

    Sentences are clean, degraded, under a hum, or masked by noise.
    """
    features, labels = [], []
    for index, recording in enumerate(recordings):
        audio = recording.audio.astype(np.float32) / 32768
        assert recording.phones is not None  # as `run` has chosen them
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


def _talking_people(prepared: str, most: int) -> Iterator[list[Motion]]:
    """Motions of training people with sound, of one person after another.

    Args:
        prepared: the folder.
        most: about how many clips; 0: all.

    Raises:
        InputError: there are none, or they belong to another face model.
    """
    model = load_bundled()
    if is_sharded(prepared):
        clips = open_clips(prepared, model, None, "train")
        people: Sequence[Any] | np.ndarray = clips.people
    else:
        rows = [row for row in read_index(prepared) if row["split"] == "train" and row["audio"] == "ok"]
        people = [row["person"] for row in rows]

    def motion(place: int) -> Motion:
        if is_sharded(prepared):
            return clips.clip(place).motion
        return load_motion(prepared, rows[place]["name"], face_model=model.fingerprint)

    if not len(people):
        raise InputError(f"{prepared}: no clips of split train with sound")
    groups = by_person(people)
    share = min(1.0, most / len(people)) if most else 1.0
    for chosen in spread(len(groups), max(1, round(share * len(groups)))):
        yield [motion(place) for place in groups[chosen].tolist()]


def _filmed_lips(
    encoder: SpeechEncoder, detector: SpeechEventDetector, people: Iterable[list[Motion]]
) -> tuple[np.ndarray, np.ndarray]:
    """Features [n, 3 S] of the frames in which people speak, and whether their lips are closed [n]."""
    model = load_bundled()
    features, labels = [], []
    for motions in people:
        gaps = []
        for motion in motions:
            assert motion.identity is not None  # that of the person in the clip
            gaps.append(lip_gap(model.vertices(motion.identity, motion.expression)))
        every = np.concatenate(gaps)
        limit = np.percentile(every, 3) + _CLOSED * max(every.std(), 2.0)  # mm; some speak with lips that hardly move
        for motion, gap in zip(motions, gaps):
            assert motion.audio is not None  # prepared motions have their sound
            found = encoder(motion.audio)
            length = min(len(found), len(gap))
            talking = detector.in_use(found, motion.audio)[:length] > 0.9
            features.append(with_neighbours(found)[:length][talking])
            labels.append(gap[:length][talking] < limit)
    return np.concatenate(features), np.concatenate(labels).astype(np.float32)
