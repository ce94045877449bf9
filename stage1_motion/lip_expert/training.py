"""Training of the lip expert by contrast, and how well it tells speech of the same moment from other speech."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from shared.processes import gather
from shared.schema import Arguments
from shared.training.batches import own_rows
from shared.training.choice import WeightedChoice
from stage1_motion.dataset import ClipsConfig
from stage1_motion.lip_expert.network import EPSILON, WINDOW, LipExpert, mouth_basis
from stage1_motion.motion_space import MotionSpace
from stage1_motion.training.clips import Clip, frames_at, learned_and_development, sampling_weights

MIN_SHIFT = 5  # frames: smaller shifts may look synchronous


class LipExpertTask:
    """Contrastive training; a `shared.training.loop.Task`.

    Args:
        clips: of training people, development people among them.
        space: of their motion.
        window: length of the windows in frames.
        temperature: of the softmax over windows.
        speech_noise: standard deviation of Gaussian noise on the features.
        network: sizes, see `LipExpert`.
    """

    def __init__(self, clips: Sequence[Clip], space: MotionSpace, *, window: int = 40, temperature: float = 0.07,
                 speech_noise: float = 0.2, network: dict[str, Any] | None = None):  # fmt: skip
        self.clips, self.development = learned_and_development(clips, window)
        self.choose = WeightedChoice(sampling_weights(self.clips))
        self.window, self.temperature, self.speech_noise = window, temperature, speech_noise
        self.model = LipExpert(clips[0].speech.shape[1], mouth_basis(space), **(network or {}))
        self.fingerprint = space.model.fingerprint

    def batch(self, generator: torch.Generator, batch_size: int) -> dict[str, Tensor]:
        """Windows long enough to hold several shifts: expression [B, F, D], speech [B, F, S]."""
        picks = self.choose(batch_size, generator)
        expression, speech = [], []
        for row, pick in enumerate(picks.tolist()):
            clip, own = self.clips[pick], row in own_rows(batch_size)
            start = int(torch.randint(len(clip.speech) - self.window + 1, (1,), generator=generator))
            at = np.arange(start, start + self.window)
            expression.append(frames_at(clip.expression, at, own))
            speech.append(frames_at(clip.speech, at, own))
        # How far a person opens the mouth says nothing about synchrony.
        gain = 1 + 0.2 * torch.randn(batch_size, 1, 1, generator=generator)
        batch = {"expression": torch.stack(expression) * gain, "speech": torch.stack(speech)}
        noise = torch.randn(batch["speech"].shape, generator=generator)
        batch["speech"] = batch["speech"] + self.speech_noise * noise
        return batch

    def loss(self, model: LipExpert, batch: dict[str, Tensor]) -> tuple[Tensor, dict[str, Any]]:
        """Cross-entropy of finding each mouth window's speech among all of the batch, and each speech window's mouth.

        Windows nearer to each other than `MIN_SHIFT` are left out.
        """
        v = F.normalize(model.embed_mouth(batch["expression"])[:, ::MIN_SHIFT].float(), dim=-1, eps=EPSILON)
        a = F.normalize(model.embed_speech(batch["speech"])[:, ::MIN_SHIFT].float(), dim=-1, eps=EPSILON)
        v, a = gather(v), gather(a)
        logits = v.flatten(0, 1) @ a.flatten(0, 1).T / self.temperature
        labels = torch.arange(len(logits), device=logits.device)
        loss = (F.cross_entropy(logits, labels) + F.cross_entropy(logits.T, labels)) / 2
        return loss, {"accuracy": (logits.argmax(1) == labels).float().mean()}

    @torch.no_grad()
    def validate(self, model: LipExpert) -> dict[str, float]:
        """AUC on the development people."""
        auc = sync_auc(model, self.development)
        return {"score": min(auc.values()), **{f"auc_{name}": value for name, value in auc.items()}}

    def save(self, model: LipExpert, folder: Path) -> None:
        """Write ``lip_expert.safetensors``."""
        model.save(folder / "lip_expert.safetensors", face_model=self.fingerprint)


@dataclass(frozen=True, kw_only=True)
class Config(ClipsConfig):
    """`model: lip_expert` of `fd2talk train`.

    Args:
        network: sizes of `LipExpert`.
        loss: settings of `LipExpertTask`.
    """

    network: Annotated[dict[str, Any], Arguments(LipExpert, ("speech_features", "mouth_basis"))] = field(
        default_factory=dict
    )
    loss: Annotated[dict[str, Any], Arguments(LipExpertTask, ("clips", "space", "network"))] = field(
        default_factory=dict
    )


def build_task(config: Config) -> LipExpertTask:
    """Build the task of a config."""
    return LipExpertTask(*config.load("train"), network=config.network, **config.loss)


@torch.no_grad()
def sync_auc(expert: LipExpert, clips: list[Clip], seed: int = 0) -> dict[str, float]:
    """Area under the ROC curve of P_sync.

    Matched windows against windows shifted in time by 5 to 25 frames, and against another clip's speech.
    """
    rng = np.random.default_rng(seed)
    matched, shifted, foreign = [], [], []

    def embed(tower: Callable[[Tensor], Tensor], values: np.ndarray) -> Tensor:
        return tower(torch.from_numpy(values)[None].to(expert.mouth_basis.device))[0].float()

    for index, clip in enumerate(clips):
        if len(clip.speech) < WINDOW + MIN_SHIFT:
            continue
        v = F.normalize(embed(expert.embed_mouth, clip.expression), dim=-1, eps=EPSILON)
        a = F.normalize(embed(expert.embed_speech, clip.speech), dim=-1, eps=EPSILON)
        matched.append((v * a).sum(-1).cpu().numpy())
        count = len(v)
        for _ in range(2):
            shift = rng.integers(MIN_SHIFT, min(25, count) + 1, count) * rng.choice([-1, 1], count)
            other = np.arange(count) + shift
            inside = (other >= 0) & (other < count)
            shifted.append((v[inside] * a[other[inside]]).sum(-1).cpu().numpy())
        stranger = clips[(index + 1 + int(rng.integers(len(clips) - 1))) % len(clips)]
        if stranger.person != clip.person and len(stranger.speech) >= WINDOW:
            b = F.normalize(embed(expert.embed_speech, stranger.speech), dim=-1, eps=EPSILON)
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
