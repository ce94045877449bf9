"""FD2Talk's first stage as a motion model: Expression and Pose Transformers, and the person in the photo."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError, safe_open

from shared.errors import InputError
from shared.face_model.morphable import MorphableModel
from stage1_motion.interface import Identity
from stage1_motion.models.fd2talk.network import MotionTransformer, MotionTransformerConfig
from stage1_motion.motion_space import TYPICAL_LIP_STD, MotionSpace, normalise_speech
from stage1_motion.speech_events import Events
from stage1_motion.windowed_sampling import generate_windows

# Lip gap at rest in mm of a typical mouth: closed to the eye, but not pressed together as on a bilabial.
_REST_GAP = 0.3
# The networks' lip gap is less skewed than people's, who hold their lips shut for frames on end and open them wide for
# moments: with people's mean (`MEAN_GAP`) its low values would stay open.
_MEAN_GAP = 1.2
# Below about this many mm lips approach each other ever more slowly.
_SOFT_GAP = 1.5
# What a photo does not show: how far its person opens the mouth (standard deviation of the lip gap, mm; a little under
# the typical, since too lively a mouth is worse than too calm a one) and moves the head (rotation, radians).
_LIP_STD = 4.6
_HEAD_STD = 0.045


@dataclass
class Part:
    """One trained network: weights, its normaliser and its sampling defaults."""

    network: MotionTransformer
    std: np.ndarray
    face_model: str
    steps: int
    guidance_scale: float

    @classmethod
    def load(cls, path: Path, device: str | torch.device = "cpu") -> Part:
        """Read what the training task wrote. Raises InputError when it is no such file."""
        try:
            with safe_open(str(path), "pt") as file:
                header = json.loads((file.metadata() or {})["motion_transformer"])
                tensors = {name: file.get_tensor(name).float() for name in file.keys()}
        except (KeyError, OSError, SafetensorError) as error:
            raise InputError(f"{path}: not a motion transformer ({error})") from None
        network = MotionTransformer(MotionTransformerConfig(**header["config"]))
        network.load_state_dict(tensors)
        network = network.to(device).eval().requires_grad_(False)
        std = np.array(header["std"], np.float32)
        return cls(network, std, header["face_model"], header["steps"], header["guidance_scale"])


class FD2Talk:
    """The two transformers, or the one of the paper's ablation, behind the `MotionModel` interface.

    parts: networks whose coefficients, one's after another's, are those of expression [D] and pose [6].
    expression, pose: the first and the last of them.
    """

    def __init__(self, face_model: MorphableModel, *parts: Part):
        for part in parts:
            if part.face_model != face_model.fingerprint:
                raise InputError(
                    f"the motion transformers belong to face model {part.face_model}, not {face_model.fingerprint}"
                )
        std = np.concatenate([part.std for part in parts])
        count = face_model.num_expression
        if len(std) != count + 6:
            raise InputError(f"the motion transformers make {len(std)} coefficients, not {count} and 6")
        self.face_model, self.parts, self.expression, self.pose = face_model, parts, parts[0], parts[-1]
        self.space = MotionSpace(face_model, std[:count], std[count:])
        self.speech_features = self.expression.network.config.speech_features

    @classmethod
    def load(cls, folder: Path, face_model: MorphableModel, device: str | torch.device = "cpu") -> FD2Talk:
        """``expression.safetensors`` and ``pose.safetensors`` of a folder, or ``expression_and_pose.safetensors``
        that is both. Raises InputError."""
        joint = folder / "expression_and_pose.safetensors"
        paths = [joint] if joint.exists() else [folder / f"{name}.safetensors" for name in ("expression", "pose")]
        return cls(face_model, *(Part.load(path, device) for path in paths))

    @torch.no_grad()
    def generate(
        self,
        speech: np.ndarray,
        events: Events,
        *,
        identity: Identity,
        seed: int,
        steps: int | None = None,
        guidance: float | None = None,
        expression_scale: float = 1.0,
        pose_scale: float = 1.0,
        device: str | torch.device = "cpu",
        progress: Callable[[int, int], None] | None = None,
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """See `MotionModel.generate`. `guidance` overrides the Expression Transformer's own."""
        frames, parts = len(speech), len(self.parts)
        heard = torch.from_numpy(normalise_speech(speech, events.speaks)).to(device)
        is_pose = torch.arange(len(self.space.expression_std) + 6, device=device) >= len(self.space.expression_std)
        learned = np.zeros((frames, 0), np.float32)
        for index, part in enumerate(self.parts):
            scale = guidance if guidance is not None and part is self.expression else part.guidance_scale
            start = learned.shape[1]
            motion = generate_windows(
                part.network,
                heard,
                steps=steps or part.steps,
                guidance_scale=scale,
                generator=torch.Generator().manual_seed(2 * seed + index),
                carry_velocity=is_pose[start : start + len(part.std)],
                progress=progress and (lambda done, i=index: progress((i * frames + done) // parts, frames)),
            )
            learned = np.concatenate([learned, motion.float().cpu().numpy()], axis=1)
        expression, pose = np.split(learned, [len(self.space.expression_std)], axis=1)
        expression = self._expression(expression, events, identity, _LIP_STD * expression_scale)
        pose = pose * pose_scale
        return expression, *self.space.decode_pose(pose, identity.rotation, identity.translation, _HEAD_STD)

    def _expression(self, learned: np.ndarray, events: Events, identity: Identity, lip_std: float) -> np.ndarray:
        """Learned [T, D] -> expression [T, D]: at rest where nobody speaks; lips meet on b, p, m and never cross."""
        opening = self.face_model.extra["open"]
        at_rest = (_REST_GAP - _MEAN_GAP * TYPICAL_LIP_STD) * opening / self.space.expression_std
        talking = events.speaks[:, None]
        learned = talking * learned + (1 - talking) * at_rest
        expression = self.space.decode_expression(learned, identity.expression, identity.lip_gap, lip_std, _MEAN_GAP)
        zero = np.zeros_like(identity.coefficients)
        gap = identity.lip_gap + self.space.lip_gap(zero, expression) - self.space.lip_gap(zero, identity.expression)
        # Only what must close closes: elsewhere small gaps stay gaps, so that lips keep moving.
        parted = _SOFT_GAP * np.logaddexp(0, gap / _SOFT_GAP)
        wanted = events.speaks * parted + (1 - events.speaks) * np.maximum(gap, 0)
        return expression + (wanted * (1 - events.shut) - gap)[:, None] * opening
