"""Clients that are slow, that leave, that do not read, that are too many; and what the log says of them."""

import contextlib
import json
import logging
import socket
import time
from dataclasses import replace

import pytest
from service_client import PATIENCE, TOKEN, Client, error_of, quick, running, wait_for

from fd2talk.service.folders import Folders
from fd2talk.service.guard import LOG
from fd2talk.service.limits import Limits

# Each limit is short only where it is what a test is about: the machine may stop for longer at any moment.
PATIENT = Limits(
    free_bytes=0, requests=5, connections=12, header_seconds=2 * PATIENCE, idle_seconds=2 * PATIENCE,
    body_seconds=2 * PATIENCE,
)  # fmt: skip


@pytest.fixture(scope="module")
def patient(tmp_path_factory):
    with running(tmp_path_factory.mktemp("patient") / "data", PATIENT) as one:
        yield one


@pytest.fixture
def impatient(tmp_path):
    """Starts a service that is patient but for some limits; it makes no videos."""
    with contextlib.ExitStack() as stack:
        yield lambda **limits: stack.enter_context(running(tmp_path / "data", replace(PATIENT, **limits), workers=0))


@pytest.fixture
def received(monkeypatch):
    """The names of files that have begun to arrive."""
    names, incoming_file = [], Folders.incoming_file

    def noted(self, name):
        names.append(name)
        return incoming_file(self, name)

    monkeypatch.setattr(Folders, "incoming_file", noted)
    return names


@contextlib.contextmanager
def connected(address):
    """A socket to the service."""
    host, port = address.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=PATIENCE) as connection:
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


def dripped(connection, data):
    """Send something again and again until the connection is closed."""
    end = time.monotonic() + PATIENCE
    while sent(connection, data):
        assert time.monotonic() < end, "it is waited for"
        time.sleep(0.1)


def test_a_head_that_does_not_arrive_is_not_waited_for(impatient):
    address = impatient(header_seconds=0.5)[1]
    for dripping in (False, True):
        begun = time.monotonic()
        with connected(address) as connection:
            if dripping:
                sent(connection, b"GET /health HTTP/1.1\r\n")
                dripped(connection, b"X: y\r\n")
            assert everything(connection) == b"" and time.monotonic() - begun > 0.4


def first_answer(connection):
    """What is answered, as far as it is before the connection is closed."""
    answer = b""
    with contextlib.suppress(ConnectionError):
        connection.sendall(b"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        while not answer.endswith(b"}") and (block := connection.recv(65536)):
            answer += block
    return answer


def test_a_second_head_is_not_waited_for_either(impatient):
    address = impatient(header_seconds=0.5)[1]

    def asked_twice():
        with connected(address) as connection:
            if b"200 OK" not in first_answer(connection):  # this process stood still, and asked too late
                return False
            sent(connection, b"GET /hea")
            return everything(connection) == b""

    wait_for(asked_twice)


def test_a_body_that_stops_is_not_waited_for_and_leaves_no_file(impatient, received):
    service, address, _ = impatient(idle_seconds=0.5)
    with connected(address) as connection:
        connection.sendall(head(10_000) + PART + b"x" * 500)
        answer = everything(connection)
        assert b" 408 " in answer and b'"timeout"' in answer
    assert received == ["p.png"] and not [*service.folders.incoming.iterdir()]


def test_a_body_that_drips_is_not_waited_for_for_ever(impatient, received):
    service, address, _ = impatient(body_seconds=1.5)
    begun = time.monotonic()
    with connected(address) as connection:
        connection.sendall(head(10_000) + PART)
        dripped(connection, b"x")
    assert time.monotonic() - begun > 1.5
    assert received == ["p.png"]
    wait_for(lambda: not [*service.folders.incoming.iterdir()])


def test_a_client_that_leaves_in_the_middle_leaves_no_file_and_no_video(patient):
    service, address, _ = patient
    with Client(address) as client:
        before = client.get("/v1/videos").json()["data"]
    with connected(address) as connection:
        connection.sendall(head(100_000) + PART + b"x" * 50_000)
        wait_for(lambda: [*service.folders.incoming.iterdir()])
    wait_for(lambda: not [*service.folders.incoming.iterdir()])
    with Client(address) as client:
        assert client.get("/v1/videos").json()["data"] == before


