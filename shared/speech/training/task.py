"""Training of the bundled speech encoder: first on sound alone, then on mouths (a second config, `mouth: true`).

On sound: regression of the teacher's embedding of the *clean* audio from degraded audio, phones frame by frame, and
phones by CTC. On mouths, in addition (and with phones weighing more): regression of the mouth's shape, and matching
speech with the mouth at the same time against all other moments of the batch (contrastive, InfoNCE).
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from transformers import Wav2Vec2Model

from shared.media import frame_count
from shared.processes import gather, mean_count
from shared.schema import Arguments
from shared.speech.features import unit_variance
from shared.speech.training.augment import add_noise, coloured, degrade
from shared.speech.training.recordings import PHONES, Recording, RecordingsConfig, load_mouths
from shared.speech.training.student import Student, encoder_config, start_as_filterbank
from shared.splits import is_development

_FRAME = 640  # samples of a teacher's frame, two of the student's


@dataclass(frozen=True, kw_only=True)
class Config(RecordingsConfig):
    """`model: speech_encoder` of `fd2talk train`.

    Args:
        network: sizes of `encoder_config`.
        mouth: train on mouths as well.
        start: folder of saved weights to start from.
    """

    network: Annotated[dict[str, Any], Arguments(encoder_config)] = field(default_factory=dict)
    mouth: bool = False
    start: str | None = None


def build_task(config: Config) -> SpeechTask:
    """Build the task of a config."""
    recordings = config.load("train")
    if config.mouth:
        load_mouths(recordings, config.data, config.cache)
    return SpeechTask(recordings, config.network, mouth=config.mouth, start=config.start)


class SpeechTask:
    """The task described in the module's docstring; `recordings` of a few held-out people are used for validation.

    Args:
        recordings: read sentences and talking clips.
        network: arguments of `encoder_config`.
        mouth: train on mouths as well.
        start: folder of saved weights to start from.
        seconds: length of an excerpt.
    """

    def __init__(
        self,
        recordings: list[Recording],
        network: dict[str, Any],
        *,
        mouth: bool = False,
        start: str | None = None,
        seconds: float = 3.2,
    ) -> None:
        held_out = [is_development(r.person, "speech") for r in recordings]
        self.training = [r for r, out in zip(recordings, held_out) if not out]
        self.held_out = [r for r, out in zip(recordings, held_out) if out]
        self.mouth, self.frames = mouth, round(seconds * 25)
        if mouth:
            self.training_mouths = [r for r in self.training if r.mouth is not None]
        self.mouth_size = next(r.mouth.shape[1] for r in self.training if r.mouth is not None) if mouth else 0

        embeddings = np.concatenate([r.teacher for r in self.training]).astype(np.float32)
        self.mean, self.std = embeddings.mean(0), embeddings.std(0) + 1e-3
        # Recordings are drawn in proportion to their length; sentences and clips in fixed shares whatever their number.
        self.shares = {
            kind: np.cumsum([len(r.audio) if r.kind == kind else 0 for r in self.training], dtype=np.float64)
            for kind in ("speech", "clips")
        }

        config = encoder_config(**network)
        self.model = Student(config, teacher_size=embeddings.shape[1], mouth_size=self.mouth_size)
        if start:
            state = load_file(Path(start) / "heads.safetensors")
            encoder = load_file(Path(start) / "model.safetensors")
            state.update({f"encoder.{name}": value for name, value in encoder.items()})
            self.model.load_state_dict({name: value.float() for name, value in state.items()}, strict=not mouth)
        else:
            generator = np.random.default_rng(0)
            excerpts = [self._excerpt(self._pick(kind, generator), generator)[0] for kind in ["speech", "clips"] * 8]
            start_as_filterbank(self.model.encoder, np.stack([unit_variance(x) for x in excerpts]))

    # Batches

    def batch(self, generator: torch.Generator, batch_size: int) -> dict[str, Tensor]:
        """Draw degraded excerpts with the targets of the clean ones.

        Returns:
            audio [B, n]; teacher [B, F, 96] with weight [B, F]; phones int64 [B, 2 F] (-100 unknown); mouth [B, F, K]
                with
            mouth_weight [B, F].
        """
        numbers = np.random.default_rng(int(torch.randint(2**62, (1,), generator=generator)))
        rows = []
        for index in range(batch_size):
            if index % 3:
                recording = self._pick("speech", numbers)
            elif self.mouth:
                recording = self.training_mouths[numbers.integers(len(self.training_mouths))]
            else:
                recording = self._pick("clips", numbers)
            audio, targets = self._excerpt(recording, numbers)
            babble = [self._excerpt(self._pick("speech", numbers), numbers)[0] for _ in range(numbers.integers(2, 6))]
            if numbers.random() < 0.02:  # without speech: faint noise, whatever its loudness after normalisation
                audio = coloured(len(audio), numbers.uniform(0, 2), numbers)
                targets["phones"][:] = 0
                targets["teacher_weight"][:] = 0
                targets["mouth_weight"][:] = 0
            else:
                audio = degrade(audio, babble, numbers)
            gain = 10 ** (numbers.uniform(-4, 4) / 20)
            rows.append({"audio": unit_variance(audio) * np.float32(gain), **targets})
        return {name: torch.from_numpy(np.stack([row[name] for row in rows])) for name in rows[0]}

    def _pick(self, kind: str, numbers: np.random.Generator) -> Recording:
        share = self.shares[kind]
        if share[-1] == 0:
            return self.training[numbers.integers(len(self.training))]
        return self.training[np.searchsorted(share, numbers.uniform(0, share[-1]), side="right")]

    def _excerpt(self, recording: Recording, numbers: np.random.Generator) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """Cut `frames` frames from a recording, or from its altered version; silence fills the end."""
        mouth = recording.mouth if self.mouth else None
        altered = (recording.altered is not None or mouth is not None) and numbers.random() < 0.5
        whole = recording.altered_audio() if altered else recording.audio
        teacher = recording.altered if altered else recording.teacher
        up, down = recording.speed if altered else (1, 1)
        first = int(numbers.integers(0, max(1, frame_count(len(whole)) - self.frames + 1)))
        audio = np.zeros(self.frames * _FRAME, np.float32)
        part = whole[first * _FRAME : (first + self.frames) * _FRAME]
        audio[: len(part)] = part.astype(np.float32) / 32768
        targets: dict[str, np.ndarray] = {
            "teacher": np.zeros((self.frames, len(self.mean)), np.float32),
            "teacher_weight": np.zeros(self.frames, np.float32),
            "phones": np.full(2 * self.frames, -100, np.int64),
            "mouth": np.zeros((self.frames, self.mouth_size), np.float32),
            "mouth_weight": np.zeros(self.frames, np.float32),
        }
        if teacher is not None:
            known = teacher[first : first + self.frames].astype(np.float32)
            targets["teacher"][: len(known)] = (known - self.mean) / self.std
            targets["teacher_weight"][: len(known)] = 1
        if recording.phones is not None:
            at = (2 * (2 * first + np.arange(2 * self.frames)) * down) // up
            inside = at < len(recording.phones)
            targets["phones"][:] = np.where(inside, recording.phones[np.minimum(at, len(recording.phones) - 1)], 0)
        if mouth is not None:
            moments = (first + np.arange(self.frames)) * down / up
            inside = moments <= len(mouth) - 1
            time = np.arange(len(mouth))
            moving = np.stack([np.interp(moments, time, column) for column in mouth.T], 1)
            targets["mouth"][inside] = moving[inside]
            targets["mouth_weight"][inside] = 1
        return audio, targets

    # Loss

    def loss(self, model: Student, batch: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        """Weighted sum of the losses in the module's docstring."""
        features = model(batch["audio"]).float()  # [B, 2 F, hidden_size] at 50 Hz
        at_25 = features[:, ::2]  # [B, F, hidden_size]
        weight = batch["teacher_weight"]
        error = (model.teacher(at_25).float() - batch["teacher"]).square().mean(-1)  # [B, F]
        parts = {"teacher": (error * weight).sum() / mean_count(weight.sum())}
        logits = model.phones(features).float()  # [B, 2 F, phones]
        parts["phones"] = _mean_if_any(nn.functional.cross_entropy(logits.mT, batch["phones"], reduction="none"), batch)
        parts["ctc"] = _ctc(model.ctc(features).float(), batch["phones"])
        total = parts["teacher"] + (3.0 if self.mouth else 0.5) * parts["phones"] + 0.1 * parts["ctc"]
        if self.mouth:
            weight = batch["mouth_weight"]
            error = (model.mouth(at_25.mT).mT.float() - batch["mouth"]).square()  # [B, F, K]
            error = error[..., 0] + error[..., 1:].mean(-1)  # [B, F]: aperture and shape weigh the same
            parts["mouth"] = (error * weight).sum() / mean_count(weight.sum())
            speech = nn.functional.normalize(model.match_speech(at_25.mT).mT.float(), dim=-1)  # [B, F, match_size]
            mouth = nn.functional.normalize(model.match_mouth(batch["mouth"].mT).mT.float(), dim=-1)
            parts["match"] = _match(speech, mouth, weight)
            total = total + parts["mouth"] + 0.3 * parts["match"]
        return total, {name: value.detach() for name, value in parts.items()}

    # Validation

    def validate(self, model: Student) -> dict[str, float]:
        """Measure phone accuracy and the correlation with the teacher and with the mouth's aperture on held-out people.

        Clean and with pink noise of 10 dB; the score is the mean of phones and teacher, or of phones and mouth.
        """
        figures: dict[str, list[float]] = {}
        teachers: dict[str, list[np.ndarray]] = {}
        sentences = [r for r in self.held_out if r.kind == "speech" and r.phones is not None]
        clips = [r for r in self.held_out if r.kind == "clips"]
        device = next(model.parameters()).device
        for index, recording in enumerate([*_thin(sentences, 40), *_thin(clips, 40)]):
            frames = min(len(recording.teacher), 200)
            audio = recording.audio[: frames * _FRAME].astype(np.float32) / 32768
            audio = np.pad(audio, (0, frames * _FRAME - len(audio)))
            for condition in ("clean", "noisy"):
                if condition == "noisy":
                    audio = add_noise(audio, coloured(len(audio), 1.0, np.random.default_rng(index)), 10.0)
                features = model(torch.from_numpy(unit_variance(audio))[None].to(device))
                if recording.phones is not None:
                    labels = recording.phones[::2][: features.shape[1]]
                    guess = model.phones(features)[0].argmax(-1).cpu().numpy()[: len(labels)]
                    figures.setdefault(f"phones_{condition}", []).append(float((guess == labels).mean()))
                if self.mouth and recording.mouth is not None:
                    mouth = recording.mouth[:frames, 0]
                    guess = model.mouth(features[:, ::2].mT)[0, 0].float().cpu().numpy()[: len(mouth)]
                    figures.setdefault(f"aperture_{condition}", []).append(float(np.corrcoef(guess, mouth)[0, 1]))
                guess = model.teacher(features[:, ::2])[0].float().cpu().numpy()
                target = (recording.teacher[:frames].astype(np.float32) - self.mean) / self.std
                teachers.setdefault(condition, []).append(np.concatenate([guess, target], 1))
        result = {name: float(np.mean(values)) for name, values in figures.items()}
        for condition, pairs in teachers.items():
            guess, target = np.split(np.concatenate(pairs), 2, axis=1)
            guess, target = guess - guess.mean(0), target - target.mean(0)
            scale = np.sqrt((guess**2).sum(0) * (target**2).sum(0)) + 1e-9
            result[f"teacher_{condition}"] = float(((guess * target).sum(0) / scale).mean())
        wanted = ("aperture" if self.mouth else "teacher", "phones")
        result["score"] = float(np.mean([value for name, value in result.items() if name.startswith(wanted)]))
        return result

    def save(self, model: Student, folder: Path) -> None:
        """Write the encoder in the format of transformers (fp16), its preprocessor settings, and the heads."""
        save_encoder(model.encoder, folder)
        heads = {n: v.half().contiguous().cpu() for n, v in model.state_dict().items() if not n.startswith("encoder.")}
        save_file(heads, folder / "heads.safetensors")


