"""One process that makes videos, without a service: how it begins, ends, and who waits for it."""

import dataclasses
import os
import signal
import threading
from types import SimpleNamespace

import pytest
from service_client import PATIENCE, STUB, helpers_in_path, wait_for

from fd2talk.service import process
from fd2talk.service.folders import Folders
from fd2talk.service.limits import Limits
from fd2talk.service.process import Process


@pytest.fixture
def clock(monkeypatch):
    """Of those who watch processes: a list of one number of seconds, which pass when it is changed."""
    now = [1000.0]
    monkeypatch.setattr(process, "time", SimpleNamespace(monotonic=lambda: now[0]))
    return now


@pytest.fixture
def started(tmp_path):
    """Makes processes, by engine; those that still run are ended afterwards."""
    found = []

    def started(engine=STUB):
        limits = Limits(free_bytes=0)
        settings = {
            "folder": str(tmp_path), "engine": engine, "weights": "bundled", "device": "cpu", "threads": None,
            "limits": dataclasses.asdict(limits), "start": 1,
        }  # fmt: skip
        found.append(Process(settings, Folders(tmp_path, limits).work))
        with helpers_in_path():
            found[-1].begin()
        return found[-1]

    yield started
    for one in found:
        one.kill()


def test_it_ends_by_itself_when_it_is_told_to(started):
    one = started()
    assert one.runs() and one.ended() is None and one.trouble is None and not one.is_expected
    first, pid = one.name, one.pid
    one.order("wake")
    one.order("stop")
    assert wait_for(one.ended) == "ended with code 0"
    assert not one.rest(blamed=False) and one.pid is None and one.is_expected
    one.order("stop")  # nobody hears it
    with helpers_in_path():
        one.begin()
    assert one.name != first and one.pid != pid and len(one.name) > 8


def test_one_that_was_ended_from_here_says_why_and_is_not_blamed(started):
    one = started()
    assert not one.is_ending
    one.end("did not come further")
    assert one.is_ending and wait_for(one.ended) == "did not come further"
    assert not one.rest(blamed=True) and one.trouble is None and one.is_expected


def test_who_ends_again_and_again_without_a_video_waits_longer_and_longer(started, clock):
    one = started("service_engine:BrokenEngine")
    pauses = []
    for _ in range(3):
        assert wait_for(one.ended) == "ended with code 1"
        ended = clock[0]
        assert one.rest(blamed=True) and one.trouble == "a process that makes videos ended with code 1"
        while not one.is_expected:
            clock[0] += 0.01
        pauses.append(clock[0] - ended)
        with helpers_in_path():
            one.begin()
    assert pauses == pytest.approx([0.2, 0.4, 0.8], abs=0.02)
    one.end("")
    wait_for(lambda: one.ended() is not None)
    one.rest(blamed=False)
    one._settings["engine"] = STUB
    with helpers_in_path():
        one.begin()
    assert one.ended() is None and one.trouble  # it has to live for a while first
    clock[0] += 60
    assert one.ended() is None and one.trouble is None


@pytest.mark.skipif(os.name != "posix", reason="signals that stop a process")
def test_nobody_waits_for_one_that_stands_still(started):
    one = started()
    os.kill(one.pid, signal.SIGSTOP)
    ordering = threading.Thread(target=lambda: [one.order("wake") for _ in range(30_000)], daemon=True)
    ordering.start()  # more than the pipe takes
    ordering.join(PATIENCE)
    assert not ordering.is_alive()
    one.end("stood still")
    assert wait_for(one.ended) == "stood still"


@pytest.mark.usefixtures("clock")
def test_it_is_said_when_the_system_has_no_room_for_one(started, monkeypatch):
    one = started()
    one.order("stop")
    wait_for(one.ended)
    one.rest(blamed=False)

    def fail(*_, **__):
        raise OSError(12, "Cannot allocate memory")

    monkeypatch.setattr(process.subprocess, "Popen", fail)
    with pytest.raises(OSError, match="allocate"):
        one.begin()
    assert "Cannot allocate memory" in one.trouble and not one.is_expected and one.ended() is None
