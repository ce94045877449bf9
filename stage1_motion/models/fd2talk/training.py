"""Training of the Expression and Pose Transformers (FD2Talk §3.4.1, eq. 8-12), or of one network that is both."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import torch
from torch import Tensor

from shared.checkpoint import save_checkpoint
from shared.diffusion.sampling import make_schedule
from shared.metrics.lips import best_lag_correlation
from shared.schema import Arguments
from shared.training.batches import OwnRows, own_normal, own_of, own_rows
from shared.training.choice import WeightedChoice
from stage1_motion.dataset import ClipsConfig
from stage1_motion.lip_expert.network import LipExpert
from stage1_motion.losses.motion import POSE_VELOCITY_WEIGHT, ExpressionLoss, pose_loss
from stage1_motion.models.fd2talk.model import KIND
from stage1_motion.models.fd2talk.network import MotionTransformer, MotionTransformerConfig
from stage1_motion.motion_space import MotionSpace
from stage1_motion.training.clips import Clip, learned_and_development, sampling_weights
from stage1_motion.windowed_sampling import generate_windows


class MotionTask:
    """What the tasks share: windows of clips, noise, dropped speech and context; subclasses add the loss.

    Args:
        clips: of training people, development people among them.
        speech_dropout: share of sequences whose speech is dropped, for classifier-free guidance.
        speech_noise: standard deviation of Gaussian noise on the features.
        steps, guidance_scale, eta: of the sampler, in validation and, stored with the weights, afterwards.

    part: "expression", "pose" or "expression_and_pose". carry_velocity: see `generate_windows`.
    """

    part: str
    carry_velocity: bool | Tensor = False

    def __init__(
        self,
        clips: Sequence[Clip],
        space: MotionSpace,
        config: MotionTransformerConfig,
        *,
        speech_dropout: float = 0.15,
        speech_noise: float = 0.1,
        steps: int = 6,
        guidance_scale: float = 1.5,
        eta: float = 0.0,
    ):
        self.space = space
        self.clips, self.development = learned_and_development(clips)
        self.choose = WeightedChoice(sampling_weights(self.clips))
        self.model = MotionTransformer(config)
        self.schedule = make_schedule(config.train_timesteps)
        self.speech_dropout, self.speech_noise = speech_dropout, speech_noise
        self.steps, self.guidance_scale, self.eta = steps, guidance_scale, eta

    def target(self, clip: Clip) -> np.ndarray:
        """[T, D] of the coefficients that this network learns."""
        return getattr(clip, self.part)

    def batch(self, generator: torch.Generator, batch_size: int) -> dict[str, Tensor]:
        """Random windows: x0 [B, F, D], speech [B, F, S], valid [B, F, 1] (False where a short clip was filled up)."""
        window = self.model.config.window
        picks = self.choose(batch_size, generator)
        items: dict[str, list[Tensor]] = {"x0": [], "speech": [], "valid": []}
        own = own_rows(batch_size)
        for row, pick in enumerate(picks.tolist()):
            clip = self.clips[pick]
            length = len(clip.speech)
            start = int(torch.randint(max(1, length - window + 1), (1,), generator=generator))
            if row not in own:  # of another process, which reads it
                continue
            at = np.minimum(np.arange(start, start + window), length - 1)
            items["x0"].append(torch.from_numpy(self.target(clip)[at]))
            items["speech"].append(torch.from_numpy(clip.speech[at]))
            items["valid"].append(torch.from_numpy(np.arange(start, start + window) < length)[:, None])
        batch = {name: torch.stack(values) for name, values in items.items()}
        noise = own_normal(generator, batch_size, *batch["speech"].shape[1:])
        batch["speech"] = batch["speech"] + self.speech_noise * noise
        batch["noise"] = own_normal(generator, batch_size, *batch["x0"].shape[1:])
        batch["timestep"] = own_of(torch.randint(self.model.config.train_timesteps, (batch_size,), generator=generator))
        batch["cond_drop_mask"] = own_of(torch.rand(batch_size, generator=generator) < self.speech_dropout)
        # Half of the windows have context, as all but a recording's first do.
        context = torch.where(torch.rand(batch_size, generator=generator) < 0.5, self.model.config.context, 0)
        batch["context_mask"] = (torch.arange(window)[None] < own_of(context)[:, None])[..., None]
        return OwnRows(batch)

    def predict(self, model: MotionTransformer, batch: dict[str, Tensor]) -> Tensor:
        """Noise x_0 (eq. 2), keep the context clean, predict x_0 (eq. 3)."""
        noisy = self.schedule.add_noise(batch["x0"], batch["noise"], batch["timestep"])
        noisy = torch.where(batch["context_mask"], batch["x0"], noisy)
        return model(noisy, batch["timestep"], batch["speech"], batch["context_mask"], batch["cond_drop_mask"])

    def std(self) -> np.ndarray:
        """[D]: what the coefficients that this network learns were divided by."""
        return getattr(self.space, f"{self.part}_std")

    def save(self, model: MotionTransformer, folder: Path) -> None:
        """Write ``expression.safetensors`` (or whatever the part is): network, normaliser, sampling defaults."""
        save_checkpoint(
            folder / f"{self.part}.safetensors",
            KIND,
            model.state_dict(),
            config=model.config.to_dict(),
            std=[float(v) for v in self.std()],
            face_model=self.space.model.fingerprint,
            steps=self.steps,
            guidance_scale=self.guidance_scale,
            eta=self.eta,
        )

    def generate(self, model: MotionTransformer, clip: Clip, seed: int = 0) -> np.ndarray:
        """The model's motion [T, D] for a clip's speech."""
        generator = torch.Generator().manual_seed(seed)
        speech = torch.from_numpy(clip.speech).to(next(model.parameters()).device)
        return (
            generate_windows(
                model,
                speech,
                steps=self.steps,
                guidance_scale=self.guidance_scale,
                eta=self.eta,
                generator=generator,
                carry_velocity=self.carry_velocity,
            )
            .float()
            .cpu()
            .numpy()
        )

    def loss(self, model: MotionTransformer, batch: dict[str, Tensor]) -> tuple[Tensor, dict[str, Any]]:
        """The paper's terms over the frames that are to be generated."""
        predicted = torch.where(batch["context_mask"], batch["x0"], self.predict(model, batch).float())
        error = predicted - batch["x0"]  # none in the context: velocity across the seam counts in full
        return self.terms(predicted, error, batch["valid"] & ~batch["context_mask"], batch)

    def terms(
        self, predicted: Tensor, error: Tensor, mask: Tensor, batch: dict[str, Tensor]
    ) -> tuple[Tensor, dict[str, Any]]:
        """Loss and its parts of predicted x_0 [B, F, D], off by error [B, F, D]; mask bool [B, F, 1]: what counts."""
        raise NotImplementedError


