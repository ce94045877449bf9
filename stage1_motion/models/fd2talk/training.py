"""Training of the Expression and Pose Transformers (FD2Talk §3.4.1, eq. 8-12), or of one network that is both."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from shared.diffusion.sampling import make_schedule
from shared.face_model import load_bundled
from shared.metrics.lips import best_lag_correlation
from shared.speech.encoder import SpeechEncoder
from shared.splits import is_development
from stage1_motion.dataset import Clip, cached_speech, load_clips, sampling_weights
from stage1_motion.lip_expert.network import LipExpert
from stage1_motion.models.fd2talk.network import MotionTransformer, MotionTransformerConfig
from stage1_motion.motion_space import MotionSpace
from stage1_motion.speech_events import Phonetics
from stage1_motion.windowed_sampling import generate_windows


def save_network(network: MotionTransformer, path: Path, **header: Any) -> None:
    """fp16 weights, with the configuration and `header` (JSON values) in the file's header."""
    tensors = {name: value.detach().half().contiguous().cpu() for name, value in network.state_dict().items()}
    header = {"config": network.config.to_dict(), **header}
    save_file(tensors, str(path), metadata={"motion_transformer": json.dumps(header)})


class MotionTask:
    """What the two tasks share: windows of clips, noise, the withheld speech and context; subclasses add the loss.

    part: "expression", "pose" or "expression_and_pose". carry_velocity: see `generate_windows`. steps, guidance_scale:
    of the sampler, in validation and after.
    """

    part: str
    carry_velocity: bool | Tensor = False

    def __init__(
        self,
        clips: list[Clip],
        space: MotionSpace,
        config: MotionTransformerConfig,
        *,
        speech_dropout: float = 0.15,
        speech_noise: float = 0.1,
        steps: int = 6,
        guidance_scale: float = 1.5,
    ):
        self.space = space
        self.clips = [clip for clip in clips if not is_development(clip.person)]
        self.development = [clip for clip in clips if is_development(clip.person)]
        self.weights = torch.from_numpy(sampling_weights(self.clips))
        self.model = MotionTransformer(config)
        self.schedule = make_schedule(config.train_timesteps)
        self.speech_dropout, self.speech_noise = speech_dropout, speech_noise
        self.steps, self.guidance_scale = steps, guidance_scale

    def target(self, clip: Clip) -> np.ndarray:
        """[T, D] of the coefficients that this network learns."""
        return getattr(clip, self.part)

    def batch(self, generator: torch.Generator, batch_size: int) -> dict[str, Tensor]:
        """Random windows: x0 [B, F, D], speech [B, F, S], valid [B, F, 1] (False where a short clip was filled up)."""
        window = self.model.config.window
        picks = torch.multinomial(self.weights, batch_size, replacement=True, generator=generator)
        items: dict[str, list[Tensor]] = {"x0": [], "speech": [], "valid": []}
        for pick in picks.tolist():
            clip = self.clips[pick]
            length = len(clip.speech)
            start = int(torch.randint(max(1, length - window + 1), (1,), generator=generator))
            at = np.minimum(np.arange(start, start + window), length - 1)
            items["x0"].append(torch.from_numpy(self.target(clip)[at]))
            items["speech"].append(torch.from_numpy(clip.speech[at]))
            items["valid"].append(torch.from_numpy(np.arange(start, start + window) < length)[:, None])
        batch = {name: torch.stack(values) for name, values in items.items()}
        noise = torch.randn(batch["speech"].shape, generator=generator)
        batch["speech"] = batch["speech"] + self.speech_noise * noise
        batch["noise"] = torch.randn(batch["x0"].shape, generator=generator)
        batch["timestep"] = torch.randint(self.model.config.train_timesteps, (batch_size,), generator=generator)
        batch["drop"] = torch.rand(batch_size, generator=generator) < self.speech_dropout
        # Half of the windows continue something, as all but a recording's first do.
        context = torch.where(torch.rand(batch_size, generator=generator) < 0.5, self.model.config.context, 0)
        batch["given"] = (torch.arange(window)[None] < context[:, None])[..., None]
        return batch

    def predict(self, model: nn.Module, batch: dict[str, Tensor]) -> Tensor:
        """Noise x_0 (eq. 2), keep the given frames clean, predict x_0."""
        noisy = self.schedule.add_noise(batch["x0"], batch["noise"], batch["timestep"])
        noisy = torch.where(batch["given"], batch["x0"], noisy)
        return model(noisy, batch["timestep"], batch["speech"], batch["given"], batch["drop"])

    def std(self) -> np.ndarray:
        """[D]: what the coefficients that this network learns were divided by."""
        return getattr(self.space, f"{self.part}_std")

    def save(self, model: MotionTransformer, folder: Path) -> None:
        """Write ``expression.safetensors`` (or whatever the part is): network, normaliser, sampling defaults."""
        save_network(
            model,
            folder / f"{self.part}.safetensors",
            std=[float(v) for v in self.std()],
            face_model=self.space.model.fingerprint,
            steps=self.steps,
            guidance_scale=self.guidance_scale,
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
                generator=generator,
                carry_velocity=self.carry_velocity,
            )
            .float()
            .cpu()
            .numpy()
        )

    def loss(self, model: nn.Module, batch: dict[str, Tensor]) -> tuple[Tensor, dict[str, Any]]:
        """The paper's terms over the frames that are to be made."""
        predicted = torch.where(batch["given"], batch["x0"], self.predict(model, batch).float())
        error = predicted - batch["x0"]  # none in the given frames: velocity across the seam counts in full
        return self.terms(predicted, error, batch["valid"] & ~batch["given"], batch)

    def terms(
        self, predicted: Tensor, error: Tensor, mask: Tensor, batch: dict[str, Tensor]
    ) -> tuple[Tensor, dict[str, Any]]:
        """Loss and its parts of predicted x_0 [B, F, D], off by error [B, F, D]; mask bool [B, F, 1]: what counts."""
        raise NotImplementedError


