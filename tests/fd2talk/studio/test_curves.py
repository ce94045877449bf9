import numpy as np
import pytest
from material import nodding_motion

from fd2talk.export.live_link import head_angles
from fd2talk.studio.curves import LANES, keys_table, lanes, read_curves, waveform
from shared.face_model import load_bundled
from shared.face_model.measures import lid_gap, lip_gap
from stage1_motion.editing.bend import CurveKey
from stage1_motion.editing.face_curves import Rest

MODEL = load_bundled()
MOTION = nodding_motion()
REST = Rest.of(MOTION, MODEL)


@pytest.fixture(scope="module")
def curves():
    return read_curves(MOTION, REST, MODEL)


def test_curves_are_what_is_seen(curves):
    mesh = MODEL.vertices(MOTION.identity, MOTION.expression)
    np.testing.assert_allclose(curves["gap"], lip_gap(mesh), atol=1e-4)
    yaw, pitch, roll = np.degrees(head_angles(MOTION.rotation)).T
    for name, expected in (("yaw", yaw), ("pitch", pitch), ("roll", roll)):
        np.testing.assert_allclose(curves[name], expected, atol=1e-4)
    assert curves["closed"].argmax() == lid_gap(mesh).argmin() == 20
    assert curves["closed"][0] == pytest.approx(0, abs=0.02) and curves["closed"][20] > 0.3
    assert set(curves) == {lane.name for lane in LANES} and all(len(values) == 30 for values in curves.values())


def test_lanes_hold_their_values_and_keys(curves):
    keys = [CurveKey(9, "gap", 31.2), CurveKey(4, "gap", 2.0), CurveKey(4, "brows", -0.9)]
    drawn = {lane["name"]: lane for lane in lanes(curves, keys)}
    assert drawn["gap"]["keys"] == [[4, 2.0], [9, 31.2]] and drawn["yaw"]["keys"] == []
    for name, lane in drawn.items():
        values = [*lane["values"], *(value for _, value in lane["keys"])]
        assert lane["low"] <= min(values) + 1e-9 and max(values) - 1e-9 <= lane["high"], name
    assert drawn["gap"]["high"] == 31.5 and drawn["brows"]["low"] == -0.9 and drawn["closed"]["low"] <= 0
    np.testing.assert_allclose(drawn["gap"]["values"], curves["gap"], atol=0.006)


def test_the_waveform_has_four_peaks_a_frame_and_is_as_high_as_the_loudest():
    sound = np.zeros(640 * 3, np.float32)
    sound[640 + 170], sound[640 * 2 + 639] = -0.5, 0.25
    assert waveform(sound, 3) == [0, 0, 0, 0, 0, 100, 0, 0, 0, 0, 0, 50]
    assert waveform(sound[:1300], 4) == [0] * 5 + [100] + [0] * 10
    assert waveform(None, 3) == [] and max(waveform(np.full(640, 1e-4, np.float32), 1)) == 0


def test_a_table_has_a_row_for_each_part_of_a_frame():
    keys = [CurveKey(25, "yaw", 3.0), CurveKey(5, "closed", 1.0), CurveKey(25, "roll", -1.5), CurveKey(25, "gap", 0.0)]
    expected = "time,part,value\n0.20,eyes,closed=1\n1.00,lips,gap=0\n1.00,head,yaw=3 roll=-1.5\n"
    assert keys_table(keys) == expected
