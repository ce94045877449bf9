"""The baseline: ridge regression from log-mel energies to expression and head pose. No diffusion, nothing sampled.

A frame's 70 numbers are a linear function of 21 frames of 40 bands, 400 ms to either side. Being the mean of all that
could have been said with such a sound, it moves too little.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from shared.checkpoint import described_as, load_checkpoint, save_checkpoint
from shared.errors import InputError, UsageError
from shared.face_model.morphable import MorphableModel
from shared.files import atomic_output
from stage1_motion.interface import MotionModel, MotionSample, Speech, Subject
from stage1_motion.motion_space import MotionSpace, normalise_speech
from stage1_motion.postprocessing import PostProcessing
from stage1_motion.speech_frontend import LogMel

CONTEXT = 10
"""Frames of sound to either side of a frame of motion."""

KIND = "ridge regression"


def with_context(speech: Tensor) -> Tensor:
    """[T, S] -> [T, 21 S]: every frame with those within 400 ms; the first and the last are repeated."""
    at = torch.arange(len(speech))[:, None] + torch.arange(-CONTEXT, CONTEXT + 1)  # [T, 21]
    return speech[at.clamp(0, len(speech) - 1)].flatten(1)  # [T, 21, S] -> [T, 21 S]


class Ridge(MotionModel):
    """The regression as a motion model; nothing is sampled.

    Args:
        linear: [21 x 40] -> [D + 6], expression and pose in the motion space.
    """

    speech_features = LogMel.size
    person_units = True
    ignores = frozenset({"steps", "pose_steps", "guidance", "eta", "solver"})
    # Log-mel energies come without speech events.
    postprocessing = PostProcessing(rest=False, lip_closure=False)

    def __init__(self, space: MotionSpace, linear: nn.Linear) -> None:
        self.space, self.linear = space, linear

    def save(self, folder: Path, **figures: float) -> None:
        """Write ``ridge.safetensors`` (fp16) and the ``model.yaml`` that `MotionPipeline` asks for."""
        header: dict[str, Any] = {
            "face_model": self.space.model.fingerprint,
            "expression_std": [float(v) for v in self.space.expression_std],
            "pose_std": [float(v) for v in self.space.pose_std],
            **figures,
        }
        folder.mkdir(parents=True, exist_ok=True)
        save_checkpoint(folder / "ridge.safetensors", KIND, self.linear.state_dict(), **header)
        with atomic_output(folder / "model.yaml", overwrite=True) as temporary:
            temporary.write_text("model: ridge\nspeech_encoder: log-mel\n", encoding="utf-8")

    @torch.no_grad()
    def predict(self, speech: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Normalised speech [T, 40] -> expression [T, D] and pose [T, 6] in the motion space."""
        context = with_context(torch.from_numpy(speech)).to(self.linear.weight.device)
        learned = self.linear(context).cpu().numpy()  # [T, D + 6]
        return learned[:, :-6], learned[:, -6:]

    def sample(
        self, speech: Speech, subject: Subject, *, progress: Callable[[int, int], None] | None = None, **_: Any
    ) -> MotionSample:
        """See `MotionModel.sample`."""
        sample = MotionSample(*self.predict(normalise_speech(speech.features, speech.events.speaks)))
        if progress:
            progress(len(speech), len(speech))
        return sample


def load(
    folder: Path, face_model: MorphableModel, *, person: Path | None = None, device: str | torch.device = "cpu"
) -> Ridge:
    """``ridge.safetensors`` of a folder.

    Raises:
        InputError: it is no such file, or of another face model.
        UsageError: a person's weights, which this model does not have.
    """
    if person is not None:
        raise UsageError("the motion model ridge has no weights of single persons")
    path = folder / "ridge.safetensors"
    tensors, header = load_checkpoint(path, KIND)
    with described_as(path, KIND):
        owner, stds = header["face_model"], [np.array(header[f"{k}_std"], np.float32) for k in ("expression", "pose")]
        linear = linear_of(tensors["weight"], tensors["bias"]).to(device)
    if owner != face_model.fingerprint:
        raise InputError(f"{path}: for the face model {owner}, not {face_model.fingerprint}")
    return Ridge(MotionSpace(face_model, *stds), linear)


def linear_of(weight: Tensor, bias: Tensor) -> nn.Linear:
    """A layer with these numbers, not to be trained."""
    linear = nn.Linear(weight.shape[1], weight.shape[0]).requires_grad_(False)
    linear.load_state_dict({"weight": weight, "bias": bias})
    return linear
