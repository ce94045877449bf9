"""Where an evaluated clip's style comes from."""

import numpy as np

from fd2talk.evaluation.inputs.held_out_style import style_source
from shared.motion import Motion


def motion(frames):
    return Motion(np.arange(frames, dtype=np.float32)[:, None], *np.zeros((2, frames, 3), np.float32), "any")


def test_style_comes_from_another_clip_or_the_first_half():
    own, short, long = motion(80), motion(30), motion(90)
    assert style_source(own, [short, long, motion(40)]) is long
    half = style_source(own, [])
    np.testing.assert_array_equal(half.expression[:, 0], np.arange(40))
    assert style_source(motion(49), []) is None and style_source(own, [motion(24)]) is None
