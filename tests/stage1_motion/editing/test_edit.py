"""Edits with the bundled models on bundled recordings: what stays stays, what is generated joins it."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from tiny_diffposetalk import write_diffposetalk

from fd2talk.export.live_link import head_angles
from shared.errors import InputError, UsageError
from shared.face_model.measures import lid_gap, lip_gap
from shared.media import read_audio
from shared.motion import Motion
from shared.weights import bundled
from stage1_motion.editing.clip import Clip
from stage1_motion.editing.face_curves import Rest, read_curve
from stage1_motion.editing.keyframes import Keyframe
from stage1_motion.editing.request import EditRequest, changed_frames, planned
from stage1_motion.interface import Constraint, Known, SamplingOptions
from stage1_motion.parts import PARTS
from stage1_motion.pipeline import MotionPipeline
from stage1_motion.postprocessing import PostProcessing

SPEECH = "demo/sense_and_sensibility_01_austen_64kb-0880.wav"
ARRAYS = ("expression", "rotation", "translation")


@pytest.fixture(scope="module")
def pipeline():
    return MotionPipeline.from_pretrained()


@pytest.fixture(scope="module")
def ridge():
    return MotionPipeline.from_pretrained(bundled("ridge"))


@pytest.fixture(scope="module")
def audio():
    return np.tile(read_audio(bundled(SPEECH)), 2)


@pytest.fixture(scope="module")
def motion(pipeline, audio):
    """6 s, generated; the mask of tests knows nothing of windows."""
    return pipeline(audio, seed=3)


@pytest.fixture(scope="module")
def tracked(pipeline, motion):
    """As if it had been tracked: with what leaks from rotation into expression."""
    leak = Clip.of(replace(motion, confidence=np.ones(len(motion))), pipeline.model).leaked(motion.rotation)
    return replace(motion, expression=motion.expression + leak, confidence=np.ones(len(motion)))


def kept(motion, *spans):
    mask = np.zeros(len(motion), bool)
    for start, stop in spans:
        mask[start:stop] = True
    return mask


def edit(pipeline, motion, mask, **options):
    return pipeline.edit(motion, None, Constraint(motion, mask), **options)


def keyed(pipeline, motion, *keys, **request):
    plan = planned(motion, None, EditRequest(keyframes=keys, **request), pipeline.face_model)
    return pipeline.edit(plan.motion, plan.speech, plan.constraint, seed=1)


def gaps(pipeline, motion):
    return lip_gap(pipeline.face_model.vertices(motion.identity, motion.expression))


@pytest.fixture(scope="module")
def models(pipeline, ridge, tmp_path_factory):
    """One of each kind: two networks in the person's units, a joint one with styles, and one without x_0."""
    tiny = MotionPipeline.from_pretrained(write_diffposetalk(tmp_path_factory.mktemp("tiny")))
    return {"fd2talk": pipeline, "diffposetalk": tiny, "ridge": ridge}


@pytest.mark.parametrize("name", ["fd2talk", "diffposetalk", "ridge"])
@pytest.mark.parametrize("source", ["motion", "tracked"])
def test_kept_frames_are_identical_and_others_are_not(models, name, source, request):
    motion = request.getfixturevalue(source)
    mask = kept(motion, (0, 31), (70, 71), (100, 130))
    result = edit(models[name], motion, mask, seed=5)
    assert np.array_equal(changed_frames(motion, result), ~mask)
    for key in ARRAYS:
        assert np.array_equal(getattr(result, key)[mask], getattr(motion, key)[mask])
    assert (np.abs(result.expression - motion.expression)[~mask].max(1) > 1e-3).all()
    assert np.array_equal(result.audio, motion.audio) or len(result.audio) == len(motion) * 640
    again = edit(models[name], motion, mask, seed=5)
    assert np.array_equal(again.expression, result.expression) and np.array_equal(again.rotation, result.rotation)


@pytest.mark.parametrize("name", ["fd2talk", "ridge"])
@pytest.mark.parametrize("source", ["motion", "tracked"])
def test_no_jump_at_the_borders(models, name, source, request):
    """Velocity and acceleration at the borders are within the 99th percentile elsewhere.

    Or no larger than those of the kept frames at the border, which cannot be stopped dead.
    """
    motion = request.getfixturevalue(source)
    mask = kept(motion, (0, 33), (50, 75), (96, 97), (115, 131))
    borders = np.flatnonzero(np.diff(mask.astype(int)))

    def changes(motion):
        vertices = models[name].face_model.vertices(motion.identity, motion.expression).reshape(len(motion), -1)
        for values in (vertices, motion.rotation, motion.translation):
            yield from (np.linalg.norm(np.diff(values, n=order, axis=0), axis=1) for order in (1, 2))

    for seed in (0, 1):
        result = edit(models[name], motion, mask, seed=seed)
        for index, (change, before) in enumerate(zip(changes(result), changes(motion))):
            order = 1 + index % 2
            at = np.unique(np.concatenate([borders - k for k in range(order)]))
            limit = np.percentile(np.delete(change, at), 99)
            inside = [mask[k : k + order + 1].all() for k in range(len(before))]  # of kept frames alone
            for k in at:
                beside = before[max(0, k - 2) : k + 3][inside[max(0, k - 2) : k + 3]]
                assert change[k] <= 1.05 * max(limit, *beside, 0), (index, k)


