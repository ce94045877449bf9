"""Which frame is painted next, and which picture is shown while one is missing."""

import numpy as np
import pytest

from fd2talk.live.frames import Plan

IMAGE = np.zeros((2, 2, 3), np.uint8)


@pytest.fixture
def plan():
    plan = Plan()
    for number in range(6):
        plan.add(None, f"motion {number}")
    return plan


def painted(plan, frame, seconds):
    plan.painted(frame, frame.version, IMAGE + frame.index, seconds)


def indices(frames):
    return [frame.index for frame in frames]


def test_frames_are_painted_in_order(plan):
    for number in (0, 2, 4):
        frames = plan.to_paint(paced=False)
        assert [frame.index for frame in frames] == [number, number + 1]
        for frame in frames:
            frame.taken = True
    assert plan.to_paint(paced=False) == []


def test_what_cannot_be_ready_in_time_is_left_out_where_frames_are_paced(plan):
    for _ in range(30):
        painted(plan, plan.frames[0], 0.1)
    plan.frames[0].image = None
    assert indices(plan.to_paint(paced=False)) == [0, 1]
    assert indices(plan.to_paint(paced=True)) == [2]  # due in 0.12 s: one, but not two of them, which take 0.2 s
    plan.frames[2].taken = plan.frames[3].taken = True
    assert indices(plan.to_paint(paced=True)) == [4, 5]
    for _ in range(60):
        painted(plan, plan.frames[0], 1.0)
    plan.frames[0].image = None
    assert indices(plan.to_paint(paced=True)) == [5]  # as good as it gets


def test_a_picture_of_another_motion_is_thrown_away(plan):
    frame = plan.to_paint(paced=False)[0]
    version = frame.version
    frame.replace_motion("closing")
    plan.painted(frame, version, IMAGE, 0.0)
    assert frame.image is None and plan.latest is None
    assert plan.to_paint(paced=False)[0] is frame


def test_while_a_picture_is_missing_the_one_before_is_shown(plan):
    painted(plan, plan.frames[0], 0)
    painted(plan, plan.frames[2], 0)
    assert plan.take()[1].max() == 0
    late = plan.frames[0]
    frame, image = plan.take()
    assert (frame.index, image.max()) == (1, 0)  # not the one after it
    assert plan.take()[1].max() == 2
    painted(plan, late, 0)  # older than what has been shown
    assert plan.take()[1].max() == 2
    painted(plan, frame := plan.frames[0], 0)
    painted(plan, plan.frames[1], 0)
    assert (plan.take()[0], plan.take()[1].max()) == (frame, 5)


def test_frames_behind_an_interruption_wait_for_their_motion(plan):
    for frame in plan.frames:
        painted(plan, frame, 0)
    assert plan.silence() == 1
    assert [frame.image is None for frame in plan.frames] == [False, *[True] * 5]
    assert plan.to_paint(paced=False) == []
    plan.frames[1].replace_motion("closing")
    assert plan.to_paint(paced=False)[0].motion == "closing"
