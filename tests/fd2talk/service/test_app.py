"""What clients see: every address, and one shape of errors."""

import hashlib
import json
import re
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from service_client import PATIENCE, ROOT, TOKEN, Client, error_of, quick, running, wait_for
from service_engine import made_of

from fd2talk.service.limits import Limits


@pytest.fixture
def patient(monkeypatch):
    """Whoever is refused may take its time to send the rest, and to read why."""
    monkeypatch.setattr("fd2talk.service.guard._DRAINED_SECONDS", PATIENCE)


def test_a_video_from_a_form_from_beginning_to_end(client, served, gate):
    photo, audio, before = quick(until=[gate]), b"the sound", int(time.time())
    answer = client.create(photo, audio, seed="7", **{"max-size": "256"})
    assert answer.status_code == 202, answer.text
    video = answer.json()
    assert answer.headers["location"] == f"/v1/videos/{video['id']}"
    assert video["object"] == "video" and video["model"] == "fd2talk" and video["error"] is None
    assert video["options"] == {"seed": 7, "max_size": 256}
    assert before <= video["created_at"] <= time.time() and video["completed_at"] is None is video["expires_at"]
    stages = ("reading the files", "rendering")
    wait_for(lambda: (now := client.video(video["id"]))["status"] == "in_progress" and now["stage"] in stages)
    gate.touch()
    done = client.finished(video["id"])
    assert (done["progress"], done["seconds"], done["size"], done["stage"]) == (100, 2.5, "64x48", None)
    assert done["expires_at"] - done["completed_at"] == 24 * 3600
    content = client.content(video["id"])
    assert content.startswith(made_of(photo, audio)) and content.endswith(b"the end")
    assert len(content) == done["bytes"]
    service = served[0]
    wait_for(lambda: not [*service.folders.inputs.iterdir()])  # what was given is not kept longer than needed
    assert not [*service.folders.incoming.iterdir()] and not [*service.folders.work.iterdir()]
    assert client.delete(f"/v1/videos/{video['id']}").json() == {
        "id": video["id"], "object": "video.deleted", "deleted": True
    }  # fmt: skip
    for answer in (client.get(f"/v1/videos/{video['id']}"), client.delete(f"/v1/videos/{video['id']}")):
        error_of(answer, 404, "not_found")
    error_of(client.get(f"/v1/videos/{video['id']}/content"), 404, "not_found")


def test_a_video_from_uploads(client, served):
    photo, audio = client.upload(quick(), "me.png"), client.upload(b"uploaded sound", "s.wav")
    bodies = [{"photo": photo, "audio": audio, "seed": seed} for seed in (1, 2)]
    names = [client.post("/v1/videos", json=body).json()["id"] for body in bodies]
    assert client.delete(f"/v1/uploads/{photo}").json()["deleted"]  # they have their own copies
    for name in names:
        assert client.finished(name)["status"] == "completed"
        assert client.content(name).startswith(made_of(quick(), b"uploaded sound"))
    said = error_of(client.post("/v1/videos", json=bodies[0]), 404, "not_found")
    assert "there is no upload" in said
    bodies[0] |= {"photo": audio, "audio": photo}  # the first one is there, the second one is not
    error_of(client.post("/v1/videos", json=bodies[0]), 404, "not_found")
    assert not [*served[0].folders.incoming.iterdir()]
    answer = client.post("/v1/videos", data={"photo": audio, "audio": audio})  # a form of ids alone is no multipart
    error_of(answer, 415, "unsupported_media_type")
    error_of(client.delete("/v1/uploads/none"), 404, "not_found")


def test_a_form_may_name_uploads_too(client):
    audio = client.upload(b"sound", "s.wav")
    answer = client.post("/v1/videos", files={"photo": ("p.png", quick())}, data={"audio": audio})
    assert client.finished(answer.json()["id"])["status"] == "completed"


def test_a_style_is_a_name_or_a_file(client):
    said = client.finished(client.queued(quick(do="style"), style="calm"))["error"]["message"]
    assert said == "style: calm False"
    clip = client.upload(b"a clip", "clip.mp4")
    said = client.finished(client.queued(quick(do="style"), style=clip))["error"]["message"]
    assert said == "style: None True"


