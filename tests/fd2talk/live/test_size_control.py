"""Frames become smaller at once where the machine is too slow, and larger with patience."""

import itertools

from fd2talk.live.size_control import SizeControl

SECOND = 25


def changes(control, late):
    """Sizes and at which frame, for a function from frame and size to whether it is late."""
    found = []
    for frame in range(1000 * SECOND):
        if (size := control.seen(late(frame, control.size))) is not None:
            found.append((frame / SECOND, size))
            control.changed()
    return found


def test_frames_in_time_change_nothing():
    assert changes(SizeControl(512), lambda frame, size: False) == []


def test_a_hiccup_of_half_a_second_changes_nothing():
    assert changes(SizeControl(512), lambda frame, size: 100 <= frame < 113) == []


def test_a_machine_that_is_too_slow_for_a_time_comes_back():
    found = changes(SizeControl(512), lambda frame, size: frame < 200)
    assert [size for _, size in found] == [384, 256, 384, 512]
    lowered, raised = found[1][0], found[2][0]
    assert lowered < 5 and 30 <= raised - lowered < 40


def test_a_size_that_is_too_large_is_tried_less_and_less_often():
    found = changes(SizeControl(512), lambda frame, size: size == 512)
    tries = [time for time, size in found if size == 512]
    pauses = [round(b - a) for a, b in itertools.pairwise(tries)]
    assert len(tries) in (4, 5) and all(1.8 < b / a < 2.2 for a, b in itertools.pairwise(pauses))
    assert {size for _, size in found} == {384, 512}


def test_it_is_never_larger_than_asked_for():
    assert changes(SizeControl(300), lambda frame, size: frame < 50)[-1][1] == 300
    control = SizeControl(512)
    control.ask(256)
    assert changes(control, lambda frame, size: False) == []


def test_the_smallest_size_stays():
    assert changes(SizeControl(200), lambda frame, size: True) == []


def test_one_late_frame_in_ten_is_too_many_to_grow():
    control = SizeControl(512)
    while control.seen(True) is None:
        pass
    assert changes(control, lambda frame, size: frame % 10 == 0) == []


def test_frames_while_a_size_is_prepared_do_not_count():
    control = SizeControl(512)
    while control.seen(True) is None:
        pass
    assert control.size == 384 and not any(control.seen(True) for _ in range(200))
    control.changed()
    assert not any(control.seen(True) for _ in range(49)) and control.seen(True) == 256
