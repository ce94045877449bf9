"""What clients send is limited in every respect while it arrives."""

import asyncio
import json

import pytest
from service_client import error_of
from starlette.requests import Request

from fd2talk.service.errors import Refused
from fd2talk.service.folders import Folders
from fd2talk.service.form import Form, receive_form
from fd2talk.service.limits import Limits
from fd2talk.service.options import FILES

KIND = "multipart/form-data; boundary=b"
PLAIN = {"Content-Type": "application/json"}


def part(head, value=b""):
    return b"--b\r\n" + head + b"\r\n\r\n" + value + b"\r\n"


def field(name, value=b""):
    return part(b'Content-Disposition: form-data; name="%s"' % name, value)


@pytest.mark.parametrize(
    ("pieces", "status"),
    [
        ((field(b"k%d" % n) for n in range(100_000)), 422),
        ((field(b"%d" % n + b"k" * 3000) for n in range(100_000)), 413),
        ((part(b'Content-Disposition: form-data; name="%d"\r\nX: %s' % (n, b"x" * 3000)) for n in range(100_000)), 413),
        ((field(b"%d" % n, b"v" * 3000) for n in range(100_000)), 413),
    ],
    ids=["parts", "names", "headers", "values"],
)
def test_a_form_of_too_much_is_refused_before_the_rest_is_read(tmp_path, pieces, status):
    async def receive():
        return {"type": "http.request", "body": next(pieces), "more_body": True}

    scope = {"type": "http", "method": "POST", "headers": [(b"content-type", KIND.encode())]}
    folders = Folders(tmp_path / "data", Limits(free_bytes=0))
    with Form() as form, pytest.raises(Refused) as raised:
        asyncio.run(receive_form(Request(scope, receive), form, folders, FILES, 50 * 2**20))
    assert raised.value.status == status
    assert len([*zip(pieces, range(99_000))]) == 99_000  # all but a few are still there


def test_a_form_may_have_as_many_fields_as_there_are_options(client):
    content = b"".join(field(b"seed" if n == 0 else b"k%d" % n, b"1") for n in range(40)) + b"--b--\r\n"
    said = error_of(client.post("/v1/videos", content=content, headers={"Content-Type": KIND}), 422, "invalid_request")
    assert said == "k1: there is no such option" or "missing" in said or "send a file" in said


def test_json_of_too_many_members_or_of_one_twice_is_refused(client):
    many = json.dumps({f"k{n}": 1 for n in range(65)})
    said = error_of(client.post("/v1/videos", content=many, headers=PLAIN), 422, "invalid_request")
    assert said == "a request has at most 64 fields"
    for twice in ('{"max_size": 64, "max-size": 128}', '{"max_size": 64, "max_size": 64}'):
        said = error_of(client.post("/v1/videos", content=twice, headers=PLAIN), 422, "invalid_request")
        assert said == "max_size: it is given twice"


def test_a_single_file_that_is_too_large_is_called_so(tmp_path):
    most = 1000
    scope = {"type": "http", "headers": [(b"content-type", KIND.encode()), (b"content-length", b"999999")]}
    for files, code in ((("file",), "file_too_large"), (FILES, "request_too_large")):
        with Form() as form, pytest.raises(Refused) as raised:
            asyncio.run(receive_form(Request(scope), form, Folders(tmp_path, Limits(free_bytes=0)), files, most))
        assert (raised.value.status, raised.value.code) == (413, code)
