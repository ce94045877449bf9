"""`fd2talk serve` under bad conditions: any request that its schema allows or not, and ends at any moment."""

import contextlib
import hashlib
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median

import pytest

for _package in ("fastapi", "prometheus_client", "python_multipart", "uvicorn", "httpx"):
    pytest.importorskip(_package, reason="the extra serve is not installed")

import httpx  # noqa: E402
from ports import free_port  # noqa: E402
from service_client import PATIENCE, ROOT, TOKEN, Client, Server, error_of, quick, wait_for  # noqa: E402
from service_engine import made_of, made_twice  # noqa: E402

from tests.test_packaging import CONTAINER  # noqa: E402

EVENTS = "/v1/videos/{video_id}/events"
SPEECH = "sense_and_sensibility_01_austen_64kb-0880.wav"


@pytest.mark.parametrize(("token", "workers"), [(None, 1), (TOKEN, 2)])
def test_every_address_keeps_to_its_schema(tmp_path, token, workers):
    """schemathesis: requests that the schema allows, and ones that it does not, one by one and in sequences.

    Streams of events end, as the stub makes each video in a moment; schemathesis reads 20 events of one, or for 20
    seconds, whatever comes first, and checks each event and the video in it.
    """
    pytest.importorskip("schemathesis", reason="the extra dev is not installed")
    program = shutil.which("schemathesis", path=f"{os.path.dirname(sys.executable)}{os.pathsep}{os.environ['PATH']}")
    with Server(tmp_path / "data", "--max-waiting", 100_000, "--workers", workers, token=token) as server:
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
        command += ["--request-timeout", "20"]
        command += ["-H", f"Authorization: Bearer {token}"] if token else []
        done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, timeout=900)
        assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
        with server.client() as client:
            assert client.get("/health").json()["workers_up"] == workers
            asked = client.get("/metrics").text
        for status in (200, 404):  # streams of videos, and of none
            assert f'fd2talk_http_requests_total{{method="GET",route="{EVENTS}",status="{status}"}}' in asked
        assert "Traceback" not in server.log.read_text() and TOKEN not in server.log.read_text()


class Ledger:
    """What a client asked for, and what it was told since: that must stay true."""

    def __init__(self):
        self.number, self.unanswered, self.asked, self.contents = 0, [], {}, {}

    def ask(self, client):
        """Ask for one more; a request whose answer was lost is sent again, under its key."""
        if not self.unanswered:
            self.number += 1
            self.unanswered.append((quick(random.uniform(0.02, 0.3)), str(self.number).encode(), f"key-{self.number}"))
        photo, audio, key = self.unanswered[0]
        answer = client.create(photo, audio, key=key)
        assert answer.status_code == 202, answer.text
        self.asked[answer.json()["id"]] = made_of(photo, audio)
        self.unanswered.pop()

    def look(self, client, names):
        """Compare what was told of some videos with what is told now; remember the rest."""
        for name in names:
            video = client.video(name)  # none is lost
            assert video["status"] != "failed", video
            if name in self.contents:
                assert video["status"] == "completed", "what was published is not published any more"
            if video["status"] == "completed":
                content = client.content(name)
                assert content.startswith(self.asked[name]) and content.endswith(b"the end")  # no half file
                digest = hashlib.sha256(content).hexdigest()
                assert self.contents.setdefault(name, digest) == digest, "a result was replaced"

    def ask_until_it_ends(self, server, enough=None):
        """Ask, one after the other, until nobody answers, or it is enough."""
        with contextlib.suppress(httpx.TransportError), server.client() as client:
            while enough is None or not enough.is_set():
                self.ask(client)
                time.sleep(random.uniform(0, 0.3))


def busy_with(client):
    """The ids of the videos that are being made."""
    rows = client.get("/v1/videos", params={"status": "in_progress"}).json()["data"]
    return [row["id"] for row in rows]


def kill_at_random(server, with_workers, busy):
    """End a service without a word at some moment; where it shall be busy, soon after it has begun a video."""
    if busy:
        with server.client() as client:
            wait_for(lambda: busy_with(client))
    time.sleep(random.uniform(0, 0.3) if busy else random.uniform(0.05, 1.5))
    server.kill(with_workers)


