"""`fd2talk serve` under bad conditions: any request that its schema allows or not, and ends at any moment."""

import hashlib
import os
import random
import shutil
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

for _package in ("fastapi", "prometheus_client", "python_multipart", "uvicorn", "httpx"):
    pytest.importorskip(_package, reason="the extra serve is not installed")

import httpx  # noqa: E402
from service_client import TOKEN, Server, error_of, quick, wait_for  # noqa: E402
from service_engine import made_of  # noqa: E402


@pytest.mark.parametrize("token", [None, TOKEN])
def test_every_address_keeps_to_its_schema(tmp_path, token):
    """schemathesis: requests that the schema allows, and ones that it does not, one by one and in sequences."""
    pytest.importorskip("schemathesis", reason="the extra dev is not installed")
    program = shutil.which("schemathesis", path=f"{os.path.dirname(sys.executable)}{os.pathsep}{os.environ['PATH']}")
    with Server(tmp_path / "data", "--max-waiting", 100_000, token=token) as server:
        with server.client() as client:  # some that exist
            name = client.queued()
            client.finished(name)
        command = [
            program,
            "run",
            f"{server.address}/openapi.json",
            "--max-examples",
            "40",
            "--seed",
            "1",
            "--no-color",
        ]
        command += ["--exclude-path-regex", "/events$", "--request-timeout", "20"]
        command += ["-H", f"Authorization: Bearer {token}"] if token else []
        done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, timeout=900)
        assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
        with server.client() as client:
            assert client.get("/health").status_code == 200
        assert "Traceback" not in server.log.read_text() and TOKEN not in server.log.read_text()


class Ledger:
    """What clients were told: it must stay true."""

    def __init__(self):
        self.asked, self.contents = {}, {}

    def look(self, client):
        """Compare everything that was told with what is told now; remember the rest."""
        for name, begins in self.asked.items():
            video = client.video(name)  # none is lost
            assert video["status"] != "failed", video
            if name in self.contents:
                assert video["status"] == "completed", "what was published is not published any more"
            if video["status"] == "completed":
                content = client.content(name)
                assert content.startswith(begins) and content.endswith(b"the end")  # no half file
                digest = hashlib.sha256(content).hexdigest()
                assert self.contents.setdefault(name, digest) == digest, "a result was replaced"


def test_fifty_hard_ends_lose_nothing_and_publish_everything_once(tmp_path):
    """kill -9 of the service and its process at any moment, while clients ask for more; then all of it is made."""
    random.seed(5)
    data, ledger, number = tmp_path / "data", Ledger(), 0
    for end in range(50):
        with Server(data, log=tmp_path / "log") as server, server.client() as client:
            timer = threading.Timer(random.uniform(0.05, 1.2), server.kill, [bool(end % 3)])
            timer.start()
            try:
                ledger.look(client)
                while True:
                    number += 1
                    photo, audio = quick(random.uniform(0.02, 0.4)), str(number).encode()
                    # A request whose answer is lost may be sent again under its key.
                    answer = client.create(photo, audio, key=f"key-{number}")
                    assert answer.status_code == 202, answer.text
                    ledger.asked[answer.json()["id"]] = made_of(photo, audio)
                    for name in [*ledger.asked][-3:]:
                        if client.video(name)["status"] == "completed":
                            ledger.contents.setdefault(name, hashlib.sha256(client.content(name)).hexdigest())
                    time.sleep(random.uniform(0, 0.3))
            except httpx.TransportError:
                pass
            timer.join()
            server.process.wait(timeout=20)
    with Server(data, log=tmp_path / "log") as server, server.client() as client:
        for name in ledger.asked:
            assert client.finished(name, 120)["status"] == "completed"
        ledger.look(client)
        assert len(ledger.contents) == len(ledger.asked) >= 50

        def all_completed():
            rows = listed(client)
            return rows if all(row["status"] == "completed" for row in rows) else None

        everything = wait_for(all_completed, 120)
        assert len({row["id"] for row in everything}) == len(everything) >= len(ledger.asked)
        order = [row["completed_at"] for row in everything]
        assert order == sorted(order)
        kept = [path.name for path in (data / "results").iterdir()]
        assert len(kept) == len(everything)
        for folder in ("work", "inputs", "incoming"):
            wait_for(lambda folder=folder: not [*(data / folder).iterdir()])
    assert "Traceback" not in (tmp_path / "log").read_text()


def listed(client):
    """All videos, oldest first, page by page."""
    rows, after = [], None
    while True:
        page = client.get(
            "/v1/videos", params={"order": "asc", "limit": 50, **({"after": after} if after else {})}
        ).json()
        rows += page["data"]
        if not page["has_more"]:
            return rows
        after = page["last_id"]


def test_fifty_at_once_are_all_answered_in_order_and_in_bounded_memory(tmp_path):
    import psutil

    audio = os.urandom(8 * 2**20)
    with Server(tmp_path / "data") as server, server.client() as client:
        process = psutil.Process(server.process.pid)
        client.finished(client.queued())
        before, most = process.memory_info().rss, 0
        asked = threading.Barrier(50)

        def ask(number):
            with server.client() as own:
                asked.wait()
                return own.create(quick(0.02), audio, seed=str(number))

        answering = []

        def watch():
            nonlocal most
            while not done.is_set():
                begun = time.monotonic()
                client.get("/health")
                answering.append(time.monotonic() - begun)
                most = max(most, process.memory_info().rss)
                time.sleep(0.05)

        done = threading.Event()
        watching = threading.Thread(target=watch)
        watching.start()
        with ThreadPoolExecutor(50) as pool:
            answers = [*pool.map(ask, range(50))]
        done.set()
        watching.join()
        assert {answer.status_code for answer in answers} == {202}
        names = sorted(answer.json()["id"] for answer in answers)  # an id begins with the number in the queue
        videos = [client.finished(name, 120) for name in names]
        assert {video["status"] for video in videos} == {"completed"}
        order = [video["id"] for video in listed(client)]
        assert order[-50:] == names
        times = [video["completed_at"] for video in videos]
        assert times == sorted(times)
        assert most - before < 100 * 2**20, "400 MB were sent; they are not kept in memory"
        assert max(answering) < 5


FULL = """
set -e
mount --make-rprivate /
mount -t tmpfs -o size=6m tmpfs "$DATA"
exec "$@"
"""


@pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() != 0 or not shutil.which("unshare"), reason="needs root, who may mount"
)
def test_a_disk_that_is_really_full(tmp_path):
    data = tmp_path / "data"
    data.mkdir()
    environment = {**os.environ, "DATA": str(data)}
    probe = ["unshare", "-m", "sh", "-c", FULL, "sh", "true"]
    if subprocess.run(probe, env=environment, capture_output=True).returncode:
        pytest.skip("mounts are not allowed here")
    os.environ["DATA"] = str(data)
    try:
        server = Server(data, prefix=["unshare", "-m", "sh", "-c", FULL, "sh"])
    finally:
        del os.environ["DATA"]
    with server, server.client() as client:
        first = client.queued(quick(1.0))
        statuses = [client.create(audio=os.urandom(2**20)).status_code for _ in range(8)]
        assert 507 in statuses and set(statuses) <= {202, 507}
        said = error_of(client.create(audio=os.urandom(5 * 2**20)), 507, "storage_full")
        assert "full" in said
        assert client.get("/health").status_code in (200, 503)
        assert client.finished(first)["status"] == "completed"
        for row in listed(client):
            assert client.finished(row["id"], 60)["status"] == "completed"
        assert client.finished(client.queued())["status"] == "completed"  # there is room again
