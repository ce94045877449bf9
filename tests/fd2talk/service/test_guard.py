"""Clients that are slow, that leave, that do not read, that are too many; and what the log says of them."""

import contextlib
import json
import logging
import socket
import time

import pytest
from service_client import TOKEN, Client, error_of, quick, running, wait_for

from fd2talk.service.guard import LOG
from fd2talk.service.limits import Limits

PATIENCE = Limits(free_bytes=0, header_seconds=0.5, idle_seconds=0.5, body_seconds=1.5, requests=5, connections=12)


@pytest.fixture(scope="module")
def impatient(tmp_path_factory):
    with running(tmp_path_factory.mktemp("impatient") / "data", PATIENCE) as one:
        yield one


@contextlib.contextmanager
def connected(address):
    """A socket to the service."""
    host, port = address.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        yield connection


def head(size, kind="multipart/form-data; boundary=b"):
    lines = ["POST /v1/videos HTTP/1.1", "Host: 127.0.0.1", f"Content-Type: {kind}", f"Content-Length: {size}"]
    return "\r\n".join([*lines, "", ""]).encode()


PART = b'--b\r\nContent-Disposition: form-data; name="photo"; filename="p.png"\r\n\r\n'


def everything(connection):
    """What is still sent until the connection is closed."""
    received = b""
    with contextlib.suppress(ConnectionError):
        while block := connection.recv(65536):
            received += block
    return received


def sent(connection, data):
    """Whether it could still be sent."""
    try:
        connection.sendall(data)
    except OSError:
        return False
    return True


def test_a_head_that_does_not_arrive_is_not_waited_for(impatient):
    with connected(impatient[1]) as silent, connected(impatient[1]) as slow:
        begun = time.monotonic()
        assert everything(silent) == b""
        slow.sendall(b"GET /health HTTP/1.1\r\n")
        while sent(slow, b"X: y\r\n") and time.monotonic() < begun + 5:
            time.sleep(0.1)
        assert 0.4 < time.monotonic() - begun < 3


