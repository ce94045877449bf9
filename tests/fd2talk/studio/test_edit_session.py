"""Edits of a motion that the bundled model generated for a bundled portrait."""

import numpy as np
import pytest
from material import SPEECH, nodding_motion

from fd2talk.studio.edit_session import EditSession
from shared.errors import Fd2TalkError, InputError, UsageError
from shared.face_model import load_bundled
from shared.media import read_audio, read_image
from shared.motion import Motion
from shared.photo_fit import PhotoFit
from shared.spliced_sound import Part
from stage1_motion.editing.face_curves import read_curve
from stage1_motion.editing.keyframes import head_angles, read_keyframes
from stage1_motion.editing.request import EditRequest, changed_frames, planned
from stage1_motion.pipeline import MotionPipeline

MODEL = load_bundled()
ARRAYS = ("expression", "rotation", "translation")


@pytest.fixture(scope="module")
def pipeline():
    return MotionPipeline.from_pretrained()


@pytest.fixture(scope="module")
def photo():
    return PhotoFit.fit(read_image(SPEECH.parent / "portrait_woman.jpg"), MODEL)


@pytest.fixture(scope="module")
def motion(pipeline, photo):
    return pipeline(np.tile(read_audio(SPEECH), 2)[:64000], photo=photo, seed=3)  # 100 frames


@pytest.fixture
def session(photo, motion):
    return EditSession(photo, motion, MODEL, sound=(Part("speech.wav", 0.0, 4.0),))


def value(session, name, frame):
    motion = session.now.motion
    if name in ("yaw", "pitch", "roll"):
        return head_angles(motion.rotation[[frame]])[0, ("yaw", "pitch", "roll").index(name)]
    return read_curve(name, motion.expression[[frame]], session.rest, MODEL)[0]


def changed(before, after):
    return np.flatnonzero(changed_frames(before, after))


def same(one, other):
    return len(one) == len(other) and not changed(one, other).size and np.array_equal(one.audio, other.audio)


@pytest.mark.parametrize(
    "name, wanted, reach",
    [("gap", 14.0, 8), ("smile", 0.7, 8), ("brows", 0.4, 8), ("closed", 1.0, 5), ("yaw", 8.0, 25), ("pitch", -6.0, 25),
     ("roll", 5.0, 25)],
)  # fmt: skip
def test_a_key_is_met_and_only_frames_around_it_move(session, name, wanted, reach):
    session.put(name, 50, wanted)
    assert value(session, name, 50) == pytest.approx(wanted, abs=0.01)
    moved = changed(session.original, session.now.motion)
    assert 50 - reach < moved.min() <= 50 - reach + 2 and 50 + reach - 2 <= moved.max() < 50 + reach
    session.put(name, 60, wanted, instead_of=50)
    assert [(key.name, key.frame) for key in session.now.keys] == [(name, 60)]
    assert value(session, name, 60) == pytest.approx(wanted, abs=0.01)
    assert changed(session.original, session.now.motion).min() > 60 - reach
    session.delete(name, 60)
    assert same(session.now.motion, session.original) and not session.now.keys


def test_undo_and_redo_restore_everything_exactly(session, pipeline):
    moments = [session.now]
    for step in (
        lambda: session.put("gap", 20, 9),
        lambda: session.put("yaw", 70, 5),
        lambda: session.put("gap", 24, 4, instead_of=20),
        lambda: session.lock(0, 12),
        lambda: session.regenerate(pipeline, 30, 60, seed=5),
        lambda: session.cut(pipeline, 40, 50),
        lambda: session.insert(pipeline, 12, np.zeros(6400, np.float32), "more.wav"),
        lambda: session.delete("gap", 34),
        lambda: session.unlock(0, 6),
    ):
        step()
        moments.append(session.now)
    assert not any(a is b for a, b in zip(moments, moments[1:])) and session.redoable is None
    names = [moment.what for moment in moments]
    assert session.undoable == names[-1] == "unlock of 0.00 to 0.24 s"
    for number in range(len(moments) - 1, 0, -1):
        assert session.undo() == names[number] and session.now is moments[number - 1]
    with pytest.raises(UsageError, match="nothing to undo"):
        session.undo()
    for number in range(1, len(moments)):
        assert session.redo() == names[number] and session.now is moments[number]
    with pytest.raises(UsageError, match="nothing to redo"):
        session.redo()
    session.undo()
    session.put("roll", 3 + 20, 1)  # another way: what was undone is gone
    assert session.redoable is None


def test_the_history_is_bounded(photo, motion):
    session = EditSession(photo, motion, MODEL, steps=3)
    for frame in range(10, 16):
        session.put("yaw", frame, 1)
    for _ in range(3):
        session.undo()
    with pytest.raises(UsageError):
        session.undo()
    assert len(session.now.keys) == 3


