"""Speech to Motion: encoder, Expression and Pose Transformers, eyes; the public face of stage one."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError, safe_open

from shared.errors import InputError
from shared.face_model import load_bundled
from shared.face_model.measures import lid_gap, lip_gap
from shared.face_model.morphable import MorphableModel
from shared.motion import Motion
from shared.photo import PhotoFit
from shared.speech.encoder import SpeechEncoder
from shared.weights import resolve
from stage1_motion.data import normalise_speech
from stage1_motion.expression_pose import MotionTransformer, MotionTransformerConfig
from stage1_motion.eyes import eye_motion
from stage1_motion.space import TYPICAL_HEAD_STD, TYPICAL_LIP_STD, MotionSpace
from stage1_motion.windows import generate_windows

# Pose of a frontal face in its head crop, for motion without a photo: centre and log of crop units per 100 mm.
_FRONTAL = np.array([0.0, -0.18, -0.32], np.float32)


@dataclass
class _Part:
    """One trained network: weights, its normaliser and its sampling defaults."""

    network: MotionTransformer
    std: np.ndarray
    face_model: str
    steps: int
    guidance_scale: float

    @classmethod
    def load(cls, path: Path, device: str | torch.device) -> _Part:
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


class MotionPipeline:
    """Speech -> Motion of the face in a photo (FD2Talk stage one).

    Build it with `from_pretrained`; one object may be called any number of times.
    """

    def __init__(self, model: MorphableModel, encoder: SpeechEncoder, expression: _Part, pose: _Part):
        for part in (expression, pose):
            if part.face_model != model.fingerprint:
                raise InputError(f"the motion transformers were trained for face model {part.face_model}")
            if part.network.config.speech_features != encoder.size:
                raise InputError(
                    f"the motion transformers were trained on {part.network.config.speech_features} speech features, "
                    f"the encoder gives {encoder.size}"
                )
        self.face_model = model
        self.encoder = encoder
        self.expression, self.pose = expression, pose
        self.space = MotionSpace(model, expression.std, pose.std)

    @classmethod
    def from_pretrained(
        cls, name_or_folder: str | Path = "bundled", *, device: str | torch.device = "cpu"
    ) -> MotionPipeline:
        """Load the bundled weights, or ``expression.safetensors`` and ``pose.safetensors`` of a folder (with the
        bundled speech encoder, unless the folder has a ``speech_encoder`` of its own).

        Raises InputError when something is missing or does not belong together.
        """
        folder = resolve(name_or_folder, "fd2talk") if str(name_or_folder) == "bundled" else Path(name_or_folder)
        own = folder / "speech_encoder"
        encoder = SpeechEncoder.from_pretrained(own if own.is_dir() else "bundled", device=device)
        parts = [_Part.load(folder / f"{name}.safetensors", device) for name in ("expression", "pose")]
        return cls(load_bundled(), encoder, *parts)

    @torch.no_grad()
    def __call__(
        self,
        audio: np.ndarray,
        *,
        photo: PhotoFit | None = None,
        seed: int = 0,
        steps: int | None = None,
        expression_scale: float = 1.0,
        pose_scale: float = 1.0,
        still: bool = False,
        progress: Callable[[int, int], None] | None = None,
    ) -> Motion:
        """audio: float32 [n], mono, 16 kHz -> Motion of frame_count(n) frames.

        photo: whose face moves; without one the mean face. The photo's head pose and expression are the means about
        which head and face move; the mouth's own opening in the photo is taken out. seed: the same seed gives the same
        motion. steps: denoising steps (default: what the weights were tuned with). expression_scale, pose_scale: size
        of the face's and of the head's motion. still: no head motion. progress: told (frames done, frames in all).
        """
        speech = torch.from_numpy(normalise_speech(self.encoder(audio)))
        frames = len(speech)
        learned = {}
        for index, (name, part) in enumerate((("expression", self.expression), ("pose", self.pose))):
            learned[name] = self._denoise(part, speech, seed + index, steps, _half(progress, index, frames))
        identity, mouth, rotation, translation, gaps = self._person(photo)
        lip_std = TYPICAL_LIP_STD * expression_scale
        expression = self.space.decode_expression(learned["expression"], identity, mouth, gaps[0], lip_std)
        # Lips that meet do not pass through each other.
        gap = gaps[0] + self.space.lip_gap(identity, expression) - self.space.lip_gap(identity, mouth)
        expression += np.maximum(-gap, 0)[:, None] * self.face_model.extra["open"]
        expression += eye_motion(self.face_model, frames, gaps[1], np.random.default_rng(seed))
        rotation, translation = self.space.decode_pose(
            learned["pose"], rotation, translation, TYPICAL_HEAD_STD * pose_scale * (not still)
        )
        return Motion(
            expression=expression,
            rotation=rotation,
            translation=translation,
            face_model=self.face_model.fingerprint,
            audio=audio,
            identity=identity,
            source=f"fd2talk, seed {seed}",
        )

    def _denoise(
        self, part: _Part, speech: torch.Tensor, seed: int, steps: int | None, progress: Callable[[int], None] | None
    ) -> np.ndarray:
        generator = torch.Generator().manual_seed(seed)
        device = next(part.network.parameters()).device
        motion = generate_windows(
            part.network,
            speech.to(device),
            steps=steps or part.steps,
            guidance_scale=part.guidance_scale,
            generator=generator,
            progress=progress,
        )
        return motion.float().cpu().numpy()

    def _person(self, photo: PhotoFit | None) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, tuple]:
        """identity, expression, rotation, translation, and lip and lid gaps in mm, of the photo or the mean face."""
        if photo is not None:
            vertices = photo.vertices(photo.expression)
            gaps = (float(lip_gap(vertices)), float(lid_gap(vertices)))
            return photo.identity, photo.expression, photo.rotation, photo.translation, gaps
        identity = np.zeros(self.face_model.num_identity, np.float32)
        expression = np.zeros(self.face_model.num_expression, np.float32)
        gaps = (float(lip_gap(self.face_model.mean)), float(lid_gap(self.face_model.mean)))
        return identity, expression, np.zeros(3, np.float32), _FRONTAL, gaps


def _half(progress: Callable[[int, int], None] | None, index: int, frames: int) -> Callable[[int], None] | None:
    """Two networks, each half of the work."""
    return None if progress is None else lambda done: progress((index * frames + done) // 2, frames)
