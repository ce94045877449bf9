"""The process that makes videos: it may crash, hang, run out of memory or disk; and it ends with the service."""

import os
import re
import signal
from contextlib import closing

import psutil
import pytest
from service_client import PATIENCE, Client, Server, error_of, long_ago, quick, running, wait_for
from service_engine import made_twice

from fd2talk.service import process
from fd2talk.service.limits import Limits
from fd2talk.service.service import Service


def test_a_crash_costs_one_try(client, served):
    name = client.queued(quick(do="crash once"))
    after = client.queued()
    assert client.finished(name)["status"] == "completed"
    assert client.finished(after)["status"] == "completed"
    assert served[0].videos.find(name).crashes == 1
    assert "fd2talk_worker_crashes_total" in client.get("/metrics").text


def test_little_room_stops_the_work_and_is_said(tmp_path, monkeypatch):
    with running(tmp_path / "data", Limits(free_bytes=2**60)) as (service, address, _), Client(address) as client:
        error_of(client.create(), 507, "storage_full")
        answer = client.get("/health")
        assert answer.status_code == 503 and answer.json()["reason"] == "the disk is nearly full"
        assert 'fd2talk_worker_up{worker="1"} 0.0' in client.get("/metrics").text


def test_an_engine_that_cannot_be_loaded_is_said_and_videos_wait(tmp_path):
    with running(tmp_path / "data", engine="service_engine:BrokenEngine") as (_, address, _), Client(address) as client:
        name = client.queued()
        health = wait_for(lambda: a.json() if (a := client.get("/health")).status_code == 503 else None)
        assert health["status"] == "degraded" and "ended with code 1" in health["reason"] and health["queued"] == 1
        assert client.video(name)["status"] == "queued"


def test_a_restart_goes_on_where_it_stopped(tmp_path, gate):
    data = tmp_path / "data"
    with Server(data) as server, server.client() as client:
        done = client.queued(key="done")
        content = client.finished(done) and client.content(done)
        slow = client.queued(quick(until=[gate]))
        waiting = [client.queued(audio=bytes([n])) for n in range(3)]
        wait_for(lambda: client.video(slow)["status"] == "in_progress" and [*(data / "work").iterdir()])
        server.kill()
    assert [*(data / "work").iterdir()]
    gate.touch()
    with Server(data) as server, server.client() as client:
        assert client.content(done) == content and client.create(key="done").json()["id"] == done
        videos = [client.finished(name) for name in (slow, *waiting)]
        assert {video["status"] for video in videos} == {"completed"}
        assert [video["completed_at"] for video in videos] == sorted(video["completed_at"] for video in videos)
        wait_for(lambda: not [*(data / "work").iterdir()] and not [*(data / "inputs").iterdir()])
        assert len([*(data / "results").iterdir()]) == 5
        assert f"{slow} was under way when the service ended: it waits again" in server.log.read_text()


def test_a_folder_is_served_once(tmp_path, refused):
    data = tmp_path / "data"
    with closing(Service(data, Limits(free_bytes=0))):
        refused("serve", "--data", data, "--port", 0, folder=tmp_path / "x", saying="another service uses")


def test_it_leaves_what_comes_for_all_processes_to_the_service(served, client, gate):
    """A service manager sends SIGTERM to every process."""
    name = client.queued(quick(until=[gate]))
    wait_for(lambda: client.video(name)["status"] == "in_progress")
    os.kill(served[2].processes[0].pid, signal.SIGTERM)
    gate.touch()
    assert client.finished(name)["status"] == "completed" and served[0].videos.find(name).crashes == 0


def test_the_process_does_not_know_the_token_and_ends_with_the_service_whatever_ends_that(tmp_path, gate):
    with Server(tmp_path / "data", token="correct-horse-battery") as server, server.client() as client:
        (worker,) = wait_for(server.workers)
        said = " ".join([*worker.cmdline(), *map(str, worker.environ().items())])
        assert "battery" not in said and "service.worker" in said
        assert "battery" not in " ".join(psutil.Process(server.process.pid).cmdline())
        name = client.queued(quick(until=[gate]))
        wait_for(lambda: client.video(name)["status"] == "in_progress")
        server.kill(with_workers=False)
        try:
            worker.wait(timeout=PATIENCE)  # otherwise it would never end
        finally:
            if worker.is_running():
                worker.kill()


def test_a_deleted_video_whose_process_hangs_costs_only_the_process(tmp_path):
    with running(tmp_path / "data") as (service, address, _), Client(address) as client:
        name = client.queued(quick(do="hang"))
        wait_for(lambda: client.video(name)["status"] == "in_progress")
        after = client.queued()
        client.delete(f"/v1/videos/{name}")
        assert client.finished(after)["status"] == "completed"  # the other one hangs for much longer than that
        assert service.videos.find(after).crashes == 0 and client.get("/health").status_code == 200


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    with running(tmp_path_factory.mktemp("two") / "data", workers=2) as one:
        yield one


@pytest.fixture
def client_of_two(two):
    with Client(two[1]) as client:
        yield client


def under_way(client):
    rows = client.get("/v1/videos", params={"status": "in_progress"}).json()["data"]
    return sorted(row["id"] for row in rows)


def crashes_of(client):
    return float(re.search(r"^fd2talk_worker_crashes_total (\S+)$", client.get("/metrics").text, re.MULTILINE)[1])


def names_of(supervisor):
    """The numbers of the processes by their names; that of one that is about to be started is None."""
    return {one.name: one.pid for one in supervisor.processes}


def makers_of_two(client, service):
    """The processes that make two short videos which are queued at once."""
    names = [client.queued(quick(0.3)) for _ in range(2)]
    assert {client.finished(name)["status"] for name in names} == {"completed"}
    return {service.videos.find(name).result.partition("-")[0] for name in names}


