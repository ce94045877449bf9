"""Locating and downloading published files: order of folders, and acceptance of the published bytes only."""

import hashlib
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from shared import published_files
from shared.errors import Fd2TalkError, InputError
from shared.faces.face_tracker import LANDMARKER
from shared.metrics.metric_networks import METRIC_NETWORKS, find_metric_network
from shared.published_files import PublishedFile, cache_folder, digest

BYTES = bytes(range(256)) * 1000


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv(published_files.MODELS_VARIABLE, raising=False)


@pytest.fixture(scope="module")
def server():
    """An address whose /whole, /half and /slow bring the bytes, half of them, and nothing for a while."""
    done = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            if self.path == "/nothing":
                return self.send_error(404)
            self.send_response(200)
            self.send_header("Content-Length", str(len(BYTES)))
            self.end_headers()
            if self.path == "/slow":
                done.wait()
            self.wfile.write(BYTES[: len(BYTES) // 2] if self.path == "/half" else BYTES)

        def log_message(self, *_):
            pass

    class Quiet(ThreadingHTTPServer):
        def handle_error(self, *_):  # a client that hangs up is part of the test
            pass

    httpd = Quiet(("127.0.0.1", 0), Handler)
    threading.Thread(target=httpd.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{httpd.server_address[1]}"
    done.set()
    httpd.shutdown()
    httpd.server_close()


@pytest.fixture
def register(monkeypatch):
    def put(url, content=BYTES):
        sha = hashlib.sha256(content).hexdigest()
        tiny = PublishedFile("tiny.pth", url, sha, ("metric_a", "metric_b"), "none")
        monkeypatch.setitem(METRIC_NETWORKS, "tiny", tiny)

    return put


def leftovers():
    return sorted(path.name for path in cache_folder().rglob("*"))


def test_every_network_has_its_full_digest_and_file():
    networks = [*METRIC_NETWORKS.values(), LANDMARKER]
    files = [network.file for network in networks]
    assert len(set(files)) == len(files) == 7
    for network in networks:
        assert network.used_by and network.terms
        assert re.fullmatch("[0-9a-f]{64}", network.sha256)
        assert network.url is None or network.url.endswith("/" + network.file)
        named = re.search(r"-([0-9a-f]{8})\.pth$", network.file)  # torch writes the first digits into the name
        assert named is None or network.sha256.startswith(named[1])


def test_looks_in_the_folders_given_then_the_variable_then_the_cache(tmp_path, monkeypatch, register):
    register(None)
    given, variable, cache = tmp_path / "given", tmp_path / "variable", cache_folder()
    monkeypatch.setenv(published_files.MODELS_VARIABLE, str(variable))
    for folder in (cache, variable, given):
        folder.mkdir(parents=True)
        (folder / "tiny.pth").write_bytes(BYTES)
        assert find_metric_network("tiny", [tmp_path / "missing", given]) == folder / "tiny.pth"
    assert digest(given / "tiny.pth") == hashlib.sha256(BYTES).hexdigest()


def test_a_missing_network_is_one_line_with_every_remedy(tmp_path, register):
    register("http://example.org/tiny.pth")
    with pytest.raises(InputError) as error:
        find_metric_network("tiny", [tmp_path])
    sentence = str(error.value)
    for part in ("metric_a, metric_b", "tiny.pth", str(tmp_path), str(cache_folder()), "--models", "--download"):
        assert part in sentence
    assert "http://example.org/tiny.pth" in sentence and "\n" not in sentence
    register(None)
    with pytest.raises(InputError, match="no official download"):
        find_metric_network("tiny", [tmp_path], download=True)


def test_other_bytes_of_that_name_are_refused_even_when_they_came_later(tmp_path, register):
    register("http://example.org/tiny.pth")
    path = tmp_path / "tiny.pth"
    path.write_bytes(BYTES)
    assert find_metric_network("tiny", [tmp_path]) == path
    path.write_bytes(BYTES + b"!")
    with pytest.raises(InputError, match="not the published tiny.pth") as error:
        find_metric_network("tiny", [tmp_path], download=True)
    assert "\n" not in str(error.value) and path.exists()


def test_downloads_once_into_the_cache(server, register):
    register(server + "/whole")
    path = find_metric_network("tiny", download=True)
    assert path == cache_folder() / "tiny.pth" and path.read_bytes() == BYTES
    register("http://127.0.0.1:9/never-asked")
    assert find_metric_network("tiny", download=True) == path
    assert leftovers() == ["tiny.pth"]


@pytest.mark.parametrize(
    ("page", "why"),
    [("/half", "ended after 128000 of 256000 bytes"), ("/nothing", "Not Found"), ("/slow", "timed out")],
)
def test_a_download_that_fails_leaves_no_file(server, register, monkeypatch, page, why):
    if page == "/slow":
        monkeypatch.setattr(published_files, "_TIMEOUT", 0.3)
    register(server + page)
    with pytest.raises(Fd2TalkError, match=why) as error:
        find_metric_network("tiny", download=True)
    assert error.value.exit_code == 1 and "\n" not in str(error.value)
    assert leftovers() == []


def test_nobody_at_the_address_is_one_line(register):
    register("http://127.0.0.1:9/tiny.pth")
    with pytest.raises(Fd2TalkError, match="cannot download http://127.0.0.1:9/tiny.pth: "):
        find_metric_network("tiny", download=True)
    assert leftovers() == []


def test_other_bytes_at_the_address_leave_no_file(tmp_path, register):
    (tmp_path / "other").write_bytes(BYTES[:-1])
    register((tmp_path / "other").as_uri())
    with pytest.raises(Fd2TalkError, match="is not the published tiny.pth"):
        find_metric_network("tiny", download=True)
    assert leftovers() == []


def test_an_interrupted_download_leaves_no_file(server, register, monkeypatch):
    class Interrupting(published_files.tqdm):
        def update(self, count=1):
            raise KeyboardInterrupt

    monkeypatch.setattr(published_files, "tqdm", Interrupting)
    register(server + "/whole")
    with pytest.raises(KeyboardInterrupt):
        find_metric_network("tiny", download=True)
    assert leftovers() == []


def test_a_cache_that_cannot_be_made_is_one_line(tmp_path, register, monkeypatch, server):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    register(server + "/whole")
    with pytest.raises(Fd2TalkError, match="cannot create the folder"):
        find_metric_network("tiny", download=True)
