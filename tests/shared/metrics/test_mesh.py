"""Mesh metrics against slow loops written from the papers' words, and their invariances."""

import time
from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest

from shared.errors import InputError
from shared.face_model import load_bundled
from shared.metrics.mesh import (
    dynamics_deviation,
    inner_lip_pair,
    lip_dtw,
    lip_errors,
    lip_vertex_error,
    mouth_opening,
    mouth_opening_difference,
    sample_diversity,
    vertex_error,
)

T, N = 12, 9
LIPS, UPPER, PAIR = np.array([1, 4, 5, 7]), np.array([0, 2, 8]), (4, 7)
RNG = np.random.default_rng(0)
NEUTRAL = RNG.normal(0, 30, (N, 3))
REAL = NEUTRAL + RNG.normal(0, 2, (T, N, 3))
GENERATED = NEUTRAL + RNG.normal(0, 1, (T, N, 3))
FIGURES = {
    "lve": lambda generated, real: lip_vertex_error(generated, real, LIPS),
    "l2": lambda generated, real: vertex_error(generated, real),
    "l2_lip": lambda generated, real: vertex_error(generated, real, LIPS),
    "mod": lambda generated, real: mouth_opening_difference(generated, real, PAIR),
    "dtw": lambda generated, real: lip_dtw(generated, real, LIPS),
}


def fdd(generated, real, neutral=NEUTRAL):
    return dynamics_deviation(generated, real, UPPER, neutral, neutral)


def length(a, b):
    return sum((float(x) - float(y)) ** 2 for x, y in zip(a, b)) ** 0.5


def test_lve_is_the_worst_lip_vertex_of_each_frame():
    worst = [max(length(GENERATED[t, v], REAL[t, v]) for v in LIPS) for t in range(T)]
    assert lip_errors(GENERATED, REAL, LIPS) == pytest.approx(worst, abs=1e-4)
    assert lip_vertex_error(GENERATED, REAL, LIPS) == pytest.approx(sum(worst) / T, abs=1e-4)


def test_mean_vertex_error():
    every = [length(GENERATED[t, v], REAL[t, v]) for t in range(T) for v in range(N)]
    assert vertex_error(GENERATED, REAL) == pytest.approx(sum(every) / len(every), abs=1e-4)
    lips = [length(GENERATED[t, v], REAL[t, v]) for t in range(T) for v in LIPS]
    assert vertex_error(GENERATED, REAL, LIPS) == pytest.approx(sum(lips) / len(lips), abs=1e-4)


def spread(moving, neutral, v):
    moved = [length(frame[v], neutral[v]) for frame in moving]
    middle = sum(moved) / T
    return (sum((m - middle) ** 2 for m in moved) / T) ** 0.5


def test_fdd_compares_how_much_the_upper_face_moves():
    other = NEUTRAL + 3  # another neutral face for the generated one
    by_hand = sum(spread(REAL, NEUTRAL, v) - spread(GENERATED, other, v) for v in UPPER) / len(UPPER)
    assert dynamics_deviation(GENERATED, REAL, UPPER, other, NEUTRAL) == pytest.approx(by_hand, abs=1e-4)
    still = np.repeat(NEUTRAL[None], T, 0)
    assert fdd(still, REAL) > 0 > fdd(REAL, still) == pytest.approx(-fdd(still, REAL))  # positive: less lively
    assert fdd(GENERATED * 3, REAL * 3, NEUTRAL * 3) == pytest.approx(3 * fdd(GENERATED, REAL))


def squared_length(a, b):
    return sum((float(x) - float(y)) ** 2 for x, y in zip(a, b))


def test_codetalker_s_lve_and_fdd_are_of_squared_lengths():
    worst = [max(squared_length(GENERATED[t, v], REAL[t, v]) for v in LIPS) for t in range(T)]
    assert lip_vertex_error(GENERATED, REAL, LIPS, squared=True) == pytest.approx(sum(worst) / T, abs=1e-4)
    difference = 0.0
    for v in UPPER:
        for sign, moving in ((1, REAL), (-1, GENERATED)):
            moved = [squared_length(frame[v], NEUTRAL[v]) for frame in moving]
            middle = sum(moved) / T
            difference += sign * (sum((m - middle) ** 2 for m in moved) / T) ** 0.5
    neutral = (UPPER, NEUTRAL, NEUTRAL)
    found = dynamics_deviation(GENERATED, REAL, *neutral, squared=True)
    assert found == pytest.approx(difference / len(UPPER), abs=1e-4) and found > 0
    assert dynamics_deviation(REAL, GENERATED, *neutral, squared=True) == pytest.approx(-found)


