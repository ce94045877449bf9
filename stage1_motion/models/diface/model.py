"""3DiFACE as a motion model: loaded and sampled, for everybody or for one person."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from shared.checkpoint import described_as, load_checkpoint
from shared.diffusion.solvers import RENOISE
from shared.errors import InputError
from shared.face_model.morphable import MorphableModel
from stage1_motion.editing.ramp import FACE_REACH, HEAD_REACH
from stage1_motion.editing.replacement import Replacement
from stage1_motion.interface import Known, MotionModel, MotionSample, SamplingOptions, Speech, Style, Subject, Tail
from stage1_motion.models.diface.coordinates import Coordinates
from stage1_motion.models.diface.network import Denoiser, DenoiserConfig
from stage1_motion.models.diface.sampling import generate
from stage1_motion.motion_space import MotionSpace

KIND = "3DiFACE denoiser"

# Frames for which a first or last frame that is given is held, outside what is asked for. Convolutions see zeros there,
# and let the head swing beyond such a key.
_HOLD = 32


@dataclass
class Sampler:
    """How weights are sampled by default: stored with them.

    Args:
        steps: of the solver; "renoise" (eq. 2) takes as many as in training unless it is told.
        guidance: s of eq. 3.
        eta: of DDIM.
        solver: see `SamplingOptions`.
    """

    steps: int = 8
    guidance: float = 1.0
    eta: float = 0.0
    solver: str | None = None


class Diface(MotionModel):
    """Speech -> displacements of the vertices and head pose, all frames at once.

    Args:
        network: the denoiser.
        coordinates: what it works on.
        person: S_i, [C].
        sampler: the defaults of `SamplingOptions`.
        fps: frames per second.
        loss: settings of the loss that it was trained with.
        speech_encoder: fingerprint of the speech encoder, where it is known.
        device: where the network runs.
    """

    accepts = frozenset({"tail", "constraint"})
    ignores = frozenset({"pose_steps"})
    unconditional = True

    def __init__(self, network: Denoiser, coordinates: Coordinates, person: Tensor, sampler: Sampler, *,
                 fps: float = 25.0, loss: dict[str, Any] | None = None, speech_encoder: str | None = None,
                 device: str | torch.device = "cpu"):  # fmt: skip
        self.loss, self.speech_encoder = loss or {}, speech_encoder
        self.network, self.coordinates, self.person, self.sampler = network, coordinates, person, sampler
        self.fps, self.device, self.space = fps, device, coordinates.space
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
        """See `MotionModel.sample`. `options.guidance` is s of eq. 3; 0 generates without speech."""
        defaults, before, after = self.sampler, 0, 0
        if tail is not None:
            before = len(tail.speech)
            constraint = _after(tail, constraint, len(speech))
        features = torch.from_numpy(speech.normalised(tail))  # [C + T, S]
        if constraint is not None and tail is None:
            before, after = (_HOLD if constraint.mask[end].any() else 0 for end in (0, -1))
            if before or after:
                constraint = Known(*(_held(part, before, after) for part in vars(constraint).values()))
                features = torch.from_numpy(_held(features.numpy(), before, after))
        solver = defaults.solver if options.solver is None and options.eta is None else options.solver
        steps = options.steps or defaults.steps
        if solver == RENOISE != defaults.solver and options.steps is None:
            steps = self.network.config.train_timesteps
        parts = []
        for start, clean in generate(
            self.network,
            lambda first, last: features[None, first:last].to(self.device),
            len(features),
            self.person[None],
            steps=steps,
            guidance_scale=defaults.guidance if options.guidance is None else options.guidance,
            seed=int(torch.randint(2**62, (1,), generator=generator)),
            eta=defaults.eta if options.eta is None else options.eta,
            solver=solver,
            replace=None if constraint is None else self._replacement(constraint),
            replace_reach=0 if constraint is None else max(FACE_REACH, HEAD_REACH) + 1,  # a ramp begins with a speed
        ):
            parts.append(self.coordinates.decode(clean.float().cpu().numpy()))
            if progress:
                progress(min(max(0, start + len(clean) - before), len(speech)), len(speech))
        wanted = slice(before, before + len(speech))
        expression = np.concatenate([part[0] for part in parts])[wanted]
        pose = np.concatenate([part[1] for part in parts])[wanted] if self.coordinates.head else None
        return MotionSample(expression, pose)

    def _replacement(self, known: Known) -> Callable[[Tensor, int, int], Tensor]:
        """Given values in place of predicted ones, for `generate`."""

        @lru_cache(maxsize=1)  # the same at every step of a chunk
        def of(start: int, stop: int) -> Replacement | None:
            mask = known.mask[start:stop]
            if not mask.any():
                return None
            values = self.coordinates.encode(known.expression[start:stop], known.pose[start:stop])
            return Replacement(values, self.coordinates.parts(mask), self.device)

        def replace(clean: Tensor, start: int, stop: int) -> Tensor:
            replacement = of(start, stop)
            return clean if replacement is None else replacement(clean)

        return replace


def _held(values: np.ndarray, before: int, after: int) -> np.ndarray:
    """Values [T, ...], of which the first and the last stay so many frames longer."""
    return np.concatenate([np.repeat(values[:1], before, 0), values, np.repeat(values[-1:], after, 0)])


def _after(tail: Tail, constraint: Known | None, frames: int) -> Known:
    """The constraint of a tail and of the frames behind it."""
    before = (tail.expression, tail.pose, np.ones((len(tail.speech), 4), bool))
    if constraint is None:
        behind = tuple(np.zeros((frames, *part.shape[1:]), part.dtype) for part in before)
    else:
        behind = (constraint.expression, constraint.pose, constraint.mask)
    return Known(*(np.concatenate(pair) for pair in zip(before, behind)))


def load(
    folder: Path, face_model: MorphableModel, *, person: Path | None = None, device: str | torch.device = "cpu"
) -> Diface:
    """Load ``denoiser.safetensors`` of a folder, or of a person's.

    Raises:
        InputError: the folder does not hold it, or it belongs to another face model or speech encoder.
    """
    path = (person or folder) / "denoiser.safetensors"
    if person is not None and not path.is_file():
        raise InputError(f"{person} is no folder of `fd2talk personalise`: it has no {path.name}")
    tensors, header = load_checkpoint(path, KIND)
    with described_as(path, KIND):
        vector = tensors.pop("sampled_person")
        network = Denoiser(DenoiserConfig(**header["config"]))
        network.load_state_dict(tensors)
        network = network.to(device).eval().requires_grad_(False)
        std = (np.array(header[f"{part}_std"], np.float32) for part in ("expression", "pose"))
        coordinates = Coordinates(MotionSpace(face_model, *std), header["scale"], header["head"])
        sampler = Sampler(**header["sampler"])
        more = {"fps": header["fps"], "loss": header["loss"], "speech_encoder": header.get("speech_encoder")}
        belongs_to = header["face_model"]
    if person is not None and "person" not in header:
        raise InputError(f"{person} is no folder of `fd2talk personalise`: its weights are those of everybody")
    if belongs_to != face_model.fingerprint:
        raise InputError(f"{path}: the denoiser belongs to face model {belongs_to}")
    return Diface(network, coordinates, vector.to(device), sampler, **more, device=device)
