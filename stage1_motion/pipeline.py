"""Speech to Motion: encoder, motion model, eyes; the public face of stage one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
import yaml

from shared.errors import InputError
from shared.face_model import load_bundled
from shared.motion import Motion
from shared.photo_fit import PhotoFit
from shared.speech.encoder import SpeechEncoder
from shared.weights import resolve
from stage1_motion.interface import Identity, MotionModel
from stage1_motion.models.fd2talk.model import FD2Talk
from stage1_motion.models.ridge.model import LogMel, Ridge, always_speaking
from stage1_motion.postprocessing.eyes import eye_motion
from stage1_motion.speech_events import Events, Phonetics

# A motion model is one file and one entry: its name in a weights folder's model.yaml -> what loads it.
MODELS = {"fd2talk": FD2Talk.load, "ridge": Ridge.load}


class MotionPipeline:
    """Speech -> Motion of the face in a photo.

    Build it with `from_pretrained`; one object may be called any number of times.
    """

    def __init__(
        self,
        encoder: SpeechEncoder | LogMel,
        phonetics: Callable[[np.ndarray, np.ndarray], Events],
        model: MotionModel,
        device: str | torch.device = "cpu",
    ):
        if model.speech_features != encoder.size:
            raise InputError(
                f"the motion model was trained on {model.speech_features} speech features, "
                f"this encoder gives {encoder.size}"
            )
        self.encoder, self.phonetics, self.model = encoder, phonetics, model
        self.face_model, self.device = model.face_model, device

    @classmethod
    def from_pretrained(
        cls, name_or_folder: str | Path = "bundled", *, device: str | torch.device = "cpu"
    ) -> MotionPipeline:
        """Load the bundled weights, or a folder's.

        The folder's ``model.yaml`` names the motion model (`model: fd2talk`) and the speech encoder it was trained on
        (`speech_encoder:` bundled, a folder, or a hub name; `layer:` which hidden state; or `log-mel`, which knows
        neither pauses nor closed lips).
        Raises InputError when something is missing or does not belong together.
        """
        folder = resolve(name_or_folder, "fd2talk") if str(name_or_folder) == "bundled" else Path(name_or_folder)
        try:
            settings = yaml.safe_load((folder / "model.yaml").read_text(encoding="utf-8"))
            load, encoder_name = MODELS[settings["model"]], settings["speech_encoder"]
        except (OSError, KeyError, TypeError, ValueError, yaml.YAMLError) as error:
            raise InputError(f"{folder}: not a folder of motion model weights ({error})") from None
        if encoder_name == "log-mel":
            encoder, phonetics = LogMel(), always_speaking
        else:
            encoder = SpeechEncoder.from_pretrained(encoder_name, layer=settings.get("layer"), device=device)
            phonetics = Phonetics.load(folder / "phonetics.safetensors")
        return cls(encoder, phonetics, load(folder, load_bundled(), device), device)

    def __call__(
        self,
        audio: np.ndarray,
        *,
        photo: PhotoFit | None = None,
        seed: int = 0,
        steps: int | None = None,
        guidance: float | None = None,
        expression_scale: float = 1.0,
        pose_scale: float = 1.0,
        still: bool = False,
        progress: Callable[[int, int], None] | None = None,
    ) -> Motion:
        """audio: float32 [n], mono, 16 kHz -> Motion of frame_count(n) frames.

        photo: whose face moves; without one the mean face. The photo's head pose and expression are the means about
        which head and face move; the mouth's own opening in the photo is taken out. seed: the same seed gives the same
        motion. steps, guidance: of the sampler (default: what the weights were tuned with). expression_scale,
        pose_scale: size of the face's and of the head's motion. still: no head motion. progress: told (frames done,
        frames in all).
        """
        speech = self.encoder(audio)
        identity = Identity.of(photo, self.face_model)
        expression, rotation, translation = self.model.generate(
            speech,
            self.phonetics(speech, audio),
            identity=identity,
            seed=seed,
            steps=steps,
            guidance=guidance,
            expression_scale=expression_scale,
            pose_scale=0.0 if still else pose_scale,
            device=self.device,
            progress=progress,
        )
        eyes = eye_motion(self.face_model, len(speech), identity.lid_gap, np.random.default_rng(seed))
        return Motion(
            expression=expression + eyes,
            rotation=rotation,
            translation=translation,
            face_model=self.face_model.fingerprint,
            audio=audio,
            identity=identity.coefficients,
            source=f"fd2talk, seed {seed}",
        )