def test_new_motion_passes_through_keys_and_leaves_locks_and_everything_outside(session, pipeline):
    session.put("gap", 50, 12)
    session.put("smile", 58, 0.6)
    session.put("yaw", 64, 8)
    session.put("brows", 98, 0.3)  # outside, beyond what the turn of the head reaches
    session.lock(40, 46)
    before = session.now.motion
    session.regenerate(pipeline, 30, 76, seed=9)
    after = session.now.motion
    moved = changed(before, after)
    assert set(moved) <= {*range(30, 40), *range(46, 76)} and len(moved) >= 39
    for key in session.now.keys:
        assert value(session, key.name, key.frame) == pytest.approx(key.value, abs=0.03)
    assert np.array_equal(after.expression[40:46], before.expression[40:46])
    session.regenerate(pipeline, 30, 76, seed=10)
    assert changed(after, session.now.motion).size  # another seed, another motion
    assert not set(changed(before, session.now.motion)) - {*range(30, 40), *range(46, 76)}
    # The key outside is still a bend that can be taken away.
    session.delete("brows", 98)
    assert np.array_equal(session.now.motion.expression[90:], session.original.expression[90:])


def test_without_a_range_all_that_is_free_is_new(session, pipeline):
    session.lock(10, 20)
    session.regenerate(pipeline, seed=4)
    assert changed(session.original, session.now.motion).tolist() == [*range(10), *range(20, 100)]
    session.lock(0, 100)
    with pytest.raises(UsageError, match="0.00 to 4.00 s is locked: there is nothing to generate"):
        session.regenerate(pipeline)


def test_models_that_only_ramp_can_edit(session):
    session.put("gap", 50, 12)
    before = session.now.motion
    session.regenerate(MotionPipeline.from_pretrained(model="facepolicy"), 40, 80, seed=1)
    assert value(session, "gap", 50) == pytest.approx(12, abs=0.05)
    assert set(changed(before, session.now.motion)) <= {*range(40, 80)}


def test_a_lock_keeps_what_keys_have_bent(session):
    session.put("gap", 50, 14)
    session.put("yaw", 55, 6)
    before = session.now.motion
    session.lock(48, 60)
    assert same(session.now.motion, before) and session.now.locks == ((48, 60),)
    for wrong in (
        lambda: session.put("gap", 50, 2),
        lambda: session.delete("gap", 50),
        lambda: session.put("gap", 70, 2, instead_of=50),
        lambda: session.put("smile", 59, 0.4),
    ):
        with pytest.raises(UsageError, match="is locked: unlock it to change its keys"):
            wrong()
    session.put("gap", 62, 20)  # its bend ends at the lock
    assert set(changed(before, session.now.motion)) == {60, 61, 62, *range(63, 70)}
    session.lock(60, 61)
    assert session.now.locks == ((48, 61),)
    session.unlock(50, 52)
    assert session.now.locks == ((48, 50), (52, 61))
    with pytest.raises(UsageError, match="nothing is locked in 2.00 to 2.04 s"):
        session.unlock(50, 51)


def test_a_cut_takes_keys_and_locks_behind_along(session, pipeline):
    session.put("gap", 30, 10)
    session.put("yaw", 32, 2)
    session.put("smile", 80, 0.5)
    session.lock(88, 95)
    before = session.now.motion
    assert session.cut(pipeline, 31, 41) == 1
    now = session.now
    assert [(key.name, key.frame) for key in now.keys] == [("gap", 30), ("smile", 70)] and now.locks == ((78, 85),)
    assert len(now.motion) == 90 and len(now.motion.audio) == 90 * 640
    origin = np.r_[:31, 41:100]
    moved = np.flatnonzero(changed_frames(before, now.motion, origin))
    assert set(moved) <= {*range(28, 34)} and len(moved) >= 4  # the seam alone
    assert value(session, "gap", 30) == pytest.approx(10, abs=0.03)
    assert now.sound == (Part("speech.wav", 0.0, 1.24), Part("speech.wav", 1.64, pytest.approx(2.36)))
    for span in ((75, 80), (80, 84), (84, 89)):
        with pytest.raises(UsageError, match="is locked: unlock it before you cut it out"):
            session.cut(pipeline, *span)


