"""Training of 3DiFACE's denoiser (§4.1)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import yaml
from torch import Tensor

from shared.checkpoint import save_checkpoint
from shared.diffusion.sampling import make_schedule
from shared.errors import InputError
from shared.schema import Arguments
from shared.training.batches import own_rows
from shared.training.choice import WeightedChoice
from stage1_motion.dataset import ClipsConfig
from stage1_motion.models.diface.coordinates import Coordinates
from stage1_motion.models.diface.model import KIND, Sampler
from stage1_motion.models.diface.network import Denoiser, DenoiserConfig
from stage1_motion.models.diface.sampling import generate
from stage1_motion.motion_space import MEAN_GAP, TYPICAL_LIP_STD
from stage1_motion.training.clips import (
    Clip,
    Unscaled,
    all_at_rate,
    frames_at,
    learned_and_development,
    people_of,
    sampling_weights,
)
from stage1_motion.validation import validation_figures

LOSS_SETTINGS = (
    "frames", "velocity_weight", "head_weight", "speech_dropout", "speech_noise", "gap_weight", "gap_floor"
)  # fmt: skip
"""Arguments of `DifaceTask` that are stored with the weights, for a fine-tuning with the same objective."""


def simple_loss(predicted: Tensor, true: Tensor, mask: Tensor, weights: Tensor) -> Tensor:
    """Eq. 4: squared distance, here the weighted mean over coordinates and the mean over frames.

    Args:
        predicted: [B, N, K].
        true: [B, N, K].
        mask: bool [B, N, 1], the frames that there are.
        weights: [K], of the coordinates.

    Returns:
        A scalar.
    """
    return ((predicted - true).square() * weights).mean(-1, keepdim=True)[mask].mean()


def velocity_loss(predicted: Tensor, true: Tensor, mask: Tensor, weights: Tensor) -> Tensor:
    """Eq. 5: the same of the differences of consecutive frames."""
    return simple_loss(predicted.diff(dim=1), true.diff(dim=1), mask[:, 1:] & mask[:, :-1], weights)


def gap_loss(predicted: Tensor, true: Tensor, mask: Tensor, floor: float) -> Tensor:
    """Relative error of the lip gap, ours: ((predicted - true) / (true + floor))^2, the mean over frames.

    Lips that meet are few millimetres in few frames. In eq. 4 they weigh no more than the cheeks, and the mean of what
    might be said leaves them parted.

    Args:
        predicted: [B, N, 1], mm, signed.
        true: [B, N, 1].
        mask: bool [B, N, 1].
        floor: mm, below which errors weigh alike.

    Returns:
        A scalar.
    """
    return ((predicted - true) / (true.clamp(min=0) + floor)).square()[mask].mean()


class DifaceTask:
    """A `shared.training.loop.Task`.

    Args:
        clips: to learn from.
        development: of people, or of times, that are held out.
        coordinates: what the network works on.
        config: sizes of the network.
        frames: of the crops.
        velocity_weight: lambda_vel of eq. 6.
        head_weight: of the head's coordinates, against that of a vertex coordinate, whose unit is `scale`.
        speech_dropout: share of crops whose speech is 0.
        speech_noise: standard deviation of Gaussian noise on the features.
        gap_weight: of `gap_loss`; 0 is eq. 6.
        gap_floor: likewise, mm.
        sampler: steps and guidance in validation and, stored with the weights, afterwards.
        encoder: `speech_encoder` and `layer` of the features, for ``model.yaml``.
    """

    def __init__(self, clips: Sequence[Clip], development: list[Clip], coordinates: Coordinates,
                 config: DenoiserConfig, *,
                 frames: int = 30, velocity_weight: float = 10.0, head_weight: float = 1.0,
                 speech_dropout: float = 0.1, speech_noise: float = 0.0, gap_weight: float = 0.0,
                 gap_floor: float = 2.0, sampler: Sampler | None = None,
                 encoder: dict[str, Any] | None = None):  # fmt: skip
        self.coordinates, self.config, self.frames = coordinates, config, frames
        self.velocity_weight, self.head_weight = velocity_weight, head_weight
        self.speech_dropout, self.speech_noise = speech_dropout, speech_noise
        self.gap_weight, self.gap_floor = gap_weight, gap_floor
        self.sampler, self.encoder = sampler or Sampler(), encoder or {"speech_encoder": "bundled"}
        self.clips, self.development = clips, development
        self.people = people_of(clips)
        self._places = {person: place for place, person in enumerate(self.people)}
        self.choose = WeightedChoice(sampling_weights(clips))
        self.motion = Unscaled(coordinates.space, clips, development)
        self.model = Denoiser(config)
        self.schedule = make_schedule(config.train_timesteps)
        self.count = coordinates.space.model.num_expression
        head = 6 * coordinates.head
        self.weights = torch.cat([torch.ones(coordinates.count - head), torch.full((head,), head_weight)])
        self.gap = torch.from_numpy(coordinates.gap())

    def to(self, device: torch.device) -> None:
        """Move what the loss needs."""
        self.weights, self.gap = self.weights.to(device), self.gap.to(device)

    def batch(self, generator: torch.Generator, batch_size: int) -> dict[str, Tensor]:
        """Random crops: x0 [B, N, K], speech [B, N, S], mask [B, N, 1], person, timestep, noise, drop_speech."""
        return self.crops(self.clips, generator, batch_size)

    def crops(self, clips: Sequence[Clip], generator: torch.Generator, batch_size: int) -> dict[str, Tensor]:
        """A batch of these clips; people who are not learned from have the number after the last one."""
        choose = self.choose if clips is self.clips else WeightedChoice(sampling_weights(clips))
        items: dict[str, list[Tensor]] = defaultdict(list)
        for row, pick in enumerate(choose(batch_size, generator).tolist()):
            clip, own = clips[pick], row in own_rows(batch_size)
            length = len(clip.speech)
            start = int(torch.randint(max(1, length - self.frames + 1), (1,), generator=generator))
            at = np.minimum(np.arange(start, start + self.frames), length - 1)
            items["motion"].append(frames_at(self.motion(clip), at, own))
            items["speech"].append(frames_at(clip.speech, at, own))
            items["mask"].append(torch.from_numpy(np.arange(start, start + self.frames) < length)[:, None])
            items["person"].append(torch.tensor(self._places.get(clip.person, len(self.people))))
        batch = {name: torch.stack(values) for name, values in items.items()}
        motion = batch.pop("motion").numpy()
        flat = motion.reshape(-1, motion.shape[-1])
        x0 = self.coordinates.encode(flat[:, : self.count], flat[:, self.count :])
        batch["x0"] = torch.from_numpy(x0).view(batch_size, self.frames, -1)
        batch["speech"] += self.speech_noise * torch.randn(batch["speech"].shape, generator=generator)
        batch["timestep"] = torch.randint(self.config.train_timesteps, (batch_size,), generator=generator)
        batch["noise"] = torch.randn(batch["x0"].shape, generator=generator)
        batch["drop_speech"] = torch.rand(batch_size, generator=generator) < self.speech_dropout
        return batch

    def loss(self, model: Denoiser, batch: dict[str, Tensor]) -> tuple[Tensor, dict[str, Any]]:
        """Eq. 6, and `gap_loss`."""
        noisy = self.schedule.add_noise(batch["x0"], batch["noise"], batch["timestep"])
        predicted = self.predict(model, noisy, batch).float()
        terms = (predicted, batch["x0"], batch["mask"], self.weights)
        simple, velocity = simple_loss(*terms), velocity_loss(*terms)
        loss, parts = simple + self.velocity_weight * velocity, {"simple": simple, "velocity": velocity}
        if self.gap_weight:
            made, true = (values @ self.gap + MEAN_GAP * TYPICAL_LIP_STD for values in terms[:2])  # [B, N, 1] mm
            parts["gap"] = gap_loss(made, true, batch["mask"], self.gap_floor)
            loss = loss + self.gap_weight * parts["gap"]
        return loss, parts

    def predict(self, model: Denoiser, noisy: Tensor, batch: dict[str, Tensor]) -> Tensor:
        """x_0 [B, N, K] of a batch, from its x_t."""
        return model(noisy, batch["timestep"], batch["speech"], model.person(batch["person"]), batch["drop_speech"])

    def person(self, model: Denoiser) -> Tensor:
        """[C]: the vector of somebody who is not among the training people, their mean."""
        return model.person.weight.mean(0)

    @torch.no_grad()
    def generate(self, model: Denoiser, clip: Clip, seed: int = 0) -> tuple[np.ndarray, np.ndarray | None]:
        """The model's motion for a clip's speech, in the motion space."""
        speech = torch.from_numpy(clip.speech).to(self.weights.device)[None]
        sampler = self.sampler
        made = generate(
            model,
            lambda first, last: speech[:, first:last],
            len(clip.speech),
            self.person(model)[None],
            steps=sampler.steps,
            guidance_scale=sampler.guidance,
            seed=seed,
            eta=sampler.eta,
            solver=sampler.solver,
        )
        return self.coordinates.decode(torch.cat([part for _, part in made]).float().cpu().numpy())

    def validate(self, model: Denoiser) -> dict[str, float]:
        """Lip gap and head of generated against real motion of the development people; means over people."""

        def pairs() -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
            for clip in self.development:
                expression, pose = self.generate(model, clip)
                made = expression if pose is None else np.concatenate([expression, pose], axis=1)
                yield clip.person, made, self.motion(clip)

        return validation_figures(self.coordinates.space, pairs())

    def save(self, model: Denoiser, folder: Path) -> None:
        """Write ``denoiser.safetensors`` and ``model.yaml``."""
        self.save_denoiser(model, folder)
        settings = {"model": "diface", **self.encoder}
        (folder / "model.yaml").write_text(yaml.safe_dump(settings, sort_keys=False), encoding="utf-8")

    def save_denoiser(self, model: Denoiser, folder: Path, **more: Any) -> None:
        """Write ``denoiser.safetensors`` with more in its header."""
        space = self.coordinates.space
        save_checkpoint(
            folder / "denoiser.safetensors",
            KIND,
            {**model.state_dict(), "sampled_person": self.person(model).detach()},
            config=model.config.to_dict(),
            face_model=space.model.fingerprint,
            expression_std=[float(v) for v in space.expression_std],
            pose_std=[float(v) for v in space.pose_std],
            scale=self.coordinates.scale,
            head=self.coordinates.head,
            sampler=asdict(self.sampler),
            fps=self.clips[0].fps,
            loss={name: getattr(self, name) for name in LOSS_SETTINGS},
            **more,
        )


@dataclass(frozen=True, kw_only=True)
class Config(ClipsConfig):
    """`model: diface` of `fd2talk train`.

    Args:
        fps: frames per second of motion and speech.
        scale: mm of a unit of the network's, see `Coordinates`.
        head: whether the head moves.
        network: sizes of `DenoiserConfig`.
        loss: settings of `DifaceTask`.
        sampler: see `Sampler`.
        start: weights of a denoiser; its part for the empty condition is trained, `network.unconditional_width` wide.
    """

    fps: float = 25.0
    scale: float = 20.0
    head: bool = True
    start: str | None = None
    network: Annotated[dict[str, Any], Arguments(DenoiserConfig, ("coordinates", "speech_features", "people"))] = field(
        default_factory=dict
    )
    loss: Annotated[
        dict[str, Any], Arguments(DifaceTask, ("clips", "development", "coordinates", "config", "sampler", "encoder"))
    ] = field(default_factory=dict)
    sampler: Sampler = field(default_factory=Sampler)


def build_task(config: Config) -> DifaceTask:
    """Build the task of a config. Raises InputError: a file is missing."""
    if (config.start is None) != (not config.network.get("unconditional_width")):
        raise InputError("`start` and `network.unconditional_width` belong together: the one needs the other")
    clips, space = config.load("train")
    clips, development = learned_and_development(all_at_rate(clips, config.fps))
    coordinates = Coordinates(space, config.scale, config.head)
    network = DenoiserConfig(
        coordinates=coordinates.count,
        speech_features=clips[0].speech.shape[1],
        people=len(people_of(clips)),
        **config.network,
    )
    encoder = {"speech_encoder": config.speech_encoder, **({} if config.layer is None else {"layer": config.layer})}
    settings = {"sampler": config.sampler, "encoder": encoder, **config.loss}
    if config.start is not None:
        from stage1_motion.models.diface.unconditional_training import UnconditionalTask

        return UnconditionalTask(clips, development, coordinates, network, config.start, **settings)
    return DifaceTask(clips, development, coordinates, network, **settings)