def test_what_goes_wrong_is_said_with_the_client_s_names(client, served):
    video = client.finished(client.queued(quick(do="fail")))
    assert video["status"] == "failed" and video["error"]["code"] == "invalid_input"
    assert video["error"]["message"] == "cannot use photo.png: no face found"
    assert str(served[0].folders.folder) not in json.dumps(video)
    assert "no face found" in error_of(client.get(f"/v1/videos/{video['id']}/content"), 409, "failed")
    error = client.finished(client.queued(quick(do="no weights")))["error"]  # the operator's fault, and path
    assert error["code"] == "internal_error" and "/srv" not in error["message"]
    assert client.finished(client.queued(quick(do="no package")))["error"]["code"] == "failed"
    assert client.finished(client.queued(quick(do="bug")))["error"]["code"] == "internal_error"
    assert client.finished(client.queued(quick(do="memory")))["error"]["code"] == "out_of_memory"
    assert client.finished(client.queued())["status"] == "completed"


def test_ranges_and_etags(client):
    name = client.queued()
    client.finished(name)
    whole = client.get(f"/v1/videos/{name}/content")
    content, url = whole.content, f"/v1/videos/{name}/content"
    assert whole.headers["content-type"] == "video/mp4" and whole.headers["accept-ranges"] == "bytes"
    etag = whole.headers["etag"]
    assert etag == f'"{hashlib.sha256(content).hexdigest()}"'
    for asked, expected in (("0-9", content[:10]), ("100-", content[100:]), ("-5", content[-5:])):
        part = client.get(url, headers={"Range": f"bytes={asked}"})
        assert part.status_code == 206 and part.content == expected
        assert part.headers["content-range"].endswith(f"/{len(content)}") and part.headers["etag"] == etag
    assert client.get(url, headers={"Range": "bytes=0-9", "If-Range": etag}).status_code == 206
    assert client.get(url, headers={"Range": "bytes=0-9", "If-Range": '"other"'}).content == content
    beyond = client.get(url, headers={"Range": "bytes=999999-"})
    error_of(beyond, 416, "range_not_satisfiable")
    assert beyond.headers["content-range"] == f"bytes */{len(content)}"
    error_of(client.get(url, headers={"Range": "lines=1-2"}), 400, "bad_request")
    same = client.get(url, headers={"If-None-Match": etag})
    assert same.status_code == 304 and same.content == b""
    head = client.head(url)
    assert head.status_code == 200 and int(head.headers["content-length"]) == len(content) and head.content == b""


def events(stream):
    """The events of a stream as they come: (kind, data)."""
    end, kind = time.monotonic() + PATIENCE, None
    for line in stream.iter_lines():
        assert time.monotonic() < end, "what was waited for was not told"
        if line.startswith("event: "):
            kind = line[7:]
        elif line.startswith("data: "):
            yield kind, json.loads(line[6:])


def test_events_tell_everything_until_the_end(client, tmp_path):
    gates = [tmp_path / name for name in ("first", "second")]
    name, waited = client.queued(quick(until=gates)), {32: gates[0], 39: gates[1]}  # percent at which it goes on
    kinds, progress = [], []
    with client.stream("GET", f"/v1/videos/{name}/events") as stream:
        assert stream.headers["content-type"].startswith("text/event-stream")
        for kind, video in events(stream):
            kinds.append(kind)
            progress.append(video["progress"])
            if video["progress"] in waited:
                waited.pop(video["progress"]).touch()
    assert kinds[-1] == "completed" and "in_progress" in kinds
    assert progress == sorted(progress) and progress[-1] == 100 and not waited
    name = client.queued(quick(do="hang"))
    with client.stream("GET", f"/v1/videos/{name}/events") as stream:
        told = events(stream)
        next(kind for kind, _ in told if kind == "in_progress")
        threading.Timer(0.1, lambda: client.delete(f"/v1/videos/{name}")).start()
        assert [kind for kind, _ in told][-1] == "deleted"
    error_of(client.get("/v1/videos/video_0/events"), 404, "not_found")