def test_an_insert_moves_what_is_behind_and_its_motion_is_new(session, pipeline):
    session.put("smile", 80, 0.5)
    session.put("roll", 10, 3)
    session.lock(60, 64)
    before, more = session.now.motion, read_audio(SPEECH)[20000:30000]  # 16 frames
    with pytest.raises(UsageError, match="2.48 s is locked: sound can be inserted before or behind"):
        session.insert(pipeline, 62, more)
    session.insert(pipeline, 60, more, "more.wav")
    now = session.now
    assert [(key.name, key.frame) for key in now.keys] == [("roll", 10), ("smile", 96)] and now.locks == ((76, 80),)
    assert len(now.motion) == 116
    origin = np.r_[:60, [-1] * 16, 60:100]
    moved = np.flatnonzero(changed_frames(before, now.motion, origin))
    assert set(moved) <= {*range(57, 76)} and {*range(60, 76)} <= set(moved)
    assert [part.path for part in now.sound] == ["speech.wav", "more.wav", "speech.wav"]
    session.put("roll", 10, -3)  # still a bend, from what was there first
    session.delete("roll", 10)
    assert np.array_equal(now.base.rotation[:30], session.original.rotation[:30])
    assert np.array_equal(session.now.motion.rotation[:30], session.original.rotation[:30])


def test_cuts_at_the_ends_generate_nothing(session, pipeline):
    session.cut(pipeline, 90, 100)
    session.cut(pipeline, 0, 10)
    assert not changed_frames(session.original, session.now.motion, np.arange(10, 90)).any()
    with pytest.raises(UsageError, match="leaves nothing"):
        session.cut(pipeline, 0, 80)


def test_the_table_of_keys_is_one_that_the_command_line_reads(session, tmp_path, pipeline):
    for name, frame, wanted in (("gap", 20, 9.5), ("smile", 20, 0.25), ("brows", 20, -0.2), ("yaw", 70, -6.125)):
        session.put(name, frame, wanted)
    (tmp_path / "keys.csv").write_text(session.keys_csv())
    assert session.keys_csv().splitlines() == [
        "time,part,value", "0.80,lips,gap=9.5 smile=0.25", "0.80,upper,brows=-0.2", "2.80,head,yaw=-6.125",
    ]  # fmt: skip
    keys = read_keyframes(tmp_path / "keys.csv", MODEL)
    plan = planned(session.original, None, EditRequest(keyframes=keys, rest=session.rest), MODEL)
    edited = pipeline.edit(plan.motion, None, plan.constraint, seed=2)
    for name, frame, wanted in (("gap", 20, 9.5), ("smile", 20, 0.25), ("brows", 20, -0.2)):
        found = read_curve(name, edited.expression[[frame]], session.rest, MODEL)[0]
        assert found == pytest.approx(wanted, abs=0.03)


@pytest.mark.parametrize(
    "arguments, error, saying",
    [(("nose", 5, 1), UsageError, "there is no curve 'nose'"), (("gap", 100, 1), UsageError, "4.00 s lies outside"),
     (("gap", -1, 1), UsageError, "-0.04 s lies outside"), (("gap", 5, 99), InputError, "Mouth opening at 0.20 s: gap"),
     (("smile", 5, float("nan")), InputError, "smile is a number from 0 to 1, not nan")],
)  # fmt: skip
def test_what_cannot_be_done_changes_nothing(session, arguments, error, saying):
    before = session.now
    with pytest.raises(error, match=saying):
        session.put(*arguments)
    with pytest.raises(UsageError, match="there is no key of 'gap' at 0.20 s"):
        session.delete("gap", 5)
    with pytest.raises(UsageError, match="holds no frame"):
        session.lock(7, 7)
    assert session.now is before and session.undoable is None


def test_changes_while_new_motion_is_generated_are_not_lost(session, pipeline):
    def meanwhile(done, total):
        if not session.now.keys:
            session.put("gap", 50, 8)

    with pytest.raises(UsageError, match="was changed while new motion was generated"):
        session.regenerate(pipeline, 10, 90, progress=meanwhile)
    assert [key.frame for key in session.now.keys] == [50]


def test_motion_of_another_person_is_put_onto_the_photo(photo):
    session = EditSession(photo, nodding_motion(), MODEL)
    assert np.array_equal(session.now.motion.identity, photo.identity)
    other = nodding_motion()
    other.face_model = "other:1"
    with pytest.raises(InputError, match="belongs to face model other:1"):
        EditSession(photo, other, MODEL)


def test_motion_without_sound_can_be_bent_but_not_generated(photo, motion, pipeline):
    silent = Motion(*(getattr(motion, name) for name in ARRAYS), motion.face_model, identity=motion.identity)
    session = EditSession(photo, silent, MODEL)
    session.put("gap", 40, 8)
    with pytest.raises(Fd2TalkError, match="the motion has no sound"):
        session.regenerate(pipeline)
    assert [key.frame for key in session.now.keys] == [40]
