"""Processes of `fd2talk batch`: each of them imports everything, which takes seconds."""

import os
import signal
import time
from contextlib import closing
from pathlib import Path

import psutil
import pytest
from batch_tables import write_table
from material import portrait, short_speech, write_wav
from stub_generator import StubGenerator, calls

from fd2talk.batches.job import FAILED, MADE, Outcome
from fd2talk.batches.local_workers import in_workers
from fd2talk.batches.maker import Settings
from fd2talk.batches.manifest import read_manifest
from fd2talk.batches.plan import plan


@pytest.fixture
def table(tmp_path):
    """Writes a manifest, with the files that it names."""
    portrait().save(tmp_path / "photo.png")
    audio = write_wav(tmp_path / "speech.wav", short_speech())
    return lambda *rows: write_table(tmp_path, tmp_path / "photo.png", audio, rows)


@pytest.fixture
def settings(tmp_path):
    """Of a run with the stub."""
    made = Settings(str(tmp_path / "out"), "run", generator=StubGenerator)
    made.make_folders()
    return made


@pytest.fixture
def jobs(table, settings):
    return lambda *rows: plan(read_manifest(str(table(*rows))), Path(settings.out), "bundled")


def outcomes(events):
    return {event.row: event for event in events if isinstance(event, Outcome)}


def test_workers_take_turns_and_tell_how_far_they_are(jobs, settings, tmp_path):
    wanted = jobs(*(f"in/slow{n}.png,in/a.wav" for n in range(2)), *(f"in/p{n}.png,in/a.wav" for n in range(4)))
    events = [*in_workers(wanted, settings, 2)]
    found = outcomes(events)
    assert {outcome.state for outcome in found.values()} == {MADE} and len(found) == 6
    workers = [outcome.worker for outcome in found.values()]
    assert len(set(workers)) == 2 and str(os.getpid()) not in {worker.split(":")[-1] for worker in workers}
    told = [(event[0].row, *event[1:]) for event in events if isinstance(event, tuple)]
    assert {row for row, *_ in told} >= {"2", "3"} and all(0 < done <= total == 10 for _, done, total in told)
    assert calls(tmp_path / "in") == 6


def test_a_process_that_dies_is_replaced_and_its_row_tried_once_more(jobs, settings, tmp_path):
    wanted = jobs("in/dies-once.png,in/a.wav", "in/dies.png,in/a.wav", "in/p.png,in/a.wav")
    found = outcomes(in_workers(wanted, settings, 1))
    assert {row: outcome.state for row, outcome in found.items()} == {"2": MADE, "3": FAILED, "4": MADE}
    assert "killed (SIGKILL), 2 times; possibly out of memory" in found["3"].error
    assert [calls(tmp_path / "in", stem) for stem in ("dies-once", "dies.", "p.")] == [2, 2, 1]
    assert not (tmp_path / "out" / found["3"].output).exists()


def test_closing_ends_the_processes_and_removes_what_is_unfinished(jobs, settings, monkeypatch):
    monkeypatch.setattr("fd2talk.batches.local_workers._JOIN_SECONDS", 120.0)
    with closing(in_workers(jobs("in/held.png,in/a.wav", "in/held2.png,in/a.wav"), settings, 2)) as events:
        next(events)
        workers = [child for child in psutil.Process().children() if "spawn_main" in " ".join(child.cmdline())]
        assert len(workers) == 2 and [*settings.parts.iterdir()]
    assert not any(worker.is_running() and worker.status() != psutil.STATUS_ZOMBIE for worker in workers)
    assert not [*settings.parts.iterdir()] and not [*Path(settings.out).glob("*.mp4")]


ORPHANS = """
import sys
from pathlib import Path
from fd2talk.batches.local_workers import in_workers
from fd2talk.batches.maker import Settings
from fd2talk.batches.manifest import read_manifest
from fd2talk.batches.plan import plan
from stub_generator import StubGenerator

if __name__ == "__main__":
    out = Path(sys.argv[2])
    settings = Settings(str(out), "run", generator=StubGenerator)
    settings.make_folders()
    for event in in_workers(plan(read_manifest(sys.argv[1]), out, "bundled"), settings, 2):
        print("working", flush=True)
"""


def test_a_killed_parent_leaves_no_process(table, tmp_path):
    (tmp_path / "run.py").write_text(ORPHANS)
    manifest = table("in/held.png,in/a.wav", "in/held2.png,in/a.wav")
    import subprocess
    import sys

    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, str(tmp_path / "run.py"), str(manifest), str(tmp_path / "out")]
    running = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
    try:
        assert running.stdout.readline() == "working\n"
        workers = psutil.Process(running.pid).children(recursive=True)
        assert len(workers) >= 2
    finally:
        os.kill(running.pid, signal.SIGKILL)
        running.wait()
        running.stdout.close()
    until = time.monotonic() + 120
    while any(worker.is_running() and worker.status() != psutil.STATUS_ZOMBIE for worker in workers):
        assert time.monotonic() < until
        time.sleep(0.05)
    assert not [*(tmp_path / "out").glob("*.mp4")]
