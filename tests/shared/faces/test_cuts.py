"""Detection of cuts and jump zooms; fast movements, noise and repeated frames are not cuts."""

import cv2
import numpy as np
import pytest

from shared.faces.cuts import CutDetector, find_cuts


@pytest.fixture
def face():
    """Points of a face 100 pixels high."""
    points = np.random.default_rng(0).uniform(100, 200, (478, 3)).astype(np.float32)
    points[:2, 1] = 100, 200
    return points


def clip(face, moves):
    """[T, 478, 3]: the face shifted by so many pixels."""
    return face + np.array(moves, np.float32)[:, None, None] * [1, 0, 0]


def test_an_isolated_change_is_a_cut(face):
    changes = np.array([1.0] * 9 + [12.0] + [1.0] * 10)
    assert find_cuts(changes, clip(face, [0] * 21)) == [10]


def test_a_small_change_is_one_only_where_the_face_jumps(face):
    changes = np.array([0.2] * 9 + [5.0] + [0.2] * 10)
    assert find_cuts(changes, clip(face, [0] * 21)) == []
    assert find_cuts(changes, clip(face, [0] * 10 + [6] * 11)) == [10]
    zoomed = clip(face, [0] * 21)
    zoomed[10:] *= 1.08
    assert find_cuts(changes, zoomed) == [10]


def test_a_movement_that_lasts_is_none(face):
    changes = np.array([1.0] * 9 + [12.0] * 6 + [1.0] * 5)
    assert find_cuts(changes, clip(face, [0] * 9 + [8 * i for i in range(6)] + [48] * 6)) == []


def test_a_jump_to_another_face_is_one_without_any_change_of_the_picture(face):
    assert find_cuts(np.ones(9), clip(face, [0] * 4 + [60] * 6)) == [4]


def scene(seed, speed, count):
    """A smooth random picture that drifts by `speed` pixels a frame, float64 [count, 64, 64, 3]."""
    picture = cv2.GaussianBlur(np.random.default_rng(seed).uniform(0, 255, (64, 200, 3)), (0, 0), 3)
    picture = 128 + 4 * (picture - picture.mean())
    return [picture[:, round(5 + speed * frame) :][:, :64] for frame in range(count)]


@pytest.mark.parametrize("length", [10, 16, 24])
def test_a_dissolve_is_found_nearly_from_end_to_end(length):
    weights, noise = np.clip((np.arange(60) - 20) / length, 0, 1), np.random.default_rng(0)
    detector = CutDetector()
    seen = []
    for weight, one, other in zip(weights, scene(1, 0, 60), scene(2, 0, 60)):
        frame = (1 - weight) * one + weight * other + noise.normal(0, 2, one.shape)
        seen.append(detector.is_cut(frame.clip(0, 255).astype(np.uint8)))
    ((start, stop),) = detector.dissolves
    assert -2 <= start - 20 <= length / 4 and -length / 4 <= stop - 20 - length <= 2
    assert seen[stop]  # there the face is looked for anew


@pytest.mark.parametrize("speed", [0, 0.5, 1, 2])
def test_movement_and_cuts_are_no_dissolves(speed):
    detector = CutDetector()
    for frame in [*scene(1, speed, 30), *scene(2, speed, 30)]:
        detector.is_cut(frame.clip(0, 255).astype(np.uint8))
    assert detector.dissolves == []


def test_detector_measures_changes_as_they_come():
    random = np.random.default_rng(0)
    background = random.integers(0, 256, (64, 64, 3), np.uint8)
    cut = random.integers(0, 256, (64, 64, 3), np.uint8)
    detector = CutDetector()
    seen = [detector.is_cut(frame) for frame in [background] * 10 + [cut] * 5]
    assert seen == [False] * 10 + [True] + [False] * 4
    assert len(detector.changes) == 14 and detector.changes.argmax() == 9 and np.delete(detector.changes, 9).max() == 0
