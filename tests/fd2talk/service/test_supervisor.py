"""The process that makes videos: it may crash, hang, run out of memory or disk; and it ends with the service."""

import os
import signal

import psutil
import pytest
from service_client import Client, Server, error_of, quick, running, wait_for

from fd2talk.service.limits import Limits

QUICK = Limits(free_bytes=0, stall_seconds=1.0)


@pytest.fixture(scope="module")
def watched(tmp_path_factory):
    with running(tmp_path_factory.mktemp("watched") / "data", QUICK) as one:
        yield one


@pytest.fixture
def client(watched):
    with Client(watched[1]) as client:
        yield client


def test_a_crash_costs_one_try(client, watched):
    name = client.queued(quick(do="crash once"))
    after = client.queued()
    assert client.finished(name)["status"] == "completed"
    assert client.finished(after)["status"] == "completed"
    assert watched[0].videos.find(name).crashes == 1
    assert "fd2talk_worker_crashes_total" in client.get("/metrics").text


def test_who_crashes_it_every_time_has_failed_and_others_go_on(client, watched):
    name, after = client.queued(quick(do="crash")), client.queued()
    video = client.finished(name)
    assert video["error"]["code"] == "worker_crashed"
    assert "SIGKILL, perhaps for lack of memory, 3 times" in video["error"]["message"]
    assert client.finished(after)["status"] == "completed"
    service = watched[0]
    wait_for(lambda: not [*service.folders.inputs.iterdir()] and not [*service.folders.work.iterdir()])
    assert client.get("/health").status_code == 200


def test_what_does_not_come_further_is_ended(client, watched):
    name = client.queued(quick(do="hang once"))
    assert client.finished(name)["status"] == "completed"
    assert watched[0].videos.find(name).crashes == 1
    said = client.finished(client.queued(quick(do="hang")))["error"]["message"]
    assert (
        said
        == "the process that made this video did not come further with it for 1 seconds, 3 times; it is not tried again"
    )


def test_a_disk_that_fills_in_the_middle_is_waited_for(client, watched):
    name, after = client.queued(quick(do="full once")), client.queued()
    assert client.finished(name)["status"] == "completed"
    assert client.finished(after)["status"] == "completed"
    name = client.queued(quick(do="full"))
    assert "found the disk full, 3 times" in client.finished(name, 40)["error"]["message"]


def test_little_room_stops_the_work_and_is_said(tmp_path, monkeypatch):
    with running(tmp_path / "data", Limits(free_bytes=2**60)) as (service, address, _), Client(address) as client:
        error_of(client.create(), 507, "storage_full")
        answer = client.get("/health")
        assert answer.status_code == 503 and answer.json()["reason"] == "the disk is nearly full"
        assert "fd2talk_worker_up 0.0" in client.get("/metrics").text


def test_an_engine_that_cannot_be_loaded_is_said_and_videos_wait(tmp_path):
    with running(tmp_path / "data", engine="service_engine:BrokenEngine") as (_, address, _), Client(address) as client:
        name = client.queued()
        health = wait_for(lambda: a.json() if (a := client.get("/health")).status_code == 503 else None)
        assert health["status"] == "degraded" and "ended with code 1" in health["reason"] and health["queued"] == 1
        assert client.video(name)["status"] == "queued"


def test_the_process_ends_with_the_service_whatever_ends_that(tmp_path):
    with Server(tmp_path / "data") as server, server.client() as client:
        name = client.queued(quick(60))
        wait_for(lambda: client.video(name)["status"] == "in_progress")
        (worker,) = server.workers()
        server.kill(with_workers=False)
        assert worker.wait(timeout=5) is not None or not worker.is_running()


def test_a_restart_goes_on_where_it_stopped(tmp_path):
    data = tmp_path / "data"
    with Server(data) as server, server.client() as client:
        done = client.queued(key="done")
        content = client.finished(done) and client.content(done)
        slow = client.queued(quick(1.0))
        waiting = [client.queued(audio=bytes([n])) for n in range(3)]
        wait_for(lambda: client.video(slow)["status"] == "in_progress")
        server.kill()
    assert [*(data / "work").iterdir()]
    with Server(data) as server, server.client() as client:
        assert client.content(done) == content and client.create(key="done").json()["id"] == done
        videos = [client.finished(name) for name in (slow, *waiting)]
        assert {video["status"] for video in videos} == {"completed"}
        assert [video["completed_at"] for video in videos] == sorted(video["completed_at"] for video in videos)
        wait_for(lambda: not [*(data / "work").iterdir()] and not [*(data / "inputs").iterdir()])
        assert len([*(data / "results").iterdir()]) == 5
        assert f"{slow} was under way when the service ended: it waits again" in server.log.read_text()


def test_a_folder_is_served_once(tmp_path, refused):
    with Server(tmp_path / "data"):
        refused("serve", "--data", tmp_path / "data", "--port", 0, folder=tmp_path / "x", saying="another service uses")


def test_it_leaves_what_comes_for_all_processes_to_the_service(watched, client):
    """A service manager sends SIGTERM to every process."""
    name = client.queued(quick(0.5))
    wait_for(lambda: client.video(name)["status"] == "in_progress")
    os.kill(watched[2].process.pid, signal.SIGTERM)
    assert client.finished(name)["status"] == "completed" and watched[0].videos.find(name).crashes == 0


def test_the_process_does_not_know_the_token(tmp_path):
    with Server(tmp_path / "data", token="correct-horse-battery") as server:
        (worker,) = wait_for(server.workers)
        said = " ".join([*worker.cmdline(), *map(str, worker.environ().items())])
        assert "battery" not in said and "service.worker" in said
        assert "battery" not in " ".join(psutil.Process(server.process.pid).cmdline())


def test_a_deleted_video_whose_process_hangs_costs_only_the_process(tmp_path):
    with running(tmp_path / "data") as (service, address, _), Client(address) as client:
        name = client.queued(quick(do="hang"))
        wait_for(lambda: client.video(name)["status"] == "in_progress")
        after = client.queued()
        client.delete(f"/v1/videos/{name}")
        assert client.finished(after, 8)["status"] == "completed"
        assert service.videos.find(after).crashes == 0 and client.get("/health").status_code == 200
