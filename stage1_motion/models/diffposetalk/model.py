"""DiffPoseTalk as a motion model: denoiser and style encoder, loaded and sampled."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.ndimage import convolve1d
from torch import Tensor

from shared.checkpoint import described_as, load_checkpoint
from shared.diffusion.solvers import RENOISE
from shared.errors import InputError, UsageError
from shared.face_model.morphable import MorphableModel
from stage1_motion.editing.replacement import Replacement
from stage1_motion.interface import Known, MotionModel, MotionSample, SamplingOptions, Speech, Style, Subject, Tail
from stage1_motion.joint_sampling import generate_jointly
from stage1_motion.models.diffposetalk.network import Denoiser, DenoiserConfig
from stage1_motion.motion_space import MotionSpace
from stage1_motion.style.encoder import StyleReader
from stage1_motion.windowed_sampling import generate_windows

KIND = "DiffPoseTalk denoiser"

# Weights over time of the head's translation, which trembles: its second differences are seven times real ones, and a
# half with these weights.
_STEADY = np.hanning(11)[1:-1]


@dataclass
class Conditioned:
    """The denoiser with the conditions that all windows share, as `generate_windows` calls it.

    Args:
        network: D.
        style: s [1, K]; None: the empty condition.
        identity: beta [1, D_id]; None where the network takes none.
        style_scale: w_s.
    """

    network: Denoiser
    style: Tensor | None = None
    identity: Tensor | None = None
    style_scale: float = 1.0

    def __post_init__(self) -> None:
        self.config = self.network.config

    def guided(
        self, x: Tensor, timestep: Tensor, speech: Tensor, context_mask: Tensor | None, guidance_scale: float
    ) -> Tensor:
        """x_0 [B, C + F, D] of a window whose first C frames are known; `guidance_scale` is w_a."""
        batch, known = len(x), 0 if context_mask is None else int(context_mask[0].sum())
        previous, noisy = x[:, :known], x[:, known:]
        lacking = self.config.context - known
        if known and lacking:  # never so in training: whoever was there before stood still
            previous = torch.cat([previous[:, :1].expand(-1, lacking, -1), previous], dim=1)
            speech = torch.cat([speech[:, :1].expand(-1, lacking, -1), speech], dim=1)
        predicted = self.network.guided(
            noisy,
            previous if known else None,
            speech,
            timestep,
            style=None if self.style is None else self.style.expand(batch, -1),
            identity=None if self.identity is None else self.identity.expand(batch, -1),
            speech_scale=guidance_scale,
            style_scale=self.style_scale,
        )
        return predicted[:, lacking:]  # [B, T_p + F, D] -> [B, C + F, D]


@dataclass
class Sampler:
    """How weights are sampled by default: stored with them.

    Args:
        steps: of the solver; "renoise" takes as many as in training unless it is told.
        speech_scale: w_a.
        style_scale: w_s.
        eta: of DDIM.
        solver: see `SamplingOptions`.
    """

    steps: int = 8
    speech_scale: float = 1.15
    style_scale: float = 2.5
    eta: float = 0.0
    solver: str | None = None


class DiffPoseTalk(MotionModel):
    """Speech, a style and, where so trained, the face's shape -> expression and head pose.

    Args:
        network: the denoiser.
        space: the motion space; persons' sizes are in the style (`MotionSpace.encode_unscaled`).
        style: reads a style off motion.
        sampler: the defaults of `SamplingOptions`.
        normalise: whether features are normalised (`normalise_speech`); those of an encoder trained with the network
            are not.
        fps: frames per second.
        device: where the networks run.
    """

    ignores = frozenset({"pose_steps"})  # one network generates expression and pose
    # The lips of development people follow speech as well in two steps as in three (docs/results.md).
    streaming = SamplingOptions(steps=2, eta=0.0)

    def __init__(self, network: Denoiser, space: MotionSpace, style: StyleReader | None, sampler: Sampler, *,
                 normalise: bool = True, fps: float = 25.0, device: str | torch.device = "cpu"):  # fmt: skip
        self.normalise, self.fps = normalise, fps
        # Streams hand in normalised features, which an encoder that was trained with the network does not have.
        taken = {"style": style is not None, "tail": normalise, "constraint": True}
        self.accepts = frozenset(name for name, is_taken in taken.items() if is_taken)
        self.network, self.space, self.style_reader, self.sampler = network, space, style, sampler
        self.device = device
        self.speech_features = network.config.speech_features

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
        """See `MotionModel.sample`. `options.guidance` is w_a of eq. 10, `options.style_guidance` w_s."""
        config, defaults, count = self.network.config, self.sampler, len(self.space.expression_std)
        known, before = 0, None
        if tail is not None:
            known = len(tail.speech)
            before = torch.from_numpy(np.concatenate([tail.expression, tail.pose], axis=1)[:, : config.coefficients])
        features = speech.normalised(tail) if self.normalise else speech.features
        heard = torch.from_numpy(features).to(self.device)  # [C + T, S]
        vector = None if style is None else torch.from_numpy(self._vector(style))
        if config.people:  # that of a random training person, as in A.6
            number = torch.randint(config.people, (1,), generator=generator)[0]
            vector = torch.nn.functional.one_hot(number, config.people).float()
        network = Conditioned(
            self.network,
            style=None if vector is None else vector[None].to(self.device),
            identity=torch.from_numpy(subject.identity)[None].to(self.device) if config.identity else None,
            style_scale=defaults.style_scale if options.style_guidance is None else options.style_guidance,
        )
        solver = defaults.solver if options.solver is None and options.eta is None else options.solver
        steps = options.steps or defaults.steps
        if solver == RENOISE != defaults.solver and options.steps is None:
            steps = config.train_timesteps

        def report(done: int) -> None:
            if progress:
                progress(done, len(speech))

        sampler: dict[str, Any] = {
            "steps": steps,
            "guidance_scale": defaults.speech_scale if options.guidance is None else options.guidance,
            "generator": generator,
            "eta": defaults.eta if options.eta is None else options.eta,
            "solver": solver,
            "progress": report,
        }
        if constraint is not None:
            given = Replacement.of(constraint, self.space, slice(0, config.coefficients), self.device)
            motion = generate_jointly(network, heard[known:], given, **sampler)
        else:
            motion = generate_windows(
                network,
                heard[known:],
                **sampler,
                carry_velocity=torch.arange(config.coefficients, device=self.device) >= count,
                tail=None if before is None else (before, heard[:known]),
            )
        expression, pose = np.split(motion.float().cpu().numpy(), [count], axis=1)
        if pose.size and tail is None:  # a stream smooths the whole pose itself
            pose[:, 3:] = convolve1d(pose[:, 3:], _STEADY / _STEADY.sum(), axis=0, mode="nearest")
        return MotionSample(expression, pose if pose.size else None)

    def _vector(self, style: Style) -> np.ndarray:
        """[K]. Raises UsageError: the style is of another encoder, or of another size."""
        assert self.style_reader is not None  # else the pipeline refuses it
        self.style_reader.check(style)
        return style.vector


def load(
    folder: Path, face_model: MorphableModel, *, person: Path | None = None, device: str | torch.device = "cpu"
) -> DiffPoseTalk:
    """Load ``denoiser.safetensors`` and, where the network takes a style, ``style_encoder.safetensors``.

    Raises:
        InputError: the folder does not hold them, or they belong to another face model.
        UsageError: a person's weights, which this model does not have.
    """
    if person is not None:
        raise UsageError("the motion model diffposetalk has no weights of single persons")
    path = folder / "denoiser.safetensors"
    tensors, header = load_checkpoint(path, KIND)
    with described_as(path, KIND):
        network = Denoiser(DenoiserConfig(**header["config"]))
        network.load_state_dict(tensors)
        network = network.to(device).eval().requires_grad_(False)
        std = (np.array(header[f"{part}_std"], np.float32) for part in ("expression", "pose"))
        space, sampler = MotionSpace(face_model, *std), Sampler(**header["sampler"])
    if header["face_model"] != face_model.fingerprint:
        raise InputError(f"{path}: the denoiser belongs to face model {header['face_model']}")
    styled = network.config.style and not network.config.people
    reader = StyleReader.load(folder / "style_encoder.safetensors", face_model, device) if styled else None
    settings = {"normalise": header["normalise_speech"], "fps": header["fps"]}
    return DiffPoseTalk(network, space, reader, sampler, **settings, device=device)
