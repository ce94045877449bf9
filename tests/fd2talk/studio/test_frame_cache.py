from dataclasses import replace

import numpy as np
import pytest
from material import nodding_motion

from fd2talk.studio.frame_cache import FrameCache, Room, frame_names

ARRAYS = ("expression", "rotation", "translation")


class Painter:
    """Draws noise that the numbers of a frame seed; `drawn` counts frames."""

    def __init__(self):
        self.drawn, self.closed = 0, 0

    def __call__(self, motion):
        try:
            for row in motion.expression:
                self.drawn += 1
                yield np.random.default_rng(abs(int(row[0] * 1e6)) + 1).integers(0, 256, (32, 48, 3), np.uint8)
        finally:
            self.closed += 1


@pytest.fixture
def motion():
    motion = nodding_motion(20)
    motion.expression[:, 0] = np.linspace(0, 1, 20)
    return motion


def shown(painter, motion):
    return np.stack([*Painter()(motion)])


def test_frames_come_in_order_and_without_loss_and_only_changed_ones_are_drawn(tmp_path, motion):
    painter = Painter()
    cache = FrameCache(tmp_path / "frames", painter)
    told = []
    assert cache.missing(motion) == 20
    assert np.array_equal(np.stack([*cache.frames(motion, told.append)]), shown(painter, motion))
    assert told == [*range(1, 21)] and painter.drawn == 20 and cache.missing(motion) == 0
    assert np.array_equal(np.stack([*cache.frames(motion)]), shown(painter, motion)) and painter.drawn == 20

    edited = replace(motion, expression=motion.expression.copy())
    edited.expression[[4, 5, 17], 0] += 0.013
    assert cache.missing(edited) == 3
    assert np.array_equal(np.stack([*cache.frames(edited)]), shown(painter, edited)) and painter.drawn == 23


def test_frames_are_found_after_cuts_and_inserts(tmp_path, motion):
    painter = Painter()
    cache = FrameCache(tmp_path, painter)
    list(cache.frames(motion))
    order = [0, 1, 2, 2, 2, 9, 10, 19, 3]
    moved = replace(motion, **{name: getattr(motion, name)[order] for name in ARRAYS})
    assert np.array_equal(np.stack([*cache.frames(moved)]), shown(painter, moved)) and painter.drawn == 20


def test_the_same_frame_twice_is_drawn_once(tmp_path, motion):
    painter = Painter()
    still = replace(motion, **{name: getattr(motion, name)[[3] * 20] for name in ARRAYS})
    assert len([*FrameCache(tmp_path, painter).frames(still)]) == 20 and painter.drawn == 1


def test_any_number_that_differs_makes_another_frame(motion):
    names = frame_names(motion)
    assert len(set(names)) == 20
    for name in ARRAYS:
        values = getattr(motion, name).copy()
        values[7, -1] = np.nextafter(values[7, -1], np.float32(9))
        differs = np.array(frame_names(replace(motion, **{name: values}))) != names
        assert np.flatnonzero(differs).tolist() == [7]


def test_the_cache_is_bounded_and_the_video_is_complete_nevertheless(tmp_path, motion):
    painter = Painter()
    cache = FrameCache(tmp_path, painter, room=Room(20_000))  # about four frames of noise
    assert np.array_equal(np.stack([*cache.frames(motion)]), shown(painter, motion))
    files = {*tmp_path.iterdir()}
    assert 1 < len(files) < 10 and sum(file.stat().st_size for file in files) <= 20_000
    assert np.array_equal(np.stack([*cache.frames(motion)]), shown(painter, motion))
    assert painter.drawn == 40 - len(files) and {*tmp_path.iterdir()} == files  # those that fit stay
    other = replace(motion, expression=motion.expression + np.float32(0.0125))
    assert np.array_equal(np.stack([*cache.frames(other)]), shown(painter, other))
    assert not {*tmp_path.iterdir()} & files  # what is no longer there has made room
    assert sum(file.stat().st_size for file in tmp_path.iterdir()) <= 20_000


def test_who_stops_early_ends_the_drawing_and_keeps_what_was_drawn(tmp_path, motion):
    painter = Painter()
    cache = FrameCache(tmp_path, painter)
    frames = cache.frames(motion)
    for _ in range(6):
        next(frames)
    frames.close()
    assert painter.closed == 1 and cache.missing(motion) == 14


def test_caches_in_one_room_are_bounded_together_and_the_one_in_use_has_it(tmp_path, motion):
    room, painter = Room(20_000), Painter()
    one, other = (FrameCache(tmp_path / name, painter, room=room) for name in ("one", "other"))
    list(one.frames(motion))
    kept = one.size
    assert 15_000 < kept <= 20_000
    assert np.array_equal(np.stack([*other.frames(motion)]), shown(painter, motion))
    assert one.size == 0 and other.size == kept and not [*(tmp_path / "one").iterdir()]
    assert np.array_equal(np.stack([*one.frames(motion)]), shown(painter, motion))  # it comes back
    assert one.size + other.size == room.taken <= 20_000
    room.left(one)
    assert room.taken == other.size
