import csv
import io

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from fd2talk.export.gaze import eye_angles
from fd2talk.export.live_link import head_angles, head_rotation, live_link_csv, parse_timecode, timecode
from shared.arkit import NAMES
from shared.errors import UsageError

# The first line of a recording of the app.
HEADER = (
    "Timecode,BlendShapeCount,EyeBlinkLeft,EyeLookDownLeft,EyeLookInLeft,EyeLookOutLeft,EyeLookUpLeft,EyeSquintLeft,"
    "EyeWideLeft,EyeBlinkRight,EyeLookDownRight,EyeLookInRight,EyeLookOutRight,EyeLookUpRight,EyeSquintRight,"
    "EyeWideRight,JawForward,JawRight,JawLeft,JawOpen,MouthClose,MouthFunnel,MouthPucker,MouthRight,MouthLeft,"
    "MouthSmileLeft,MouthSmileRight,MouthFrownLeft,MouthFrownRight,MouthDimpleLeft,MouthDimpleRight,MouthStretchLeft,"
    "MouthStretchRight,MouthRollLower,MouthRollUpper,MouthShrugLower,MouthShrugUpper,MouthPressLeft,MouthPressRight,"
    "MouthLowerDownLeft,MouthLowerDownRight,MouthUpperUpLeft,MouthUpperUpRight,BrowDownLeft,BrowDownRight,BrowInnerUp,"
    "BrowOuterUpLeft,BrowOuterUpRight,CheekPuff,CheekSquintLeft,CheekSquintRight,NoseSneerLeft,NoseSneerRight,"
    "TongueOut,HeadYaw,HeadPitch,HeadRoll,LeftEyeYaw,LeftEyePitch,LeftEyeRoll,RightEyeYaw,RightEyePitch,RightEyeRoll"
)


def read(text: str) -> tuple[list[str], list[list[str]]]:
    header, *rows = csv.reader(io.StringIO(text))
    return header, rows


def curves_of(motion):
    return np.random.default_rng(0).uniform(0, 1, (len(motion), 52)).astype(np.float32)


@pytest.mark.situation(
    "Exports",
    "curves for programs that read recordings of Live Link Face",
    "columns, timecodes, decimals and radians as the app writes them",
)
def test_columns_and_values(motion):
    curves = curves_of(motion)
    text = live_link_csv(motion, curves)
    assert text.splitlines()[0] == HEADER
    _, rows = read(text)
    assert len(rows) == len(motion) and {len(row) for row in rows} == {63} and {row[1] for row in rows} == {"61"}
    assert {len(cell.split(".")[1]) for row in rows for cell in row[2:]} == {10}
    values = np.array([row[2:] for row in rows], float)
    np.testing.assert_allclose(values[:, :52], curves, atol=1e-9)
    np.testing.assert_allclose(values[:, 52:55], head_angles(motion.rotation), atol=1e-9)
    eyes = eye_angles(motion)
    np.testing.assert_allclose(values[:, 55:57], eyes[:, 0], atol=1e-9)
    np.testing.assert_allclose(values[:, 58:60], eyes[:, 1], atol=1e-9)
    assert not values[:, [57, 60]].any()  # eyes do not roll
    assert [name.lower() for name in HEADER.split(",")[2:54]] == [name.lower() for name in NAMES]


@pytest.mark.parametrize(
    ("fps", "start", "index", "wanted"),
    [
        (25.0, None, 0, "00:00:00:00.000"),
        (25.0, None, 1, "00:00:00:02.400"),  # 1/25 s are 2.4 frames of 1/60 s
        (25.0, None, 24, "00:00:00:57.600"),
        (25.0, None, 25, "00:00:01:00.000"),
        (60.0, None, 59, "00:00:00:59.000"),
        (30.0, None, 31, "00:00:01:02.000"),
        (29.97, None, 30, "00:00:01:00.060"),
        (25.0, "14:03:52:28.207", 1, "14:03:52:30.607"),
        (60.0, "23:59:59:59", 1, "00:00:00:00.000"),
        (60.0, "01:59:59:59", 1, "02:00:00:00.000"),
    ],
)
def test_timecodes(motion, fps, start, index, wanted):
    long = motion.concat(motion).concat(motion)
    long.fps = fps
    _, rows = read(live_link_csv(long, curves_of(long), start))
    assert rows[index][0] == wanted


def test_a_frame_that_rounds_up_becomes_the_next_second():
    assert timecode(59 + 59.9996 / 60) == "00:01:00:00.000"
    assert parse_timecode("14:03:52:28.207") == (50632, 28.207)
    assert parse_timecode("14:03:52") is None


@pytest.mark.parametrize("start", ["12:00", "12:00:00:60", "noon", "1:2:3:4"])
def test_other_starts_are_refused(motion, start):
    with pytest.raises(UsageError, match="not a timecode"):
        live_link_csv(motion, curves_of(motion), start)


def test_head_angles_have_the_documented_signs():
    def turned(axis: int, vector: list[float]) -> np.ndarray:
        return Rotation.from_rotvec(np.eye(3)[axis] * 0.2).apply(vector)

    yaw, pitch, roll = (head_angles(np.eye(3)[[axis]] * 0.2)[0] for axis in (1, 0, 2))
    assert turned(1, [0, 0, 1])[0] > 0  # the nose goes to the person's left
    np.testing.assert_allclose(yaw, [0.2, 0, 0], atol=1e-6)
    assert turned(0, [0, 0, 1])[1] < 0  # the nose goes down
    np.testing.assert_allclose(pitch, [0, -0.2, 0], atol=1e-6)
    assert turned(2, [0, 1, 0])[0] < 0  # the head's top goes to the person's right
    np.testing.assert_allclose(roll, [0, 0, 0.2], atol=1e-6)


def test_angles_become_the_rotation_again():
    rotation = np.random.default_rng(0).uniform(-0.6, 0.6, (9, 3))
    np.testing.assert_allclose(head_rotation(head_angles(rotation)), rotation, atol=1e-9)
