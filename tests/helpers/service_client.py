"""A service in this process or in one of its own, and programs that talk to it over HTTP."""

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from contextlib import closing, contextmanager
from pathlib import Path

import httpx

STUB = "service_engine:StubEngine"
ROOT = Path(__file__).parents[2]
TOKEN = "correct-horse-battery"
PATIENCE = 120.0
"""Seconds in which what must happen does, even where other work takes nearly all of the computer."""


def quick(seconds=0.02, do=None, until=(), **more):
    """A photo for the stub engine; it waits for the files `until`, each before a part of its own."""
    return json.dumps({"seconds": seconds, "do": do, "until": [*map(str, until)], **more}).encode()


def wait_for(what, seconds=PATIENCE):
    """Wait until something is true, and return it."""
    end = time.monotonic() + seconds
    while not (found := what()):
        assert time.monotonic() < end, "this did not happen"
        time.sleep(0.02)
    return found


class Client(httpx.Client):
    """A client of the service."""

    def __init__(self, address, token=None, **options):
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        # Without TLS no certificates need to be loaded, which takes longer than a request.
        options = {"timeout": PATIENCE, "trust_env": False, "verify": False, "headers": headers} | options
        super().__init__(base_url=address, **options)

    def create(self, photo=None, audio=b"sound", key=None, **fields):
        """Ask for a video with a form: the answer."""
        files = {"photo": ("photo.png", quick() if photo is None else photo), "audio": ("speech.wav", audio)}
        headers = {"Idempotency-Key": key} if key else {}
        return self.post("/v1/videos", files=files, data=fields, headers=headers)

    def queued(self, *arguments, **options):
        """The same: the video's id."""
        answer = self.create(*arguments, **options)
        assert answer.status_code == 202, answer.text
        return answer.json()["id"]

    def video(self, name):
        """A video as it is."""
        answer = self.get(f"/v1/videos/{name}")
        assert answer.status_code == 200, answer.text
        return answer.json()

    def finished(self, name, seconds=PATIENCE):
        """A video when it is finished."""
        return wait_for(lambda: v if (v := self.video(name))["status"] in ("completed", "failed") else None, seconds)

    def content(self, name):
        """The file of a video."""
        answer = self.get(f"/v1/videos/{name}/content")
        assert answer.status_code == 200, answer.text
        return answer.content

    def upload(self, content, name="file.bin"):
        """Upload a file: its id."""
        answer = self.post("/v1/uploads", files={"file": (name, content)})
        assert answer.status_code == 201, answer.text
        return answer.json()["id"]


def error_of(answer, status, code):
    """The sentence of an answer that must be this error, in the shape that all have."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/json"
    body = answer.json()
    assert set(body) == {"error"} and set(body["error"]) == {"code", "message"}
    assert body["error"]["code"] == code, body
    return body["error"]["message"]


@contextmanager
def running(folder, limits=None, token=None, engine=STUB, workers=1, tokens=None):
    """Serve in a thread of this process; yields (service, address, supervisor).

    Videos are made in so many processes; 0: none are made, and there is no supervisor.
    """
    import uvicorn

    from fd2talk.service.app import application
    from fd2talk.service.clients import Clients
    from fd2talk.service.limits import Limits
    from fd2talk.service.protocol import protocol
    from fd2talk.service.service import Service
    from fd2talk.service.supervisor import Supervisor
    from fd2talk.serving import bound

    limits = limits or Limits(free_bytes=0, cancel_seconds=0.5)
    with closing(Service(folder, limits)) as service, closing(bound("127.0.0.1", 0)) as listening:
        with helpers_in_path():
            supervisor = Supervisor(service, engine, "bundled", "cpu", workers) if workers else None
            if supervisor:
                supervisor.start()
            config = uvicorn.Config(
                application(service, Clients(tokens) if tokens else Clients.of(token)), http=protocol(limits),
                lifespan="off", ws="none", log_config=None, access_log=False, timeout_graceful_shutdown=1,
            )  # fmt: skip
            server = uvicorn.Server(config)
            thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
            thread.start()
            wait_for(lambda: server.started)
            try:
                yield service, f"http://127.0.0.1:{listening.getsockname()[1]}", supervisor
            finally:
                service.stopping.set()
                if supervisor:
                    supervisor.stop(0)
                server.should_exit = True
                thread.join(timeout=PATIENCE)


def long_ago(service, name):
    """Let a video that is being made have come further for the last time so long ago that it counts as stalled."""
    with service.database.writing() as connection:
        moved = connection.execute(
            "UPDATE videos SET updated = updated - ? WHERE id = ? AND status = 'in_progress'",
            (service.limits.stall_seconds, name),
        )
    assert moved.rowcount == 1


@contextmanager
def helpers_in_path():
    """Processes that are started find the modules of this folder."""
    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(ROOT), str(Path(__file__).parent), before]))
    try:
        yield
    finally:
        os.environ.pop("PYTHONPATH")
        if before is not None:
            os.environ["PYTHONPATH"] = before


class Server:
    """`fd2talk serve` in a process of its own.

    Args:
        folder: of its data.
        options: of the command line.
        engine: None: the real one.
        prefix: of the command.
    """

    def __init__(self, folder, *options, engine=STUB, token=None, prefix=(), log=None):
        command = [*prefix, sys.executable, "-m", "fd2talk", "serve", "--data", str(folder), "--port", "0"]
        command += ["--min-free", "0", *(["--engine", engine] if engine else []), *map(str, options)]
        environment = {**os.environ, "OMP_NUM_THREADS": "1", **({"FD2TALK_TOKEN": token} if token else {})}
        self.log = Path(log or f"{folder}.log")
        with helpers_in_path(), self.log.open("ab") as said:
            environment["PYTHONPATH"] = os.environ["PYTHONPATH"]
            self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=said, text=True, env=environment)
        line = self.process.stdout.readline()
        assert re.fullmatch(r"http://127\.0\.0\.1:\d+\n", line), self.log.read_text()
        self.address, self.token = line.strip(), token

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(timeout=PATIENCE)
            finally:
                self.kill()
        self.process.stdout.close()

    def client(self, **options):
        """A client of it."""
        return Client(self.address, self.token, **options)

    def workers(self):
        """The processes that make videos for it, and that have not ended."""
        import psutil

        found = []
        with contextlib.suppress(psutil.NoSuchProcess):
            for child in psutil.Process(self.process.pid).children(recursive=True):
                with contextlib.suppress(psutil.NoSuchProcess, psutil.ZombieProcess):
                    # One that has just begun is still a copy of the service.
                    if "fd2talk.service.worker" in child.cmdline() and child.status() != psutil.STATUS_ZOMBIE:
                        found.append(child)
        return found

    def kill(self, with_workers=True):
        """End it as a loss of power would: without a word."""
        import psutil

        workers = self.workers() if with_workers else []
        self.process.kill()
        for worker in workers:
            with contextlib.suppress(psutil.NoSuchProcess):  # it ends by itself, too
                worker.kill()
        self.process.wait(timeout=PATIENCE)

    def stop(self, number=signal.SIGTERM, seconds=PATIENCE):
        """Stop it with a signal: the exit code."""
        self.process.send_signal(number)
        return self.process.wait(timeout=seconds)
