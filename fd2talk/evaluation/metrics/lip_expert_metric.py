"""The bundled lip expert as a metric: whether a motion's mouth matches the speech, and at which offset."""

from __future__ import annotations

import numpy as np
import torch
from torch.nn import functional as F

from shared.errors import InputError
from shared.metrics.sync import MAX_SHIFT, SyncScores, check_audible, sync_scores
from shared.motion import Motion
from shared.weights import bundled
from stage1_motion.lip_expert.network import WINDOW, LipExpert
from stage1_motion.motion_space import MotionSpace, normalise_speech, person_scales
from stage1_motion.pipeline import MotionPipeline


class LipExpertMetric:
    """The bundled lip expert (FD2Talk eq. 10) with the speech encoder that it was trained on.

    The bundled motion model was trained against this expert (L_sync): its own good score is no independent evidence;
    the scores of other systems and of real clips are.
    """

    def __init__(self) -> None:
        self.pipeline = MotionPipeline.from_pretrained("bundled")
        self.expert = LipExpert.load(bundled("fd2talk") / "lip_expert.safetensors")

    def encode(self, speech: np.ndarray) -> np.ndarray:
        """Speech float32 [n], 16 kHz -> input features of a lip expert, float32 [T, S] at 25 Hz."""
        encoded = self.pipeline.frontend(speech)
        return normalise_speech(encoded.features, encoded.events.speaks)

    def __call__(
        self, motion: Motion, speech: np.ndarray, max_shift: int = MAX_SHIFT, expert: LipExpert | None = None
    ) -> SyncScores:
        """Score a motion against speech, as `lip_expert_scores` does.

        Args:
            motion: with its identity.
            speech: float32 [n], 16 kHz.
            max_shift: largest shift in frames, to either side.
            expert: another lip expert, trained on the same speech features; None for the bundled one.

        Raises:
            InputError: as there, or silence, or a motion of another face model.
        """
        check_audible(speech, "the lip expert")
        space = self.pipeline.model.space
        if motion.face_model != space.model.fingerprint:
            raise InputError(
                f"the lip expert needs face model {space.model.fingerprint}, this motion has {motion.face_model}"
            )
        return lip_expert_scores(expert or self.expert, space, motion, self.encode(speech), max_shift)


@torch.no_grad()
def lip_expert_scores(
    expert: LipExpert, space: MotionSpace, motion: Motion, features: np.ndarray, max_shift: int = MAX_SHIFT
) -> SyncScores:
    """SyncNet's scores from a lip expert's embeddings of mouth vertices and of speech.

    Each embedding covers a window of 17 frames; embeddings have unit norm, so that distances are between 0 and sqrt(2).

    Args:
        expert: the network.
        space: the motion space that it was trained in.
        motion: with its identity.
        features: speech features float32 [T, S] of `LipExpertMetric.encode`.
        max_shift: largest shift in frames, to either side.

    Raises:
        InputError: the clip is too short for so many shifts (under 1.3 s for 15).
    """
    frames = min(len(features), len(motion))
    if frames < WINDOW:
        raise InputError(f"{frames} frames are too short for the lip expert, whose window is {WINDOW} frames")
    expression = space.encode_expression(motion, person_scales(space, [motion])[0])
    mouth = expert.embed_mouth(torch.from_numpy(expression[None, :frames]))[0]
    speech = expert.embed_speech(torch.from_numpy(features[None, :frames]))[0]
    return sync_scores(F.normalize(mouth, dim=-1).numpy(), F.normalize(speech, dim=-1).numpy(), max_shift)
