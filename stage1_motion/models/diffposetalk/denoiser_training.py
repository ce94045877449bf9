"""How DiffPoseTalk's denoiser learns: two windows with crossed styles (§3.3.2), losses of eq. 2 to 6 and 11 to 15."""

from __future__ import annotations

import copy
import shutil
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
import yaml
from torch import Tensor, nn

from shared.checkpoint import save_checkpoint
from shared.diffusion.sampling import make_schedule
from shared.training.batches import own_rows
from shared.training.choice import WeightedChoice
from stage1_motion.losses.geometric import (
    GeometricWeights,
    head_losses,
    mesh_losses,
    position_loss,
    transition_loss,
)
from stage1_motion.models.diffposetalk.model import KIND, Conditioned, Sampler
from stage1_motion.models.diffposetalk.network import Denoiser, DenoiserConfig
from stage1_motion.motion_space import MotionSpace
from stage1_motion.style.encoder import StyleReader
from stage1_motion.training.clips import Clip, Unscaled, frames_at, learned_and_development, people_of, sampling_weights
from stage1_motion.validation import validation_figures
from stage1_motion.windowed_sampling import generate_windows

_TEMPERATURE = 0.1  # tau of eq. 9


class DiffPoseTalkTask:
    """A `shared.training.loop.Task`.

    A sample has two windows of T_w frames in a row. The first is generated from the start features with the style of
    the second, the second after the true last frames of the first and with the style of the first (§3.3.2).

    Args:
        clips: of training people, development people among them.
        space: of their motion.
        config: sizes of the network.
        style: the frozen style encoder; None where the network takes no style.
        weights: lambdas of eq. 6 and 15; None: eq. 2 alone.
        style_dropout: share of windows without style.
        condition_dropout: share of further windows with neither style nor speech.
        truncation: share of windows that are cut to a random number of frames.
        speech_noise: standard deviation of Gaussian noise on the features.
        style_weight: of a loss of ours: read by the style encoder, a predicted window is to be nearer to its own style
            than to the others of the batch, as in eq. 9; 0: no such loss.
        translation: whether eq. 11 to 15 are of the head's translation, too, which the paper's heads do not have; a
            typical movement counts like a typical turn. Without, it trembles.
        sampler: steps and scales in validation and, stored with the weights, afterwards.
    """

    def __init__(self, clips: Sequence[Clip], space: MotionSpace, config: DenoiserConfig, style: StyleReader | None, *,
                 weights: GeometricWeights | None = None, style_dropout: float = 0.45, condition_dropout: float = 0.1,
                 truncation: float = 0.5, speech_noise: float = 0.1, style_weight: float = 0.0,
                 translation: bool = False, sampler: Sampler | None = None):  # fmt: skip
        self.space, self.style, self.weights = space, style, weights
        self.style_dropout, self.condition_dropout = style_dropout, condition_dropout
        self.truncation, self.speech_noise, self.sampler = truncation, speech_noise, sampler or Sampler()
        self.style_weight, self.judge = style_weight, None if style is None else copy.deepcopy(style.encoder)
        self.clips, self.development = learned_and_development(clips)
        self.people = {person: place for place, person in enumerate(people_of(self.clips))}
        self.one_hot = bool(config.people)
        size = config.coefficients
        cut = None if size == space.model.num_expression + 6 else lambda motion: motion[:, :size]
        self.motion = Unscaled(space, self.clips, self.development, edit=cut)
        self.choose = WeightedChoice(sampling_weights(self.clips))
        self.model: nn.Module = Denoiser(config)
        self.config = config
        self.schedule = make_schedule(config.train_timesteps)
        count = space.model.num_expression
        mesh = space.expression_std[:, None] * space.model.exp_basis.reshape(count, -1)  # [D, 3 N], to mm
        self.mesh = torch.from_numpy(mesh.astype(np.float32))
        degrees = np.degrees(space.pose_std[:3])
        degrees = np.append(degrees, [degrees.mean()] * 3 * translation)
        self.degrees = torch.from_numpy(degrees.astype(np.float32))  # [3], or [6] with the translation
        self.count = count
        self.has_head = size > count

    def to(self, device: torch.device) -> None:
        """Move what the losses need."""
        self.mesh, self.degrees = self.mesh.to(device), self.degrees.to(device)
        self.judge = self.judge and self.judge.to(device)

    def batch(self, generator: torch.Generator, batch_size: int) -> dict[str, Tensor]:
        """Samples of two windows: motion [B, 2 T_w, D], speech, identity, and of each window style and frames."""
        config = self.config
        size = config.frames
        picks = self.choose(batch_size, generator)
        items: dict[str, list[Tensor]] = defaultdict(list)
        lengths = []
        for row, pick in enumerate(picks.tolist()):
            clip, own = self.clips[pick], row in own_rows(batch_size)
            length = len(clip.speech)
            start = int(torch.randint(max(1, length - 2 * size + 1), (1,), generator=generator))
            at = np.minimum(np.arange(start, start + 2 * size), length - 1)
            items["motion"].append(frames_at(self.motion(clip), at, own))
            for name, value in self.speech_of(clip, at, own).items():
                items[name].append(value)
            if self.one_hot:
                items["person"].append(self._one_hot(clip))
            items["identity"].append(torch.from_numpy(clip.identity.copy()))
            lengths.append(length - start)
        batch = {name: torch.stack(values) for name, values in items.items()}
        if self.speech_noise:
            noise = torch.randn(batch["speech"].shape, generator=generator)
            batch["speech"] = batch["speech"] + self.speech_noise * noise
        there = torch.tensor(lengths)
        for index in range(2):
            present = (there - index * size).clamp(0, size)
            window = batch["motion"][:, index * size :][:, :size]
            if self.one_hot:
                batch[f"style_{index}"], usable = batch["person"], torch.ones(batch_size, dtype=torch.bool)
            else:
                batch[f"style_{index}"], usable = self._styles(window, present)
            cut = torch.rand(batch_size, generator=generator) < self.truncation
            random = torch.randint(1, size + 1, (batch_size,), generator=generator)
            batch[f"frames_{index}"] = torch.where(cut, torch.minimum(random, present), present)
            drop = torch.rand(batch_size, generator=generator)
            batch[f"no_speech_{index}"] = drop < self.condition_dropout
            batch[f"no_style_{index}"] = drop < self.condition_dropout + self.style_dropout
            batch[f"unusable_{index}"] = ~usable
            batch[f"timestep_{index}"] = torch.randint(config.train_timesteps, (batch_size,), generator=generator)
            batch[f"noise_{index}"] = torch.randn(batch_size, size, config.coefficients, generator=generator)
        return batch

    def _one_hot(self, clip: Clip) -> Tensor:
        """[P]: which of the training people speaks; of others one that does not change from call to call."""
        place = self.people.get(clip.person, len(clip.name) % len(self.people))
        return nn.functional.one_hot(torch.tensor(place), len(self.people)).float()

    def speech_of(self, clip: Clip, at: np.ndarray, own: bool) -> dict[str, Tensor]:
        """What the network hears in these frames of a clip: features [2 T_w, S]; see `frames_at`."""
        return {"speech": frames_at(clip.speech, at, own)}

    def features(self, model: nn.Module, clip: Clip) -> Tensor:
        """Features of a whole clip, [T, S], on the network's device."""
        return torch.from_numpy(clip.speech).to(next(model.parameters()).device)

    def denoiser(self, model: nn.Module) -> Denoiser:
        """The denoiser in what is trained."""
        return cast(Denoiser, model)

    @torch.no_grad()
    def _styles(self, motion: Tensor, present: Tensor) -> tuple[Tensor, Tensor]:
        """Styles of windows [B, T_w, D] with so many frames each: [B, K], and which are long enough for one."""
        if self.style is None:
            return torch.zeros(len(motion), 0), torch.zeros(len(motion), dtype=torch.bool)
        encoder = self.style.encoder
        usable = present >= encoder.config.shortest
        valid = torch.arange(motion.shape[1]) < present.clamp(min=1)[:, None]
        frames = encoder.config.frames
        return encoder(motion[:, :frames], valid[:, :frames]), usable

    def loss(self, model: nn.Module, batch: dict[str, Tensor]) -> tuple[Tensor, dict[str, Any]]:
        """The mean over both windows of eq. 6."""
        parts: dict[str, list[Tensor]] = defaultdict(list)
        for index in range(2):
            for name, value in self.window_losses(self.denoiser(model), batch, index).items():
                parts[name].append(value)
        means = {name: torch.stack(values).sum() / 2 for name, values in parts.items()}
        return torch.stack(list(means.values())).sum(), means

    def window_losses(self, model: Denoiser, batch: dict[str, Tensor], index: int) -> dict[str, Tensor]:
        """The weighted terms of eq. 6 of the first (0) or second (1) window."""
        size, context = model.config.frames, model.config.context
        start = index * size
        before = context if index else 0
        true = batch["motion"][:, start - before : start + size]  # [B, (T_p) + T_w, D]
        noisy = self.schedule.add_noise(true[:, before:], batch[f"noise_{index}"], batch[f"timestep_{index}"])
        frames = batch[f"frames_{index}"]
        predicted = model(
            noisy,
            true[:, :before] if before else None,
            batch["speech"][:, start - before : start + size],
            batch[f"timestep_{index}"],
            style=batch[f"style_{1 - index}"] if model.config.style else None,  # crossed
            identity=batch["identity"],
            no_style=batch[f"no_style_{index}"] | batch[f"unusable_{1 - index}"],
            no_speech=batch[f"no_speech_{index}"],
            frames=frames,
        ).float()[:, context - before :]  # [B, (T_p) + T_w, D]
        mask = (torch.arange(before + size, device=true.device) < before + frames[:, None])[..., None]
        mask = mask & (frames > 0)[:, None, None]  # windows that a short clip does not have
        losses = {"simple": position_loss(predicted, true, mask)}
        if self.weights is not None:
            mesh, true_mesh = (values[..., : self.count] @ self.mesh for values in (predicted, true))
            losses |= mesh_losses(mesh, true_mesh, mask, self.weights)
        if self.weights is not None and self.has_head:
            head, true_head = (v[..., self.count :][..., : len(self.degrees)] * self.degrees for v in (predicted, true))
            losses |= head_losses(head, true_head, mask, self.weights)
            long_enough = frames >= 3
            if before >= 3 and long_enough.any():
                seam = transition_loss(
                    true_head[long_enough, before - 3 : before], head[long_enough, before : before + 3]
                )
                losses["head_transition"] = self.weights.head_transition * seam
        if self.style_weight and self.judge is not None:
            given = ~batch[f"no_style_{index}"] & ~batch[f"unusable_{1 - index}"]
            given = given & (frames >= self.judge.config.shortest)
            if given.any():
                longest = self.judge.config.frames
                made, real, there = (v[given, before:][:, :longest] for v in (predicted, true, mask))
                # The real window's means: a mouth that stays too far open is the easiest way to be told apart.
                means = [(v * there).sum(1, keepdim=True) / there.sum(1, keepdim=True) for v in (made, real)]
                styles = batch[f"style_{1 - index}"][given]
                alike = self.judge(made - means[0] + means[1], there[..., 0]) @ styles.T / _TEMPERATURE  # [W, W]
                own = torch.arange(len(styles), device=styles.device)
                losses["style"] = self.style_weight * nn.functional.cross_entropy(alike, own)
        return losses

    def generate(self, model: nn.Module, clip: Clip, style: np.ndarray | None, seed: int = 0) -> np.ndarray:
        """The model's motion [T, D] for a clip's speech."""
        device = next(model.parameters()).device
        network = Conditioned(
            self.denoiser(model),
            style=None if style is None else torch.from_numpy(style)[None].to(device),
            identity=torch.from_numpy(np.asarray(clip.motion.identity, np.float32))[None].to(device),
            style_scale=self.sampler.style_scale,
        )
        return generate_windows(
            network,
            self.features(model, clip),
            steps=self.sampler.steps,
            guidance_scale=self.sampler.speech_scale,
            eta=self.sampler.eta,
            generator=torch.Generator().manual_seed(seed),
            carry_velocity=torch.arange(self.config.coefficients, device=device) >= self.count,
        ).float().cpu().numpy()  # fmt: skip

    def other_style(self, clip: Clip) -> tuple[np.ndarray | None, int]:
        """A style of the person that the clip itself does not give away, and from which frame on the clip is scored.

        Of another clip, else of the first half of this one.
        """
        if self.one_hot:
            return self._one_hot(clip).numpy(), 0
        if self.style is None:
            return None, 0
        encoder, shortest = self.style.encoder, self.style.encoder.config.shortest
        others = [
            c for c in self.development if c.person == clip.person and c is not clip and len(c.speech) >= shortest
        ]
        if others:
            return encoder.encode(self.motion(max(others, key=lambda c: len(c.speech)))), 0
        half = len(clip.speech) // 2
        return (encoder.encode(self.motion(clip)[:half]), half) if half >= shortest else (None, 0)

    @torch.no_grad()
    def validate(self, model: nn.Module) -> dict[str, float]:
        """Lip gap and head of generated against real motion of the development people; means over people."""

        def pairs() -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
            for clip in self.development:
                style, first = self.other_style(clip)
                real = self.motion(clip)[first:]
                if len(real) >= 24:
                    yield clip.person, self.generate(model, clip, style)[first:], real

        return validation_figures(self.space, pairs())

    def save(self, model: nn.Module, folder: Path) -> None:
        """Write ``denoiser.safetensors``, the style encoder, and ``model.yaml``."""
        self.save_denoiser(self.denoiser(model), folder)
        settings = {"model": "diffposetalk", "speech_encoder": "bundled"}
        (folder / "model.yaml").write_text(yaml.safe_dump(settings, sort_keys=False), encoding="utf-8")

    def save_denoiser(self, model: Denoiser, folder: Path, *, normalise_speech: bool = True) -> None:
        """Write ``denoiser.safetensors`` and a copy of the style encoder."""
        save_checkpoint(
            folder / "denoiser.safetensors",
            KIND,
            model.state_dict(),
            config=model.config.to_dict(),
            face_model=self.space.model.fingerprint,
            expression_std=[float(v) for v in self.space.expression_std],
            pose_std=[float(v) for v in self.space.pose_std],
            sampler=asdict(self.sampler),
            normalise_speech=normalise_speech,
            fps=self.clips[0].fps,
        )
        if self.style is not None:
            shutil.copy(self.style.path, folder / "style_encoder.safetensors")