def test_the_mouth_follows_the_speech_between_kept_frames(pipeline, motion):
    mask = kept(motion, (0, 20), (70, 90))
    result = edit(pipeline, motion, mask, seed=9)
    assert np.corrcoef(gaps(pipeline, result)[~mask], gaps(pipeline, motion)[~mask])[0, 1] > 0.7
    other = edit(pipeline, motion, mask, seed=10)
    assert np.degrees(np.abs(other.rotation - result.rotation))[~mask].mean() > 0.1


@pytest.mark.parametrize("frame", [7, 64, 65, 97, 120])
def test_keys_are_reached_at_any_time(pipeline, motion, frame):
    """Also right behind a window's border: of face and head in one call."""
    time = frame / 25
    keys = Keyframe(time, "lips", {"gap": 14.0}), Keyframe(time, "head", {"yaw": 12.0, "pitch": 4.0})
    result = keyed(pipeline, motion, *keys)
    assert gaps(pipeline, result)[frame] == pytest.approx(14.0, abs=1e-2)
    yaw, pitch, _ = np.degrees(head_angles(result.rotation)).T
    assert (yaw[frame], pitch[frame]) == (pytest.approx(12, abs=1e-3), pytest.approx(4, abs=1e-3))
    near = yaw[max(0, frame - 3) : frame + 4]
    assert (np.abs(near - 12) < 4).all()  # and frames beside it are on their way
    assert np.abs(np.diff(yaw)).max() < 3.5


def test_a_key_changes_what_is_around_it(pipeline, motion):
    """Not what lies behind a kept part that is longer than a window; behind a short one, hardly anything."""
    behind_short, behind_long = [], []
    for length, changes in ((12, behind_short), (96, behind_long)):
        results = []
        for yaw in (-15.0, 15.0):
            key = Keyframe(0.8, "head", {"yaw": yaw})
            results.append(keyed(pipeline, motion, key, keep=[(1.4, 1.4 + length / 25)]))
        change = np.degrees(np.abs(results[1].rotation - results[0].rotation)).max(1)
        stop = 35 + length
        assert change[20] == pytest.approx(30, rel=0.05) and (change[15:26] > 5).all()
        assert not change[35:stop].any()
        changes += [change[stop:].max()]
    assert behind_long == [0.0] and behind_short[0] < 2.0  # degrees, of 30


def test_in_eight_steps_what_is_generated_sees_the_keys_in_one_step_it_does_not(pipeline, motion, audio):
    model, clip = pipeline.model, Clip.of(motion, pipeline.model)
    heard = pipeline.frontend(audio).at(model.fps)
    frames, mask = len(heard), np.zeros((len(heard), 4), bool)
    mask[75] = True
    expression = np.zeros((frames, pipeline.face_model.num_expression), np.float32)
    raw = {}
    for steps in (model.editing.steps, 1):
        for level in (-3.0, 3.0):
            known = Known(expression, np.full((frames, 6), level, np.float32), mask)
            generator = torch.Generator().manual_seed(0)
            options = SamplingOptions(steps=steps)
            sample = model.sample(heard, clip.subject, constraint=known, options=options, generator=generator)
            raw[steps, level] = sample.pose
    assert model.editing.steps >= 8
    assert np.array_equal(raw[1, 3.0], raw[1, -3.0])
    apart = (raw[8, 3.0] - raw[8, -3.0]).mean(1)  # 6 at the key itself
    assert (apart[73:78] > 3).all() and (apart[70:81] > 1.5).all() and np.abs(apart[:20]).max() < 1.5
    assert apart[65] < apart[70] < apart[75]