def test_a_second_head_is_not_waited_for_either(impatient):
    with connected(impatient[1]) as connection:
        connection.sendall(b"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        answer = b""
        while not answer.endswith(b"}"):
            answer += connection.recv(65536)
        assert b"200 OK" in answer
        begun = time.monotonic()
        connection.sendall(b"GET /hea")
        assert everything(connection) == b"" and time.monotonic() - begun < 2


def test_a_body_that_stops_is_not_waited_for_and_leaves_no_file(impatient):
    service, address, _ = impatient
    with connected(address) as connection:
        connection.sendall(head(10_000) + PART + b"x" * 500)
        wait_for(lambda: [*service.folders.incoming.iterdir()])
        answer = everything(connection)
        assert b" 408 " in answer and b'"timeout"' in answer
    wait_for(lambda: not [*service.folders.incoming.iterdir()])


def test_a_body_that_drips_is_not_waited_for_for_ever(impatient):
    service, address, _ = impatient
    with connected(address) as connection:
        begun = time.monotonic()
        connection.sendall(head(10_000) + PART)
        while sent(connection, b"x") and time.monotonic() < begun + 8:
            time.sleep(0.1)
        assert 1.3 < time.monotonic() - begun < 5
    wait_for(lambda: not [*service.folders.incoming.iterdir()])


def test_a_client_that_leaves_in_the_middle_leaves_no_file_and_no_video(impatient):
    service, address, _ = impatient
    with connected(address) as connection:
        connection.sendall(head(100_000) + PART + b"x" * 50_000)
        wait_for(lambda: [*service.folders.incoming.iterdir()])
    wait_for(lambda: not [*service.folders.incoming.iterdir()])
    assert not [*service.folders.inputs.iterdir()]
    with Client(address) as client:
        assert client.get("/v1/videos").json()["data"] == []


def test_a_client_that_does_not_read_is_let_go(tmp_path):
    with running(tmp_path / "data", PATIENCE) as (service, address, _), Client(address) as client:
        name = client.queued()
        client.finished(name)
        video = service.videos.find(name)
        with (service.folders.results / video.result).open("ab") as file:
            file.truncate(64 * 2**20)
        with connected(address) as connection:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            connection.sendall(f"GET /v1/videos/{name}/content HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())
            connection.recv(100)
            text = 'route="/v1/videos/{video_id}/content"'
            wait_for(lambda: text in client.get("/metrics").text, 5)
        assert client.get("/health").status_code == 200


def test_who_is_refused_while_sending_reads_why(tmp_path):
    limits = Limits(free_bytes=0, upload_bytes=100_000)
    with running(tmp_path / "data", limits, token=TOKEN) as (_, address, _), connected(address) as connection:
        connection.sendall(head(5_000_000) + PART)
        for _ in range(50):
            if not sent(connection, b"x" * 100_000):
                break
        assert b" 401 " in everything(connection)


def test_who_waits_before_sending_is_refused_at_once(tmp_path):
    with running(tmp_path / "data", token=TOKEN) as (_, address, _), connected(address) as connection:
        begun = time.monotonic()
        connection.sendall(head(5_000_000).replace(b"\r\n\r\n", b"\r\nExpect: 100-continue\r\n\r\n"))
        assert b" 401 " in everything(connection) and time.monotonic() - begun < 1.5


def test_what_is_no_http_is_refused_in_the_same_shape(impatient):
    with connected(impatient[1]) as connection:
        connection.sendall(b"\x16\x03\x01 this is TLS\r\n\r\n")
        answer = everything(connection)
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["error"]["code"] == "bad_request"


def test_too_many_at_once_are_told_so(impatient):
    service, address, _ = impatient
    with contextlib.ExitStack() as stack, Client(address) as client:
        for _ in range(5):
            connection = stack.enter_context(connected(address))
            connection.sendall(head(10_000) + PART)
        answer = wait_for(lambda: a if (a := client.get("/v1/videos")).status_code == 503 else None, 2)
        assert "too many requests" in error_of(answer, 503, "busy") and answer.headers["retry-after"] == "1"
    with Client(address) as client:
        wait_for(lambda: client.get("/v1/videos").status_code == 200)
        with contextlib.ExitStack() as stack:  # connections, of which nothing is asked
            many = [stack.enter_context(connected(address)) for _ in range(15)]
            assert everything(many[-1]) == b""
        wait_for(lambda: client.get("/v1/videos").status_code == 200)


@pytest.fixture
def log():
    lines = []
    handler = logging.Handler()
    handler.emit = lambda record: lines.append(handler.format(record))
    level = LOG.level
    LOG.addHandler(handler)
    LOG.setLevel(logging.INFO)
    yield lines
    LOG.removeHandler(handler)
    LOG.setLevel(level)


def test_the_log_has_no_token_and_no_second_line(tmp_path, log):
    with running(tmp_path / "data", token=TOKEN) as (service, address, _), Client(address) as client:
        client.get("/v1/videos", params={"token": TOKEN})
        client.get(f"/v1/videos/{TOKEN}", headers={"Authorization": f"Bearer {TOKEN}"})
        client.get("/v1/videos/" + TOKEN.replace("-", "%2D"))
        client.get("/v1/videos", headers={"Authorization": f"Bearer {TOKEN}", "X-Token": TOKEN})
        client.get("/v1/%0d%0a2030-01-01 forged line")
        client.get("/" + "x" * 5000)
        service.videos.find = None  # a bug
        answer = client.get("/v1/videos/x", headers={"Authorization": f"Bearer {TOKEN}"})
        error_of(answer, 500, "internal_error")
        client.create(audio=TOKEN.encode())
        said = "\n".join(log)
    assert "GET /v1/videos 401" in said and "GET /v1/videos 200" in said and "GET /v1/videos/*** " in said
    assert TOKEN not in said and "battery" not in said
    assert "TypeError" in said and "%0D%0A2030" in said
    assert all(len(line) < 400 for line in log if "Traceback" not in line)


def test_video_ids_are_in_the_log(impatient, log):
    with Client(impatient[1]) as client:
        name = client.queued(quick())
        client.finished(name)
    assert any(f"GET /v1/videos/{name} 200" in line for line in log)