def test_mouth_opening_difference():
    opening = [[length(frame[PAIR[0]], frame[PAIR[1]]) for frame in moving] for moving in (GENERATED, REAL)]
    assert mouth_opening(GENERATED, *PAIR) == pytest.approx(opening[0], abs=1e-4)
    by_hand = sum(abs(a - b) for a, b in zip(*opening)) / T
    assert mouth_opening_difference(GENERATED, REAL, PAIR) == pytest.approx(by_hand, abs=1e-4)


def slow_dtw(generated, real, band=None):
    """The textbook table, then the way back through it."""
    cost = [[sum(length(a[v], b[v]) for v in LIPS) / len(LIPS) for b in real] for a in generated]
    table = {}
    for i in range(len(generated)):
        for j in range(len(real)):
            if band is not None and abs(i - j) > band:
                continue
            ways = [table[p] for p in ((i - 1, j - 1), (i - 1, j), (i, j - 1)) if p in table]
            table[i, j] = cost[i][j] + (min(ways) if ways else 0)
    at, steps = (len(generated) - 1, len(real) - 1), 1
    while at != (0, 0):
        i, j = at
        at = min((p for p in ((i - 1, j - 1), (i - 1, j), (i, j - 1)) if p in table), key=table.get)
        steps += 1
    return table[len(generated) - 1, len(real) - 1] / steps


@pytest.mark.parametrize("band", [None, 0, 1, 2, 5])
def test_dtw_against_the_textbook(band):
    real = np.cumsum(REAL - NEUTRAL, 0)
    generated = np.cumsum(GENERATED - NEUTRAL, 0) * 2
    assert lip_dtw(generated, real, LIPS, band) == pytest.approx(slow_dtw(generated, real, band), abs=1e-4)


def test_dtw_without_room_is_the_plain_error_and_never_exceeds_it():
    assert lip_dtw(GENERATED, REAL, LIPS, band=0) == pytest.approx(vertex_error(GENERATED, REAL, LIPS), abs=1e-4)
    assert lip_dtw(GENERATED, REAL, LIPS) <= vertex_error(GENERATED, REAL, LIPS) + 1e-4


def test_dtw_forgives_a_delay():
    smooth = np.cumsum(np.random.default_rng(1).normal(size=(70, N, 3)), 0)
    generated, real = smooth[:60], smooth[5:65]
    plain = vertex_error(generated, real, LIPS)
    assert lip_dtw(generated, real, LIPS) < 0.4 * plain
    assert lip_dtw(generated, real, LIPS, band=2) > lip_dtw(generated, real, LIPS, band=8)


def test_dtw_of_three_hundred_frames_is_quick():
    frames = np.random.default_rng(2).normal(size=(300, 80, 3))
    began = time.process_time()
    lip_dtw(frames, frames[::-1], np.arange(80))
    assert time.process_time() - began < 2  # well under one on a machine of today


@pytest.mark.parametrize("name", FIGURES)
def test_invariances(name):
    figure = FIGURES[name]
    plain = figure(GENERATED, REAL)
    assert plain > 0 and figure(REAL, REAL) == pytest.approx(0, abs=1e-9)
    assert figure(2.5 * GENERATED, 2.5 * REAL) == pytest.approx(2.5 * plain, rel=1e-4)  # scales with the millimetre
    assert figure(GENERATED + 7, REAL + 7) == pytest.approx(plain, rel=1e-4)  # both moved alike
    assert figure(GENERATED.astype(np.float32), REAL.astype(np.float32)) == pytest.approx(plain, rel=1e-4)
    broken = GENERATED.copy()
    broken[3] = np.nan
    assert np.isnan(figure(broken, REAL))