def test_some_may_follow_and_the_others_are_answered_all_the_same(tmp_path, gate):
    limits = Limits(free_bytes=0, followers=2, cancel_seconds=0.5)
    with running(tmp_path / "data", limits) as (_, address, _), Client(address) as client:
        name = client.queued(quick(until=[gate]))
        url = f"/v1/videos/{name}/events"
        with client.stream("GET", url) as first, Client(address) as other, other.stream("GET", url) as second:
            told = [stream.iter_lines() for stream in (first, second)]  # which are kept: they hold the connections
            for lines in told:
                next(line for line in lines if line.startswith("event: "))
            refused = client.get(url)
            assert "too many" in error_of(refused, 503, "busy") and refused.headers["retry-after"] == "5"
            wait_for(lambda: client.video(name)["status"] == "in_progress")

        def follows():
            with client.stream("GET", url) as stream:
                return stream.status_code == 200

        wait_for(follows)  # those who left make room
        client.delete(f"/v1/videos/{name}")


def test_a_stream_ends_after_a_while_though_the_video_does_not(tmp_path):
    limits = Limits(free_bytes=0, follow_seconds=0.6, cancel_seconds=0.5)
    with running(tmp_path / "data", limits) as (_, address, _), Client(address) as client:
        name, begun = client.queued(quick(do="hang")), time.monotonic()
        kinds = {line for line in client.get(f"/v1/videos/{name}/events").iter_lines() if line.startswith("event: ")}
        assert time.monotonic() - begun > 0.5 and kinds <= {"event: queued", "event: in_progress"}
        assert client.get(f"/v1/videos/{name}/events").status_code == 200  # it may come back
        client.delete(f"/v1/videos/{name}")


def test_what_is_not_complete_has_no_content(client, gate):
    name = client.queued(quick(until=[gate]))
    answer = client.get(f"/v1/videos/{name}/content")
    error_of(answer, 409, "not_ready")
    assert answer.headers["retry-after"] == "1"
    client.delete(f"/v1/videos/{name}")


def test_a_deleted_video_is_not_made_to_its_end(tmp_path, gate):
    with running(tmp_path / "data") as (service, address, _), Client(address) as client:
        name, after = client.queued(quick(until=[gate])), client.queued()  # to its end it is never made
        wait_for(lambda: client.video(name)["status"] == "in_progress")
        assert client.video(after)["position"] == 1
        client.delete(f"/v1/videos/{name}")
        assert client.finished(after)["status"] == "completed"
        assert not [*service.folders.work.iterdir()] and len([*service.folders.results.iterdir()]) == 1
        assert "fd2talk_videos_cancelled_total 1.0" in client.get("/metrics").text


def test_pages(tmp_path):
    with running(tmp_path / "data") as (_, address, _), Client(address) as client:
        names = [client.queued() for _ in range(5)]
        first = client.get("/v1/videos", params={"limit": 2}).json()
        assert [one["id"] for one in first["data"]] == [names[4], names[3]] and first["has_more"]
        assert (first["object"], first["first_id"], first["last_id"]) == ("list", names[4], names[3])
        second = client.get("/v1/videos", params={"limit": 3, "after": first["last_id"]}).json()
        assert [one["id"] for one in second["data"]] == names[2::-1] and not second["has_more"]
        client.finished(names[-1])
        done = client.get("/v1/videos", params={"status": "completed", "order": "asc"}).json()
        assert [one["id"] for one in done["data"]] == names
        empty = client.get("/v1/videos", params={"status": "failed"}).json()
        assert empty == {"object": "list", "data": [], "first_id": None, "last_id": None, "has_more": False}
        for wrong in ({"limit": 0}, {"limit": 101}, {"limit": "x"}, {"after": "x"}, {"order": "up"}, {"status": "x"}):
            said = error_of(client.get("/v1/videos", params=wrong), 422, "invalid_request")
            assert said.startswith(f"{[*wrong][0]}: ") and "pattern" not in said


def test_the_same_key_and_request_is_the_same_video(client):
    first = client.create(key="key 1".replace(" ", "-"), seed="1")
    again = client.create(key="key-1", seed="1")  # with another boundary
    assert again.status_code == 202 and again.json()["id"] == first.json()["id"]
    assert again.headers["idempotent-replayed"] == "true" and "idempotent-replayed" not in first.headers
    for other in (client.create(key="key-1", seed="2"), client.create(key="key-1", audio=b"other", seed="1")):
        error_of(other, 409, "idempotency_key_reused")
    body = {"photo": client.upload(quick()), "audio": client.upload(b"sound"), "seed": 1}
    same = client.post("/v1/videos", json=body, headers={"Idempotency-Key": "key-1"})
    assert same.json()["id"] == first.json()["id"]  # the same files, wherever they come from
    client.finished(first.json()["id"])
    assert client.create(key="key-1", seed="1").json()["status"] == "completed"
    said = error_of(client.create(key="ä".encode("latin-1"), seed="1"), 422, "invalid_request")
    assert said == "Idempotency-Key: give 1 to 200 printable ASCII characters without spaces"


