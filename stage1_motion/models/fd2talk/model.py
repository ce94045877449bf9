"""FD2Talk's first stage as a motion model: the Expression and the Pose Transformer, loaded and sampled."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from shared.checkpoint import described_as, load_checkpoint
from shared.diffusion.solvers import RENOISE
from shared.errors import InputError, UsageError
from shared.face_model.morphable import MorphableModel
from stage1_motion.editing.replacement import Replacement
from stage1_motion.interface import Known, MotionModel, MotionSample, SamplingOptions, Speech, Style, Subject, Tail
from stage1_motion.joint_sampling import generate_jointly
from stage1_motion.models.fd2talk.network import MotionTransformer, MotionTransformerConfig
from stage1_motion.motion_space import Articulation, MotionSpace
from stage1_motion.windowed_sampling import generate_windows

KIND = "motion transformer"

_STREAM_CONTEXT = 6
"""Frames of expression that a window of a stream continues: with the 12 of training, but a few new frames in each
window, lips copy their own past more than they follow the speech."""


@dataclass
class Part:
    """One trained network.

    Args:
        std: [D], what its coefficients were divided by.
        face_model: fingerprint.
        steps, guidance_scale, eta: of the sampler, as it was tuned for.
    """

    network: MotionTransformer
    std: np.ndarray
    face_model: str
    steps: int
    guidance_scale: float
    eta: float

    @classmethod
    def load(cls, path: Path, device: str | torch.device = "cpu") -> Part:
        """Read what `training.MotionTask.save` wrote. Raises InputError when it is no such file."""
        tensors, header = load_checkpoint(path, KIND)
        with described_as(path, KIND):
            network = MotionTransformer(MotionTransformerConfig(**header["config"]))
            network.load_state_dict(tensors)
            network = network.to(device).eval().requires_grad_(False)
            std = np.array(header["std"], np.float32)
            sampler = header["steps"], header["guidance_scale"], header.get("eta", 0.0)
            return cls(network, std, header["face_model"], *sampler)


class FD2Talk(MotionModel):
    """The two transformers, or the one of the paper's ablation (§4.5.1).

    Args:
        parts: networks whose concatenated outputs are expression [D] and pose [6].
    """

    # Generated lip gaps are less skewed than real ones: with the real mean the mouth would rarely close. Lips move
    # somewhat less than is typical, since too much mouth movement looks worse than too little.
    articulation = Articulation(lip_std=4.6, mean_gap=1.2, head_std=0.045)
    accepts = frozenset({"tail", "constraint"})
    person_units = True
    # A stream is cut into so many windows that what differs between samples adds up: the more steps, the less its lips
    # follow speech. Nobody says the same twice: that one step moves the lips alike for every seed is no loss.
    streaming = SamplingOptions(steps=1, pose_steps=4, eta=0.0)

    def __init__(self, face_model: MorphableModel, *parts: Part, device: str | torch.device = "cpu"):
        for part in parts:
            if part.face_model != face_model.fingerprint:
                raise InputError(
                    f"the motion transformers belong to face model {part.face_model}, not {face_model.fingerprint}"
                )
        std = np.concatenate([part.std for part in parts])
        count = face_model.num_expression
        if len(std) != count + 6:
            raise InputError(f"the motion transformers generate {len(std)} coefficients, not {count} and 6")
        self.parts, self.expression, self.pose, self.device = parts, parts[0], parts[-1], device
        self.ignores = frozenset() if len(parts) > 1 else frozenset({"pose_steps"})
        self.space = MotionSpace(face_model, std[:count], std[count:])
        self.speech_features = self.expression.network.config.speech_features

    @torch.no_grad()
    def sample(
        self,
        speech: Speech,
        subject: Subject,
        *,
        style: Style | None = None,
        constraint: Known | None = None,
        tail: Tail | None = None,
        options: SamplingOptions = SamplingOptions(),
        generator: torch.Generator,
        progress: Callable[[int, int], None] | None = None,
    ) -> MotionSample:
        """See `MotionModel.sample`. `options.guidance` and `options.eta` are those of the Expression Transformer."""
        frames, count = len(speech), len(self.space.expression_std)
        normalised = torch.from_numpy(speech.normalised(tail)).to(self.device)  # [C + T, S]
        is_pose = torch.arange(count + 6, device=self.device) >= count
        before = None if tail is None else np.concatenate([tail.expression, tail.pose], axis=1)
        learned = np.zeros((frames, 0), np.float32)
        for index, part in enumerate(self.parts):
            steps, guidance, eta = self._settings(part, options)
            place = slice(learned.shape[1], learned.shape[1] + len(part.std))
            known = 0 if tail is None else len(tail.speech)
            recent = slice(max(0, known - _STREAM_CONTEXT) if speech.streamed and part is self.expression else 0, known)
            # One generator each: the steps of one network do not change what the other one draws.
            random = torch.Generator().manual_seed(2 * generator.initial_seed() + index)
            sampler: dict[str, Any] = {"steps": steps, "guidance_scale": guidance, "eta": eta, "solver": options.solver}

            def report(done: int, index: int = index) -> None:
                if progress:
                    progress((index * frames + done) // len(self.parts), frames)

            if constraint is not None:
                if not options.guidance and options.guidance is not None:  # without speech: the head, too
                    sampler["guidance_scale"] = 0.0
                given = Replacement.of(constraint, self.space, place, self.device)
                motion = generate_jointly(
                    part.network, normalised[known:], given, **sampler, generator=random, progress=report
                )
            else:
                motion = generate_windows(
                    part.network,
                    normalised[known:],
                    **sampler,
                    generator=random,
                    carry_velocity=is_pose[place],
                    beyond=_beyond(speech, normalised) if part is not self.expression else None,
                    tail=None if before is None else (torch.from_numpy(before[recent, place]), normalised[recent]),
                    progress=report,
                )
            learned = np.concatenate([learned, motion.float().cpu().numpy()], axis=1)  # [T, D], then [T, D + 6]
        expression, pose = np.split(learned, [count], axis=1)
        return MotionSample(expression, pose)

    def _settings(self, part: Part, options: SamplingOptions) -> tuple[int, float, float]:
        """Steps, guidance scale and eta of one network: the caller's, else its own."""
        own = part.network.config.train_timesteps if options.solver == RENOISE else part.steps
        if part is not self.expression:
            return options.pose_steps or options.steps or own, part.guidance_scale, part.eta
        guidance = part.guidance_scale if options.guidance is None else options.guidance
        return options.steps or own, guidance, part.eta if options.eta is None else options.eta


def _beyond(speech: Speech, normalised: torch.Tensor) -> torch.Tensor | None:
    """Speech [S] after the end of a recording, for the head; None: it stays what it was in the last frame.

    A recording that is cut off in the middle of a word would go on with one sound for up to three seconds, which nobody
    says and to which the head slides away. The mean of what was said, where normalised features are 0, leaves it alone.
    """
    cut_off = not speech.streamed and speech.events.articulates[-1] > 0.5
    return torch.zeros_like(normalised[-1]) if cut_off else None


def load(
    folder: Path, face_model: MorphableModel, *, person: Path | None = None, device: str | torch.device = "cpu"
) -> FD2Talk:
    """Load ``expression.safetensors`` and ``pose.safetensors``, or the joint ``expression_and_pose.safetensors``.

    Raises:
        InputError: the folder does not hold them, or they belong to another face model.
        UsageError: a person's weights, which this model does not have.
    """
    if person is not None:
        raise UsageError("the motion model fd2talk has no weights of single persons")
    joint = folder / "expression_and_pose.safetensors"
    paths = [joint] if joint.exists() else [folder / f"{name}.safetensors" for name in ("expression", "pose")]
    return FD2Talk(face_model, *(Part.load(path, device) for path in paths), device=device)
