import numpy as np
import pytest

from shared.errors import InputError
from stage2_render.editing.sources import sources


def plan(source_index, changed, *, seen=40, cut=None, unseen=()):
    usable = np.ones(seen, bool)
    usable[list(unseen)] = False
    shots = np.zeros(seen, int) if cut is None else (np.arange(seen) >= cut).astype(int)
    return sources(np.array(source_index), np.isin(np.arange(len(source_index)), list(changed)), usable, shots)


def test_a_changed_frame_is_drawn_from_the_one_that_was_there_and_others_are_kept():
    assert plan(range(6), {2, 3}) == [[], [], [(2, 1.0)], [(3, 1.0)], [], []]
    assert plan(range(6), {2, 3}, unseen=[3])[3] == []


def test_inserted_frames_pass_from_the_frame_before_into_the_one_behind():
    found = plan([*range(10), *[-1] * 30, *range(10, 20)], range(8, 42))
    assert found[8] == [(8, 1.0)] and found[41] == [(11, 1.0)]
    assert found[10] == found[12] == [(9, 1.0)] and found[37] == found[39] == [(10, 1.0)]
    shares = [dict(one).get(10, 0.0) for one in found[10:40]]
    assert shares == sorted(shares) and sum(0 < share < 1 for share in shares) == 24
    assert all(dict(one).get(9, 0.0) == pytest.approx(1 - share) for one, share in zip(found[10:40], shares))
    assert shares[14] + shares[15] == pytest.approx(1)


def test_behind_the_end_and_before_the_beginning_one_frame_remains():
    assert plan([0, 1, 2, -1, -1], {3, 4}, seen=3)[3:] == [[(2, 1.0)], [(2, 1.0)]]
    assert plan([-1, 0, 1], {0}, seen=2)[0] == [(0, 1.0)]
    assert plan([0, 1, 2, 3, -1], {4}, seen=4, unseen=[2, 3])[4] == [(1, 1.0)]


def test_inserted_frames_are_drawn_from_open_eyes():
    """The frames 8 to 10 blink; a blink of half a second has no frame near it that does not."""
    source, changed = np.array([*range(10), -1, *range(10, 20)]), np.arange(21) == 10
    every, shots = np.ones(20, bool), np.zeros(20, int)
    found = sources(source, changed, every, shots, ~np.isin(np.arange(20), (8, 9, 10)))
    assert [index for index, _ in found[10]] == [7, 11]
    assert [index for index, _ in sources(source, changed, every, shots, ~every)[10]] == [9, 10]


def test_both_sides_of_a_removed_part_go_on_where_frames_are_drawn():
    """Frames 10 to 19 are removed: four frames on one side of the seam are drawn, and two on the other."""
    found = plan([*range(10), *range(20, 30)], range(6, 12))
    assert all(found[i] == [] for i in (*range(6), *range(12, 20)))
    pairs = [(6, 16), (7, 17), (8, 18), (9, 19), (10, 20), (11, 21)]
    assert [tuple(index for index, _ in one) for one in found[6:12]] == pairs
    right = [one[1][1] for one in found[6:12]]
    assert right == sorted(right) and 0 < right[0] < 0.05 and 0.95 < right[-1] < 1
    assert all(sum(weight for _, weight in one) == pytest.approx(1) for one in found[6:12])


def test_nothing_is_mixed_across_a_cut():
    assert plan([*range(10), *range(20, 30)], range(6, 12), cut=15)[6:12] == [
        [(i, 1.0)] for i in (*range(6, 10), 20, 21)
    ]
    found = plan([*range(10), *[-1] * 4, *range(10, 20)], range(10, 14), cut=10)
    assert found[10:14] == [[(9, 1.0)], [(9, 1.0)], [(10, 1.0)], [(10, 1.0)]]


def test_requests_that_cannot_be_met():
    with pytest.raises(InputError, match="no face near 0.12 s"):
        plan([0, 1, 2, -1], {3}, seen=3, unseen=[0, 1, 2])
    with pytest.raises(ValueError, match="only frames of the video"):
        plan([0, -1], set())
    with pytest.raises(ValueError, match="only frames of the video"):
        plan([0, 40], {1})