def test_fdd_sees_dynamics_and_nothing_else():
    plain = fdd(GENERATED, REAL)
    assert plain != 0 and fdd(REAL, REAL) == 0
    assert fdd(GENERATED + 7, REAL + 7, NEUTRAL + 7) == pytest.approx(plain, rel=1e-4)
    assert fdd(GENERATED[::-1], REAL) == pytest.approx(plain, rel=1e-4)  # the order of frames is nothing to it
    broken = GENERATED.copy()
    broken[3] = np.nan
    assert np.isnan(fdd(broken, REAL)) and np.isnan(fdd(REAL, broken))


def test_a_single_frame():
    generated, real = GENERATED[:1], REAL[:1]
    worst = max(length(generated[0, v], real[0, v]) for v in LIPS)
    assert lip_vertex_error(generated, real, LIPS) == pytest.approx(worst)
    assert lip_dtw(generated, real, LIPS) == pytest.approx(vertex_error(generated, real, LIPS), rel=1e-4)
    assert fdd(generated, real) == 0  # nothing has moved


def test_a_constant_offset():
    offset = REAL + np.array([3.0, 4.0, 0.0])
    for name in ("lve", "l2", "l2_lip"):
        assert FIGURES[name](offset, REAL) == pytest.approx(5)
    assert FIGURES["mod"](offset, REAL) == pytest.approx(0, abs=1e-9)
    assert dynamics_deviation(offset, REAL, UPPER, NEUTRAL + [3, 4, 0], NEUTRAL) == pytest.approx(0, abs=1e-9)


def test_diversity_is_the_mean_distance_of_all_pairs():
    samples = np.random.default_rng(3).normal(size=(4, 5, 6))
    by_hand = [np.mean([length(a[t], b[t]) for t in range(5)]) for a, b in combinations(samples, 2)]
    assert sample_diversity(samples) == pytest.approx(np.mean(by_hand), abs=1e-4)
    assert sample_diversity(samples[::-1] * 2 + 1) == pytest.approx(2 * np.mean(by_hand), abs=1e-4)
    assert sample_diversity(np.repeat(samples[:1], 3, 0)) == 0
    meshes = np.stack([GENERATED, REAL])
    assert sample_diversity(meshes) == pytest.approx(vertex_error(GENERATED, REAL))


def test_the_pair_of_inner_lips():
    model = load_bundled()
    assert inner_lip_pair(model) == (13, 14)
    # The same choice without knowing the mesh, on a fine ring (here the closed lips' middle rows) and on a coarse one.
    for ring in ((78, 82, 13, 312, 308, 317, 14, 87), (308, 13, 14, 78), (78, 13, 308, 14, 0)):
        foreign = replace(model, groups={"inner_lips": np.array(ring)})
        assert inner_lip_pair(foreign)[1] == 14 and inner_lip_pair(foreign)[0] in (13, 0)
    with pytest.raises(InputError, match="no group"):
        inner_lip_pair(replace(model, groups={}))
    with pytest.raises(InputError, match="no expression"):
        inner_lip_pair(replace(model, groups={"inner_lips": np.array([13, 13, 13])}))


@pytest.mark.parametrize("name", FIGURES)
def test_unlike_shapes_are_refused(name):
    for generated in (GENERATED[:-1], GENERATED[:, :-1], GENERATED[..., :2], GENERATED[:0]):
        with pytest.raises(InputError) as error:
            FIGURES[name](generated, REAL)
        assert "\n" not in str(error.value)


def test_other_unusable_input():
    for lips in (np.array([N]), np.array([-1]), np.zeros(0, int), np.array([0.5])):
        with pytest.raises(InputError, match="vertex"):
            lip_vertex_error(GENERATED, REAL, lips)
    with pytest.raises(InputError, match=r"contains vertex -1, but the mesh has 9"):
        lip_vertex_error(GENERATED, REAL, np.array([3, -1]))
    with pytest.raises(InputError, match="neutral"):
        dynamics_deviation(GENERATED, REAL, UPPER, NEUTRAL[:-1], NEUTRAL)
    with pytest.raises(InputError, match="band"):
        lip_dtw(GENERATED, REAL, LIPS, band=-1)
    with pytest.raises(InputError, match="two samples"):
        sample_diversity(GENERATED[None])
    with pytest.raises(InputError, match="samples"):
        sample_diversity(np.zeros((3, 4)))
