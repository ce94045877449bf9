"""Faces that are not upright are rendered upright."""

import numpy as np
import pytest
from material import fitted_portrait, short_speech, sine_motion

from shared.face_model import load_bundled
from shared.photo_fit import PhotoFit
from shared.upright import quarter_turns, turned, turned_motion
from stage2_render.pipeline import RenderPipeline


@pytest.fixture(scope="module")
def fitted():
    return fitted_portrait()


@pytest.mark.parametrize("turns", [1, 2, 3])
def test_the_fit_of_a_turned_photo_is_the_turned_fit(fitted, turns):
    other = turned(fitted, turns)
    assert quarter_turns(fitted) == 0 and quarter_turns(other) == (4 - turns) % 4
    np.testing.assert_array_equal(other.image, np.rot90(fitted.image, turns))
    again = PhotoFit.from_landmarks(other.image, other.landmarks, load_bundled())
    pose = (other.expression, other.rotation, other.translation)
    assert np.abs(other.vertices_px(*pose) - other.landmarks)[:, :2].max() < 0.6
    np.testing.assert_allclose(again.identity, fitted.identity, atol=0.05)


@pytest.mark.parametrize("turns", [1, 2, 3])
def test_frames_of_a_turned_photo_are_the_turned_frames(fitted, turns):
    motion = sine_motion(short_speech()[:3200], fitted)
    render = RenderPipeline(load_bundled())
    upright = list(render(fitted, motion, relative=False))
    frames = list(render(turned(fitted, turns), turned_motion(motion, turns), relative=False))
    for frame, expected in zip(frames, upright, strict=True):
        assert np.abs(frame.astype(int) - np.rot90(expected, turns)).mean() < 0.05
