import csv
import io

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from fd2talk.export.arkit import NAMES
from fd2talk.export.live_link import head_angles, live_link_csv


def read(text: str) -> tuple[list[str], list[list[str]]]:
    header, *rows = csv.reader(io.StringIO(text))
    return header, rows


def test_columns_and_values(motion):
    header, rows = read(live_link_csv(motion))
    assert header[:2] == ["Timecode", "BlendshapeCount"]
    assert tuple(header[2:54]) == NAMES and header[54:] == ["headYaw", "headPitch", "headRoll"]
    assert len(rows) == len(motion) and {len(row) for row in rows} == {57} and {row[1] for row in rows} == {"55"}
    assert [rows[i][0] for i in (0, 1, 24, 25)] == [
        "00:00:00:00.000",
        "00:00:00:01.000",
        "00:00:00:24.000",
        "00:00:01:00.000",
    ]
    values = np.array([row[2:] for row in rows], float)
    scores = dict(zip(header[2:], values.T))
    assert values[:, :52].min() >= 0 and values[:, :52].max() <= 1
    assert not scores["tongueOut"].any()
    np.testing.assert_allclose(values[:, 52:], head_angles(motion.rotation), atol=1e-6)


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


@pytest.mark.parametrize(("fps", "index", "wanted"), [(30.0, 31, "00:00:01:01.000"), (29.97, 30, "00:00:01:00.030")])
def test_timecodes_of_other_frame_rates(motion, fps, index, wanted):
    long = motion.concat(motion)
    long.fps = fps
    _, rows = read(live_link_csv(long))
    assert rows[index][0] == wanted
