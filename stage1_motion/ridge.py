"""The baseline: ridge regression from log-mel energies to expression and head pose. No diffusion, nothing sampled.

A frame's 70 numbers are a linear function of 21 frames of 40 bands, 400 ms to either side. It knows what sound alone
says of a mouth, and being the mean of all that could have been said it moves too little.
"""

from __future__ import annotations

import json
from collections import defaultdict
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
from shared.face_model import load_bundled
from shared.face_model.morphable import MorphableModel
from shared.files import atomic_output
from shared.media import FPS, SAMPLE_RATE
from shared.metrics.lips import best_lag_correlation
from shared.speech.features import log_mel
from stage1_motion.data import Clip, is_development, load_clips, sampling_weights
from stage1_motion.model import Identity
from stage1_motion.phonetics import Events
from stage1_motion.space import TYPICAL_HEAD_STD, TYPICAL_LIP_STD, MotionSpace, normalise_speech

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


class Moments:
    """Weighted sums over frames from which a regression of any penalty is solved: mean x, mean y, x x', x y'."""

    def __init__(self, clips: list[Clip]) -> None:
        self._sums: list[Tensor] | None = None
        for clip, weight in zip(clips, sampling_weights(clips)):
            x = with_context(torch.from_numpy(clip.speech)).double()
            y = torch.from_numpy(np.concatenate([clip.expression, clip.pose], 1)).double()
            each = weight / len(x)
            sums = [each * s for s in (x.sum(0), y.sum(0), x.T @ x, x.T @ y)]
            self._sums = sums if self._sums is None else [a + b for a, b in zip(self._sums, sums)]

    def solve(self, penalty: float) -> nn.Linear:
        """Minimise E |y - W x - b|^2 + penalty |W|^2: W = E[y x'] (E[x x'] + penalty I)^-1, of x and y less means."""
        mean_x, mean_y, xx, xy = self._sums
        gram = xx - torch.outer(mean_x, mean_x) + penalty * torch.eye(len(mean_x), dtype=torch.float64)
        weight = torch.linalg.solve(gram, xy - torch.outer(mean_x, mean_y)).T
        return linear_of(weight.float(), (mean_y - weight @ mean_x).float())


def run(config: dict[str, Any]) -> dict[str, Any]:
    """`fd2talk train configs/bundled/ridge.yaml`: closed form, a minute. One penalty for the face and one for the head,
    those that serve the development people best; the weights are then those of all training people.

    config: prepared (folder of `fd2talk prepare`), output. Returns the folder and the correlation of the lip gap with
    the filmed one, at the best lag within two frames, median over people, of development people (seen by the choice of
    the penalty alone) and of those of split `val`. Raises InputError: no such folder.
    """
    model, output = load_bundled(), Path(config["output"]) / "best"
    clips, space = load_clips(config["prepared"], model, _speech, split="train")
    development = [clip for clip in clips if is_development(clip.person)]
    moments = Moments([clip for clip in clips if not is_development(clip.person)])
    tried = {penalty: Ridge(space, moments.solve(penalty)) for penalty in _PENALTIES}
    for_face = max(_PENALTIES, key=lambda p: lip_correlation(tried[p], development)[0])
    for_head = min(_PENALTIES, key=lambda p: _pose_error(tried[p], development))
    moments = Moments(clips)
    face, head = moments.solve(for_face), moments.solve(for_head)
    parts = [torch.cat([getattr(face, name)[:-6], getattr(head, name)[-6:]]) for name in ("weight", "bias")]
    ridge = Ridge(space, linear_of(*parts))
    ridge.save(output, penalty_expression=for_face, penalty_pose=for_head)
    held_out, _ = load_clips(config["prepared"], space, _speech, split="val")
    r, spread = lip_correlation(ridge, held_out)
    figures = {
        "penalty of expression": for_face,
        "penalty of pose": for_head,
        "r of development people": lip_correlation(tried[for_face], development)[0],
        "r of val people": r,
        "spread over real of val people": spread,
    }
    return {"best": str(output), "validation": figures}


def lip_correlation(ridge: Ridge, clips: list[Clip]) -> tuple[float, float]:
    """Predicted against filmed lip gap: correlation at the best lag within two frames, and spread over the filmed one.
    Means over a person's clips, then medians over people."""
    space = ridge.space
    neutral, still = np.zeros(space.model.num_identity, np.float32), np.zeros(space.model.num_expression, np.float32)
    row = space.lip_gap(neutral, np.diag(space.expression_std)) - space.lip_gap(neutral, still)
    people = defaultdict(list)
    for clip in clips:
        made, real = ridge.predict(clip.speech)[0] @ row, clip.expression @ row
        people[clip.person].append((best_lag_correlation(made, real)[0], made.std() / real.std()))
    r, spread = np.median([np.mean(values, axis=0) for values in people.values()], axis=0)
    return float(r), float(spread)


def _pose_error(ridge: Ridge, clips: list[Clip]) -> float:
    return float(np.mean([np.square(ridge.predict(clip.speech)[1] - clip.pose).mean() for clip in clips]))


def _speech(name: str, motion: Any) -> tuple[np.ndarray, np.ndarray]:
    features = LogMel()(motion.audio)
    return features, always_speaking(features, motion.audio).speaks
