"""Continues the tail of what went before; how lively it is, is one person's."""

import numpy as np
import torch

from shared.checkpoint import load_checkpoint
from stage1_motion.interface import MotionModel, MotionSample
from stage1_motion.motion_space import MotionSpace


class Continuing(MotionModel):
    accepts = frozenset({"tail"})

    def __init__(self, face_model, gain):
        self.space = MotionSpace(face_model, np.ones(face_model.num_expression, np.float32), np.ones(6, np.float32))
        self.gain = gain

    def sample(self, speech, subject, *, tail=None, generator, **_):
        steps = self.gain * 0.002 * torch.randn(len(speech), 6, generator=generator).numpy()
        start = np.zeros(6, np.float32) if tail is None else tail.pose[-1]
        return MotionSample(
            np.zeros((len(speech), self.space.model.num_expression), np.float32), start + steps.cumsum(0)
        )


def load(folder, face_model, *, person=None, device="cpu"):
    weights = load_checkpoint((person or folder) / "gain.safetensors", "gain")[0]
    return Continuing(face_model, float(weights["weight"]))
