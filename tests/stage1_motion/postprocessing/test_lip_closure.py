"""Lips meet where they must, and nowhere cross."""

import numpy as np
import pytest

from shared.face_model import load_bundled
from stage1_motion.interface import Subject
from stage1_motion.motion_space import MotionSpace
from stage1_motion.postprocessing.lip_closure import close_lips
from stage1_motion.speech_events import SpeechEvents


@pytest.fixture(scope="module")
def space():
    model = load_bundled()
    return MotionSpace(model, np.ones(model.num_expression, np.float32), np.ones(6, np.float32))


def gaps(space, opened, speaks, bilabials):
    """Lip gap in mm of a mouth opened by so many mm, afterwards."""
    subject = Subject.of(None, space.model)
    expression = (np.array(opened) - subject.lip_gap)[:, None] * space.model.extra["open"]
    events = SpeechEvents(np.array(speaks, np.float32), np.array(bilabials, np.float32))
    return space.lip_gap(subject.identity, close_lips(expression, events, subject, space))


def test_lips_close_on_bilabials(space):
    found = gaps(space, [6.0, 6.0, 6.0], [1, 1, 1], [0, 1, 0.7])
    assert found[1] == pytest.approx(0, abs=0.02)
    assert found[0] == pytest.approx(6, abs=0.1) and found[2] == pytest.approx(0.3 * found[0], abs=0.05)


def test_lips_never_cross(space):
    speaking = gaps(space, [-4.0, -1.0, 0.0, 1.0, 8.0], [1] * 5, [0] * 5)
    assert (speaking > 0).all() and (np.diff(speaking) > 0).all() and speaking[-1] == pytest.approx(8, abs=0.05)
    assert gaps(space, [-4.0, 2.0], [0, 0], [0, 0]) == pytest.approx([0, 2], abs=0.02)
