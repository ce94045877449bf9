"""Training of 3DFacePolicy: observations and actions of short crops (§3.2.1), by eq. 4 or sample prediction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import yaml
from scipy.ndimage import gaussian_filter1d
from torch import Tensor

from shared.checkpoint import save_checkpoint
from shared.diffusion.sampling import make_schedule
from shared.schema import Arguments
from shared.training.batches import own_rows
from shared.training.choice import WeightedChoice
from stage1_motion.dataset import ClipsConfig
from stage1_motion.models.facepolicy.actions import ActionSpace, Units, differences, roll_out, speech_frames
from stage1_motion.models.facepolicy.model import KIND, Sampler, resting
from stage1_motion.models.facepolicy.network import Policy, PolicyConfig
from stage1_motion.motion_space import MotionSpace
from stage1_motion.training.clips import Clip, Unscaled, frames_at, learned_and_development, sampling_weights
from stage1_motion.validation import validation_figures


@dataclass(frozen=True)
class LossConfig:
    """Loss and augmentation; everything but the loss on actions is ours.

    Args:
        position_weight: of the squared error of the positions to which the actions add up; "sample" prediction only.
        offset: standard deviation of an offset of the observed frames' expression, as a share of each coefficient's
            own.
        jitter: the same of noise that differs from frame to frame, of the head's pose as well.
        recovery: frames within which the target actions lead back from the offset.
        speech_noise: standard deviation of Gaussian noise on the features.
        speech_dropout: share of examples without speech, for guidance.
        smoothing: standard deviation in frames of the Gaussian that removes the tracker's jitter from the motion.
    """

    position_weight: float = 0.0
    offset: float = 0.0
    jitter: float = 0.0
    recovery: int = 4
    speech_noise: float = 0.0
    speech_dropout: float = 0.0
    smoothing: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Config(ClipsConfig):
    """`model: facepolicy` of `fd2talk train`.

    Args:
        network: sizes of `PolicyConfig`.
        units: see `Units`; `head: 0` keeps the head still.
        loss: see `LossConfig`.
        sampler: see `Sampler`.
    """

    network: Annotated[dict[str, Any], Arguments(PolicyConfig, ("channels", "speech_features"))] = field(
        default_factory=dict
    )
    units: Units = Units()
    loss: LossConfig = LossConfig()
    sampler: Sampler = field(default_factory=Sampler)


def build_task(config: Config) -> FacePolicyTask:
    """Build the task of a config. Raises InputError: a file is missing."""
    clips, space = config.load("train")
    encoder = {"speech_encoder": config.speech_encoder} | ({} if config.layer is None else {"layer": config.layer})
    return FacePolicyTask(clips, space, config.network, config.units, config.loss, config.sampler, encoder)


class FacePolicyTask:
    """A `shared.training.loop.Task`: each example is one time step of a clip, with its observation and H actions.

    Args:
        clips: of training people, development people among them.
        space: of their motion.
        network: arguments of `PolicyConfig`.
        units: of positions and actions.
        config: of the loss.
        sampler: for validation; stored with the weights.
        encoder: `speech_encoder` and `layer` of the features, for ``model.yaml``.
    """

    def __init__(
        self,
        clips: Sequence[Clip],
        space: MotionSpace,
        network: dict[str, Any],
        units: Units,
        config: LossConfig,
        sampler: Sampler | None = None,
        encoder: dict[str, Any] | None = None,
    ):
        self.space, self.loss_config, self.sampler = space, config, sampler or Sampler()
        self.encoder = encoder or {"speech_encoder": "bundled"}
        self.clips, self.development = learned_and_development(clips)
        self.choose = WeightedChoice(sampling_weights(self.clips))
        self.motion = Unscaled(space, self.clips, self.development, edit=self._smooth if config.smoothing else None)
        self.action_space = ActionSpace(space, units)
        features = clips[0].speech.shape[1]
        self.model = Policy(PolicyConfig(channels=self.action_space.channels, speech_features=features, **network))
        self.config = self.model.config
        self.schedule = make_schedule(self.config.train_timesteps)

    def _smooth(self, motion: np.ndarray) -> np.ndarray:
        width = self.loss_config.smoothing
        return gaussian_filter1d(motion, width, axis=0, mode="nearest") if width else motion

    def to(self, device: torch.device) -> None:
        """Move the constants of the loss."""
        self.action_space = ActionSpace(self.space, self.action_space.units, device)

    def batch(self, generator: torch.Generator, batch_size: int) -> dict[str, Tensor]:
        """Motion [B, N_obs + H, D + 6] around time steps, offsets of the observed frames, speech [B, F, S], noise."""
        config, loss = self.config, self.loss_config
        picks = self.choose(batch_size, generator)
        motion, speech = [], []
        for row, pick in enumerate(picks.tolist()):
            clip, own = self.clips[pick], row in own_rows(batch_size)
            length = len(clip.speech)
            now = int(torch.randint(max(1, length - config.horizon), (1,), generator=generator))  # last observed frame
            at = np.arange(now + 1 - config.observed, now + 1 + config.horizon).clip(0, length - 1)
            motion.append(frames_at(self.motion(clip), at, own))
            heard = np.array(speech_frames(now, config.past, config.future, length))
            speech.append(frames_at(clip.speech, heard, own))
        batch = {"motion": torch.stack(motion), "speech": torch.stack(speech)}

        def random(*shape: int) -> Tensor:
            return torch.randn(batch_size, *shape, generator=generator)

        count, coefficients = self.action_space.count, batch["motion"].shape[2]
        batch["speech"] = batch["speech"] + loss.speech_noise * random(*batch["speech"].shape[1:])
        batch["no_speech"] = torch.rand(batch_size, generator=generator) < loss.speech_dropout
        offset = loss.jitter * random(config.observed, coefficients)  # [B, N_obs, D + 6]; they have unit variance
        offset[..., :count] += loss.offset * random(
            1, count
        )  # not of the head, whose position cannot be inferred from speech
        batch["offset"] = offset
        batch["timestep"] = torch.randint(config.train_timesteps, (batch_size,), generator=generator)
        batch["noise"] = random(config.horizon, config.channels)
        return batch

    def example(self, batch: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        """Observed positions [B, N_obs, A] and the target actions [B, H, A].

        The target actions correct an offset of the observation within `recovery` frames.
        """
        observed, horizon = self.config.observed, self.config.horizon
        motion, offset = batch["motion"], batch["offset"]
        ahead = torch.arange(1, horizon + 1, device=motion.device)
        left = (1 - ahead / self.loss_config.recovery).clamp(min=0)[:, None]  # [H, 1]
        away = torch.cat([offset, left * offset[:, -1:]], dim=1)  # [B, N_obs + H, D + 6]
        positions = self.action_space.positions(motion + away)  # [B, N_obs + H, A]
        return positions[:, :observed], differences(positions[:, observed - 1 :])

    def loss(self, model: Policy, batch: dict[str, Tensor]) -> tuple[Tensor, dict[str, Any]]:
        """Eq. 4, or the squared error of the actions themselves."""
        observed, actions = self.example(batch)
        noisy = self.schedule.add_noise(actions, batch["noise"], batch["timestep"])
        condition = model.observe(observed, batch["speech"], batch["no_speech"])
        predicted = model(noisy, condition, batch["timestep"]).float()
        if self.config.prediction == "epsilon":
            error = (predicted - batch["noise"]).square().mean()
            return error, {"epsilon": error}
        error = predicted - actions  # [B, H, A]
        parts = {"actions": error.square().mean()}
        if self.loss_config.position_weight:
            parts["positions"] = self.loss_config.position_weight * error.cumsum(1).square().mean()
        return torch.stack(list(parts.values())).sum(), parts

    def generate(self, model: Policy, seed: int = 0) -> list[np.ndarray]:
        """Motion [T, D + 6] for the speech of each development clip, all in one batch."""
        device = next(model.parameters()).device
        longest = max(len(clip.speech) for clip in self.development)
        speech = np.stack([np.pad(c.speech, ((0, longest - len(c.speech)), (0, 0)), "edge") for c in self.development])
        before = np.repeat(resting(self.space, self.config.observed)[None], len(speech), axis=0)
        motion = roll_out(
            model,
            self.action_space,
            torch.from_numpy(speech).to(device),
            torch.from_numpy(before).to(device),
            steps=self.sampler.steps,
            eta=self.sampler.eta,
            guidance=self.sampler.guidance,
            blur=self.sampler.blur,
            leak=self.sampler.leak,
            generator=torch.Generator().manual_seed(seed),
        )
        return [m[: len(c.speech)] for m, c in zip(motion.float().cpu().numpy(), self.development)]

    def validate(self, model: Policy) -> dict[str, float]:
        """Lip gap and head of generated against real motion of the development people; means over people."""
        made = zip(self.development, self.generate(model))
        return validation_figures(self.space, ((clip.person, motion, self.motion(clip)) for clip, motion in made))

    def save(self, model: Policy, folder: Path) -> None:
        """Write ``policy.safetensors`` and ``model.yaml``."""
        save_checkpoint(
            folder / "policy.safetensors",
            KIND,
            model.state_dict(),
            config=model.config.to_dict(),
            face_model=self.space.model.fingerprint,
            expression_std=[float(v) for v in self.space.expression_std],
            pose_std=[float(v) for v in self.space.pose_std],
            units=self.action_space.units.to_dict(),
            sampler=asdict(self.sampler),
        )
        settings = {"model": "facepolicy", **self.encoder}
        (folder / "model.yaml").write_text(yaml.safe_dump(settings, sort_keys=False), encoding="utf-8")
