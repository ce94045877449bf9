"""What a studio does not do, over real HTTP: other people's files, other sites, too much of anything."""

import http.client
import io
import socket
from contextlib import suppress
from pathlib import Path

import httpx
import psutil
import pytest
from PIL import Image
from studio_client import PNG, Client, file_of, links, running


def test_a_photo_of_too_many_pixels_is_refused_by_its_header(client):
    buffer = io.BytesIO()
    Image.new("1", (10_000, 6_000)).save(buffer, "PNG")  # 60 million pixels in some kilobytes
    status, said = client.upload(buffer.getvalue(), "bomb.png")
    assert status == 422 and "50 million pixels" in said


@pytest.mark.parametrize("announced", [True, False])
def test_a_large_upload_is_refused_early(studio, client, announced):
    memory = psutil.Process().memory_info().rss
    host, port = studio[1].removeprefix("http://").split(":")
    start = b'--x\r\nContent-Disposition: form-data; name="files"; filename="a.wav"\r\n\r\n'
    size = "content-length: 200000100" if announced else "transfer-encoding: chunked"
    head = (
        f"POST /gradio_api/upload HTTP/1.1\r\nhost: {host}:{port}\r\n{size}\r\n"
        f"cookie: fd2talk_visitor={client.http.cookies['fd2talk_visitor']}\r\n"
        "content-type: multipart/form-data; boundary=x\r\n\r\n"
    )
    sent = 0
    with socket.create_connection((host, int(port)), timeout=60) as connection:
        connection.sendall(head.encode())
        with suppress(OSError):  # the server closes while we are still sending
            for block in [start, *[bytes(1_000_000)] * 200]:
                connection.sendall(block if announced else b"%x\r\n%s\r\n" % (len(block), block))
                sent += len(block)
        answer = b""
        with suppress(OSError):
            answer = connection.recv(4096)
    assert answer == b"" or b" 413 " in answer
    # Announced, nothing of it is read but what was on its way; otherwise no more than may be.
    assert sent < (20e6 if announced else 70e6)
    assert psutil.Process().memory_info().rss - memory < 80e6
    visitor = studio[0].visitors.find(client.http.cookies["fd2talk_visitor"])
    assert not visitor.workspace.folder.exists() or visitor.workspace.size == 0
    assert client.upload(PNG, "p.png")[0] == 200


TRAVERSALS = [
    "/studio/files/{name}/../../../../../../etc/passwd",
    "/studio/files/..%2f..%2f..%2f..%2fetc/passwd",
    "/studio/files/%2e%2e/%2e%2e/%2e%2e/%2e%2e/etc/passwd",
    "/studio/files/..%252f..%252fetc%252fpasswd",
    "/studio/files//etc/passwd",
    "/studio/files/..\\..\\etc\\passwd",
    "/studio/files/%00/etc/passwd",
    "/studio/files/....//....//etc/passwd",
    "/studio/static/../app.py",
    "/studio/static/..%2fapp.py",
    "/studio/examples/..%2f..%2fREADME.md",
    "/gradio_api/file=/etc/passwd",
    "/gradio_api/file=//etc/passwd",
    "/gradio_api/file=../../../../etc/passwd",
    "/gradio_api/file=..%2f..%2f..%2fetc/passwd",
    "/gradio_api/file=%2fetc%2fpasswd",
    "/gradio_api/file=file:///etc/passwd",
    "/gradio_api/file=http://127.0.0.1:1/",
    "/gradio_api/file={root}",
    "/gradio_api/file={folder}/../../../etc/passwd",
    "/gradio_api/file/etc/passwd",
    "/gradio_api/proxy=http://127.0.0.1:1/",
    "/static/../../../../etc/passwd",
    "/static/..%2f..%2f..%2f..%2f..%2fetc/passwd",
    "/assets/%2e%2e/%2e%2e/%2e%2e/%2e%2e/%2e%2e/%2e%2e/etc/passwd",
    "/svelte/..%2f..%2f..%2f..%2fetc/passwd",
]


@pytest.mark.parametrize("path", TRAVERSALS)
def test_nothing_outside_the_own_folder_can_be_read(studio, client, path):
    upload = Path(client.upload(PNG, "p.png")[1])
    target = path.format(name=upload.parent.name, root=studio[0].visitors.folder, folder=upload.parent)
    status, body = _raw(studio[1], target, client.http.cookies["fd2talk_visitor"])
    assert status in (400, 403, 404), (status, body[:200])
    assert b"root:" not in body and b"def " not in body and b"fd2talk-studio-" not in body


def _raw(address, target, cookie):
    """A request whose path is sent as it is: clients tidy it up."""
    connection = http.client.HTTPConnection(address.removeprefix("http://"), timeout=60)
    connection.putrequest("GET", target.replace(" ", "%20"), skip_accept_encoding=True)
    connection.putheader("Cookie", f"fd2talk_visitor={cookie}")
    connection.endheaders()
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    return answer.status, body