def test_the_same_key_many_times_at_once_is_one_video(client, served):
    before = len(client.get("/v1/videos", params={"limit": 100}).json()["data"])
    with ThreadPoolExecutor(8) as pool:
        answers = [*pool.map(lambda _: client.create(key="at-once").json()["id"], range(16))]
    assert len(set(answers)) == 1
    assert len(client.get("/v1/videos", params={"limit": 100}).json()["data"]) == before + 1
    client.finished(answers[0])
    wait_for(lambda: not [*served[0].folders.inputs.iterdir()])


@pytest.mark.parametrize(
    ("files", "data", "status", "code", "sentence"),
    [
        ({}, {"x": "y"}, 415, "unsupported_media_type", "multipart"),
        ({"photo": ("p", b"x")}, {}, 422, "invalid_request", "audio: it is missing"),
        ({"photo": ("p", b""), "audio": ("a", b"x")}, {}, 422, "invalid_request", "photo: the file is empty"),
        ({"photo": ("p", b"x"), "audio": ("a", b"x")}, {"seed": "-1"}, 422, "invalid_request", "seed: "),
        ({"photo": ("p", b"x"), "audio": ("a", b"x")}, {"sed": "1"}, 422, "invalid_request", "sed: "),
        ({"photo": ("p", b"x"), "audio": ("a", b"x"), "seed": ("s", b"1")}, {}, 422, "invalid_request", "no file"),
        ({"photo": ("p", b"x"), "audio": ("a", b"x")}, {"photo": "y"}, 422, "invalid_request", "twice"),
        ({"photo": ("p", b"x"), "audio": ("a", b"x")}, {"style": "../x"}, 422, "invalid_request", "style: "),
        ({"photo": ("p", b"x"), "audio": ("a", b"x")}, {"a": "x" * 70_000}, 413, "request_too_large", "64000"),
    ],
)
def test_what_cannot_be_asked_for(client, served, files, data, status, code, sentence):
    said = error_of(client.post("/v1/videos", files=files, data=data), status, code)
    assert sentence in said
    assert not [*served[0].folders.incoming.iterdir()]


HALF = b'--b\r\nContent-Disposition: form-data; name="photo"; filename="p"\r\n\r\nhalf'


@pytest.mark.parametrize(
    ("content", "kind", "status", "code"),
    [
        (b"{", "application/json", 422, "invalid_request"),
        (b"[]", "application/json", 422, "invalid_request"),
        (b'{"seed": NaN}', "application/json", 422, "invalid_request"),
        (b"[" * 50_000, "application/json", 422, "invalid_request"),
        (b"{}" + b" " * 100_000, "application/json", 413, "request_too_large"),
        (b"", "application/json", 422, "invalid_request"),
        (b"x", "text/plain", 415, "unsupported_media_type"),
        (b"x", "multipart/form-data", 400, "bad_request"),
        (b"no form", "multipart/form-data; boundary=b", 400, "bad_request"),
        (b"--b\r\n\r\nx\r\n--b--\r\n", "multipart/form-data; boundary=b", 400, "bad_request"),
        (HALF, "multipart/form-data; boundary=b", 400, "bad_request"),
        (b"x", "multipart/form-data; boundary=" + "b" * 300, 400, "bad_request"),
    ],
)  # fmt: skip
def test_bodies_that_are_no_request(client, served, content, kind, status, code):
    error_of(client.post("/v1/videos", content=content, headers={"Content-Type": kind}), status, code)
    assert not [*served[0].folders.incoming.iterdir()]


def test_addresses_and_methods_that_do_not_exist(client):
    error_of(client.get("/none"), 404, "not_found")
    error_of(client.get("/v1/videos/../../etc/passwd"), 404, "not_found")
    answer = client.put("/v1/videos")
    error_of(answer, 405, "method_not_allowed")
    assert answer.headers["allow"] == "GET, HEAD, POST"
    assert client.post("/v1/videos/x").headers["allow"] == "DELETE, GET, HEAD"
    error_of(client.post("/health"), 405, "method_not_allowed")


