"""Work shared among processes."""

import os
import signal
import subprocess
import sys
import time

import psutil
import pytest

from fd2talk.processes import in_processes
from shared.errors import Fd2TalkError

SLOW = """
import sys, time
from pathlib import Path
from fd2talk.processes import in_processes
from fd2talk.terminal import Stopped, signals
from shared.files import atomic_output

def slow(path):
    with atomic_output(path) as temporary:
        Path(temporary).with_suffix(".begun").touch()
        time.sleep(600)

unlink = Path.unlink

def slowly(path, *arguments, **named):  # so that a second request meets the clean-up
    time.sleep(0.5)
    unlink(path, *arguments, **named)

Path.unlink = slowly

if __name__ == "__main__":
    try:
        with signals():
            in_processes(slow, [(sys.argv[1] + f"/{n}.txt",) for n in range(4)], 1, "files", "file")
    except Stopped as stopped:
        sys.exit(stopped.exit_code)
"""


def test_a_killed_process_is_reported_in_one_sentence():
    with pytest.raises(Fd2TalkError, match="a worker process was killed.*memory"):
        in_processes(os._exit, [(9,)], 1, "files", "file")


@pytest.fixture
def running(tmp_path):
    """A command whose worker process is in the middle of a file."""
    (tmp_path / "slow.py").write_text(SLOW)
    (tmp_path / "out").mkdir()
    command = [sys.executable, str(tmp_path / "slow.py"), str(tmp_path / "out")]
    running = subprocess.Popen(command, start_new_session=True, stderr=subprocess.DEVNULL)
    try:
        until = time.monotonic() + 600
        while not list((tmp_path / "out").glob(".*.begun")):
            assert time.monotonic() < until
            time.sleep(0.1)
        yield running
    finally:
        running.kill()


@pytest.mark.parametrize("send", [os.kill, os.killpg])
def test_a_stop_ends_the_running_work_and_leaves_no_file(tmp_path, running, send):
    """Whether the signal goes to the command alone or to all of its processes, as schedulers of clusters do."""
    send(running.pid, signal.SIGTERM)
    assert running.wait(600) == 128 + signal.SIGTERM
    assert [path.suffix for path in (tmp_path / "out").iterdir()] == [".begun"]


def test_nobody_works_for_a_killed_command_and_no_file_is_left(tmp_path, running):
    workers = psutil.Process(running.pid).children(recursive=True)
    assert workers
    running.kill()
    running.wait()
    ended, alive = psutil.wait_procs(workers, timeout=120)
    for worker in alive:
        worker.kill()
    assert not alive
    assert [path.suffix for path in (tmp_path / "out").iterdir()] == [".begun"]
