"""Request bodies: multipart forms, whose files are written to the disk while they arrive, and JSON."""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request

from fd2talk.service.errors import Refused, given_twice, storing
from fd2talk.service.folders import Folders, Incoming, Received

_MAX_TEXT_BYTES = 64_000
"""Of everything but files, including the names and headers of the parts of a form."""
_MAX_FIELDS = 64
"""Parts of a form, and members of a JSON object."""


@dataclass
class Form:
    """The fields of a request: `values` by name, and `files` that lie in the folder `incoming`.

    Use it as a context manager: files that were not moved elsewhere are removed at the end.
    """

    values: dict[str, Any] = field(default_factory=dict)
    files: dict[str, Received] = field(default_factory=dict)
    open: list[Incoming] = field(default_factory=list)

    def __enter__(self) -> Form:
        return self

    def __exit__(self, *_: object) -> None:
        for one in self.open:
            one.discard()


async def receive_json(request: Request) -> dict[str, Any]:
    """Read a JSON object. Raises Refused: the body is none."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > _MAX_TEXT_BYTES:
            raise Refused(413, "request_too_large", f"JSON has at most {_MAX_TEXT_BYTES} bytes; files are uploaded")
    try:
        found = json.loads(bytes(body), parse_constant=_reject_constant, object_pairs_hook=_object)
    except (ValueError, RecursionError):
        raise Refused(422, "invalid_request", "the body is no JSON") from None
    if not isinstance(found, dict):
        raise Refused(422, "invalid_request", "the body is no JSON object")
    return found


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object. Raises Refused: a name occurs twice (`max_size` and `max-size` are the same), or too many."""
    if len(pairs) > _MAX_FIELDS:
        raise _too_many()
    found = {}
    for key, value in pairs:
        name = key.replace("-", "_")
        if name in found:
            raise given_twice(name)
        found[name] = value
    return found


async def receive_form(request: Request, form: Form, folders: Folders, files: Collection[str], most: int) -> None:
    """Receive a form and write its files to the disk while they arrive.

    Args:
        request: whose body is `multipart/form-data`.
        form: filled here.
        folders: where files go.
        files: names of the fields that may be files.
        most: bytes that a file may have.

    Raises:
        Refused: the form is malformed, too large, or has unexpected files, or the disk is full.
    """
    limit = most * len(files) + _MAX_TEXT_BYTES
    announced = request.headers.get("content-length", "")
    if announced.isdecimal() and int(announced) > limit:  # refused before the body is read
        raise _too_large(most, len(files))
    with storing():
        folders.check_room()
        reader = _FormParser(request.headers["content-type"], form, folders, files)
        received = 0
        async for chunk in request.stream():
            received += len(chunk)
            if received > limit:
                raise _too_large(most, len(files))
            reader.parse(chunk)
            if reader.pending:
                await run_in_threadpool(reader.write)
        if not reader.ended:
            raise Refused(400, "bad_request", "the form ends in the middle")


def _too_large(most: int, files: int) -> Refused:
    """The error of a body larger than so many files of the largest size, with text."""
    if files == 1:
        return Refused(413, "file_too_large", f"the file is larger than {most / 2**20:g} MB")
    sentence = f"this is more than {(most * files + _MAX_TEXT_BYTES) / 2**20:.3g} MB, which may be sent at once"
    return Refused(413, "request_too_large", sentence)


def _too_many() -> Refused:
    return Refused(422, "invalid_request", f"a request has at most {_MAX_FIELDS} fields")


def _reject_constant(text: str) -> float:
    raise ValueError(f"{text} is no number of JSON")


class _FormParser:
    """Parses a multipart form chunk by chunk."""

    def __init__(self, content_type: str, form: Form, folders: Folders, files: Collection[str]) -> None:
        boundary = parse_options_header(content_type)[1].get(b"boundary")
        if not boundary:
            raise Refused(400, "bad_request", "the content-type names no boundary")
        self._form, self._folders, self._allowed = form, folders, files
        self.pending: list[tuple[str, Incoming, bytes | None]] = []
        self.ended = False
        self._header = [b"", b""]
        self._disposition = b""
        self._name, self._text, self._file = "", bytearray(), None  # type: tuple[str, bytearray, Incoming | None]
        self._length = self._parts = 0
        try:
            self._parser = MultipartParser(
                boundary,
                {
                    "on_part_begin": self._begin_part,
                    "on_part_data": self._add_data,
                    "on_part_end": self._end_part,
                    "on_header_field": lambda data, start, end: self._add_header(0, data[start:end]),
                    "on_header_value": lambda data, start, end: self._add_header(1, data[start:end]),
                    "on_header_end": self._end_header,
                    "on_headers_finished": self._end_headers,
                    "on_end": self._finish,
                },
            )
        except FormParserError:
            raise Refused(400, "bad_request", "the content-type has a boundary that cannot be used") from None

    def parse(self, chunk: bytes) -> None:
        """Parse a chunk. Raises Refused: it is malformed or too large."""
        try:
            self._parser.write(chunk)
        except FormParserError:
            raise Refused(400, "bad_request", "the body is no form") from None

    def write(self) -> None:
        """Write the pending data of files; call it in a thread, as disks may be slow."""
        for name, file, data in self.pending:
            if data is None:
                self._form.files[name] = received = file.finish()
                if not received.bytes:
                    raise Refused(422, "invalid_request", f"{name}: the file is empty")
            else:
                file.write(data)
        self.pending.clear()

    def _count(self, size: int) -> None:
        """Count bytes that belong to no file. Raises Refused: too many."""
        self._length += size
        if self._length > _MAX_TEXT_BYTES:
            raise Refused(413, "request_too_large", f"all fields together have at most {_MAX_TEXT_BYTES} bytes")

    def _begin_part(self) -> None:
        self._parts += 1
        if self._parts > _MAX_FIELDS:
            raise _too_many()
        self._header, self._disposition = [b"", b""], b""
        self._text, self._file = bytearray(), None

    def _add_header(self, part: int, data: bytes) -> None:
        self._count(len(data))
        self._header[part] += data

    def _end_header(self) -> None:
        if self._header[0].lower() == b"content-disposition":
            self._disposition = self._header[1]
        self._header = [b"", b""]

    def _end_headers(self) -> None:
        options = parse_options_header(self._disposition)[1]
        self._name = options.get(b"name", b"").decode("utf-8", "replace")
        if not self._name:
            raise Refused(400, "bad_request", "a part of the form has no name")
        if self._name in self._form.values or self._name in {*self._form.files, *(one[0] for one in self.pending)}:
            raise given_twice(self._name)
        if b"filename" in options:
            if self._name not in self._allowed:
                raise Refused(422, "invalid_request", f"{self._name[:60]}: no file is expected here")
            self._file = self._folders.incoming_file(options[b"filename"].decode("utf-8", "replace"))
            self._form.open.append(self._file)

    def _add_data(self, data: bytes, start: int, end: int) -> None:
        if self._file is not None:
            self.pending.append((self._name, self._file, data[start:end]))
            return
        self._count(end - start)
        self._text += data[start:end]

    def _end_part(self) -> None:
        if self._file is not None:
            self.pending.append((self._name, self._file, None))
        else:
            self._form.values[self._name] = self._text.decode("utf-8", "replace")

    def _finish(self) -> None:
        self.ended = True
