"""The lip expert as a metric."""

from dataclasses import replace

import numpy as np
import pytest
from material import SPEECH

from fd2talk.evaluation.metrics.lip_expert_metric import LipExpertMetric
from shared.errors import InputError
from shared.media import read_audio
from stage1_motion.pipeline import MotionPipeline


@pytest.fixture(scope="module")
def speaking():
    """Motion generated for three seconds of speech, and the speech."""
    speech = read_audio(SPEECH)[: 16000 * 3]
    return MotionPipeline.from_pretrained("bundled")(speech, seed=0), speech


@pytest.mark.parametrize("late", [-4, 0, 3])
def test_the_lip_expert_finds_the_offset_of_a_mouth(speaking, late):
    motion, speech = speaking
    order = np.clip(np.arange(len(motion)) - late, 0, len(motion) - 1)
    moved = replace(motion, expression=motion.expression[order], rotation=motion.rotation[order],
                    translation=motion.translation[order])  # fmt: skip
    assert LipExpertMetric()(moved, speech).offset == late


def test_silence_and_other_face_models_are_refused(speaking):
    motion, speech = speaking
    with pytest.raises(InputError, match="the clip is silent"):
        LipExpertMetric()(motion, np.zeros_like(speech))
    with pytest.raises(InputError, match="the lip expert needs face model"):
        LipExpertMetric()(replace(motion, face_model="other"), speech)
