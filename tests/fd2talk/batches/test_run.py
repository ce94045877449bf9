import os

import pytest

from fd2talk.batches.run import cores, shares


def test_workers_and_threads_use_each_core_once(monkeypatch):
    monkeypatch.setattr("fd2talk.batches.run.cores", lambda: 8)
    assert shares(None, None, "cpu") == (8, 1)
    assert shares(2, None, "cpu") == (2, 4)
    assert shares(3, None, "cpu") == (3, 2)
    assert shares(16, None, "cpu") == (16, 1)
    assert shares(None, 3, "cpu") == (2, 3)
    assert shares(None, 9, "cpu") == (1, 9)
    assert shares(5, 5, "cpu") == (5, 5)
    assert shares(None, None, "cuda") == (1, 8)
    assert shares(2, None, "cuda") == (2, 4)


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system does not tell")
def test_cores_are_those_that_the_process_may_use():
    allowed = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, {min(allowed)})
        assert cores() == 1
    finally:
        os.sched_setaffinity(0, allowed)
    assert cores() == len(allowed)