class ExpressionTask(MotionTask):
    """The Expression Transformer: eq. 12, a weighted sum of eq. 8 and L_sync (eq. 10-11).

    Args:
        lip_weight, velocity_weight: of the lips that the coefficients move, positions and velocities, beside eq. 8;
            not in the paper.
        sync_weight: of L_sync in eq. 12; the paper does not print it.
        lip_expert: the frozen network of L_sync.
    """

    part = "expression"

    def __init__(self, *args: Any, lip_weight: float = 1.0, velocity_weight: float = 1.0, sync_weight: float = 0.0,
                 lip_expert: LipExpert | None = None, **kwargs: Any):  # fmt: skip
        super().__init__(*args, **kwargs)
        self.expression_loss = ExpressionLoss(self.space)
        self.lip_weight, self.velocity_weight, self.sync_weight = lip_weight, velocity_weight, sync_weight
        self.lip_expert = lip_expert

    def to(self, device: torch.device) -> None:
        """Move what the loss needs."""
        self.expression_loss.to(device)
        if self.lip_expert is not None:
            self.lip_expert.to(device)

    def terms(
        self, predicted: Tensor, error: Tensor, mask: Tensor, batch: dict[str, Tensor]
    ) -> tuple[Tensor, dict[str, Any]]:
        """Eq. 12."""
        parts = self.expression_loss(error, mask)
        loss = parts["exp"] + self.lip_weight * parts["lips"] + self.velocity_weight * parts["velocity"]
        if self.lip_expert is not None and self.sync_weight:
            with_speech = mask & ~batch["cond_drop_mask"][:, None, None]
            parts["sync"] = self.lip_expert.sync_loss(predicted, batch["speech"], with_speech)
            loss = loss + self.sync_weight * parts["sync"]
        return loss, parts

    @torch.no_grad()
    def validate(self, model: MotionTransformer) -> dict[str, float]:
        """Lip gap of generated against real motion of the development people: means over people, three seeds."""
        gap_row = self.space.gap_row()
        people: dict[str, list[tuple[float, float, float]]] = {}
        for clip in self.development:
            filmed = clip.expression @ gap_row
            for seed in range(3):
                generated = self.generate(model, clip, seed)[:, : len(gap_row)] @ gap_row
                speed = np.abs(np.diff(generated)).mean() / np.abs(np.diff(filmed)).mean()
                correlation = best_lag_correlation(generated, filmed, max_lag=2)[0]
                people.setdefault(clip.person, []).append((correlation, generated.std() / filmed.std(), speed))
        r, spread, speed = np.mean([np.mean(v, axis=0) for v in people.values()], axis=0)
        return {
            "score": float(r - 0.25 * abs(spread - 1)),
            "r": float(r),
            "spread": float(spread),
            "speed": float(speed),
        }


class PoseTask(MotionTask):
    """The Pose Transformer: eq. 9, with velocities.

    Args:
        velocity_weight: of the head's velocities beside eq. 9; not in the paper.
    """

    part = "pose"
    carry_velocity = True

    def __init__(self, *args: Any, velocity_weight: float = POSE_VELOCITY_WEIGHT, **kwargs: Any):
        super().__init__(*args, **kwargs)
        self.velocity_weight = velocity_weight

    def terms(
        self, predicted: Tensor, error: Tensor, mask: Tensor, batch: dict[str, Tensor]
    ) -> tuple[Tensor, dict[str, Any]]:
        """Eq. 9."""
        return pose_loss(error, mask, self.velocity_weight)

    @torch.no_grad()
    def validate(self, model: MotionTransformer) -> dict[str, float]:
        """See `head_figures`."""
        return head_figures(self, model)


