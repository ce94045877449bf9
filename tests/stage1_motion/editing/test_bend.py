import numpy as np
import pytest
from material import nodding_motion

from fd2talk.export.live_link import head_angles
from shared.face_model import load_bundled
from shared.face_model.measures import lip_gap
from stage1_motion.editing.bend import CurveKey, faded, through_keys
from stage1_motion.editing.face_curves import Rest, read_curve

MODEL = load_bundled()
MOTION = nodding_motion(80)
REST = Rest.of(MOTION, MODEL)
ARRAYS = ("expression", "rotation", "translation")


def moved(after):
    return np.any([(getattr(after, name) != getattr(MOTION, name)).any(1) for name in ARRAYS], axis=0)


def free(*fixed):
    given = np.zeros((len(MOTION), 4), bool)
    given[list(fixed)] = True
    return given


def test_keys_are_met_and_everything_out_of_reach_stays_bit_by_bit():
    keys = [CurveKey(30, "gap", 11.0), CurveKey(30, "smile", 0.5), CurveKey(32, "brows", -0.3)]
    after = through_keys(MOTION, keys, free(), REST, MODEL)
    for key in keys:
        value = read_curve(key.name, after.expression[[key.frame]], REST, MODEL)[0]
        assert value == pytest.approx(key.value, abs=0.05)
    assert np.flatnonzero(moved(after)).tolist() == [*range(23, 40)]
    assert np.array_equal(after.rotation, MOTION.rotation)


def test_a_head_turns_as_far_as_its_key_says():
    after = through_keys(MOTION, [CurveKey(40, "yaw", 9.0), CurveKey(40, "roll", -4.0)], free(), REST, MODEL)
    yaw, pitch, roll = np.degrees(head_angles(after.rotation)).T
    before = np.degrees(head_angles(MOTION.rotation)).T
    assert (yaw[40], roll[40]) == (pytest.approx(9, abs=1e-3), pytest.approx(-4, abs=1e-3))
    np.testing.assert_allclose(pitch, before[1], atol=1e-3)
    assert np.array_equal(after.expression, MOTION.expression) and not moved(after)[:15].any()


def test_what_is_given_does_not_move():
    fixed = [*range(33, 50)]
    keys = [CurveKey(31, "gap", 15.0), CurveKey(40, "gap", 30.0)]
    after = through_keys(MOTION, keys, free(*fixed), REST, MODEL)
    assert not moved(after)[fixed].any()
    gaps = lip_gap(MODEL.vertices(REST.identity, after.expression))
    assert gaps[31] == pytest.approx(15, abs=0.05) and gaps[40] != pytest.approx(30, abs=1)


def test_keys_that_are_met_already_move_nothing():
    value = float(lip_gap(MODEL.vertices(REST.identity, MOTION.expression[12])))
    assert not moved(through_keys(MOTION, [CurveKey(12, "gap", value)], free(), REST, MODEL)).any()


def test_a_difference_fades_without_overshooting():
    given = np.zeros(60, bool)
    given[26] = True
    added = faded({20: 5.0, 24: 2.0, 40: -3.0}, given, 8)
    assert added[[20, 24, 26, 40]].tolist() == [5, 2, 0, -3] and added.max() == 5 and added.min() == -3
    assert not added[:13].any() and not added[26:33].any() and not added[48:].any()
    assert (np.diff(added[12:21]) > 0).all() and (np.diff(added[20:27]) < 0).all()
    assert np.abs(np.diff(added, 2)).max() < 2
    near = faded({20: 4.0, 30: 4.0}, np.zeros(60, bool), 8)
    assert (near[20:31] == 4).all()  # closer than twice the reach: they pass into each other
    assert faded({0: 1.0}, np.zeros(1, bool), 8).tolist() == [1] and faded({0: 1.0}, np.zeros(5, bool), 8)[0] == 1


def test_a_lock_out_of_reach_changes_nothing():
    free_around, locked = np.zeros(80, bool), np.zeros(80, bool)
    locked[[5, 60, 61, 62]] = True
    keys = {30: 4.0, 36: -1.0}
    np.testing.assert_array_equal(faded(keys, free_around, 8), faded(keys, locked, 8))
    locked[40] = True  # within reach
    assert faded(keys, locked, 8)[40] == 0 != faded(keys, free_around, 8)[40]
