"""The bundled lip expert as a judge: does the mouth of this motion say this speech, and how late is it?"""

from __future__ import annotations

import numpy as np
import torch
from torch.nn import functional as F

from shared.errors import InputError
from shared.metrics.sync import MAX_SHIFT, SyncScores, check_audible, sync_scores
from shared.motion import Motion
from shared.weights import bundled
from stage1_motion.dataset import person_scales
from stage1_motion.lip_expert.network import WINDOW, LipExpert
from stage1_motion.motion_space import MotionSpace, normalise_speech
from stage1_motion.pipeline import MotionPipeline


class LipJudge:
    """The bundled lip expert (FD2Talk eq. 10) with the speech encoder that it was trained on.

    The bundled motion model was trained against this very expert (L_sync): a good score of it is no independent proof,
    other systems' scores and those of real clips are.
    """

    def __init__(self) -> None:
        self.pipeline = MotionPipeline.from_pretrained("bundled")
        self.expert = LipExpert.load(bundled("fd2talk") / "lip_expert.safetensors")

    def hear(self, speech: np.ndarray) -> np.ndarray:
        """Float32 [n], 16 kHz -> what an expert hears, [T, S] at 25 Hz."""
        features = self.pipeline.encoder(speech)
        return normalise_speech(features, self.pipeline.phonetics.in_use(features, speech))

    def __call__(self, motion: Motion, speech: np.ndarray, max_shift: int = MAX_SHIFT) -> SyncScores:
        """`lip_scores` of a motion that says whose face it moves.

        Raises InputError: as there, silence, another face model.
        """
        check_audible(speech, "the lip expert")
        space = self.pipeline.model.space
        if motion.face_model != space.model.fingerprint:
            raise InputError(f"the lip expert knows faces of {space.model.fingerprint}, not of {motion.face_model}")
        return lip_scores(self.expert, space, motion, self.hear(speech), max_shift)


@torch.no_grad()
def lip_scores(
    expert: LipExpert, space: MotionSpace, motion: Motion, heard: np.ndarray, max_shift: int = MAX_SHIFT
) -> SyncScores:
    """SyncNet's arithmetic over a lip expert's embeddings of mouth vertices and of speech.

    One row is a window of 17 frames; embeddings have unit norm, so that distances lie between 0 and sqrt(2).
    motion: with its identity; heard: [T, S] of `LipJudge.hear`. Raises InputError: a clip too short for so many shifts
    (under 1.3 s for 15).
    """
    frames = min(len(heard), len(motion))
    if frames < WINDOW:
        raise InputError(f"{frames} frames are too short for the lip expert, which sees {WINDOW} together")
    seen = space.encode_expression(motion, person_scales(space, [motion])[0])
    mouth = expert.embed_mouth(torch.from_numpy(seen[None, :frames]))[0]
    sound = expert.embed_speech(torch.from_numpy(heard[None, :frames]))[0]
    return sync_scores(F.normalize(mouth, dim=-1).numpy(), F.normalize(sound, dim=-1).numpy(), max_shift)
