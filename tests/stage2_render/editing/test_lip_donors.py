from dataclasses import replace
from itertools import product

import cv2
import numpy as np
import pytest

from shared.face_model.measures import lip_gap
from stage2_render.editing import lip_donors as module
from stage2_render.editing.footage import FrameReader
from stage2_render.editing.lip_donors import MouthShapes, _steady, lip_donors

FRAMES = 20
ALL = np.arange(FRAMES)


@pytest.fixture
def gaps(footage):
    return lip_gap(footage.model.vertices(footage.identity, footage.motion.expression))


def chosen(footage, after, filmed=ALL, mouths=None):
    mouths = np.ones(FRAMES) if mouths is None else mouths
    return lip_donors(footage, FrameReader(footage.video), after, filmed, mouths)


def still(footage, gaps):
    """The edit in which the mouth stays as in the frame whose lips are nearest."""
    closed = np.repeat(footage.motion.expression[[np.argmin(gaps)]], FRAMES, axis=0)
    return replace(footage.motion, expression=closed)


def test_one_closed_mouth_lends_its_lips_to_all_that_should_close(footage, gaps):
    donors, weights = chosen(footage, still(footage, gaps))
    assert len(donors) == 1 and gaps[donors[0]] < gaps.min() + 1
    assert weights.shape == (FRAMES, 1) and weights.min() > 0.95


def test_nothing_is_lent_to_mouths_that_are_as_the_film_s_or_open_further(footage):
    wider = replace(footage.motion, expression=footage.motion.expression + 4 * footage.model.extra["open"])
    for after in (footage.motion, wider):
        assert chosen(footage, after)[1].shape == (FRAMES, 0)


def test_what_is_kept_and_what_is_not_drawn_gets_nothing(footage, gaps):
    mouths = np.where(ALL < 5, 0.0, 0.5)
    _, weights = chosen(footage, still(footage, gaps), np.where(ALL > 15, -1, ALL), mouths)
    assert not weights[:5].any() and not weights[16:].any()
    assert weights[5:16].sum(1) == pytest.approx(0.5, abs=0.03)


def test_no_shot_lends_to_another(footage, gaps):
    footage.shots = (ALL >= 10).astype(int)
    donors, weights = chosen(footage, still(footage, gaps))
    for index, share in zip(donors, weights.T):
        assert not share[footage.shots != footage.shots[index]].any()
    assert set(footage.shots[donors]) == {0, 1}
    footage.usable = ALL < 10  # the second shot shows no face that lends
    _, weights = chosen(footage, still(footage, gaps))
    assert weights[:10].sum(1).min() > 0.9 and not weights[10:].any()


def test_a_head_that_is_turned_lends_to_heads_that_are_turned(footage, gaps, monkeypatch):
    """In the second half the head is turned by 25 degrees: there another frame lends, and they pass into each other."""
    monkeypatch.setattr(module, "_PASSING", 1.0)
    monkeypatch.setattr(module, "_CHANGE", 3.0)
    turned = np.radians(25.0) * (ALL >= 10)[:, None] * np.array([0, 1, 0])
    footage.motion = replace(footage.motion, rotation=(0 * footage.motion.rotation + turned).astype(np.float32))
    donors, weights = chosen(footage, still(footage, gaps))
    assert len(donors) == 2 and (donors < 10).tolist() == [True, False]
    assert weights[2, 0] > 0.9 and weights[17, 1] > 0.9
    assert 0.2 < weights[9, 0] < 0.9 and np.abs(np.diff(weights, axis=0)).max() < 0.6
    # Of one that is turned too far away nothing is taken.
    footage.usable = ALL < 10
    after = replace(still(footage, gaps), rotation=footage.motion.rotation + np.array([0, np.radians(15), 0]))
    assert chosen(footage, after)[1][12:].max(initial=0) == 0


def test_blurred_frames_do_not_lend(footage, gaps, talking):
    nearest = int(np.argmin(gaps))
    frames = [cv2.GaussianBlur(one, (0, 0), 4) if i == nearest else one for i, one in enumerate(talking[2])]
    footage.video = lambda: iter(frames)
    assert nearest not in chosen(footage, still(footage, gaps))[0]


def test_excess_is_what_must_be_closed_and_half_of_what_must_be_stretched():
    one, other = (MouthShapes(*np.array([[gap], [width], [9.0]])) for gap, width in ((6, 50), (1, 54)))
    assert one.excess(other)[0] == 5 + 2 and other.excess(one)[0] == 2


@pytest.mark.parametrize("seed", range(5))
def test_the_choice_costs_least_in_all(seed, monkeypatch):
    monkeypatch.setattr(module, "_CHANGE", 1.5)
    cost = np.random.default_rng(seed).uniform(0, 2, (7, 3))

    def price(path):
        return sum(cost[t, k] for t, k in enumerate(path)) + 1.5 * sum(a != b for a, b in zip(path, path[1:]))

    assert price(_steady(cost)) == pytest.approx(min(map(price, product(range(3), repeat=7))))


def test_wide_open_mouths_keep_their_own_lips_when_they_stay_so(footage, gaps):
    """The film's mouth is 40 mm open from frame 5 on; in the edit it closes there, and is as wide from frame 14 on."""
    opening = footage.model.extra["open"]
    per_mm = opening / lip_gap(np.tensordot(opening, footage.model.exp_basis, 1))
    closed = still(footage, gaps)
    wide = closed.expression + 40 * per_mm
    footage.motion = replace(footage.motion, expression=np.where(ALL[:, None] < 5, closed.expression, wide))
    after = replace(closed, expression=np.where(ALL[:, None] < 14, closed.expression, wide))
    footage.usable = ALL < 5  # as nobody tracked the others anew
    _, weights = chosen(footage, after)
    assert weights[6:10].sum(1).min() > 0.9 and weights[18:].sum(1).max() < 0.1
    assert np.abs(np.diff(weights.sum(1))).max() < 0.5


def test_there_are_no_more_donors_than_may_be(footage, gaps, monkeypatch):
    footage.shots = ALL // 5
    assert len(chosen(footage, still(footage, gaps))[0]) == 4
    monkeypatch.setattr(module, "_MOST", 2)
    donors, weights = chosen(footage, still(footage, gaps))
    assert len(donors) == 2 and set(np.flatnonzero(weights.any(1)) // 5) == set(footage.shots[donors])
