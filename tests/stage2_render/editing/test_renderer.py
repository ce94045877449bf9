from dataclasses import replace

import cv2
import numpy as np
import pytest

from shared.errors import UsageError
from shared.face_model.measures import lid_gap, lip_gap
from shared.face_model.mediapipe_mesh import INNER_LIPS, OUTER_LIPS
from stage2_render.editing.renderer import render_edit
from stage2_render.pipeline import RenderPipeline

FRAMES = 20


@pytest.fixture(scope="module")
def geometry(talking):
    return RenderPipeline(talking[0].model)


def apart(frame, other):
    """Mean difference around the mouth and chin of two frames of the portrait."""
    return np.abs(frame.astype(float) - other)[120:190, 80:160].mean()


def some(*changed):
    return np.isin(np.arange(FRAMES), changed)


def test_an_edit_without_a_change_is_the_video_and_kept_frames_are_byte_equal(geometry, footage, talking):
    _, motion, frames = talking
    out = list(render_edit(geometry, footage, motion, some(3, 4, 5), workers=2))
    assert len(out) == FRAMES and all((out[i] == frames[i]).all() for i in range(FRAMES) if i not in (3, 4, 5))
    assert max(apart(out[i], frames[i]) for i in (3, 4, 5)) < 0.7
    assert footage.opened <= 2


@pytest.mark.parametrize("what", ["mouth", "head", "both"])
def test_changed_frames_show_the_edited_motion(geometry, footage, talking, what):
    """As the same motion looks when the photo is rendered, from which the video was."""
    photo, motion, frames = talking
    after = replace(
        motion,
        expression=motion.expression.copy(),
        rotation=motion.rotation.copy(),
        translation=motion.translation.copy(),
    )
    if what != "head":  # open mouths close and the other way round
        after.expression[:] = 2 * photo.expression + 6 * photo.model.extra["open"] - motion.expression
    if what != "mouth":
        after.rotation[:] += (0, 0.12, 0)
        after.translation[:, :2] += (0.05, -0.03)
    out = list(render_edit(geometry, footage, after, some(*range(6, 16)), workers=0))
    expected = list(geometry(photo, after, workers=0))
    for i in range(FRAMES):
        if not 6 <= i < 16:
            assert (out[i] == frames[i]).all()
        elif apart(frames[i], expected[i]) > 2:
            assert apart(out[i], expected[i]) < 0.5 * apart(frames[i], expected[i]), i
    assert np.mean([apart(frames[i], expected[i]) for i in range(6, 16)]) > 2


def test_inserted_frames_do_not_jump(geometry, footage, talking):
    """Between the frames 9 and 10, twelve that lead from one motion to the other."""
    _, motion, frames = talking
    at = np.concatenate([np.arange(10), np.linspace(9, 10, 14)[1:-1], np.arange(10, FRAMES)])
    low, high, share = at.astype(int), np.ceil(at).astype(int), (at % 1)[:, None]
    values = {
        name: getattr(motion, name)[low] * (1 - share) + getattr(motion, name)[high] * share
        for name in ("expression", "rotation", "translation")
    }
    source = np.where(at % 1 > 0, -1, at).astype(int)
    out = list(render_edit(geometry, footage, replace(motion, **values, audio=None), source < 0, source, workers=1))
    assert len(out) == FRAMES + 12
    step = apart(frames[9], frames[10])
    assert max(apart(one, two) for one, two in zip(out[9:22], out[10:23])) < 0.5 * step + 0.5


def test_frames_without_a_face_stay_and_a_note_says_so(geometry, footage, talking):
    _, motion, frames = talking
    footage.usable = ~some(5, 6, 12)
    after = replace(motion, expression=motion.expression + 5 * footage.model.extra["open"])
    with pytest.warns(UserWarning, match="no face in 2 of 4 frames that change"):
        rendered = render_edit(geometry, footage, after, some(4, 5, 6, 7), workers=0)
    out = list(rendered)
    assert (out[5] == frames[5]).all() and (out[6] == frames[6]).all() and (out[4] != frames[4]).any()


def test_eyes_that_are_shut_in_the_video_do_not_open(geometry, footage, talking):
    _, motion, frames = talking
    blink = footage.model.extra["blink"]
    wider = blink * np.sign(lid_gap(footage.model.exp_basis) @ blink)
    eyes, moved = np.s_[80:110, 70:170], {}
    for shut in (False, True):
        footage.openness = np.where(some(8) & shut, 0.2, 1.0)
        after = replace(motion, expression=motion.expression + 2 * wider)
        out = list(render_edit(geometry, footage, after, some(8, 9), workers=0))
        moved[shut] = [np.abs(out[i][eyes].astype(float) - frames[i][eyes]).mean() for i in (8, 9)]
    assert moved[False][0] > 1 and moved[True][0] < 0.2 * moved[False][0] and moved[True][1] == moved[False][1]


