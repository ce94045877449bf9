from dataclasses import replace

import numpy as np
import pytest
from material import sine_motion
from voice import voice

from shared.errors import InputError, UsageError
from shared.face_model import load_bundled
from stage1_motion.editing.keyframes import Keyframe
from stage1_motion.editing.request import EditRequest, changed_frames, parse_ranges, planned
from stage1_motion.editing.timeline import Insert

MODEL = load_bundled()
MOTION = sine_motion(voice(4))


def plan(speech=None, motion=MOTION, **request):
    return planned(motion, speech, EditRequest(**request), MODEL)


def kept(plan, part=None):
    mask = plan.constraint.mask
    return np.flatnonzero(mask.all(1) if part is None else mask[:, part]).tolist()


def test_ranges_and_keys():
    keys = [Keyframe(2.0, "head"), Keyframe(2.52, "all"), Keyframe(3.0, "lips", {"gap": 7.0})]
    found = plan(keep=parse_ranges("0:1.2,3.5:", "--keep"), keyframes=keys)
    assert kept(found) == [*range(30), 63, *range(88, 100)]
    assert found.constraint.mask[50].tolist() == [False, False, False, True]
    assert found.constraint.mask[75].tolist() == [True, False, False, False]
    values, before = found.constraint.motion.expression, MOTION.expression
    assert np.array_equal(np.flatnonzero((values != before).any(1)), [75])
    assert np.array_equal(sine_motion(voice(4)).expression, before)  # the original is not written to


def test_nothing_asked_generates_all_and_parts_generate_only_them():
    assert not plan().constraint.mask.any()
    mask = plan(parts=("lips",), keep=[(1.0, 2.0)]).constraint.mask
    assert mask[:, 1:].all() and np.array_equal(np.flatnonzero(mask[:, 0]), range(25, 50))
    assert plan(parts=("face",)).constraint.mask[0].tolist() == [False, False, False, True]


def test_cuts_and_inserts_move_keys_and_ranges():
    keys = [Keyframe(0.4, "all"), Keyframe(3.0, "head")]
    found = plan(cuts=[(1.0, 1.8)], inserts=[Insert(2.0, voice(1.0))], keyframes=keys, keep=[(2.4, 2.6), (3.6, 4.0)])
    assert len(found.motion) == 100 - 20 + 25 == len(found.origin) and len(found.speech) == 105 * 640
    assert kept(found) == [10, *range(65, 70), *range(95, 105)]
    assert kept(found, 3) == [10, *range(65, 70), 80, *range(95, 105)]
    for frame in kept(found, 3):
        assert found.origin[frame] == frame - (5 if frame > 50 else 0)
        assert np.array_equal(found.motion.expression[frame], MOTION.expression[found.origin[frame]])
    beside = plan(cuts=[(1.0, 1.8)])
    assert kept(beside) == [*range(22), *range(28, 80)]


def test_only_lips_but_all_of_the_seam():
    mask = plan(cuts=[(1.0, 1.8)], parts=("lips",)).constraint.mask
    assert not mask[22:28].any() and mask[:22, 1:].all() and mask[28:, 1:].all() and not mask[:, 0].any()


def test_sound_of_an_insert_in_given_speech():
    speech = voice(6, seed=3)
    found = plan(speech, cuts=[(0.0, 0.4)])
    assert np.array_equal(found.speech, speech[6400:]) and len(found.origin) == 140
    assert kept(found) == list(range(90))  # behind the motion there is nothing that could stay
    silent = replace(MOTION, audio=None)
    with pytest.raises(InputError, match="no sound that could be added to"):
        plan(motion=silent, inserts=[Insert(0.4, voice(0.4))])
    cut = plan(motion=silent, cuts=[(0.0, 0.4)])
    assert cut.speech is None and cut.motion.audio is None and len(cut.motion) == 90 and cut.constraint.mask.all()


@pytest.mark.parametrize(
    "request_, saying",
    [({"keep": [(0, 2), (1.6, 3)]}, "overlap at 1.6 s"), ({"keep": [(2, 1)]}, "reversed"),
     ({"keep": [(0, 9)]}, "lasts 4.00"), ({"keep": [(1, 1.01)]}, "no frame"),
     ({"keep": [(0, np.inf)]}, "everything is kept"), ({"every": 0.04}, "everything is kept"),
     ({"keyframes": [Keyframe(4.1, "all", place="k.csv, line 2")]}, "k.csv, line 2: the key at 4.1 s lies outside"),
     ({"keep": [(np.nan, 1)]}, "--keep takes pairs of seconds"), ({"keep": [1, 2]}, "--keep takes pairs of seconds"),
     ({"cuts": [(0, np.nan)]}, "--cut takes pairs of seconds"), ({"parts": "lips"}, "parts are a list of names"),
     *(({"every": value}, "every is a number of seconds above 0") for value in (0, -1, np.nan, np.inf, "1")),
     ({"keyframes": [Keyframe(-0.1, "all")]}, "outside"), ({"parts": ("nose",)}, "no part 'nose'"),
     ({"keyframes": [Keyframe(1.2, "all")], "cuts": [(1, 2)]}, "the key at 1.2 s lies in what --cut cuts out")],
)  # fmt: skip
def test_requests_that_cannot_be_met(request_, saying):
    with pytest.raises((InputError, UsageError), match=saying):
        plan(**request_)


def test_a_key_within_the_last_frame_is_at_it():
    for time in (3.96, 3.98, 3.99, 4.0):
        assert kept(plan(keyframes=[Keyframe(time, "all")])) == [99]


def test_a_file_is_no_motion():
    with pytest.raises(UsageError, match="motion takes a Motion, not 'm.npz'"):
        plan(motion="m.npz")


def test_speech_may_be_longer_but_not_shorter():
    assert kept(plan(voice(5), keep=[(0, 4)])) == list(range(100))
    with pytest.raises(InputError, match="the speech lasts 3.00 s, the motion 4.00 s"):
        plan(voice(3))


def test_texts_of_ranges():
    assert parse_ranges("0:1.2, 3.5:5", "--keep") == [(0, 1.2), (3.5, 5)]
    assert parse_ranges(":1,2:", "--keep") == [(0, 1), (2, np.inf)]
    for text in ("", "1", "a:b", "1:2:3", "nan:1", "1:2,"):
        with pytest.raises(UsageError, match="is not FROM:TO in seconds"):
            parse_ranges(text, "--keep")


def test_changed_frames():
    after = replace(MOTION, expression=MOTION.expression.copy(), rotation=MOTION.rotation.copy())
    after.expression[3, 0] += 1e-6
    after.rotation[7, 2] += 1e-6
    assert np.flatnonzero(changed_frames(MOTION, after)).tolist() == [3, 7]
    assert changed_frames(MOTION.slice(0, 50), MOTION)[50:].all()
    found = plan(cuts=[(1.0, 1.8)])
    assert not changed_frames(MOTION, found.motion, found.origin).any()
    found = plan(inserts=[Insert(1.0, voice(0.2))])
    assert np.flatnonzero(changed_frames(MOTION, found.motion, found.origin)).tolist() == list(range(25, 30))