@pytest.mark.parametrize(("workers", "ends"), [(1, 50), (2, 25)])
def test_hard_ends_lose_nothing_and_publish_everything_once(tmp_path, workers, ends):
    """kill -9 of the service and its processes at any moment, while clients ask and look; then all of it is made."""
    random.seed(5)
    data, ledger, failed = tmp_path / "data", Ledger(), []
    served = data, "--max-waiting", 10_000, "--workers", workers
    for end in range(ends):
        with Server(*served, log=tmp_path / "log") as server, server.client() as client, ThreadPoolExecutor(2) as pool:
            # Half of the ends come when something is being made, however slow the computer is.
            killing = pool.submit(kill_at_random, server, bool(end % 3), busy=end % 2)
            asking = pool.submit(ledger.ask_until_it_ends, server)
            with contextlib.suppress(httpx.TransportError):
                while True:
                    names = [*ledger.asked]
                    ledger.look(client, [*names[-3:], *random.sample(names, min(3, len(names)))])
            failed += [error for error in (killing.exception(), asking.exception()) if error is not None]
    assert not failed
    with Server(*served, log=tmp_path / "log") as server, server.client() as client:
        while ledger.unanswered:
            ledger.ask(client)
        for name in ledger.asked:
            assert client.finished(name, 600)["status"] == "completed"
        ledger.look(client, [*ledger.asked])
        rows = listed(client)
        assert [row["id"] for row in rows] == [*ledger.asked]
        assert len(rows) == ledger.number > ends  # each key once
        order = [row["completed_at"] for row in rows]
        assert workers > 1 or order == sorted(order)
        only_results_are_left(data, len(rows))
    said = (tmp_path / "log").read_text()
    assert "Traceback" not in said and not made_twice(data)
    assert said.count("was under way when the service ended") > ends // 4  # the ends did hit something


def test_ends_of_one_of_two_processes_disturb_nothing_else(tmp_path):
    """kill -9 of one of them at any moment, twenty-five times, while the service and the other one go on."""
    random.seed(6)
    data, ledger, enough = tmp_path / "data", Ledger(), threading.Event()
    with (
        Server(data, "--max-waiting", 10_000, "--workers", 2) as server,
        server.client() as client,
        ThreadPoolExecutor(1) as pool,
    ):
        asking = pool.submit(ledger.ask_until_it_ends, server, enough)
        try:
            for end in range(25):
                both = wait_for(lambda: found if len(found := server.workers()) == 2 else None)
                time.sleep(random.uniform(0, 0.6))
                if end % 2:
                    wait_for(lambda: len(busy_with(client)) == 2)
                random.shuffle(both)
                both[0].kill()
                for name in busy_with(client):  # one that is hit three times would have failed
                    client.finished(name)
                assert both[1].is_running()
                names = [*ledger.asked]
                ledger.look(client, [*names[-3:], *random.sample(names, min(3, len(names)))])
        finally:
            enough.set()
        asking.result()
        for name in ledger.asked:
            assert client.finished(name, 600)["status"] == "completed"
        ledger.look(client, [*ledger.asked])
        only_results_are_left(data, ledger.number)
        said = server.log.read_text()
        assert said.count("the process that made it was ended by the signal SIGKILL") > 4  # they did hit something
        assert "Traceback" not in said and not made_twice(data)


def only_results_are_left(data, number):
    for folder, left in {"results": number, "work": 0, "inputs": 0, "incoming": 0}.items():
        wait_for(lambda folder=folder, left=left: len([*(data / folder).iterdir()]) == left)


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


@pytest.fixture
def gate(tmp_path):
    """A file that is not there yet, without which videos are not made to their end: `quick(until=[gate])`."""
    return tmp_path / "gate"


PATIENTLY = ("--grace", 2 * PATIENCE)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_stopping_finishes_what_is_being_made(tmp_path, number, gate):
    data = tmp_path / "data"
    with Server(data, *PATIENTLY) as server, server.client() as client:
        name, waiting = client.queued(quick(until=[gate])), client.queued()
        wait_for(lambda: client.video(name)["status"] == "in_progress")
        server.process.send_signal(number)
        wait_for(lambda: client.get("/health").status_code == 503)
        error_of(client.create(), 503, "stopping")
        assert client.video(name)["status"] == "in_progress"  # clients are answered as long as that takes
        gate.touch()
        assert server.process.wait(timeout=PATIENCE) == 128 + number
        assert "Traceback" not in server.log.read_text()
    with Server(data) as server, server.client() as client:
        assert client.video(name)["status"] == "completed"
        assert client.finished(waiting)["status"] == "completed"


def test_stopping_finishes_what_several_processes_make(tmp_path, gate):
    data, last = tmp_path / "data", tmp_path / "last"
    with Server(data, "--workers", 2, *PATIENTLY) as server, server.client() as client:
        names, waiting = [client.queued(quick(until=[gate])) for _ in range(2)], client.queued(quick(until=[last]))
        wait_for(lambda: {client.video(name)["status"] for name in names} == {"in_progress"})
        workers = server.workers()
        assert len(workers) == 2
        server.process.send_signal(signal.SIGTERM)
        said = f"stopping: 2 videos that are being made have {PATIENTLY[1]:g} seconds to be finished"
        wait_for(lambda: said in server.log.read_text())
        gate.touch()
        assert server.process.wait(timeout=PATIENCE) == 143
        assert not any(worker.is_running() for worker in workers)
    with Server(data, "--workers", 2) as server, server.client() as client:
        assert {client.video(name)["status"] for name in names} == {"completed"}  # and none more
        assert client.video(waiting)["status"] != "completed"
        last.touch()
        assert client.finished(waiting)["status"] == "completed"