def build_task(config: dict[str, Any]) -> MotionTask:
    """`model: expression`, `model: pose` and `model: expression_and_pose` of `fd2talk train`.

    prepared: folder of `fd2talk prepare`. speech_encoder (and layer): whose features are learned from.
    phonetics: probes for those features. cache: folder for features. network, loss: settings of
    `MotionTransformerConfig` and of the task. lip_expert: weights of the judge of L_sync, where expression is learned.
    """
    encoder = SpeechEncoder.from_pretrained(config["speech_encoder"], layer=config.get("layer"))
    speech = cached_speech(encoder, Phonetics.load(config["phonetics"]), config["cache"])
    clips, space = load_clips(config["prepared"], load_bundled(), speech, split="train")
    task, coefficients = {
        "expression": (ExpressionTask, space.model.num_expression),
        "pose": (PoseTask, 6),
        "expression_and_pose": (ExpressionAndPoseTask, space.model.num_expression + 6),
    }[config["model"]]
    network = MotionTransformerConfig(coefficients, encoder.size, **config.get("network", {}))
    settings = dict(config.get("loss", {}))
    if task is not PoseTask and config.get("lip_expert"):
        settings["lip_expert"] = LipExpert.load(config["lip_expert"])
    return task(clips, space, network, **settings)


def masked_mean(values: Tensor, mask: Tensor) -> Tensor:
    """Mean of values [B, F, K] over frames where mask [B, F, 1] holds."""
    return (values * mask).sum() / (mask.sum() * values.shape[-1]).clamp(min=1)


class ExpressionTask(MotionTask):
    """Eq. 8, with coefficients weighted by how far they move a face, the lips they move (positions and velocities),
    and L_sync (eq. 10-11) from the frozen lip expert.

    Eq. 12's weights: coefficients 1, `lip_weight`, `velocity_weight`, `sync_weight`.
    """

    part = "expression"

    def __init__(self, *args: Any, lip_weight: float = 1.0, velocity_weight: float = 1.0, sync_weight: float = 0.0,
                 lip_expert: nn.Module | None = None, **kwargs: Any):  # fmt: skip
        super().__init__(*args, **kwargs)
        std = torch.from_numpy(self.space.expression_std)
        lips = torch.from_numpy(self.space.model.exp_basis[:, self.space.model.groups["lips"]]).flatten(1)
        basis = std[:, None] * lips  # learned coefficients -> lip offsets in mm
        self.lips = basis / (basis.square().sum(0).mean().sqrt())
        self.scale = std / std.square().mean().sqrt()
        self.lip_weight, self.velocity_weight, self.sync_weight = lip_weight, velocity_weight, sync_weight
        self.lip_expert = lip_expert

    def to(self, device: torch.device) -> None:
        """Move what the loss needs."""
        self.lips, self.scale = self.lips.to(device), self.scale.to(device)
        if self.lip_expert is not None:
            self.lip_expert.to(device)

    def terms(
        self, predicted: Tensor, error: Tensor, mask: Tensor, batch: dict[str, Tensor]
    ) -> tuple[Tensor, dict[str, Any]]:
        """Eq. 12."""
        coefficients = masked_mean((error * self.scale).square(), mask)
        lips = error @ self.lips
        position = masked_mean(lips.square(), mask)
        velocity = masked_mean(lips.diff(dim=1).square(), mask[:, 1:])
        loss = coefficients + self.lip_weight * position + self.velocity_weight * velocity
        parts = {"exp": coefficients, "lips": position, "velocity": velocity}
        if self.lip_expert is not None and self.sync_weight:
            parts["sync"] = self.lip_expert.sync_loss(predicted, batch["speech"], mask & ~batch["drop"][:, None, None])
            loss = loss + self.sync_weight * parts["sync"]
        return loss, parts

    @torch.no_grad()
    def validate(self, model: nn.Module) -> dict[str, float]:
        """Lip gap of generated against real motion of the development people: medians over people."""
        gap_row = self._gap_row()
        people: dict[str, list[tuple[float, float, float]]] = {}
        for clip in self.development:
            real, made = clip.expression @ gap_row, self.generate(model, clip)[:, : len(gap_row)] @ gap_row
            speed = np.abs(np.diff(made)).mean() / np.abs(np.diff(real)).mean()
            correlation = best_lag_correlation(made, real, max_lag=2)[0]
            people.setdefault(clip.person, []).append((correlation, made.std() / real.std(), speed))
        r, spread, speed = np.median([np.mean(v, axis=0) for v in people.values()], axis=0)
        return {
            "score": float(r - 0.25 * abs(spread - 1)),
            "r": float(r),
            "spread": float(spread),
            "speed": float(speed),
        }

    def _gap_row(self) -> np.ndarray:
        """[D]: learned coefficients -> lip gap in mm (linear in them)."""
        model = self.space.model
        neutral = np.zeros(model.num_identity, np.float32)
        unit = np.diag(self.space.expression_std)
        return self.space.lip_gap(neutral, unit) - self.space.lip_gap(neutral, np.zeros(model.num_expression))