@pytest.mark.parametrize("part", PARTS)
def test_single_parts_are_generated_and_the_others_stay(pipeline, motion, part):
    mask = np.ones((len(motion), 4), bool)
    mask[:, PARTS.index(part)] = False
    result = edit(pipeline, motion, mask, seed=4)
    model = pipeline.face_model
    before, after = (model.vertices(motion.identity, m.expression) for m in (motion, result))
    moved = np.linalg.norm(after - before, axis=-1).mean(0)  # mm
    if part == "head":
        assert np.array_equal(result.expression, motion.expression)
        assert np.degrees(np.abs(result.rotation - motion.rotation)).mean() > 0.3
        return
    assert np.array_equal(result.rotation, motion.rotation) and np.array_equal(result.translation, motion.translation)
    if part == "lips":
        assert moved[model.groups["inner_lips"]].mean() > 4 * moved[model.groups["brows"]].mean()
        assert np.abs(gaps(pipeline, result) - gaps(pipeline, motion)).max() > 1
    else:
        assert np.abs(gaps(pipeline, result) - gaps(pipeline, motion)).max() < 1e-3
        assert moved[model.groups["inner_lips"]].mean() < 0.3
    lids = [lid_gap(vertices) for vertices in (before, after)]
    blinks = [set(np.flatnonzero(lid < 0.4 * np.median(lid)).tolist()) for lid in lids]
    assert (blinks[0] == blinks[1]) == (part != "eyes")


