"""The baseline: ridge regression from log-mel energies to expression and head pose. No diffusion, nothing sampled.

A frame's 70 numbers are a linear function of 21 frames of 40 bands, 400 ms to either side. It knows what sound alone
says of a mouth, and being the mean of all that could have been said it moves too little.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from scipy.ndimage import convolve1d
from torch import Tensor, nn

from shared.errors import InputError
from shared.face_model.morphable import MorphableModel
from shared.files import atomic_output
from shared.media import FPS, SAMPLE_RATE
from shared.speech.features import log_mel
from stage1_motion.interface import Identity
from stage1_motion.motion_space import TYPICAL_HEAD_STD, TYPICAL_LIP_STD, MotionSpace, normalise_speech
from stage1_motion.speech_events import Events

BANDS = 40
CONTEXT = 10
"""Frames of sound to either side of a frame of motion."""

# Mean over a frame of 40 ms of windows 10 ms apart, the outer two shared with the neighbours.
_FRAME = np.array([0.5, 1, 1, 1, 0.5]) / 4
_PENALTIES = tuple(float(p) for p in 10.0 ** np.arange(-3, 2.01, 0.5))


class LogMel:
    """What stands for the speech encoder: log-mel energies at 25 Hz."""

    size = BANDS

    def __call__(self, audio: np.ndarray) -> np.ndarray:
        """audio: float32 [n], 16 kHz -> float32 [frame_count(n), 40]."""
        fine = log_mel(audio, BANDS)
        return convolve1d(fine, _FRAME, axis=0, mode="nearest")[:: SAMPLE_RATE // 160 // FPS].astype(np.float32)


def always_speaking(features: np.ndarray, audio: np.ndarray) -> Events:
    """What stands for `Phonetics`: nothing is known of pauses and of closed lips."""
    return Events(np.ones(len(features), np.float32), np.zeros(len(features), np.float32))


def with_context(speech: Tensor) -> Tensor:
    """[T, S] -> [T, 21 S]: every frame with those within 400 ms; beyond the ends the first and the last go on."""
    at = torch.arange(len(speech))[:, None] + torch.arange(-CONTEXT, CONTEXT + 1)
    return speech[at.clamp(0, len(speech) - 1)].flatten(1)


class Ridge:
    """The regression behind the `MotionModel` interface.

    linear: [21 x 40] -> [D + 6], learned-space expression and pose (see `MotionSpace`). Only the eyes, which the
    pipeline adds, depend on the seed.
    """

    speech_features = BANDS

    def __init__(self, space: MotionSpace, linear: nn.Linear) -> None:
        self.face_model, self.space, self.linear = space.model, space, linear

    @classmethod
    def load(cls, folder: Path, face_model: MorphableModel, device: str | torch.device = "cpu") -> Ridge:
        """``ridge.safetensors`` of a folder. Raises InputError: it is no such file, or of another face model."""
        path = folder / "ridge.safetensors"
        try:
            with safe_open(str(path), "pt") as file:
                header = json.loads((file.metadata() or {})["ridge"])
                weight, bias = (file.get_tensor(name).float() for name in ("weight", "bias"))
            space = MotionSpace(face_model, *(np.array(header[f"{k}_std"], np.float32) for k in ("expression", "pose")))
        except (KeyError, OSError, ValueError, SafetensorError) as error:
            raise InputError(f"{path}: not the weights of a ridge regression ({error})") from None
        if header["face_model"] != face_model.fingerprint:
            raise InputError(f"{path}: made for face model {header['face_model']}, not {face_model.fingerprint}")
        return cls(space, linear_of(weight, bias).to(device))

    def save(self, folder: Path, **figures: float) -> None:
        """Write ``ridge.safetensors`` (fp16) and the ``model.yaml`` that `MotionPipeline` asks for."""
        header = {
            "face_model": self.face_model.fingerprint,
            "expression_std": [float(v) for v in self.space.expression_std],
            "pose_std": [float(v) for v in self.space.pose_std],
            **figures,
        }
        tensors = {name: getattr(self.linear, name).detach().half().contiguous() for name in ("weight", "bias")}
        folder.mkdir(parents=True, exist_ok=True)
        with atomic_output(folder / "ridge.safetensors", overwrite=True) as temporary:
            save_file(tensors, str(temporary), metadata={"ridge": json.dumps(header)})
        with atomic_output(folder / "model.yaml", overwrite=True) as temporary:
            temporary.write_text("model: ridge\nspeech_encoder: log-mel\n", encoding="utf-8")

    @torch.no_grad()
    def predict(self, speech: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Normalised speech [T, 40] -> learned-space expression [T, D] and pose [T, 6]."""
        heard = with_context(torch.from_numpy(speech)).to(self.linear.weight.device)
        learned = self.linear(heard).cpu().numpy()
        return learned[:, :-6], learned[:, -6:]

    def generate(
        self,
        speech: np.ndarray,
        events: Events,
        *,
        identity: Identity,
        expression_scale: float = 1.0,
        pose_scale: float = 1.0,
        progress: Callable[[int, int], None] | None = None,
        **sampling: Any,
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """See `MotionModel.generate`. sampling: its seed, steps, guidance and device, which change nothing here."""
        expression, pose = self.predict(normalise_speech(speech, events.speaks))
        expression = self.space.decode_expression(
            expression, identity.expression, identity.lip_gap, TYPICAL_LIP_STD * expression_scale
        )
        if progress:
            progress(len(speech), len(speech))
        place = (identity.rotation, identity.translation, TYPICAL_HEAD_STD)
        return expression, *self.space.decode_pose(pose * pose_scale, *place)


def linear_of(weight: Tensor, bias: Tensor) -> nn.Linear:
    """A layer with these numbers, not to be trained."""
    linear = nn.Linear(weight.shape[1], weight.shape[0]).requires_grad_(False)
    linear.load_state_dict({"weight": weight, "bias": bias})
    return linear