def test_head_is_get_without_the_body(client):
    name = client.queued()
    for path in ("/health", "/docs", "/openapi.json", "/metrics", "/v1/videos", f"/v1/videos/{name}"):
        answer = client.head(path)
        assert answer.status_code == 200 and answer.content == b"", path
        assert answer.headers["content-type"] == client.get(path).headers["content-type"]
    assert client.head("/v1/videos/none").status_code == 404
    error_of(client.get("/none"), 404, "not_found")


def test_parameters_that_nobody_reads_are_refused(client):
    said = error_of(client.get("/v1/videos", params={"limits": 3}), 422, "invalid_request")
    assert said == "limits: there is no such parameter"
    error_of(client.get("/v1/videos?limit=3&limit=4"), 422, "invalid_request")
    files = {"photo": ("p", quick()), "audio": ("a", b"x")}
    assert "seed: " in error_of(client.post("/v1/videos?seed=3", files=files), 422, "invalid_request")
    error_of(client.delete("/v1/uploads/none?force=1"), 422, "invalid_request")


@pytest.mark.usefixtures("patient")
def test_the_largest_file_and_the_fullest_queue(tmp_path, gate):
    limits = Limits(upload_bytes=100_000, waiting=2, free_bytes=0)
    with running(tmp_path / "data", limits) as (service, address, _), Client(address) as client:
        assert "larger than" in error_of(client.create(audio=b"x" * 100_001), 413, "file_too_large")
        assert "may be sent" in error_of(client.create(audio=b"x" * 3_000_000), 413, "request_too_large")
        name = client.queued(quick(until=[gate]))
        wait_for(lambda: client.video(name)["status"] == "in_progress")
        names = [client.queued(key=f"key-{n}") for n in range(2)]
        answer = client.create(audio=b"x" * 90_000)
        error_of(answer, 429, "queue_full")
        assert 1 <= int(answer.headers["retry-after"]) <= 600
        assert client.create(key="key-0").json()["id"] == names[0]
        client.delete(f"/v1/videos/{name}")
        for name in names:
            assert client.finished(name)["status"] == "completed"
        assert client.create().status_code == 202
        wait_for(lambda: not [*service.folders.incoming.iterdir()])


def test_a_full_disk_is_said_and_nothing_is_lost(tmp_path, monkeypatch, gate):
    with running(tmp_path / "data") as (service, address, _), Client(address) as client:
        name = client.queued(quick(until=[gate]))
        full = threading.Event()
        write = type(service.folders.incoming_file("x")).write

        def none_left(self, data):
            if full.is_set():
                raise OSError(28, "No space left on device")
            return write(self, data)

        monkeypatch.setattr("fd2talk.service.folders.Incoming.write", none_left)
        full.set()
        for answer in (client.create(), client.post("/v1/uploads", files={"file": ("f", b"x")})):
            assert "the disk of the service is full" in error_of(answer, 507, "storage_full")
            assert answer.headers["retry-after"]
        gate.touch()
        assert client.finished(name)["status"] == "completed"  # what was taken before
        assert not [path for path in service.folders.incoming.iterdir() if path.stat().st_size]
        full.clear()
        assert client.finished(client.queued())["status"] == "completed"


def test_health_and_metrics(client):
    client.finished(client.queued())
    health = client.get("/health")
    assert health.status_code == 200 and health.json()["status"] == "ok"
    client.get("/v1/videos/video_1")
    asked = 'fd2talk_http_requests_total{method="GET",route="/v1/videos/{video_id}",status="404"}'
    text = wait_for(lambda: t if asked in (t := client.get("/metrics").text) else None)  # counted after its answer
    assert re.search(r'fd2talk_videos\{status="completed"\} [1-9]', text)
    assert re.search(r"fd2talk_videos_completed_total [1-9]", text) and 'fd2talk_worker_up{worker="1"} 1.0' in text
    from prometheus_client.parser import text_string_to_metric_families

    assert len([*text_string_to_metric_families(text)]) > 10


