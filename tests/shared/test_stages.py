"""Stages are timed where that is asked for, by frame, and nowhere else."""

import time
from types import SimpleNamespace

import pytest

from shared import stages as module
from shared.prefetch import prefetch_map
from shared.stages import Times, now, recorded, stage


@pytest.fixture
def sleep(monkeypatch):
    """Seconds that pass without work, on the clock of the stages: a computer may stand still on others."""
    past = [5.0]
    clock = SimpleNamespace(perf_counter=lambda: past[0], process_time=lambda: 1.0)
    monkeypatch.setattr(module, "time", clock)

    def sleep(seconds):
        past[0] += seconds

    return sleep


def test_median_by_frame_and_sum(sleep):
    def of(seconds, name="sleep", frames=1):
        with stage(name, frames):
            sleep(seconds)

    with recorded() as stages:
        begun = now()
        for seconds in (0.0, 0.04, 0.5):
            of(seconds)
        of(0.08, "batch", frames=4)
        sleep(1)
        whole = now() - begun
    of(0.1)
    times = stages.per_frame()
    assert list(times) == ["sleep", "batch"]
    assert times["sleep"].wall == pytest.approx(0.04) and times["sleep"].processor == 0
    assert times["batch"].wall == pytest.approx(0.02)
    assert stages.total().wall == pytest.approx(0.62) and whole.wall == pytest.approx(1.62)


def test_seconds_are_those_of_a_clock():
    with recorded() as stages, stage("sleep"):
        begun = now()
        time.sleep(0.05)
    slept = now() - begun
    assert 0.05 <= stages.per_frame()["sleep"].wall and 0.05 <= slept.wall and slept.processor < slept.wall


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


def test_a_stage_waits_for_what_it_began_but_only_while_stages_are_recorded(sleep):
    waits = []
    with recorded() as stages:
        with stage("begins", wait=lambda: waits.append(sleep(0.03))):
            pass
    assert len(waits) == 2 and stages.per_frame()["begins"].wall == pytest.approx(0.03)  # not what was begun before
    with stage("begins", wait=lambda: waits.append(0)):
        pass
    assert len(waits) == 2
