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


def test_a_folder_is_served_once(watched, tmp_path, refused):
    folder = watched[0].folders.folder
    refused("serve", "--data", folder, "--port", 0, folder=tmp_path / "x", saying="another service uses")


def test_it_leaves_what_comes_for_all_processes_to_the_service(watched, client):
    """A service manager sends SIGTERM to every process."""
    name = client.queued(quick(0.5))
    wait_for(lambda: client.video(name)["status"] == "in_progress")
    os.kill(watched[2].processes[0].pid, signal.SIGTERM)
    assert client.finished(name)["status"] == "completed" and watched[0].videos.find(name).crashes == 0


def test_the_process_does_not_know_the_token_and_ends_with_the_service_whatever_ends_that(tmp_path):
    with Server(tmp_path / "data", token="correct-horse-battery") as server, server.client() as client:
        (worker,) = wait_for(server.workers)
        said = " ".join([*worker.cmdline(), *map(str, worker.environ().items())])
        assert "battery" not in said and "service.worker" in said
        assert "battery" not in " ".join(psutil.Process(server.process.pid).cmdline())
        name = client.queued(quick(60))
        wait_for(lambda: client.video(name)["status"] == "in_progress")
        server.kill(with_workers=False)
        assert worker.wait(timeout=5) is not None or not worker.is_running()


def test_a_deleted_video_whose_process_hangs_costs_only_the_process(tmp_path):
    with running(tmp_path / "data") as (service, address, _), Client(address) as client:
        name = client.queued(quick(do="hang"))
        wait_for(lambda: client.video(name)["status"] == "in_progress")
        after = client.queued()
        client.delete(f"/v1/videos/{name}")
        assert client.finished(after, 8)["status"] == "completed"
        assert service.videos.find(after).crashes == 0 and client.get("/health").status_code == 200
