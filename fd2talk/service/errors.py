"""Error responses; all of them have the body `{"error": {"code": ..., "message": ...}}`."""

from __future__ import annotations

import errno
import json
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http import HTTPStatus

_DISK_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_CODES = {
    400: ("bad_request", "this is no request that is understood here"),
    401: ("unauthorized", "the token is missing or wrong: send `Authorization: Bearer TOKEN`"),
    403: ("forbidden", "this address or page may not use this service"),
    404: ("not_found", "there is nothing at this address"),
    405: ("method_not_allowed", "this address does not take this method"),
    416: ("range_not_satisfiable", "the video has no such range of bytes"),
    500: ("internal_error", "something went wrong here; the log of the service says what"),
}


class Refused(Exception):
    """A request that is refused.

    Args:
        status: HTTP status code.
        code: machine-readable name of the error.
        message: one sentence for people.
        headers: further headers of the response.
    """

    def __init__(self, status: int, code: str, message: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.status, self.code, self.message, self.headers = status, code, message, dict(headers or {})


def refusal(status: int) -> Refused:
    """The generic error of an HTTP status."""
    code, message = _CODES.get(status, (HTTPStatus(status).phrase.lower().replace(" ", "_"), HTTPStatus(status).phrase))
    return Refused(status, code, message)


def error_body(code: str, message: str) -> bytes:
    """The body of an error response."""
    return json.dumps({"error": {"code": code, "message": message}}).encode()


def given_twice(name: str) -> Refused:
    """The error of a field or parameter that occurs more than once."""
    return Refused(422, "invalid_request", f"{name[:60]}: it is given twice")


def disk_full() -> Refused:
    """The error of a full disk."""
    sentence = "the disk of the service is full; nothing of this request was kept, try again later"
    return Refused(507, "storage_full", sentence, {"Retry-After": "60"})


def is_full(error: BaseException) -> bool:
    """Whether this error means that the disk is full."""
    if isinstance(error, OSError):
        return error.errno in _DISK_FULL
    return isinstance(error, sqlite3.OperationalError) and "full" in str(error)


def is_caused_by_full_disk(error: BaseException) -> bool:
    """Whether a full disk is the cause of this error; libraries report that in several ways."""
    seen: set[int] = set()
    cause: BaseException | None = error
    while cause is not None and id(cause) not in seen:  # an error may be its own cause
        if is_full(cause) or "No space left on device" in str(cause):
            return True
        seen.add(id(cause))
        cause = cause.__cause__
    return False


@contextmanager
def storing() -> Iterator[None]:
    """Turn errors of a full disk into the response `disk_full`. Raises Refused."""
    try:
        yield
    except (OSError, sqlite3.OperationalError) as error:
        if is_full(error):
            raise disk_full() from error
        raise
