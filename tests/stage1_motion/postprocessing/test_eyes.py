"""Blinks and gaze have the statistics of people."""

import numpy as np
import pytest

from shared.face_model import load_bundled
from shared.face_model.measures import gaze, lid_gap, lip_gap
from stage1_motion.postprocessing.eyes import Blinks, Fixations, eye_motion


@pytest.fixture(scope="module")
def model():
    return load_bundled()


def test_blink_rate_and_shape(model):
    rng = np.random.default_rng(0)
    closed = Blinks(rng).next(25 * 600)
    count = (np.diff((closed > 0.5).astype(int)) == 1).sum()
    assert 8 <= count / 10 <= 30 and closed.max() <= 1.0
    motion = eye_motion(model, 25 * 60, 8.0, np.random.default_rng(1))
    vertices = model.vertices(np.zeros(model.num_identity), motion)
    lids = lid_gap(vertices) - lid_gap(model.mean)
    assert lids.min() < -6.5 and np.percentile(lids, 50) > -1.0
    # Lips do not notice.
    assert np.abs(lip_gap(vertices) - lip_gap(model.mean)).max() < 0.5


def test_closed_eyes_stay_as_they_are(model):
    assert np.abs(lid_gap(model.vertices(np.zeros(40), eye_motion(model, 200, 0.0, np.random.default_rng(0)))) -
                  lid_gap(model.mean)).max() < 0.5  # fmt: skip


def test_eyes_rest_between_jumps(model):
    look = Fixations(np.random.default_rng(0)).next(25 * 60)
    moving = np.abs(np.diff(look, axis=0)).sum(1) > 1e-6
    assert 0.02 < moving.mean() < 0.25
    shift = gaze(model.vertices(np.zeros(model.num_identity), look @ model.extra["gaze"])) - gaze(model.mean)
    assert np.corrcoef(shift[:, 0], look[:, 0])[0, 1] > 0.95


def test_each_step_alone(model):
    def motion(**steps):
        return eye_motion(model, 500, 8.0, np.random.default_rng(1), **steps)

    neutral = np.zeros(model.num_identity)
    assert not motion(blinks=False, gaze=False).any()
    still_gaze = gaze(model.vertices(neutral, motion(gaze=False)))
    assert lid_gap(model.vertices(neutral, motion(gaze=False))).min() < 2
    moving = gaze(model.vertices(neutral, motion(blinks=False)))
    assert np.ptp(moving[:, 0]) > 0.5
    assert lid_gap(model.vertices(neutral, motion(blinks=False))).min() > 4
    open_eyes = lid_gap(model.vertices(neutral, motion(gaze=False))) > 7.5
    assert np.ptp(still_gaze[open_eyes, 0]) < 0.1


@pytest.mark.parametrize("process", [Blinks, Fixations])
def test_pieces_of_any_size_are_the_whole(process):
    whole = process(np.random.default_rng(2)).next(1000)
    pieces = process(np.random.default_rng(2))
    joined = [pieces.next(size) for size in [1, 4, 0, 95, 400, *[4] * 125]]
    assert np.array_equal(np.concatenate(joined), whole) and whole.any()
