"""A real cluster of Ray: two nodes on this machine, one of which is killed in the middle."""

import csv
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import numpy as np
import psutil
import pytest
from failing_prepare import failing_prepare
from material import DEMO
from media_files import write_video
from PIL import Image

pytest.importorskip("ray", reason="needs the extra `cluster`")
pytestmark = pytest.mark.apps

ROOT = Path(__file__).parents[2]
JOBS = """
import os, sys, time
from pathlib import Path
from fd2talk.cluster import spread
from shared.errors import InputError

def job(folder, number):
    import ray
    node = ray.get_runtime_context().get_node_id()
    (Path(folder) / f"{number}-{node}-{os.getpid()}").touch()
    while not (Path(folder).parent / "released").exists():
        time.sleep(0.05)
    if number == 3:
        raise InputError("three is bad")
    if number == 5:
        os._exit(1)  # whoever works on it dies
    return number * number

if __name__ == "__main__":
    failed = []
    with spread(sys.argv[1], None) as run:
        jobs = [(sys.argv[2], number) for number in range(10)]
        squares = run(job, jobs, what="squares", unit="square", failed=lambda i, error: failed.append(i))
    print(squares, sorted(failed))
"""


@pytest.fixture
def cluster(monkeypatch, tmp_path):
    """Nodes of one processor each; `cluster.second` may be killed."""
    from ray.cluster_utils import Cluster

    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), str(ROOT)]))
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    of_node = {"num_cpus": 1, "object_store_memory": 80_000_000}
    cluster = Cluster(initialize_head=True, head_node_args=of_node | {"include_dashboard": False})
    try:
        cluster.second = cluster.add_node(**of_node)
        cluster.wait_for_nodes()
        yield cluster
    finally:
        cluster.shutdown()


def until(condition, seconds=300):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.1)


def test_jobs_of_a_killed_node_are_done_again_and_bad_ones_left_out(cluster, tmp_path):
    (tmp_path / "squares.py").write_text(JOBS)
    begun = tmp_path / "begun"
    begun.mkdir()
    command = [sys.executable, tmp_path / "squares.py", cluster.address, begun]
    running = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    killed = cluster.second.node_id
    until(lambda: any(killed in path.name for path in begun.iterdir()))
    cluster.remove_node(cluster.second, allow_graceful=False)
    lost = {int(path.name.split("-")[-1]) for path in begun.iterdir() if killed in path.name}
    until(lambda: not any(map(psutil.pid_exists, lost)))  # its processes notice that by and by
    (tmp_path / "released").touch()
    out, err = running.communicate(timeout=600)
    assert running.returncode == 0, err
    assert out == "[0, 1, 4, None, 16, None, 36, 49, 64, 81] [3, 5]\n"
    assert "left out: three is bad" in err and "died 4 times" in err and "Traceback" not in err
    tries = Counter(path.name.split("-")[0] for path in begun.iterdir())
    on_killed = {path.name.split("-")[0] for path in begun.iterdir() if killed in path.name}
    assert on_killed and any(tries[number] > 1 for number in on_killed - {"5"})
    assert tries["3"] <= 2 and tries["5"] == 4  # an error of the job is no reason to try again


def clips(folder):
    """Eight clips of a portrait that wanders, and one that is none."""
    face = Image.open(DEMO / "portrait_woman.jpg").resize((200, 200))
    for person in range(8):
        frames = []
        for i in range(12):
            canvas = Image.new("RGB", (240, 240), "grey")
            canvas.paste(face, (2 * i, 3 * person))
            frames.append(np.asarray(canvas))
        (folder / f"p{person}").mkdir(parents=True)
        write_video(folder / f"p{person}" / "clip.mp4", frames, audio=np.zeros(7680, np.float32))
    (folder / "broken.mp4").write_bytes(b"no video")
    return folder


def prepare(*arguments):
    command = [sys.executable, "-m", "fd2talk", "prepare", *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def index(folder):
    with open(folder / "index.csv", newline="") as file:
        return list(csv.DictReader(file))


def test_prepare_with_a_node_killed_gives_what_one_machine_gives(cluster, tmp_path):
    folder, out, alone = clips(tmp_path / "clips"), tmp_path / "out", tmp_path / "alone"
    running = prepare(folder, out, "--address", cluster.address)
    until(lambda: list(out.glob("tracks/p*.npz")))
    cluster.remove_node(cluster.second, allow_graceful=False)
    printed, err = running.communicate(timeout=600)
    assert running.returncode == 0 and printed.strip() == str(out), err
    assert "broken.mp4" in err and err.count("left out") == 1 and "Traceback" not in err
    assert prepare(folder, alone, "--workers", 1).wait(600) == 0
    assert index(out) == index(alone) and len(index(out)) == 8
    for kind in ("tracks", "motions"):
        for path in sorted((alone / kind).glob("*.npz")):
            with np.load(path) as one, np.load(out / kind / path.name) as other:
                assert all(np.array_equal(one[name], other[name]) for name in one.files), path
    # Once more: nothing is done again.
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*.npz")}
    assert prepare(folder, out, "--address", cluster.address).wait(600) == 0
    assert before == {path: path.stat().st_mtime_ns for path in out.rglob("*.npz")}


def test_a_cluster_of_this_machine_alone_and_a_stop(tmp_path):
    folder, out = clips(tmp_path / "clips"), tmp_path / "out"
    running = prepare(folder, out, "--address", "local", "--workers", 1)
    until(lambda: list(out.glob("tracks/p*.npz")))
    running.send_signal(signal.SIGTERM)
    _, err = running.communicate(timeout=600)
    assert running.returncode == 128 + signal.SIGTERM and err.strip().splitlines()[-1] == "fd2talk: terminated", err
    assert not (out / "index.csv").exists()
    done = prepare(folder, out, "--address", "local", "--workers", 1)
    _, err = done.communicate(timeout=600)
    assert done.returncode == 0 and len(index(out)) == 8, err


def test_a_clip_at_which_something_unexpected_fails_stops_no_other(tmp_path):
    folder, out = clips(tmp_path / "clips"), tmp_path / "out"
    (folder / "p3").rename(folder / "bad")
    code, printed, err = failing_prepare(tmp_path, folder, out, "--address", "local", "--workers", 2)
    last = f"fd2talk: left out: {folder / 'bad' / 'clip.mp4'}: unexpected RuntimeError: no such tensor: mesh"
    assert (code, printed.strip(), err.strip().splitlines()[-1]) == (1, str(out), last), err
    assert len(index(out)) == 7 and "Traceback" not in err
