"""A studio that runs in a thread, and visitors who talk to it over HTTP as gradio's page does."""

import io
import json
import os
import re
import secrets
import socket
import threading
import time
from contextlib import contextmanager

import httpx
import uvicorn
from material import SineStage, portrait

from fd2talk.studio.engine import Engine
from fd2talk.studio.limits import Limits
from fd2talk.studio.same_page import Loaded
from fd2talk.studio.studio import Studio
from stage2_render.pipeline import RenderPipeline

_PICTURE = io.BytesIO()
portrait().save(_PICTURE, "PNG")
PNG = _PICTURE.getvalue()
"""A photo, as the bytes of a file."""

PLAIN = {"trust_env": False, "verify": False}
"""Settings of clients that speak HTTP without TLS: they need not load certificates, which takes longer than they do."""


class SmallModel:
    accepts = frozenset({"style"})


class SmallStage(SineStage):
    """Stage one without networks, which takes as long as it is told to."""

    model, style_names, name = SmallModel(), ["calm"], "fd2talk"
    seconds = 0.0

    def __init__(self):
        self.gate = threading.Event()
        self.gate.set()

    def __call__(self, audio, *, progress=None, **options):
        if progress:
            for step in range(10):
                progress(step, 10)
                time.sleep(self.seconds / 10)
            while not self.gate.wait(0.02):
                progress(9, 10)
        return super().__call__(audio, **options)

    def named_style(self, name):
        return None


class SmallEngine(Engine):
    """An engine that is quick: no networks; everything else is real."""

    def __init__(self):
        super().__init__()
        self.stage, self._renderer = SmallStage(), RenderPipeline.from_pretrained(renderer="geometry")

    models = ("fd2talk", "diface")

    def speech_to_motion(self, model=None):
        return self.stage

    def renderer(self, name="repair"):
        return self._renderer

    def warm(self):
        pass


@contextmanager
def running(engine=None, limits=Limits(), token=None):
    """Serve a studio at a free port; yields (studio, address)."""
    studio = Studio(engine or SmallEngine(), limits)
    before = os.environ.get("GRADIO_TEMP_DIR", "")
    os.environ["GRADIO_TEMP_DIR"] = str(studio.visitors.folder)
    from fd2talk.studio.app import application

    with socket.socket() as listening, studio.notes.installed():
        listening.bind(("127.0.0.1", 0))
        config = uvicorn.Config(application(studio, token), log_level="warning", timeout_graceful_shutdown=1)
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
        thread.start()
        address = f"http://127.0.0.1:{listening.getsockname()[1]}"
        wait_for(lambda: server.started)
        try:
            yield studio, address
        finally:
            server.should_exit = True
            thread.join(timeout=20)
            studio.close()
            os.environ["GRADIO_TEMP_DIR"] = before


def wait_for(what, seconds=60.0):
    """Wait until something is true, however busy the machine is."""
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end, "this did not happen"
        time.sleep(0.02)


def files_in(folder):
    """All files, while some may be removed."""
    return [os.path.join(inside, name) for inside, _, names in os.walk(folder) for name in names]


