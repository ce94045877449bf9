"""Ignores speech; its head sways as fast as the style says."""

import numpy as np

from shared.checkpoint import load_checkpoint
from stage1_motion.interface import MotionModel, MotionSample
from stage1_motion.motion_space import MotionSpace


class Sway(MotionModel):
    accepts = needs = frozenset({"style"})

    def __init__(self, face_model, gain):
        self.space = MotionSpace(face_model, np.ones(face_model.num_expression, np.float32), np.ones(6, np.float32))
        self.gain = gain

    def sample(self, speech, subject, *, style, **_):
        time = np.arange(len(speech))[:, None] / self.fps
        pose = 0.05 * self.gain * np.sin(2 * np.pi * style.vector[:1] * time) * [0, 1, 0, 0, 0, 0]
        return MotionSample(np.zeros((len(speech), self.space.model.num_expression), np.float32), pose)


def load(folder, face_model, *, person=None, device="cpu"):
    return Sway(face_model, float(load_checkpoint(folder / "gain.safetensors", "gain")[0]["weight"]))
