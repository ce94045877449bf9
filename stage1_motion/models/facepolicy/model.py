"""3DFacePolicy as a motion model: loads the policy, and rolls it out over a recording."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from shared.checkpoint import described_as, load_checkpoint
from shared.errors import InputError, UsageError
from shared.face_model.morphable import MorphableModel
from stage1_motion.interface import Known, MotionModel, MotionSample, SamplingOptions, Speech, Style, Subject, Tail
from stage1_motion.models.facepolicy.actions import ActionSpace, Units, roll_out
from stage1_motion.models.facepolicy.network import Policy, PolicyConfig
from stage1_motion.motion_space import MEAN_GAP, MotionSpace
from stage1_motion.postprocessing.rest import rest_coefficients

KIND = "3DFacePolicy policy"


@dataclass
class Sampler:
    """Default sampling options, stored with the weights.

    Args:
        steps: of DDIM, for every prediction.
        eta: of DDIM.
        guidance: scale of classifier-free guidance on speech.
        blur: of the correction of drift in mm (`ActionSpace.likely`); 0: none.
        leak: of the correction of the head's drift (`roll_out`). With both 0, eq. 2 as printed.
    """

    steps: int = 2
    eta: float = 0.0
    guidance: float = 1.0
    blur: float = 0.2
    leak: float = 0.003


def resting(space: MotionSpace, frames: int) -> np.ndarray:
    """Initial observations [frames, D + 6]: closed lips and the mean pose."""
    rest = np.concatenate([rest_coefficients(space, MEAN_GAP), np.zeros(6)])
    return np.repeat(rest[None], frames, axis=0).astype(np.float32)


class FacePolicy(MotionModel):
    """Generates actions, differences of vertices and head pose, from speech and the previous positions.

    Args:
        network: the policy.
        space: the motion space, without normalisation by person (`MotionSpace.encode_unscaled`).
        units: of positions and actions.
        sampler: the defaults of `SamplingOptions`, and the correction of drift.
        device: of the network.
    """

    accepts = frozenset({"tail"})
    ignores = frozenset({"pose_steps", "style_guidance", "solver"})

    def __init__(self, network: Policy, space: MotionSpace, units: Units, sampler: Sampler, *,
                 device: str | torch.device = "cpu"):  # fmt: skip
        self.network, self.space, self.sampler, self.device = network, space, sampler, device
        self.action_space = ActionSpace(space, units, device)
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
        """See `MotionModel.sample`. The face starts at rest, or where the tail ends."""
        observed, known = self.network.config.observed, 0
        before = resting(self.space, observed)
        if tail is not None and len(tail.speech):
            known = len(tail.speech)
            last = np.concatenate([tail.expression, tail.pose], axis=1)[-observed:]
            before = np.concatenate([before, last])[-observed:] if len(last) >= observed else np.repeat(last[:1], 2, 0)
        motion = roll_out(
            self.network,
            self.action_space,
            torch.from_numpy(speech.normalised(tail))[None].to(self.device),
            torch.from_numpy(before)[None].to(self.device),
            heard=known,
            steps=options.steps or self.sampler.steps,
            eta=self.sampler.eta if options.eta is None else options.eta,
            guidance=self.sampler.guidance if options.guidance is None else options.guidance,
            blur=self.sampler.blur,
            leak=self.sampler.leak,
            generator=generator,
            progress=progress and (lambda done: progress(done, len(speech))),
        )
        expression, pose = np.split(motion[0].cpu().numpy(), [self.action_space.count], axis=1)
        return MotionSample(expression, pose if self.action_space.head else None)


def load(
    folder: Path, face_model: MorphableModel, *, person: Path | None = None, device: str | torch.device = "cpu"
) -> FacePolicy:
    """Load ``policy.safetensors``.

    Raises:
        InputError: the folder does not hold it, or it belongs to another face model.
        UsageError: `person`, which this model does not support.
    """
    if person is not None:
        raise UsageError("the motion model facepolicy has no weights of single persons")
    path = folder / "policy.safetensors"
    tensors, header = load_checkpoint(path, KIND)
    with described_as(path, KIND):
        network = Policy(PolicyConfig(**header["config"]))
        network.load_state_dict(tensors)
        network = network.to(device).eval().requires_grad_(False)
        std = (np.array(header[f"{part}_std"], np.float32) for part in ("expression", "pose"))
        space, units, sampler = MotionSpace(face_model, *std), Units(**header["units"]), Sampler(**header["sampler"])
    if header["face_model"] != face_model.fingerprint:
        raise InputError(f"{path}: the policy belongs to face model {header['face_model']}")
    return FacePolicy(network, space, units, sampler, device=device)
