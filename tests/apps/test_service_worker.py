"""What ends the process of `fd2talk serve` that makes videos three times: crashes, no progress, a full disk."""

import pytest

for _package in ("fastapi", "prometheus_client", "python_multipart", "uvicorn", "httpx"):
    pytest.importorskip(_package, reason="the extra serve is not installed")

from service_client import Client, long_ago, quick, running, wait_for  # noqa: E402

from fd2talk.service.limits import Limits  # noqa: E402


@pytest.fixture(scope="module")
def watched(tmp_path_factory):
    with running(tmp_path_factory.mktemp("watched") / "data", Limits(free_bytes=0, stall_seconds=600)) as one:
        yield one


@pytest.fixture
def client(watched):
    with Client(watched[1]) as client:
        yield client


def test_who_crashes_it_every_time_has_failed_and_others_go_on(client, watched):
    name, after = client.queued(quick(do="crash")), client.queued()
    video = client.finished(name)
    assert video["error"]["code"] == "worker_crashed"
    assert "SIGKILL, perhaps for lack of memory, 3 times" in video["error"]["message"]
    assert client.finished(after)["status"] == "completed"
    service = watched[0]
    wait_for(lambda: not [*service.folders.inputs.iterdir()] and not [*service.folders.work.iterdir()])
    assert client.get("/health").status_code == 200


def stalls(client, service, name, seen=()):
    """Wait until a further process hangs with a video, and let that be long ago: its lease."""

    def hangs():
        video = service.videos.find(name)
        return video.lease if video.lease not in (None, *seen) and video.stage == "reading the files" else None

    lease = wait_for(hangs)
    long_ago(service, name)
    return lease


def test_what_does_not_come_further_is_ended(client, watched):
    service = watched[0]
    name = client.queued(quick(do="hang once"))
    stalls(client, service, name)
    assert client.finished(name)["status"] == "completed"
    assert service.videos.find(name).crashes == 1
    name, seen = client.queued(quick(do="hang")), []
    for _ in range(3):
        seen.append(stalls(client, service, name, seen))
    said = client.finished(name)["error"]["message"]
    how = "did not come further with it for 600 seconds, 3 times"
    assert said == f"the process that made this video {how}; it is not tried again"


def test_a_disk_that_fills_in_the_middle_is_waited_for(client, watched):
    name, after = client.queued(quick(do="full once")), client.queued()
    assert client.finished(name)["status"] == "completed"
    assert client.finished(after)["status"] == "completed"
    name = client.queued(quick(do="full"))
    assert "found the disk full, 3 times" in client.finished(name)["error"]["message"]