def test_speech_beyond_the_motion_is_generated(pipeline, motion, audio):
    speech = np.concatenate([audio, audio[:32000]])
    result = pipeline.edit(motion, speech, Constraint(motion, np.ones(len(motion), bool)), seed=2)
    assert len(result) == -(-len(speech) // 640) and not changed_frames(motion, result)[: len(motion)].any()
    assert gaps(pipeline, result)[len(motion) :].std() > 1


@pytest.mark.parametrize("name", ["fd2talk", "diffposetalk"])
def test_without_speech(models, name, motion):
    mask, silent = kept(motion, (0, 40)), replace(motion, audio=None)
    result = edit(models[name], motion, mask, unconditional=True)
    assert np.array_equal(result.expression, edit(models[name], silent, mask, unconditional=True).expression)
    assert np.array_equal(changed_frames(motion, result), ~mask) and result.audio is not None
    with_speech = edit(models[name], motion, mask)
    assert np.abs(with_speech.expression - result.expression)[~mask].max() > 0.1


def test_without_speech_the_mouth_rests_and_the_brows_do_not(pipeline, motion):
    mask = kept(motion, (0, 40))
    rests = edit(pipeline, motion, mask, unconditional=True)
    moves = edit(pipeline, motion, mask, unconditional=True, postprocessing=PostProcessing(rest=False))
    assert gaps(pipeline, rests)[55:].max() < 1 < gaps(pipeline, moves)[55:].max()
    brows = pipeline.face_model.groups["brows"]
    change = [pipeline.face_model.vertices(m.identity, m.expression)[55:, brows] for m in (rests, moves)]
    assert np.abs(change[0] - change[1]).mean() < 0.3 and np.ptp(change[0], axis=0).max() > 0.3


def test_a_beginning_that_is_generated_begins_with_a_closed_mouth(pipeline, motion):
    for mask in (kept(motion), kept(motion, (60, 70))):
        assert gaps(pipeline, edit(pipeline, motion, mask))[0] < 1
    # Without rest, which closes the mouth in the silence before the first word.
    without = edit(pipeline, motion, kept(motion), postprocessing=PostProcessing(rest=False, ease=False))
    with_ease = edit(pipeline, motion, kept(motion), postprocessing=PostProcessing(rest=False))
    np.testing.assert_array_equal(with_ease.expression[10:100], without.expression[10:100])
    assert gaps(pipeline, without)[0] > 1


def test_person_of_a_clip(pipeline, models, motion, tracked):
    """Its own mean, opening and liveliness, where the model's units are the person's; and back."""
    for each in (motion, tracked):
        for name, model in ((name, p.model) for name, p in models.items()):
            clip = Clip.of(each, model)
            speaking, eyes, leak = clip.split(each)
            assert (leak.any() == (each is tracked)) and np.abs(speaking + eyes + leak - each.expression).max() < 1e-5
            rest = clip.subject.expression, clip.subject.lip_gap, clip.person.lip_std, clip.person.mean_gap
            back = model.space.decode_expression(clip.learned(speaking), *rest)
            np.testing.assert_allclose(back, speaking, atol=1e-4)
            pose = clip.learned_pose(each), clip.subject.rotation, clip.subject.translation, clip.person.head_std
            np.testing.assert_allclose(model.space.decode_pose(*pose)[0], each.rotation, atol=1e-5)
            assert (clip.person.lip_std == model.articulation.lip_std) == (name == "diffposetalk")


@pytest.mark.parametrize("silent", [False, True])
def test_what_is_only_trimmed_is_not_generated(pipeline, motion, silent):
    motion = replace(motion, audio=None) if silent else motion
    for cut, rest in (((0.0, 1.0), (25, len(motion))), ((1.0, np.inf), (0, 25))):
        plan = planned(motion, None, EditRequest(cuts=[cut]), pipeline.face_model)
        result, expected = pipeline.edit(plan.motion, plan.speech, plan.constraint), motion.slice(*rest)
        for key in ARRAYS:
            assert np.array_equal(getattr(result, key), getattr(expected, key))
        assert result.source == motion.source
        if silent:
            assert result.audio is None
        else:
            assert len(result.audio) == min(len(result) * 640, len(expected.audio))
            assert np.array_equal(result.audio[100:9000], expected.audio[100:9000])


def test_a_silent_motion_is_cut_without_speech(pipeline, motion):
    plan = planned(replace(motion, audio=None), None, EditRequest(cuts=[(1.0, 2.0)]), pipeline.face_model)
    with pytest.raises(InputError, match="has no sound; give the speech"):
        pipeline.edit(plan.motion, plan.speech, plan.constraint)
    result = pipeline.edit(plan.motion, plan.speech, plan.constraint, unconditional=True)
    assert len(result) == len(motion) - 25 and result.audio is None
    assert np.array_equal(result.rotation[28:], motion.rotation[53:])


def test_what_cannot_be_edited(pipeline, ridge, motion, audio):
    keep = Constraint(motion, np.ones(len(motion), bool))
    for arguments, saying in (
        ((motion, audio[:16000]), "the speech lasts 1.00 s"),
        ((replace(motion, audio=None),), "has no sound"),
        ((replace(motion, face_model="other:1"),), "belongs to face model other:1"),
        ((motion, None, Constraint(replace(motion, face_model="other:1"), keep.mask)), "belongs to face model other:1"),
        (("m.npz",), "motion takes a Motion, not 'm.npz'"),
        ((motion, None, motion), "constraint takes a Constraint, not Motion"),
        ((motion, None, keep.mask), "constraint takes a Constraint, not array"),
        ((motion, None, Constraint(keep.mask, motion)), "the motion of a constraint takes a Motion, not array"),
        ((replace(motion, fps=30.0),), "30 frames per second"),
        ((motion, None, Constraint(motion, keep.mask[1:])), "mask of a constraint is bool"),
        ((motion, None, Constraint(motion, np.ones((len(motion), 3), bool))), "mask of a constraint is bool"),
        ((motion, np.zeros(9, np.int16)), "the audio must be"),
        ((motion.slice(0, 50), audio[:32000], Constraint(motion, ~keep.mask)), "the constraint has .* frames"),
    ):
        with pytest.raises((InputError, UsageError), match=saying) as caught:
            pipeline.edit(*arguments)
        assert "\n" not in str(caught.value)
    with pytest.raises(UsageError, match="ridge cannot generate without speech"):
        ridge.edit(motion, unconditional=True)
    with pytest.raises(UsageError, match="takes no style"):
        pipeline.edit(motion, style="calm")
    with pytest.raises(UsageError, match="steps is a number"):
        pipeline.edit(motion, options=SamplingOptions(steps=0))


def test_styles_and_sources(models, motion):
    tiny, mask = models["diffposetalk"], kept(motion, (0, 40))
    own, calm = edit(tiny, motion, mask), edit(tiny, motion, mask, style=tiny.named_style("calm"))
    assert own.source == "diffposetalk, seed 0, style of the motion, edit of fd2talk, seed 3"
    assert calm.source == "diffposetalk, seed 0, style calm, edit of fd2talk, seed 3"
    with pytest.raises(UsageError, match="a style and unconditional exclude each other"):
        edit(tiny, motion, mask, style=tiny.named_style("calm"), unconditional=True)


@pytest.mark.parametrize("frames", [2, 9])
def test_very_short_motion(models, frames, motion):
    for pipeline in models.values():
        short = Motion(*(getattr(motion, name)[:frames] for name in ARRAYS), motion.face_model, audio=motion.audio)
        short = replace(short, audio=motion.audio[16000 : 16000 + frames * 640])
        result = edit(pipeline, short, np.arange(frames) == 0)
        assert len(result) == frames and np.array_equal(result.expression[0], short.expression[0])


def test_keys_of_arkit_curves_are_met_though_the_other_parts_of_the_face_are_new(pipeline, motion):
    keys = [
        Keyframe(1.0, "lips", {"smile": 0.6}),
        Keyframe(2.0, "upper", {"brows": 0.5}),
        Keyframe(3, "eyes", {"closed": 1}),
    ]
    plan = planned(motion, None, EditRequest(keyframes=keys), pipeline.face_model)
    edited = pipeline.edit(plan.motion, None, plan.constraint, seed=1)
    rest = Rest.of(motion, pipeline.face_model)
    for key in keys:
        for name, value in key.numbers.items():
            found = read_curve(name, edited.expression[[round(key.time * 25)]], rest, pipeline.face_model)[0]
            assert found == pytest.approx(value, abs=0.03), name
