"""The lip expert: does this mouth say this? The frozen judge of L_sync (FD2Talk eq. 10-11).

Two stacks of convolutions over time, one over speech features and one over mouth vertices, see `WINDOW` frames each and
end in ReLU embeddings, so that their cosine lies in [0, 1] and can be read as the probability P_sync.
Trained by contrast: a window of mouth motion against the speech of the same moment, of other moments of the clip
(5 frames away or more), and of other clips.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional as F

from shared.face_model import load_bundled
from shared.speech.encoder import SpeechEncoder
from stage1_motion.data import Clip, cached_speech, is_development, load_clips, sampling_weights
from stage1_motion.phonetics import Phonetics
from stage1_motion.space import MotionSpace

WINDOW = 17  # frames: four convolutions of 5
MIN_SHIFT = 5  # frames: less could pass for in sync
_EPSILON = 1e-6  # of eq. 10


def _tower(inputs: int, width: int, embedding: int, dropout: float) -> nn.Sequential:
    layers: list[nn.Module] = []
    for size in (inputs, width, width, width):
        layers += [nn.Conv1d(size, width, 5), nn.GELU(), nn.Dropout(dropout)]
    return nn.Sequential(*layers, nn.Conv1d(width, embedding, 1), nn.ReLU())


class LipExpert(nn.Module):
    """Embeds windows of speech [.., S] and of learned-space expression [.., D] (through the mouth vertices it moves).

    mouth_basis: [D, K] from learned coefficients to the K strongest components of mouth-vertex motion.
    """

    def __init__(self, speech_features: int, mouth_basis: Tensor, width: int = 96, embedding: int = 64,
                 dropout: float = 0.2):  # fmt: skip
        super().__init__()
        self.settings = {"speech_features": speech_features, "width": width, "embedding": embedding}
        self.register_buffer("mouth_basis", mouth_basis)
        self.speech = _tower(speech_features, width, embedding, dropout)
        self.mouth = _tower(2 * mouth_basis.shape[1], width, embedding, dropout)

    def embed_speech(self, speech: Tensor) -> Tensor:
        """[B, F, S] -> [B, F - WINDOW + 1, E], one embedding a window."""
        return self.speech(speech.transpose(1, 2)).transpose(1, 2)

    def embed_mouth(self, expression: Tensor) -> Tensor:
        """Learned-space expression [B, F, D] -> [B, F - WINDOW + 1, E]."""
        mouth = expression @ self.mouth_basis
        velocity = F.pad(mouth.diff(dim=1), (0, 0, 1, 0))
        return self.mouth(torch.cat([mouth, velocity], dim=-1).transpose(1, 2)).transpose(1, 2)

    def p_sync(self, expression: Tensor, speech: Tensor) -> Tensor:
        """Eq. 10 for every window: [B, F - WINDOW + 1] in [0, 1]."""
        v, a = self.embed_mouth(expression), self.embed_speech(speech)
        return (v * a).sum(-1) / (v.norm(dim=-1) * a.norm(dim=-1)).clamp(min=_EPSILON)

    def sync_loss(self, expression: Tensor, speech: Tensor, mask: Tensor) -> Tensor:
        """Eq. 11, averaged over the windows all of whose frames count; mask: bool [B, F, 1]."""
        counted = mask[..., 0].float().unfold(1, WINDOW, 1).amin(-1)
        loss = -torch.log(self.p_sync(expression, speech).clamp(min=1e-3))
        return (loss * counted).sum() / counted.sum().clamp(min=1)

    def save(self, path: Path, **header: Any) -> None:
        """fp16 weights with the settings in the header."""
        tensors = {name: value.detach().half().contiguous().cpu() for name, value in self.state_dict().items()}
        save_file(tensors, str(path), metadata={"lip_expert": json.dumps({**self.settings, **header})})

    @classmethod
    def load(cls, path: str | Path) -> LipExpert:
        """Read what `save` wrote; in eval mode, frozen."""
        with safe_open(str(path), "pt") as file:
            settings = json.loads(file.metadata()["lip_expert"])
            tensors = {name: file.get_tensor(name).float() for name in file.keys()}
        names = ("speech_features", "width", "embedding")
        expert = cls(mouth_basis=tensors["mouth_basis"], **{name: settings[name] for name in names})
        expert.load_state_dict(tensors)
        return expert.eval().requires_grad_(False)


def mouth_basis(space: MotionSpace, components: int = 16) -> Tensor:
    """[D, K]: learned coefficients (unit variance) -> the strongest components of mouth-vertex motion, each of unit
    variance, so that the expert sees lips and nothing else of the face."""
    basis = space.model.exp_basis[:, space.model.groups["mouth"]]
    linear = space.expression_std[:, None] * basis.reshape(len(basis), -1)  # [D, 3 L] mm
    _, singular, axes = np.linalg.svd(linear, full_matrices=False)
    return torch.from_numpy((linear @ axes[:components].T / singular[:components]).astype(np.float32))


class LipExpertTask:
    """Contrastive training; a `shared.training.Task`."""

    def __init__(self, clips: list[Clip], space: MotionSpace, *, window: int = 40, temperature: float = 0.07,
                 speech_noise: float = 0.2, **settings: Any):  # fmt: skip
        clips = [clip for clip in clips if len(clip.speech) >= window]
        self.clips = [clip for clip in clips if not is_development(clip.person)]
        self.development = [clip for clip in clips if is_development(clip.person)]
        self.weights = torch.from_numpy(sampling_weights(self.clips))
        self.window, self.temperature, self.speech_noise = window, temperature, speech_noise
        self.model = LipExpert(clips[0].speech.shape[1], mouth_basis(space), **settings)
        self.fingerprint = space.model.fingerprint

    def batch(self, generator: torch.Generator, batch_size: int) -> dict[str, Tensor]:
        """Windows long enough to hold several shifts: expression [B, F, D], speech [B, F, S]."""
        picks = torch.multinomial(self.weights, batch_size, replacement=True, generator=generator)
        expression, speech = [], []
        for pick in picks.tolist():
            clip = self.clips[pick]
            start = int(torch.randint(len(clip.speech) - self.window + 1, (1,), generator=generator))
            expression.append(torch.from_numpy(clip.expression[start : start + self.window]))
            speech.append(torch.from_numpy(clip.speech[start : start + self.window]))
        # How far a person opens the mouth is not what the expert is to judge.
        gain = 1 + 0.2 * torch.randn(batch_size, 1, 1, generator=generator)
        batch = {"expression": torch.stack(expression) * gain, "speech": torch.stack(speech)}
        noise = torch.randn(batch["speech"].shape, generator=generator)
        batch["speech"] = batch["speech"] + self.speech_noise * noise
        return batch

    def loss(self, model: nn.Module, batch: dict[str, Tensor]) -> tuple[Tensor, dict[str, Any]]:
        """Cross-entropy of finding each mouth window's speech among all of the batch, windows nearer than MIN_SHIFT
        left out; and the same the other way round."""
        v = F.normalize(model.embed_mouth(batch["expression"])[:, ::MIN_SHIFT].float(), dim=-1, eps=_EPSILON)
        a = F.normalize(model.embed_speech(batch["speech"])[:, ::MIN_SHIFT].float(), dim=-1, eps=_EPSILON)
        logits = v.flatten(0, 1) @ a.flatten(0, 1).T / self.temperature
        labels = torch.arange(len(logits), device=logits.device)
        loss = (F.cross_entropy(logits, labels) + F.cross_entropy(logits.T, labels)) / 2
        return loss, {"accuracy": (logits.argmax(1) == labels).float().mean()}

    @torch.no_grad()
    def validate(self, model: nn.Module) -> dict[str, float]:
        """AUC on the development people."""
        auc = sync_auc(model, self.development)
        return {"score": min(auc.values()), **{f"auc_{name}": value for name, value in auc.items()}}

    def save(self, model: LipExpert, folder: Path) -> None:
        """Write ``lip_expert.safetensors``."""
        model.save(folder / "lip_expert.safetensors", face_model=self.fingerprint)


def build_task(config: dict[str, Any]) -> LipExpertTask:
    """`model: lip_expert` of `fd2talk train`; settings as for the transformers (`task.build_task`)."""
    encoder = SpeechEncoder.from_pretrained(config["speech_encoder"], layer=config.get("layer"))
    speech = cached_speech(encoder, Phonetics.load(config["phonetics"]), config["cache"])
    clips, space = load_clips(config["prepared"], load_bundled(), speech, split="train")
    return LipExpertTask(clips, space, **config.get("network", {}))


@torch.no_grad()
def sync_auc(expert: LipExpert, clips: list[Clip], seed: int = 0) -> dict[str, float]:
    """Area under the ROC curve of P_sync: matched windows against time-shifted ones (5 to 25 frames) and against
    another clip's speech."""
    rng = np.random.default_rng(seed)
    matched, shifted, foreign = [], [], []
    for index, clip in enumerate(clips):
        if len(clip.speech) < WINDOW + MIN_SHIFT:
            continue
        device = expert.mouth_basis.device
        v = F.normalize(expert.embed_mouth(torch.from_numpy(clip.expression)[None].to(device))[0], dim=-1, eps=_EPSILON)
        a = F.normalize(expert.embed_speech(torch.from_numpy(clip.speech)[None].to(device))[0], dim=-1, eps=_EPSILON)
        matched.append((v * a).sum(-1).cpu().numpy())
        count = len(v)
        for _ in range(2):
            shift = rng.integers(MIN_SHIFT, min(25, count) + 1, count) * rng.choice([-1, 1], count)
            other = np.arange(count) + shift
            inside = (other >= 0) & (other < count)
            shifted.append((v[inside] * a[other[inside]]).sum(-1).cpu().numpy())
        stranger = clips[(index + 1 + int(rng.integers(len(clips) - 1))) % len(clips)]
        if stranger.person != clip.person and len(stranger.speech) >= WINDOW:
            b = expert.embed_speech(torch.from_numpy(stranger.speech)[None].to(device))[0]
            b = F.normalize(b, dim=-1, eps=_EPSILON)
            length = min(count, len(b))
            foreign.append((v[:length] * b[:length]).sum(-1).cpu().numpy())
    positive = np.concatenate(matched)
    return {"shifted": _auc(positive, np.concatenate(shifted)), "foreign": _auc(positive, np.concatenate(foreign))}


def _auc(positive: np.ndarray, negative: np.ndarray) -> float:
    """Probability that a positive scores above a negative (ties count half): the Mann-Whitney statistic."""
    order = np.sort(negative)
    below = np.searchsorted(order, positive, "left")
    upto = np.searchsorted(order, positive, "right")
    return float((below + upto).mean() / 2 / len(order))
