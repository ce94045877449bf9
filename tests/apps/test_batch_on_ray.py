"""`fd2talk batch --address`: a real Ray cluster of local nodes, with a stand-in for the models."""

import os
import signal
import sys
import threading
import time

import psutil
import pytest
from batch_tables import read_report, write_table
from material import portrait, short_speech, write_wav
from stub_commands import stub_commands, wait_for
from stub_generator import FRAMES, StubGenerator, calls, release

from fd2talk.commands.batch import batch
from shared.errors import Fd2TalkError, UsageError
from shared.media import read_video

ray = pytest.importorskip("ray", reason="the extra cluster is not installed")
pytest.importorskip("ray.data", reason="the extra cluster is not installed")


@pytest.fixture
def table(tmp_path):
    portrait().save(tmp_path / "photo.png")
    write_wav(tmp_path / "speech.wav", short_speech())
    return lambda *rows: write_table(tmp_path, tmp_path / "photo.png", tmp_path / "speech.wav", rows)


@pytest.fixture
def cluster(monkeypatch):
    """Two nodes of one core each, and a third without any where the rest of Ray runs."""
    from ray.cluster_utils import Cluster

    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, sys.path)))
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
    nodes = [cluster.add_node(num_cpus=1) for _ in range(2)]
    cluster.wait_for_nodes()
    yield cluster, nodes
    ray.shutdown()
    cluster.shutdown()


def whole(out):
    """Names of the videos, each of which has all its frames."""
    found = sorted(out.glob("**/*.mp4"))
    assert all(len(list(read_video(path))) == FRAMES for path in found)
    return [path.name for path in found]


def test_a_node_is_killed_in_the_middle_and_each_video_is_made_once(table, cluster, tmp_path):
    cluster, nodes = cluster
    names = [*(f"p{n}" for n in range(6)), "held1", "held2"]
    manifest, out = table(*(f"in/{name}.png,in/a.wav" for name in names)), tmp_path / "out"
    before = {}

    def kill():
        while calls(tmp_path / "in", "held") < 2 or len([*out.glob("*.mp4")]) < 6:  # then both nodes hold one
            time.sleep(0.05)
        before.update({path.name: path.stat().st_ino for path in out.glob("*.mp4")})
        holders = [int(path.name.split(".")[1]) for path in (tmp_path / "in" / "calls").glob("held*")]
        cluster.remove_node(nodes[0], allow_graceful=False)
        while all(map(psutil.pid_exists, holders)):  # its processes notice that by and by
            time.sleep(0.05)
        release(tmp_path / "in")

    killer = threading.Thread(target=kill)
    killer.start()
    batch(str(manifest), str(out), address=cluster.address, generator=StubGenerator)
    killer.join()
    rows = read_report(out)
    assert [row["state"] for row in rows.values()] == ["made"] * 8
    assert whole(out) == sorted(f"{name}-a.mp4" for name in names)
    assert before and all((out / name).stat().st_ino == inode for name, inode in before.items())
    assert 8 < calls(tmp_path / "in") <= 10  # what was lost with the node was made again, and nothing else
    assert len({row["worker"] for row in rows.values()}) >= 2
    assert not [*(out / ".fd2talk-batch" / "parts").iterdir()]
    batch(str(manifest), str(out), workers=1, generator=StubGenerator)  # continued without a cluster
    assert {row["state"] for row in read_report(out).values()} == {"kept"}


def test_a_row_that_kills_its_process_fails_and_the_others_are_made(table, cluster, tmp_path):
    cluster, _ = cluster
    manifest, out = table("in/dies.png,in/a.wav", "in/dies-once.png,in/a.wav", "in/p.png,in/a.wav"), tmp_path / "out"
    with pytest.raises(Fd2TalkError, match="1 of 3 rows failed"):
        batch(str(manifest), str(out), address=cluster.address, generator=StubGenerator)
    rows = read_report(out)
    assert [rows[n]["state"] for n in "234"] == ["failed", "made", "made"] and "killed, 2 times" in rows["2"]["error"]
    assert [calls(tmp_path / "in", stem) for stem in ("dies.", "dies-once", "p.")] == [2, 2, 1]
    assert whole(out) == ["dies-once-a.mp4", "p-a.mp4"]


def test_a_cluster_of_this_computer_and_the_real_models(table, tmp_path):
    manifest, out = table("in/a.png,in/a.wav"), tmp_path / "out"
    batch(str(manifest), str(out), address="local")
    assert whole(out) == ["a-a.mp4"] and not ray.is_initialized()


@pytest.mark.parametrize(("stop", "code", "said"), [("SIGINT", 130, "interrupted"), ("SIGTERM", 143, "terminated")])
def test_a_stop_leaves_whole_videos_and_a_report(table, tmp_path, stop, code, said):
    manifest, out = table(*(f"in/{'held' if n else 'slow'}{n}.png,in/a.wav" for n in range(20))), tmp_path / "out"
    with stub_commands(tmp_path) as start:
        running = start(manifest, "-o", out, "--workers", 1, "--address", "local")
        wait_for(lambda: calls(tmp_path / "in") == 2, 120)
        running.send_signal(getattr(signal, stop))
        _, err = running.communicate(timeout=600)
    assert running.returncode == code and err.splitlines()[-1] == f"fd2talk: {said}", err
    assert "Traceback" not in err
    states = [row["state"] for row in read_report(out).values()]
    assert states.count("made") in (0, 1) and states.count("not made") >= 19 and len(whole(out)) <= 2


def test_no_cluster_is_one_line(table, tmp_path):
    with pytest.raises(UsageError, match="no Ray cluster at 127.0.0.1:9"):
        batch(str(table("in/a.png,in/a.wav")), str(tmp_path / "out"), address="127.0.0.1:9", generator=StubGenerator)
