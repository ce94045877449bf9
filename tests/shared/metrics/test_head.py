"""Head motion and blinks whose figures are known."""

import numpy as np
import pytest

from shared.errors import InputError
from shared.metrics.head import blink_rate, blinks, euler_degrees, head_diversity, motion_beats

FPS = 25
X, Y, Z = np.eye(3)


def turned(axis, degrees):
    """Rodrigues' formula, without scipy."""
    angle = np.radians(degrees)
    cross = np.array([[0, -axis[2], axis[1]], [axis[2], 0, -axis[0]], [-axis[1], axis[0], 0]])
    return np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross


def axis_angle(matrix):
    angle = np.arccos((np.trace(matrix) - 1) / 2)
    axis = [matrix[2, 1] - matrix[1, 2], matrix[0, 2] - matrix[2, 0], matrix[1, 0] - matrix[0, 1]]
    return np.array(axis) * angle / (2 * np.sin(angle))


def nod(period: float, seconds: float = 8.0, swing: float = 5.0) -> np.ndarray:
    """A head that turns back every period / 2, first at period / 4."""
    time = np.arange(round(seconds * FPS)) / FPS
    return np.outer(np.radians(swing) * np.sin(2 * np.pi * time / period), X)


def test_angles_of_composed_turns():
    angles = np.random.default_rng(0).uniform(-40, 40, (20, 3))
    rotation = [axis_angle(turned(Y, yaw) @ turned(X, pitch) @ turned(Z, roll)) for pitch, yaw, roll in angles]
    assert euler_degrees(np.array(rotation)) == pytest.approx(angles, abs=1e-4)


def test_signs_of_the_angles():
    nose, crown = Z, Y  # z to the camera, y up, x to the person's left
    assert (turned(X, 20) @ nose)[1] < 0  # pitch: the chin goes down
    assert (turned(Y, 20) @ nose)[0] > 0  # yaw: to the person's left
    assert (turned(Z, 20) @ crown)[0] < 0  # roll: the crown goes to the person's right


def test_diversity_is_the_mean_standard_deviation():
    angles = np.random.default_rng(1).normal(0, [3, 6, 1], (50, 3))
    rotation = np.array([axis_angle(turned(Y, y) @ turned(X, p) @ turned(Z, r)) for p, y, r in angles])
    by_hand = [(sum((a - column.mean()) ** 2 for a in column) / 50) ** 0.5 for column in angles.T]
    assert head_diversity(rotation) == pytest.approx(sum(by_hand) / 3, abs=1e-4)
    assert head_diversity(np.repeat(rotation[:1], 9, 0)) == pytest.approx(0, abs=1e-9)
    assert head_diversity(2 * nod(2)) == pytest.approx(2 * head_diversity(nod(2)))
    assert head_diversity(nod(2) + [0.2, 0, 0]) == pytest.approx(head_diversity(nod(2)))  # a tilted camera
    assert head_diversity(np.outer(np.linspace(3, 3.3, 9), Y)) < 5  # through 180 degrees


def test_beats_are_where_a_nod_turns_back():
    beats = motion_beats(nod(1.6), FPS)
    assert beats == pytest.approx(np.arange(0.4, 7.7, 0.8), abs=0.021)
    faster = motion_beats(np.repeat(nod(1.6), 2, 0)[::2], 2 * FPS)
    assert faster == pytest.approx(beats / 2, abs=0.05)


def test_beats_move_with_the_motion():
    motion = np.cumsum(np.random.default_rng(2).normal(0, 0.01, (200, 3)), 0)
    late = motion_beats(np.concatenate([np.repeat(motion[:1], 50, 0), motion]), FPS)
    early = motion_beats(motion, FPS)
    assert len(early) >= 5
    for beat in early[1:-1]:
        assert np.abs(late - 2.0 - beat).min() < 1e-6


def test_still_or_evenly_turning_heads_have_no_beats():
    still = np.zeros((200, 3))
    trembling = np.random.default_rng(3).normal(0, np.radians(0.03), (200, 3))
    even = np.outer(np.linspace(0, 1, 200), Y)
    for motion in (still, trembling, even, still[:2]):
        assert motion_beats(motion, FPS).shape == (0,)


def lids(frames: int = 250, closed: tuple[int, ...] = ()) -> np.ndarray:
    gap = 10 + np.random.default_rng(4).normal(0, 0.3, frames)
    for at in closed:
        gap[at : at + 4] = 2
    return gap


def test_blinks_per_minute():
    assert blink_rate(lids(), FPS) == 0
    assert blink_rate(lids(closed=(30, 120, 200)), FPS) == pytest.approx(18)
    assert blink_rate(lids(closed=(0, 100)), FPS) == pytest.approx(12)  # one that is under way at the start counts
    assert blink_rate(7 * lids(closed=(30, 34)), 2 * FPS) == pytest.approx(12)  # one blink of eight frames, any unit
    assert np.isnan(blink_rate(np.zeros(0), FPS))


def test_frames_of_blinks():
    gap = lids(closed=(0, 100))
    gap[-2:] = 0  # one that the end of the clip cuts
    assert blinks(gap).tolist() == [[0, 4], [100, 104], [len(gap) - 2, len(gap)]]
    assert blinks(lids()).shape == blinks(np.zeros(0)).shape == (0, 2)


def test_gaps_in_the_track():
    motion, gap = nod(2), lids()
    motion[5, 1] = gap[3] = np.nan
    assert np.isnan(euler_degrees(motion)[5]).all() and np.isfinite(np.delete(euler_degrees(motion), 5, 0)).all()
    assert np.isnan(head_diversity(motion)) and np.isnan(blink_rate(gap, FPS))
    with pytest.raises(InputError, match="not finite"):
        motion_beats(motion, FPS)


def test_unusable_input_is_refused():
    for shape in ((3,), (0, 3), (5, 4), (2, 5, 3)):
        for figure in (euler_degrees, head_diversity, lambda rotation: motion_beats(rotation, FPS)):
            with pytest.raises(InputError, match=r"expected \[T, 3\]"):
                figure(np.zeros(shape))
    with pytest.raises(InputError, match="lids"):
        blink_rate(np.zeros((3, 2)), FPS)
    for fps in (0, -1, np.nan):
        with pytest.raises(InputError, match="frame rate"):
            blink_rate(lids(), fps)
        with pytest.raises(InputError, match="frame rate"):
            motion_beats(nod(2), fps)
