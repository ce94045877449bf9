"""Frames one by one are those of a whole motion."""

from dataclasses import replace

import covered
import numpy as np
import pytest
from material import fitted_portrait, portrait, short_speech, sine_motion

from shared.errors import InputError, UsageError
from shared.face_model import load_bundled
from shared.photo_fit import PhotoFit
from shared.upright import turned
from stage2_render.pipeline import RenderPipeline

IMAGE = np.asarray(portrait().convert("RGB"))


@pytest.fixture(scope="module")
def fitted():
    return fitted_portrait()


def photos(fitted):
    glasses = PhotoFit.fit(covered.dark_glasses(IMAGE, fitted.landmarks))
    assert glasses.eyes_hidden
    return {"plain": fitted, "glasses": glasses, "on its side": turned(fitted, 1)}


@pytest.mark.parametrize("renderer", ["geometry", "repair"])
@pytest.mark.parametrize("full", [True, False])
@pytest.mark.parametrize("which", ["plain", "glasses", "on its side"])
def test_frames_one_by_one_are_those_of_the_whole_motion(fitted, renderer, full, which):
    photo = photos(fitted)[which]
    pipeline = RenderPipeline.from_pretrained(renderer=renderer)
    motion = sine_motion(short_speech()[:3200], photo)
    motion.expression[2] += 5 * photo.model.extra["blink"]
    live = pipeline.live(photo, full=full, max_size=128)
    whole = list(pipeline(photo, motion, full=full, max_size=128, relative=False, workers=0))
    for number, frame in enumerate(whole):
        (alone,) = live(motion.at(number))
        assert alone.shape == (live.height, live.width, 3) == frame.shape
        assert np.abs(alone.astype(int) - frame).max() <= 1  # batches of other sizes are rounded otherwise
    assert np.abs(whole[2].astype(int) - whole[0]).max() > 20
    assert np.abs(live.still.astype(int) - whole[0]).mean() < 10


def test_a_landscape_on_its_side_has_its_own_sides(fitted):
    live = RenderPipeline(load_bundled()).live(turned(replace(fitted, image=fitted.image[:200]), 1), max_size=100)
    assert (live.width, live.height) == (82, 100) or (live.width, live.height) == (84, 100)


def test_what_cannot_be_shown_live_is_refused(fitted, renderer_weights):
    with pytest.raises(UsageError, match="too slow"):
        RenderPipeline.from_pretrained(renderer_weights, renderer="diffusion").live(fitted)
    pipeline = RenderPipeline(load_bundled())
    with pytest.raises(UsageError, match="at least 64"):
        pipeline.live(fitted, max_size=63)
    with pytest.raises(InputError, match="another|belongs"):
        pipeline.live(fitted)(replace(sine_motion(short_speech(), fitted), face_model="other:1"))