def head_figures(task: MotionTask, model: MotionTransformer) -> dict[str, float]:
    """Spread and speed of generated head motion over real, and correlation of speeds over half a second."""
    figures = []
    for clip in task.development:
        if len(clip.pose) < 75:
            continue
        filmed, generated = clip.pose[:, :3], task.generate(model, clip)[:, -6:-3]
        speeds = [np.abs(np.diff(angles, axis=0)).mean(1) for angles in (filmed, generated)]
        window = np.ones(13) / 13
        smooth = [np.convolve(f, window, "valid") for f in speeds]
        ratio = speeds[1].mean() / speeds[0].mean()
        figures.append((generated.std() / filmed.std(), ratio, np.corrcoef(smooth)[0, 1]))
    spread, speed, r = np.nanmedian(figures, axis=0)
    score = r - abs(np.log(spread)) - abs(np.log(speed))
    return {"score": float(score), "spread": float(spread), "speed": float(speed), "r_speed": float(r)}


class ExpressionAndPoseTask(ExpressionTask):
    """One network for both: eq. 8 to 12 summed (FD2Talk's first ablation, §4.5.1)."""

    part = "expression_and_pose"
    carry_velocity: Tensor

    def __init__(self, *args: Any, **settings: Any):
        super().__init__(*args, **settings)
        self.carry_velocity = torch.arange(len(self.std())) >= len(self.space.expression_std)

    def to(self, device: torch.device) -> None:
        """Move what loss and sampling need."""
        super().to(device)
        self.carry_velocity = self.carry_velocity.to(device)

    def target(self, clip: Clip) -> np.ndarray:
        """[T, D + 6]: expression, then pose."""
        return np.concatenate([np.asarray(clip.expression), np.asarray(clip.pose)], axis=1)

    def std(self) -> np.ndarray:
        """[D + 6]."""
        return np.concatenate([self.space.expression_std, self.space.pose_std])

    def terms(
        self, predicted: Tensor, error: Tensor, mask: Tensor, batch: dict[str, Tensor]
    ) -> tuple[Tensor, dict[str, Any]]:
        """Eq. 12 for expression, eq. 9 for pose."""
        count = len(self.space.expression_std)
        loss, parts = super().terms(predicted[..., :count], error[..., :count], mask, batch)
        of_pose, pose_parts = pose_loss(error[..., count:], mask)
        return loss + of_pose, {**parts, **{f"pose_{name}": value for name, value in pose_parts.items()}}

    def validate(self, model: MotionTransformer) -> dict[str, float]:
        """Figures of both; the scores are added."""
        figures, head = super().validate(model), head_figures(self, model)
        score = figures.pop("score") + head.pop("score")
        return {"score": score, **figures, **{f"head_{name}": value for name, value in head.items()}}


TASKS = {task.part: task for task in (ExpressionTask, PoseTask, ExpressionAndPoseTask)}
_DATA = ("clips", "space", "config")  # arguments of the tasks that are no settings


@dataclass(frozen=True, kw_only=True)
class PoseConfig(ClipsConfig):
    """`model: fd2talk` of `fd2talk train`.

    Args:
        part: the network that is trained.
        network: sizes of `MotionTransformerConfig`.
        loss: settings of the task.
    """

    part: Literal["pose"]
    network: Annotated[
        dict[str, Any], Arguments(MotionTransformerConfig, ("coefficients", "speech_features"))
    ] = field(default_factory=dict)  # fmt: skip
    loss: Annotated[dict[str, Any], Arguments(PoseTask, _DATA)] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class ExpressionConfig(PoseConfig):
    """The same where expression is learned.

    Args:
        lip_expert: weights of the network of L_sync; None: without L_sync.
    """

    part: Literal["expression", "expression_and_pose"]  # type: ignore[assignment]  # instead of the base's
    loss: Annotated[dict[str, Any], Arguments(ExpressionTask, (*_DATA, "lip_expert"))] = field(default_factory=dict)
    lip_expert: str | None = None


Config = PoseConfig | ExpressionConfig


def build_task(config: Config) -> MotionTask:
    """Build the task of a config. Raises InputError: a file is missing."""
    clips, space = config.load("train")
    task, settings = TASKS[config.part], dict(config.loss)
    coefficients = {"pose": 6, "expression": space.model.num_expression}.get(task.part, space.model.num_expression + 6)
    network = MotionTransformerConfig(coefficients, clips[0].speech.shape[1], **config.network)
    if isinstance(config, ExpressionConfig) and config.lip_expert:
        settings["lip_expert"] = LipExpert.load(config.lip_expert)
    return task(clips, space, network, **settings)
