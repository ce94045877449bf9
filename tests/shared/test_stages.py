"""Stages are timed where that is asked for, by frame, and nowhere else."""

import time

from shared.prefetch import prefetch_map
from shared.stages import Times, now, recorded, stage


def sleep(seconds, name="sleep", frames=1):
    with stage(name, frames):
        time.sleep(seconds)


def test_median_by_frame_and_sum():
    with recorded() as stages:
        begun = now()
        for seconds in (0.0, 0.04, 0.5):
            sleep(seconds)
        sleep(0.08, "batch", frames=4)
        whole = now() - begun
    sleep(0.1)
    times = stages.per_frame()
    assert list(times) == ["sleep", "batch"]
    assert 0.04 <= times["sleep"].wall < 0.5 and times["sleep"].processor < 0.03
    assert 0.02 <= times["batch"].wall < 0.08
    assert 0.62 <= stages.total().wall <= whole.wall


def test_processor_time_is_that_of_work():
    with recorded() as stages, stage("work"):
        begun = time.process_time()
        while time.process_time() - begun < 0.05:
            pass
    assert 0.05 <= stages.per_frame()["work"].processor < 0.5
    assert Times(3, 2) - Times(1, 0.5) == Times(2, 1.5) and Times(3, 2) * 2 == Times(6, 4)


def test_without_workers_each_item_waits_until_it_is_asked_for():
    done = []
    results = prefetch_map(lambda a, b: done.append(a) or a * b, range(4), range(1, 5), workers=0, prefetch=3, name="x")
    assert (next(results), next(results)) == (0, 2) and done == [0, 1]
    assert list(results) == [6, 12]


def test_a_stage_waits_for_what_it_began_but_only_while_stages_are_recorded():
    waits = []
    with recorded() as stages:
        with stage("begins", wait=lambda: waits.append(time.sleep(0.03))):
            pass
    assert len(waits) == 2 and 0.03 <= stages.per_frame()["begins"].wall < 0.06  # not what was begun before
    with stage("begins", wait=lambda: waits.append(0)):
        pass
    assert len(waits) == 2