def test_what_is_not_finished_in_time_waits_for_the_next_start(tmp_path, gate):
    data = tmp_path / "data"
    with Server(data, "--grace", 0.3) as server, server.client() as client:
        name = client.queued(quick(until=[gate]))
        wait_for(lambda: client.video(name)["status"] == "in_progress")
        assert server.stop() == 143  # it would never be finished
    gate.touch()
    with Server(data) as server, server.client() as client:
        assert client.finished(name)["status"] == "completed"
    with Server(data, *PATIENTLY) as server, server.client() as client:
        name = client.queued(quick(until=[tmp_path / "none"]))
        wait_for(lambda: client.video(name)["status"] == "in_progress")
        server.process.send_signal(signal.SIGINT)
        wait_for(lambda: client.get("/health").status_code == 503)
        assert server.stop(signal.SIGINT) == 130  # the second Ctrl-C: at once


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
        begun = time.monotonic()
        with ThreadPoolExecutor(50) as pool:
            answers = [*pool.map(ask, range(50))]
        whole = time.monotonic() - begun
        done.set()
        watching.join()
        assert {answer.status_code for answer in answers} == {202}
        names = sorted(answer.json()["id"] for answer in answers)  # an id begins with the number in the queue
        videos = [client.finished(name) for name in names]
        assert {video["status"] for video in videos} == {"completed"}
        order = [video["id"] for video in listed(client)]
        assert order[-50:] == names
        times = [video["completed_at"] for video in videos]
        assert times == sorted(times)
        assert most - before < 100 * 2**20, "400 MB were sent; they are not kept in memory"
        assert median(answering) < whole / 3, "others are answered while the files come"


@pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() != 0 or not (shutil.which("unshare") and shutil.which("setpriv")),
    reason="needs root, who may mount read-only and become another user",
)
def test_what_compose_starts_needs_no_rights(tmp_path, request):
    """The command of compose.yaml with the environment of the image: a read-only tree, a user who is not root."""
    import yaml

    service = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]["fd2talk"]
    lines = (ROOT / "Dockerfile").read_text().replace("\\\n", " ").splitlines()
    image = dict(line.split(" ", 1) for line in lines if line[:1].isupper())
    assert service["read_only"] and service["cap_drop"] == ["ALL"] and list(service["volumes"]) == ["data:/data"]
    writable = Path(tempfile.mkdtemp())  # others may not enter pytest's folders
    request.addfinalizer(writable.rmdir)
    port = str(free_port())
    places = {"8790": port, "/data": f"{writable}/data"}
    command = [places.get(word, word) for word in service["command"]]
    check = [word.replace("8790", port) for word in service["healthcheck"]["test"][1:]]
    settings = dict(pair.replace("/tmp", str(writable)).split("=") for pair in image["ENV"].split())
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", **settings}
    environment |= {"WRITABLE": str(writable), "FD2TALK_TOKEN": TOKEN}
    demo = ROOT / "assets" / "demo"
    environment |= {"PHOTO": str(demo / "portrait_man.jpg"), "SPEECH": str(demo / SPEECH)}
    code = "import os, sys; assert os.getuid() == 10001\nfrom fd2talk.cli import main; sys.exit(main(sys.argv[1:]))"
    run = ["unshare", "-m", "sh", "-c", CONTAINER, "sh", sys.executable, "-c", code, *command]
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(run, stdout=subprocess.PIPE, stderr=log, text=True, env=environment)
    try:
        if not process.stdout.readline():
            said = (tmp_path / "log").read_text()
            if "mount:" in said or "unshare:" in said:
                pytest.skip(f"mounts are not allowed here: {said.strip()}")
            pytest.fail(said)
        assert subprocess.run([sys.executable, *check[1:]], timeout=PATIENCE).returncode == 0
        with Client(f"http://127.0.0.1:{port}", TOKEN) as client:
            photo, sound = (demo / "portrait_man.jpg").read_bytes(), (demo / SPEECH).read_bytes()[:20_044]
            video = client.finished(client.queued(photo, sound, renderer="geometry", **{"max-size": "256"}), 300)
            assert video["status"] == "completed", video["error"]
            error_of(client.get("/v1/videos", headers={"Authorization": ""}), 401, "unauthorized")
    finally:
        process.terminate()
        assert process.wait(timeout=PATIENCE) == 143
        process.stdout.close()


FULL = """
set -e
mount --make-rprivate /
mount -t tmpfs -o size=6m tmpfs "$DATA"
exec "$@"
"""


@pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() != 0 or not shutil.which("unshare"), reason="needs root, who may mount"
)
def test_a_disk_that_is_really_full(tmp_path, gate):
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
        first = client.queued(quick(until=[gate]))  # until then the files of the others fill the disk
        statuses = [client.create(audio=os.urandom(2**20)).status_code for _ in range(8)]
        assert 507 in statuses and set(statuses) <= {202, 507}
        said = error_of(client.create(audio=os.urandom(5 * 2**20)), 507, "storage_full")
        assert "full" in said
        assert client.get("/health").status_code in (200, 503)
        gate.touch()
        assert client.finished(first)["status"] == "completed"
        for row in listed(client):
            assert client.finished(row["id"])["status"] == "completed"
        assert client.finished(client.queued())["status"] == "completed"  # there is room again