def test_two_make_two_at_once_and_the_end_of_one_does_not_disturb_the_other(two, client_of_two, gate):
    (service, _, supervisor), client = two, client_of_two
    wait_for(lambda: len(makers_of_two(client, service)) == 2)  # both have started, which may take seconds
    names = [client.queued(quick(until=[gate])) for _ in range(2)]
    wait_for(lambda: under_way(client) == sorted(names))
    crashes = crashes_of(client)
    health = client.get("/health").json()
    assert (health["status"], health["in_progress"], health["workers"], health["workers_up"]) == ("ok", 2, 2, 2)
    pids = names_of(supervisor)
    victim = service.videos.find(names[0]).lease.partition("-")[0]
    other = service.videos.find(names[1]).lease
    os.kill(pids[victim], signal.SIGKILL)
    wait_for(lambda: crashes_of(client) > crashes)
    gate.touch()
    assert {client.finished(name)["status"] for name in names} == {"completed"}
    assert [service.videos.find(name).crashes for name in names] == [1, 0]
    assert service.videos.find(names[1]).result == f"{other}.mp4"  # the one that it was making all the time
    assert service.videos.find(names[0]).started > service.videos.find(names[1]).started  # made again, after that
    still = wait_for(lambda: n if victim not in (n := names_of(supervisor)) and None not in n.values() else None)
    assert len(still.keys() & pids.keys()) == 1 and still[other.partition("-")[0]] == pids[other.partition("-")[0]]
    text = wait_for(lambda: t if '_up{worker="1"} 1.0' in (t := client.get("/metrics").text) else None)
    assert 'fd2talk_worker_up{worker="2"} 1.0' in text and crashes_of(client) == crashes + 1
    assert not made_twice(service.folders.folder)


def test_processes_are_begun_again_each_with_its_share_of_the_cores(two, client_of_two):
    share = max((os.cpu_count() or 1) // 2, 1)
    for _ in range(2):
        said = client_of_two.finished(client_of_two.queued(quick(do="threads")))["error"]["message"]
        assert said == f"threads: {share}"


def test_a_deleted_video_whose_process_hangs_costs_only_that_one_of_two(two, client_of_two, gate):
    (service, _, supervisor), client = two, client_of_two
    wait_for(lambda: len(makers_of_two(client, service)) == 2)
    hanging, slow = client.queued(quick(do="hang")), client.queued(quick(until=[gate]))
    wait_for(lambda: under_way(client) == sorted([hanging, slow]))
    before = names_of(supervisor)
    client.delete(f"/v1/videos/{hanging}")
    wait_for(lambda: names_of(supervisor).keys() != before.keys())
    gate.touch()
    assert client.finished(slow)["status"] == "completed" and service.videos.find(slow).crashes == 0


def test_one_that_stands_still_does_not_stop_the_other(tmp_path):
    limits = Limits(free_bytes=0, stall_seconds=2 * PATIENCE)
    with running(tmp_path / "data", limits, workers=2) as (service, address, _), Client(address) as client:
        hanging = client.queued(quick(do="hang once"))
        others = [client.queued(quick(0.1)) for _ in range(8)]
        assert {client.finished(name)["status"] for name in others} == {"completed"}
        wait_for(lambda: client.video(hanging)["stage"] == "reading the files")  # the last that it says
        long_ago(service, hanging)
        assert client.finished(hanging)["status"] == "completed"
        assert [service.videos.find(name).crashes for name in (hanging, *others)] == [1] + [0] * 8


def test_where_one_of_two_cannot_work_the_other_does_and_it_is_said(tmp_path, monkeypatch):
    monkeypatch.setattr(process, "_SECONDS_OF_HEALTH", float("inf"))  # it may take as long as that to begin
    engine = "service_engine:SecondBrokenEngine"
    with running(tmp_path / "data", engine=engine, workers=2) as (_, address, _), Client(address) as client:
        answer = wait_for(lambda: a if (a := client.get("/health")).json()["status"] == "degraded" else None)
        assert answer.status_code == 200 and "ended with code 1" in answer.json()["reason"]
        assert (answer.json()["workers"], answer.json()["workers_up"]) == (2, 1)
        text = client.get("/metrics").text
        assert sorted(line[-3:] for line in text.splitlines() if line.startswith("fd2talk_worker_up{")) == [
            "0.0",
            "1.0",
        ]
        assert client.finished(client.queued())["status"] == "completed"


def test_what_a_process_left_is_removed_and_nothing_else(two, client_of_two, gate):
    (service, _, supervisor), client = two, client_of_two
    done = client.queued()
    client.finished(done)
    wait_for(lambda: not [*service.folders.inputs.iterdir()])
    busy = client.queued(quick(until=[gate]))
    wait_for(lambda: under_way(client) == [busy])
    working = service.videos.find(busy).lease.partition("-")[0]
    (idle,) = (one for one in supervisor.processes if one.name != working)
    left = [
        service.folders.inputs / service.videos.find(done).folder,  # it ended after it had published
        service.folders.work / f"{idle.name}-1",
        service.folders.results / f"{idle.name}-2.mp4",
    ]
    coming = service.folders.inputs / "of a request that is coming in"
    for path in (*left, coming):
        path.mkdir()
    os.kill(wait_for(lambda: idle.pid), signal.SIGKILL)
    wait_for(lambda: not any(path.exists() for path in left))
    assert coming.exists()
    coming.rmdir()
    gate.touch()
    assert client.finished(busy)["status"] == "completed" and client.content(busy)
    assert client.content(done)