class Client:
    """A browser with one page open.

    Args:
        address: of the studio.
        session: gradio's.
        before: the client whose page is loaded again, in the same window; else it is a new browser.
        cookies: of another window of the same browser.
    """

    def __init__(self, address, session=None, before=None, cookies=None):
        cookies = before.http.cookies if before is not None else cookies
        self.loaded = Loaded(secrets.token_hex(4), 1)
        if before is not None:
            self.loaded = Loaded(before.loaded.name, before.loaded.count + 1)
        self.http = httpx.Client(base_url=address, timeout=120, cookies=cookies, **PLAIN)
        self.session = session or secrets.token_hex(8)
        opened = self.http.get("/")
        assert opened.status_code == 200, opened.text
        config = self.http.get("/config").json()
        self.ids = {one["props"]["elem_id"]: one["id"] for one in config["components"] if one["props"].get("elem_id")}
        self.names = {number: name for name, number in self.ids.items()}
        self.values = {one["id"]: one["props"].get("value") for one in config["components"]}
        self.events = config["dependencies"]
        self.heartbeat = None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.leave()
        self.http.close()

    def upload(self, content, name):
        """(status, path or what was said)."""
        answer = self.http.post("/gradio_api/upload", files={"files": (name, content)})
        return answer.status_code, answer.json()[0] if answer.status_code == 200 else answer.text

    def come(self):
        """Open the connection that tells the server that the page is open."""
        self.heartbeat = httpx.Client(base_url=self.http.base_url, cookies=self.http.cookies, **PLAIN)
        self.stream = self.heartbeat.stream("GET", f"/gradio_api/heartbeat/{self.session}", timeout=None)
        self.lines = self.stream.__enter__().iter_lines()  # a generator that is let go closes the connection
        next(self.lines)

    def leave(self):
        """Close it."""
        if self.heartbeat is not None:
            self.stream.__exit__(None, None, None)
            self.heartbeat.close()
            self.heartbeat = None

    def join(self, target, event, given=None):
        """Begin what an event of the page begins; `given` are values by `elem_id`, others are as they were."""
        wanted = [self.ids.get(target), event]
        if event == "load":  # of the page, which has no name; another one only runs a script
            found = next(one for one in self.events if one["targets"][0][1] == event and one["outputs"])
        else:
            found = next(one for one in self.events if wanted in one["targets"])
        known = {self.ids[name]: value for name, value in (given or {}).items()}
        known[self.ids["loaded"]] = f"{self.loaded.name} {self.loaded.count}"
        data = [known.get(number, self.values.get(number)) for number in found["inputs"]]
        body = {"data": data, "fn_index": found["id"], "session_hash": self.session, "trigger_id": wanted[0]}
        return self.http.post("/gradio_api/queue/join", json=body), found["outputs"]

    def messages(self):
        """What the queue sends, until it has nothing more."""
        with self.http.stream("GET", "/gradio_api/queue/data", params={"session_hash": self.session}) as stream:
            for line in stream.iter_lines():
                if line.startswith("data:"):
                    message = json.loads(line[5:])
                    yield message
                    if message["msg"] == "close_stream":
                        return

    def fire(self, target, event, given=None):
        """Run an event to its end: {elem_id: its last HTML}."""
        answer, outputs = self.join(target, event, given)
        assert answer.status_code == 200, answer.text
        last = {}
        for message in self.messages():
            if message["msg"] == "process_generating" and message["success"]:
                for place, number in enumerate(outputs):
                    _patch(last, self.names.get(number), message["output"]["data"][place])
            elif message["msg"] == "process_completed" and not message["success"]:
                last["error"] = True
            elif message["msg"] == "process_completed" and message["output"].get("data"):
                for place, number in enumerate(outputs):
                    _patch(last, self.names.get(number), message["output"]["data"][place])
        return last

    def photo(self, path):
        """Give a photo: what is said."""
        return self.fire("photo", "change", {"photo": file_of(path)})["faces-said"]

    def generate(self, sound, **given):
        """Generate: {elem_id: its last HTML}."""
        small = {"max-size": 128, "renderer": "geometry"}
        return self.fire("generate", "click", {"speech": file_of(sound), **small, **given})


def file_of(path):
    """A file as gradio's page names it."""
    return {"path": str(path), "meta": {"_type": "gradio.FileData"}, "orig_name": os.path.basename(str(path))}


def _patch(last, name, value):
    """Keep a value; what follows the first is sent as its differences."""
    if isinstance(value, list) and all(isinstance(one, list) and len(one) == 3 for one in value):
        for action, path, new in value:
            if path == [] and action in ("replace", "add"):
                last[name] = new
            elif path == [] and action == "append":
                last[name] += new
        return
    if isinstance(value, dict) and value.get("__type__") == "update":
        if "value" not in value:
            return
        value = value["value"]
    last[name] = value


def links(html):
    """Addresses of the downloads in a result, by kind."""
    return {kind: url for url, kind in re.findall(r'href="([^"?]+)\?[^"]*" download="[^"]*" data-kind="(\w+)"', html)}
