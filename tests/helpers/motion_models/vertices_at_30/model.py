"""Vertices at 30 frames per second: the jaw falls with the loudness of the speech."""

import numpy as np

from stage1_motion.interface import MotionModel, MotionSample
from stage1_motion.motion_space import MotionSpace
from stage1_motion.postprocessing import PostProcessing
from stage1_motion.speech_frontend import LogMel


class VerticesAt30(MotionModel):
    fps = 30.0
    speech_features = LogMel.size
    postprocessing = PostProcessing(rest=False, lip_closure=False)

    def __init__(self, face_model):
        self.space = MotionSpace(face_model, np.ones(face_model.num_expression, np.float32), np.ones(6, np.float32))
        self.jaw = np.tensordot(face_model.extra["open"], face_model.exp_basis, 1)  # [N, 3], opens by 1 mm

    def sample(self, speech, subject, **_):
        loudness = speech.features.mean(1) - speech.features.mean(1).min()
        return MotionSample(vertices=subject.template + 2 * loudness[:, None, None] * self.jaw)


def load(folder, face_model, *, person=None, device="cpu"):
    return VerticesAt30(face_model)
