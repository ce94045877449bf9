"""Cut and insert: whole frames, sound in sync, nothing heard of the seam."""

import numpy as np
import pytest

from shared.errors import InputError, UsageError
from stage1_motion.editing.timeline import Insert, edited_timeline

FRAME = 640


def tone(frames, step=0.0, rest=0):
    """A slow tone, its level rising; every sample tells its place."""
    return (0.2 * np.sin(np.arange(frames * FRAME + rest) / 900) + step).astype(np.float32)


def test_a_cut_removes_exactly_its_frames():
    sound = tone(100, rest=17)
    timeline = edited_timeline(sound, [(1.0, 1.8)])
    assert np.array_equal(timeline.origin, [*range(25), *range(45, 101)])
    assert len(timeline.sound) == len(sound) - 20 * FRAME
    assert np.array_equal(timeline.sound[: 25 * FRAME - 40], sound[: 25 * FRAME - 40])
    assert np.array_equal(timeline.sound[25 * FRAME + 40 :], sound[45 * FRAME + 40 :])
    assert np.array_equal(np.flatnonzero(timeline.seam), range(22, 28))


def test_an_insert_moves_everything_behind_by_whole_frames():
    sound, more = tone(100), tone(10, rest=1)
    timeline = edited_timeline(sound, inserts=[Insert(2.0, more)])
    assert np.array_equal(timeline.origin, [*range(50), *[-1] * 11, *range(50, 100)])
    assert np.array_equal(timeline.sound[61 * FRAME + 40 :], sound[50 * FRAME + 40 :])
    assert np.array_equal(timeline.sound[50 * FRAME + 40 : 60 * FRAME], more[40 : 10 * FRAME])
    assert np.array_equal(np.flatnonzero(timeline.seam), range(47, 64))


def test_several_at_once_in_times_of_the_original():
    sound = tone(100)
    timeline = edited_timeline(sound, [(3.0, 3.2), (0.4, 0.8)], [Insert(2.0, tone(5)), Insert(4.0, tone(1))])
    expected = [*range(10), *range(20, 50), *[-1] * 5, *range(50, 75), *range(80, 100), -1]
    assert np.array_equal(timeline.origin, expected)
    assert len(timeline.sound) == len(expected) * FRAME
    for frame, origin in enumerate(expected):
        if origin >= 0 and not timeline.seam[frame]:
            assert np.array_equal(
                timeline.sound[frame * FRAME : (frame + 1) * FRAME], sound[origin * FRAME : (origin + 1) * FRAME]
            )
            assert timeline.moved(origin) == frame
    assert timeline.moved(12) is None


def test_the_seam_is_crossfaded():
    """A jump of .5 between two pieces is spread over 5 ms."""
    sound = np.concatenate([tone(30), tone(70, step=0.5)])
    timeline = edited_timeline(sound, [(0.8, 2.0)])
    assert np.abs(np.diff(timeline.sound)).max() < 0.01
    assert np.abs(np.diff(np.concatenate([sound[: 20 * FRAME], sound[50 * FRAME :]]))).max() > 0.3


@pytest.mark.parametrize("cut", [(0.0, 1.0), (3.0, 4.0)])
def test_a_cut_at_an_end_leaves_no_seam(cut):
    timeline = edited_timeline(tone(100), [cut])
    assert len(timeline.origin) == 75 and not timeline.seam.any()


@pytest.mark.parametrize(
    "cuts, inserts, saying",
    [([(2, 1)], [], "reversed"), ([(3, 5)], [], "outside the motion, which lasts 4.00 s"), ([(-1, 2)], [], "outside"),
     ([(1, 2), (1.6, 3)], [], "overlap at 1.6 s"), ([(1, 2)], [1.6], "overlap at 1.6 s"), ([], [4.5], "outside"),
     ([(1, 1.01)], [], "no frame"), ([(0, 4)], [], "leaves nothing")],
)  # fmt: skip
def test_what_cannot_be_cut_or_inserted(cuts, inserts, saying):
    with pytest.raises(UsageError, match=saying):
        edited_timeline(tone(100), cuts, [Insert(time, tone(2)) for time in inserts])


def test_empty_sound():
    with pytest.raises(InputError, match="empty"):
        edited_timeline(tone(9), inserts=[Insert(0.1, np.zeros(0, np.float32))])