def test_a_blink_beside_a_filmed_one_is_left_out(geometry, footage, talking):
    """A blink in frames 8 to 10; the film has one in frame 13, or none."""
    _, motion, frames = talking
    model = footage.model
    shut = model.extra["blink"] * (-6 / lid_gap(model.exp_basis).dot(model.extra["blink"]))
    after = replace(motion, expression=motion.expression + some(8, 9, 10)[:, None] * shut)
    eyes, moved = np.s_[80:110, 70:170], {}
    for filmed in (False, True):
        footage.openness = np.where(some(13) & filmed, 0.2, 1.0)
        out = list(render_edit(geometry, footage, after, some(8, 9, 10), workers=0))
        moved[filmed] = [np.abs(out[i][eyes].astype(float) - frames[i][eyes]).mean() for i in (8, 9, 10)]
    assert min(moved[False]) > 2 and max(moved[True]) < 0.2 * min(moved[False])


def test_frames_are_read_as_they_are_needed(geometry, footage, talking):
    rendered = render_edit(geometry, footage, talking[1], some(0, 1), workers=1)
    next(rendered)
    assert footage.read < 5
    rendered.close()


def test_requests_that_are_refused(geometry, footage, talking, renderer_weights):
    with pytest.raises(ValueError, match="equally many"):
        render_edit(geometry, footage, talking[1], some(0)[:-1])
    with pytest.warns(UserWarning, match="slow"):
        diffusion = RenderPipeline.from_pretrained(renderer_weights, renderer="diffusion")
    with pytest.raises(UsageError, match="repair and geometry"):
        render_edit(diffusion, footage, talking[1], some(0))


def test_lips_that_close_are_those_of_a_frame_whose_mouth_is_closed(geometry, footage, talking):
    """Lips of open mouths are painted green in the film: nothing of it is left where they close for the whole edit."""
    _, motion, frames = talking
    gaps = lip_gap(footage.model.vertices(motion.identity, motion.expression))
    painted = []
    for frame, points, gap in zip(frames, footage.track.landmarks, gaps):
        outline = [np.rint(points[list(ring), :2]).astype(np.int32) for ring in (OUTER_LIPS, INNER_LIPS)]
        painted.append(cv2.fillPoly(frame.copy(), outline, (0, 200, 0)) if gap > gaps.min() + 2 else frame)
    footage.video = lambda: iter(painted)
    after = replace(motion, expression=np.repeat(motion.expression[[np.argmin(gaps)]], FRAMES, axis=0))
    green = {}
    for donors in (True, False):
        out = list(render_edit(geometry, footage, after, some(*range(1, 19)), workers=0, donors=donors))
        assert (out[0] == painted[0]).all() and (out[19] == painted[19]).all()
        mouths = np.stack(out).astype(int)[7:13, 120:190, 80:160]
        green[donors] = (mouths[..., 1] - mouths[..., 0] > 40).sum((1, 2))
    assert green[False].max() > 100 and green[True].max() < 10


def test_a_mouth_that_keeps_its_shape_shows_what_it_did(geometry, footage, talking):
    """Another head or upper face moves kept lips a little, all of them alike: no other frame's mouth is laid over them.

    What is between the lips is green in the film's first half, and blue in the second.
    """
    _, motion, frames = talking
    model, painted = footage.model, []
    for i, (frame, points) in enumerate(zip(frames, footage.track.landmarks)):
        inside = np.rint(points[list(INNER_LIPS), :2]).astype(np.int32)
        painted.append(cv2.fillPoly(frame.copy(), [inside], (0, 200, 0) if i < 10 else (0, 0, 200)))
    footage.video = lambda: iter(painted)
    lips = model.exp_basis[:, model.groups["lips"]]
    aside = np.broadcast_to(np.float32([0, 1.6, 0]), lips.shape[1:])
    change = np.linalg.lstsq(lips.reshape(len(lips), -1).T, aside.ravel(), rcond=None)[0].astype(np.float32)
    movement = np.tensordot(change, lips, 1)
    assert np.linalg.norm(movement, axis=-1).max() > 1.3
    assert np.linalg.norm(movement - movement.mean(0), axis=-1).max() < 0.5
    after = replace(motion, expression=motion.expression + change)
    out = np.stack(list(render_edit(geometry, footage, after, some(*range(FRAMES)), workers=0))).astype(int)
    mouths = out[:, 120:190, 80:160]
    green, blue = ((mouths[..., k] - mouths[..., 3 - k] > 60).sum((1, 2)) for k in (1, 2))
    opened = lip_gap(model.vertices(motion.identity, motion.expression)) > 3
    assert opened[:10].any() and opened[10:].any()
    assert (green[:10][opened[:10]] > 10).all() and not blue[:10].any()
    assert (blue[10:][opened[10:]] > 10).all() and not green[10:].any()
