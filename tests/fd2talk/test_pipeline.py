import numpy as np
import pytest
from material import SineStage, fitted_portrait, sine_motion

from fd2talk.pipeline import TalkingHeadPipeline, with_pose
from shared.errors import InputError, UsageError
from shared.media import read_image
from shared.photo_fit import PhotoFit
from stage1_motion.interface import SamplingOptions
from stage1_motion.postprocessing import PostProcessing
from stage2_render.pipeline import RenderPipeline


@pytest.fixture(scope="module")
def pipeline():
    return TalkingHeadPipeline(SineStage(), RenderPipeline.from_pretrained(renderer="geometry"))


def test_files_arrays_and_fitted_photos_give_the_same(pipeline, photo, audio, speech):
    from_files = pipeline(photo, audio)
    image = read_image(photo)
    for talk in (pipeline(image, from_files.audio), pipeline(PhotoFit.fit(image), audio)):
        assert len(talk) == len(from_files) == 10
        for one, other in zip(talk.frames, from_files.frames, strict=True):
            np.testing.assert_array_equal(one, other)
    np.testing.assert_allclose(from_files.audio, speech, atol=1e-4)


def test_it_is_both_stages_one_after_the_other(pipeline, speech):
    fitted = fitted_portrait()
    talk = pipeline(fitted, speech, full=False, render_settings={"workers": 1})
    expected = pipeline.render(fitted, sine_motion(speech, fitted), full=False, relative=False)
    for one, other in zip(talk.frames, expected, strict=True):
        np.testing.assert_array_equal(one, other)


def test_options_reach_stage_one(pipeline, photo, speech):
    options, steps = SamplingOptions(steps=3, eta=0.1), PostProcessing(gaze=False)
    calls = []
    pipeline(photo, speech, seed=5, options=options, postprocessing=steps, progress=lambda *done: calls.append(done))
    assert SineStage.last == {"seed": 5, "options": options, "postprocessing": steps, "still": False}
    assert calls == [(10, 10)]


def test_the_head_may_follow_another_motion(pipeline, speech):
    fitted = fitted_portrait()
    other = sine_motion(np.tile(speech, 3))
    other.rotation += 0.3
    options = SamplingOptions(pose_scale=2.0)
    motion = pipeline(fitted, speech, pose_from=other, options=options).motion
    rest = np.median(other.rotation[:, 0])
    np.testing.assert_allclose(motion.rotation[0, 0], fitted.rotation[0] + 2 * (other.rotation[0, 0] - rest), atol=1e-3)
    turn = np.ptp(other.rotation[:10, 0])
    assert np.ptp(motion.rotation[:, 0]) == pytest.approx(2 * turn, rel=0.1)
    np.testing.assert_array_equal(motion.expression, sine_motion(speech, fitted).expression)
    with pytest.raises(UsageError, match="exclude each other"):
        pipeline(fitted, speech, pose_from=other, still=True)


def test_a_short_pose_runs_forwards_and_backwards(pipeline, speech):
    fitted = fitted_portrait()
    long, short = sine_motion(np.tile(speech, 2), fitted), sine_motion(speech).slice(0, 4)
    led = with_pose(long, short, fitted)
    assert len(led) == 20
    order = [0, 1, 2, 3, 2, 1, 0, 1, 2, 3, 2, 1]
    np.testing.assert_allclose(led.rotation[:12], led.rotation[order], atol=1e-7)
    np.testing.assert_allclose(led.translation[:12], led.translation[order], atol=1e-7)


def test_a_person_that_is_none():
    with pytest.raises(InputError, match="'nobody' is no folder, let alone one of `fd2talk personalise`"):
        TalkingHeadPipeline.from_pretrained(renderer="geometry", person="nobody")
