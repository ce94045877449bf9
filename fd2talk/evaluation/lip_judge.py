"""The bundled lip expert as a judge: does the mouth of this motion say this speech, and how late is it?"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch.nn import functional as F

from shared.errors import InputError
from shared.metrics.sync import SyncScores, sync_scores
from shared.motion import Motion
from shared.weights import bundled
from stage1_motion.data import person_scales
from stage1_motion.lip_expert import WINDOW, LipExpert
from stage1_motion.pipeline import MotionPipeline
from stage1_motion.space import normalise_speech


class LipJudge:
    """SyncNet's arithmetic over the lip expert's embeddings (FD2Talk eq. 10) of mouth vertices and speech.

    One row is a window of 17 frames; embeddings have unit norm, so distances lie between 0 and sqrt(2). The bundled
    motion model was trained against this very expert (L_sync): a good score of it is no independent proof, other
    systems' scores and those of real clips are.
    """

    def __init__(self) -> None:
        self.pipeline = MotionPipeline.from_pretrained("bundled")
        self.space = self.pipeline.model.space
        self.expert = LipExpert.load(bundled("fd2talk") / "lip_expert.safetensors")

    @torch.no_grad()
    def __call__(self, motion: Motion, identity: np.ndarray, speech: np.ndarray, max_shift: int) -> SyncScores:
        """identity: of the face that moves; speech: float32 [n], 16 kHz. Raises InputError: another face model, a clip
        too short for so many shifts (under 1.3 s for 15)."""
        if motion.face_model != self.space.model.fingerprint:
            raise InputError(
                f"the lip expert knows faces of {self.space.model.fingerprint}, not of {motion.face_model}"
            )
        motion = replace(motion, identity=identity)
        features = self.pipeline.encoder(speech)
        heard = normalise_speech(features, self.pipeline.phonetics.in_use(features, speech))
        frames = min(len(heard), len(motion))
        if frames < WINDOW:
            raise InputError(f"{frames} frames are too short for the lip expert, which sees {WINDOW} together")
        lip_std, _ = person_scales(self.space, [motion])
        seen = self.space.encode_expression(motion, lip_std)
        mouth = self.expert.embed_mouth(torch.from_numpy(seen[None, :frames]))[0]
        sound = self.expert.embed_speech(torch.from_numpy(heard[None, :frames]))[0]
        return sync_scores(F.normalize(mouth, dim=-1).numpy(), F.normalize(sound, dim=-1).numpy(), max_shift)