def test_a_client_that_does_not_read_is_let_go(tmp_path):
    with running(tmp_path / "data", PATIENT) as (_, address, _), Client(address) as client:
        name = client.queued()
        client.finished(name)
    limits = replace(PATIENT, idle_seconds=0.5)
    with running(tmp_path / "data", limits, workers=0) as (service, address, _), Client(address) as client:
        video = service.videos.find(name)
        with (service.folders.results / video.result).open("ab") as file:
            file.truncate(64 * 2**20)
        with connected(address) as connection:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            connection.sendall(f"GET /v1/videos/{name}/content HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())
            connection.recv(100)
            text = 'route="/v1/videos/{video_id}/content"'
            wait_for(lambda: text in client.get("/metrics").text)
        assert client.get("/health").status_code == 200


def test_who_is_refused_while_sending_reads_why(tmp_path, monkeypatch):
    monkeypatch.setattr("fd2talk.service.guard._DRAINED_SECONDS", PATIENCE)
    limits = Limits(free_bytes=0, upload_bytes=100_000)
    with running(tmp_path / "data", limits, token=TOKEN) as (_, address, _), connected(address) as connection:
        connection.sendall(head(5_000_000) + PART)
        for _ in range(50):
            if not sent(connection, b"x" * 100_000):
                break
        assert b" 401 " in everything(connection)


def test_who_waits_before_sending_is_refused_at_once(tmp_path, monkeypatch):
    monkeypatch.setattr("fd2talk.service.guard._DRAINED_SECONDS", 2 * PATIENCE)  # what nobody sends is not waited for
    with running(tmp_path / "data", token=TOKEN) as (_, address, _), connected(address) as connection:
        connection.sendall(head(5_000_000).replace(b"\r\n\r\n", b"\r\nExpect: 100-continue\r\n\r\n"))
        assert b" 401 " in everything(connection)


def test_what_is_no_http_is_refused_in_the_same_shape(patient):
    with connected(patient[1]) as connection:
        connection.sendall(b"\x16\x03\x01 this is TLS\r\n\r\n")
        answer = everything(connection)
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["error"]["code"] == "bad_request"


def test_too_many_at_once_are_told_so(patient):
    service, address, _ = patient
    with contextlib.ExitStack() as stack, Client(address) as client:
        for _ in range(5):
            connection = stack.enter_context(connected(address))
            connection.sendall(head(10_000) + PART)
        answer = wait_for(lambda: a if (a := client.get("/v1/videos")).status_code == 503 else None)
        assert "too many requests" in error_of(answer, 503, "busy") and answer.headers["retry-after"] == "1"
    with Client(address) as client:
        wait_for(lambda: client.get("/v1/videos").status_code == 200)
        with contextlib.ExitStack() as stack:  # connections, of which nothing is asked
            many = [stack.enter_context(connected(address)) for _ in range(15)]
            assert everything(many[-1]) == b""
        wait_for(lambda: client.get("/v1/videos").status_code == 200)


@pytest.fixture
def lines():
    """What is logged."""
    found = []
    handler = logging.Handler()
    handler.emit = lambda record: found.append(handler.format(record))
    level = LOG.level
    LOG.addHandler(handler)
    LOG.setLevel(logging.INFO)
    yield found
    LOG.removeHandler(handler)
    LOG.setLevel(level)


def test_the_log_has_no_token_and_no_second_line(tmp_path, lines):
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
        wait_for(lambda: [line for line in lines if "POST /v1/videos 401" in line])  # it is written after the answer
        said = "\n".join(lines)
    assert "GET /v1/videos 401" in said and "GET /v1/videos 200" in said and "GET /v1/videos/*** " in said
    assert TOKEN not in said and "battery" not in said
    assert "TypeError" in said and "%0D%0A2030" in said
    assert all(len(line) < 400 for line in lines if "Traceback" not in line)


def test_video_ids_are_in_the_log(patient, lines):
    with Client(patient[1]) as client:
        name = client.queued(quick())
        client.finished(name)
    wait_for(lambda: any(f"GET /v1/videos/{name} 200" in line for line in lines))