def save_encoder(encoder: Wav2Vec2Model, folder: Path) -> None:
    """Write config.json, model.safetensors (fp16) and preprocessor_config.json; the encoder itself is unchanged."""
    state = {name: value.half().contiguous().cpu() for name, value in encoder.state_dict().items()}
    encoder.config.architectures = ["Wav2Vec2Model"]
    encoder.config.feature_layer = -1  # read by SpeechEncoder: the output, after the last norm
    encoder.config.save_pretrained(folder)
    save_file(state, folder / "model.safetensors", metadata={"format": "pt"})
    settings = {"do_normalize": True, "feature_extractor_type": "Wav2Vec2FeatureExtractor", "sampling_rate": 16000}
    (folder / "preprocessor_config.json").write_text(json.dumps(settings, indent=2) + "\n")


def _mean_if_any(losses: Tensor, batch: dict[str, Tensor]) -> Tensor:
    return losses.sum() / mean_count((batch["phones"] >= 0).sum())


def _ctc(logits: Tensor, labels: Tensor) -> Tensor:
    """CTC on the phones of each excerpt (silences left out), over the excerpts whose phones are known."""
    known = (labels >= 0).all(1).nonzero()[:, 0]
    weight = len(known) / mean_count(torch.tensor(len(known), device=logits.device))
    if not len(known):
        return logits.sum() * 0
    targets = []
    for row in labels[known]:
        changes = torch.unique_consecutive(row)
        targets.append(changes[changes > 0])
    lengths = torch.tensor([len(target) for target in targets])
    frames = torch.full((len(known),), logits.shape[1])
    log_probabilities = logits[known].log_softmax(-1).transpose(0, 1)
    blank = len(PHONES)
    loss = nn.functional.ctc_loss(log_probabilities, torch.cat(targets), frames, lengths, blank, zero_infinity=True)
    return weight * loss


def _match(speech: Tensor, mouth: Tensor, weight: Tensor, every: int = 5, temperature: float = 0.1) -> Tensor:
    """InfoNCE in both directions between speech and mouth [B, F, D], over moments `every` frames apart in all clips."""
    valid = gather(weight[:, ::every]).flatten() > 0
    speech, mouth = (gather(x[:, ::every]).flatten(0, 1)[valid] for x in (speech, mouth))  # [M, D]
    if len(speech) < 2:
        return speech.sum() * 0
    similarity = speech @ mouth.T / temperature  # [M, M]
    same = torch.arange(len(similarity), device=similarity.device)
    return 0.5 * (nn.functional.cross_entropy(similarity, same) + nn.functional.cross_entropy(similarity.T, same))


def _thin(items: list, count: int) -> list:
    return items[:: max(1, -(-len(items) // count))]