def test_links_lead_nowhere(client):
    upload = Path(client.upload(PNG, "p.png")[1])
    link = upload.with_name("link.png")
    link.symlink_to("/etc/passwd")
    assert client.http.get(f"/gradio_api/file={link}").status_code == 404
    assert client.http.get(f"/gradio_api/file={upload}").content == PNG
    assert client.join("photo", "change", {"photo": file_of(link)})[0].status_code == 403


def test_names_of_uploads_are_harmless(studio, client):
    for name in (
        "../../../tmp/x.png",
        "..\\..\\x.png",
        "/etc/x.png",
        ".hidden.png",
        "a" * 300 + ".png",
        "x\ny.png",
        "..",
    ):
        status, path = client.upload(PNG, name)
        assert status == 200 and Path(path).is_relative_to(studio[0].visitors.folder)
        assert len(Path(path).name) < 80 and not Path(path).name.startswith(".")


@pytest.mark.parametrize("path", ["/etc/passwd", "http://127.0.0.1:1/x.png", "../x", "\0"])
def test_no_event_takes_a_file_that_was_not_uploaded(studio, client, path):
    before = sorted(studio[0].visitors.folder.rglob("*"))
    for target, event in (("photo", "change"), ("speech", "change")):
        answer, _ = client.join(target, event, {target: file_of(path)})
        assert answer.status_code == 403 and "passwd" not in answer.text
    assert sorted(studio[0].visitors.folder.rglob("*")) == before


def test_one_visitor_cannot_read_anothers_files(studio, ready):
    client, sound = ready
    url = links(client.generate(sound)["results"])["mp4"]
    with Client(studio[1]) as other:
        assert other.http.get(url).status_code == 404
        assert other.http.get(f"/gradio_api/file={sound}").status_code == 404
        assert other.join("speech", "change", {"speech": file_of(sound)})[0].status_code == 403
        other.http.cookies.clear()
        assert other.http.get(url).status_code == 404
    assert client.http.get(url).status_code == 200


def test_one_visitor_cannot_follow_anothers_page(studio, client):
    client.fire("generate", "click")
    with Client(studio[1], session=client.session) as other:
        assert other.join("generate", "click")[0].status_code == 403
        data = other.http.get("/gradio_api/queue/data", params={"session_hash": client.session})
        assert data.status_code == 403
        body = {"session_hash": client.session, "fn_index": 0, "event_id": "x"}
        assert other.http.post("/gradio_api/cancel", json=body).status_code == 403
        assert other.http.get(f"/gradio_api/heartbeat/{client.session}").status_code == 403


@pytest.mark.parametrize(
    "path",
    [
        "/gradio_api/run/x",
        "/gradio_api/call/x",
        "/monitoring",
        "/gradio_api/runs",
        "/gradio_api/deep_link",
        "/gradio_api/component_server",
        "/gradio_api/process_recording",
        "/gradio_api/vibe-code",
        "/docs",
        "/openapi.json",
    ],
)
def test_what_else_gradio_serves_is_not_there(client, path):
    assert client.http.get(path).status_code == 404
    assert client.http.post(path, json={}).status_code == 404


def test_other_sites_and_names_are_refused(studio, client):
    assert client.http.get("/", headers={"host": "evil.example"}).status_code == 403
    assert (
        client.http.post("/gradio_api/queue/join", json={}, headers={"origin": "https://evil.example"}).status_code
        == 403
    )
    headers = client.http.get("/").headers
    assert "connect-src 'self'" in headers["content-security-policy"] and headers["x-frame-options"] == "DENY"


def test_requests_that_are_none_of_the_page(client):
    post = client.http.post
    assert post("/gradio_api/queue/join", content=b"{").status_code == 400
    assert post("/gradio_api/queue/join", content=b"[" * 100_000).status_code == 400
    with suppress(httpx.TransportError):  # the server closes while we are still sending
        assert post("/gradio_api/queue/join", content=b" " * 5_000_000).status_code == 413
    assert post("/gradio_api/upload", content=b"x").status_code == 400
    assert client.http.request("DELETE", "/").status_code == 405


def test_the_token_opens(tmp_path):
    token = "correct-horse-battery"
    with running(token=token) as (_, address), httpx.Client(base_url=address, trust_env=False) as http:
        asked = http.get("/")
        assert asked.status_code == 401 and 'type="password"' in asked.text and "set-cookie" not in asked.headers
        for path in ("/config", "/gradio_api/file=/etc/passwd", "/studio/static/studio.js", "/gradio_api/queue/data"):
            assert http.get(path).status_code == 401
        assert http.get("/", params={"token": "wrong-horse-battery"}).status_code == 401
        assert http.post("/login", data={"token": "wrong"}).status_code == 401
        assert http.post("/login", data={"token": token}, headers={"origin": "https://evil.example"}).status_code == 403
        opened = http.get("/", params={"token": token})
        assert opened.status_code == 303 and opened.headers["location"] == "/"
        cookie = opened.headers["set-cookie"]
        assert "HttpOnly" in cookie and "SameSite=Strict" in cookie
        assert http.get("/").status_code == 200
        http.cookies.clear()
        assert http.post("/login", data={"token": token}).status_code == 303
        assert http.get("/config").status_code == 200