class PoseTask(MotionTask):
    """Eq. 9, with velocities: a head that shakes by a tenth of a degree is seen."""

    part = "pose"
    carry_velocity = True

    def terms(
        self, predicted: Tensor, error: Tensor, mask: Tensor, batch: dict[str, Tensor]
    ) -> tuple[Tensor, dict[str, Any]]:
        """Eq. 9."""
        return pose_terms(error, mask)

    @torch.no_grad()
    def validate(self, model: nn.Module) -> dict[str, float]:
        """See `head_figures`."""
        return head_figures(self, model)


def pose_terms(error: Tensor, mask: Tensor) -> tuple[Tensor, dict[str, Any]]:
    """Eq. 9 with velocities, of error [B, F, 6] where mask [B, F, 1] holds."""
    position = masked_mean(error.square(), mask)
    velocity = masked_mean(error.diff(dim=1).square(), mask[:, 1:])
    return position + 10.0 * velocity, {"pose": position, "velocity": velocity}


def head_figures(task: MotionTask, model: nn.Module) -> dict[str, float]:
    """Spread and speed of generated head motion over real, and correlation of speeds over half a second."""
    figures = []
    for clip in task.development:
        if len(clip.pose) < 75:
            continue
        real, made = clip.pose[:, :3], task.generate(model, clip)[:, -6:-3]
        fast_real, fast_made = (np.abs(np.diff(p, axis=0)).mean(1) for p in (real, made))
        window = np.ones(13) / 13
        smooth = [np.convolve(f, window, "valid") for f in (fast_real, fast_made)]
        figures.append((made.std() / real.std(), fast_made.mean() / fast_real.mean(), np.corrcoef(*smooth)[0, 1]))
    spread, speed, r = np.nanmedian(figures, axis=0)
    score = r - abs(np.log(spread)) - abs(np.log(speed))
    return {"score": float(score), "spread": float(spread), "speed": float(speed), "r_speed": float(r)}


class ExpressionAndPoseTask(ExpressionTask):
    """One network for both: eq. 8 to 12 summed (FD2Talk's first ablation, §4.5.1)."""

    part = "expression_and_pose"

    def __init__(self, *args: Any, **settings: Any):
        super().__init__(*args, **settings)
        self.carry_velocity = torch.arange(len(self.std())) >= len(self.scale)

    def to(self, device: torch.device) -> None:
        """Move what loss and sampling need."""
        super().to(device)
        self.carry_velocity = self.carry_velocity.to(device)

    def target(self, clip: Clip) -> np.ndarray:
        """[T, D + 6]: expression, then pose."""
        return np.concatenate([clip.expression, clip.pose], axis=1)

    def std(self) -> np.ndarray:
        """[D + 6]."""
        return np.concatenate([self.space.expression_std, self.space.pose_std])

    def terms(
        self, predicted: Tensor, error: Tensor, mask: Tensor, batch: dict[str, Tensor]
    ) -> tuple[Tensor, dict[str, Any]]:
        """Eq. 12 for expression, eq. 9 for pose."""
        count = len(self.scale)
        loss, parts = super().terms(predicted[..., :count], error[..., :count], mask, batch)
        pose_loss, pose_parts = pose_terms(error[..., count:], mask)
        return loss + pose_loss, {**parts, **{f"pose_{name}": value for name, value in pose_parts.items()}}

    def validate(self, model: nn.Module) -> dict[str, float]:
        """Figures of both; the scores are added."""
        figures, head = super().validate(model), head_figures(self, model)
        score = figures.pop("score") + head.pop("score")
        return {"score": score, **figures, **{f"head_{name}": value for name, value in head.items()}}