def test_the_page_and_the_schema(client):
    page = client.get("/", follow_redirects=True)
    assert page.status_code == 200 and "/v1/videos/{video_id}/content" in page.text and "max_size" in page.text
    assert "<script" not in page.text
    assert not re.findall(r'(?:src|href)="(?!/openapi.json)', page.text)  # nothing of other hosts
    schema = client.get("/openapi.json").json()
    fields = schema["paths"]["/v1/videos"]["post"]["requestBody"]["content"]
    assert fields["application/json"]["schema"]["properties"]["max_size"]["maximum"] == 4096
    for path, methods in schema["paths"].items():
        for operation in methods.values():
            for status, answer in operation["responses"].items():
                if int(status) >= 400 and path != "/health":
                    assert answer["content"]["application/json"]["schema"]["$ref"].endswith("/ErrorBody"), (
                        path,
                        status,
                    )


@pytest.mark.usefixtures("patient")
def test_a_token_opens_everything_but_the_page(tmp_path):
    with running(tmp_path / "data", token=TOKEN) as (_, address, _):
        with Client(address) as stranger, Client(address, TOKEN) as client:
            for path in (
                "/v1/videos",
                "/v1/videos/x",
                "/v1/videos/x/content",
                "/v1/videos/x/events",
                "/metrics",
                "/none",
            ):
                answer = stranger.get(path)
                error_of(answer, 401, "unauthorized")
                assert answer.headers["www-authenticate"] == "Bearer"
            error_of(stranger.create(audio=b"x" * 1_000_000), 401, "unauthorized")
            for wrong in (f"Bearer {TOKEN}x", "Bearer", f"Basic {TOKEN}", TOKEN, "Bearer \xff"):
                error_of(
                    stranger.get("/v1/videos", headers={"Authorization": wrong.encode("latin-1")}), 401, "unauthorized"
                )
            error_of(stranger.get("/v1/videos", params={"token": TOKEN}), 401, "unauthorized")
            for path in ("/health", "/docs", "/openapi.json"):
                assert stranger.get(path).status_code == 200
            assert client.get("/v1/videos").status_code == 200 and client.get("/metrics").status_code == 200
            assert client.finished(client.queued())["status"] == "completed"


def test_clients_with_tokens_of_their_own_see_their_own_alone(tmp_path):
    tokens = {"anna": TOKEN, "ben": TOKEN[::-1]}
    with running(tmp_path / "data", tokens=tokens) as (_, address, _):
        with Client(address, TOKEN) as anna, Client(address, TOKEN[::-1]) as ben, Client(address, TOKEN + "x") as other:
            error_of(other.get("/v1/videos"), 401, "unauthorized")
            name, upload = anna.queued(key="k"), anna.upload(quick())
            assert anna.finished(name)["status"] == "completed"
            for path in ("", "/content", "/events"):
                error_of(ben.get(f"/v1/videos/{name}{path}"), 404, "not_found")
            error_of(ben.delete(f"/v1/videos/{name}"), 404, "not_found")
            error_of(ben.delete(f"/v1/uploads/{upload}"), 404, "not_found")
            error_of(ben.post("/v1/videos", json={"photo": upload, "audio": upload}), 404, "not_found")
            assert ben.get("/v1/videos").json()["data"] == [] and ben.queued(key="k") != name
            assert [video["id"] for video in anna.get("/v1/videos").json()["data"]] == [name]
            assert anna.content(name) and anna.delete(f"/v1/videos/{name}").status_code == 200
            assert anna.delete(f"/v1/uploads/{upload}").status_code == 200


def test_the_example_of_the_documentation_runs(served, tmp_path, monkeypatch):
    text = (ROOT / "docs" / "service.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"```python\n(.*?)```", text, re.S)
    (tmp_path / "photo.jpg").write_bytes(quick())
    (tmp_path / "speech.wav").write_bytes(b"sound")
    monkeypatch.chdir(tmp_path)
    exec(code.replace("http://127.0.0.1:8790", served[1]), {})
    assert (tmp_path / "talk.mp4").read_bytes().endswith(b"the end")


def test_answers_do_not_wait_for_acknowledgements(client):
    """Forty milliseconds each, where small packets are held back; whatever else takes so long does not do so always."""

    def quick_ones():
        times = []
        for _ in range(20):
            begun = time.monotonic()
            client.get("/health")
            times.append(time.monotonic() - begun)
        return sorted(times)[5] < 0.035

    wait_for(quick_ones)


def test_pages_of_other_sites_are_refused(client, served):
    for headers in ({"Host": "evil.example"}, {"Origin": "http://evil.example"}):
        error_of(client.get("/v1/videos", headers=headers), 403, "forbidden")
