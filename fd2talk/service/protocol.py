"""uvicorn's HTTP/1.1 with a timeout for headers, a limit of connections, and JSON errors."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from fd2talk.service.errors import error_body
from fd2talk.service.limits import Limits


def protocol(limits: Limits) -> Callable[..., asyncio.Protocol]:
    """The class of connections, for `uvicorn.Config(http=...)`."""
    return type("Connection", (_Connection,), {"limits": limits})


class _Connection(H11Protocol):
    limits: Limits
    _timeout: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.app_state = {**self.app_state, "abort": transport.abort}
        if len(self.connections) > self.limits.connections:
            transport.abort()
        else:
            self._start_timeout()

    def data_received(self, data: bytes) -> None:
        if self._timeout is None and not self._is_answering():
            self._start_timeout()
        super().data_received(data)
        if self._is_answering():
            self._cancel_timeout()

    def connection_lost(self, exc: Exception | None) -> None:
        self._cancel_timeout()
        super().connection_lost(exc)

    def send_400_response(self, msg: str) -> None:
        """Answer what is no HTTP with an error of the usual shape."""
        body = error_body("bad_request", "this is no request of HTTP/1.1")
        headers = [("content-type", "application/json"), ("content-length", str(len(body))), ("connection", "close")]
        begin = h11.Response(status_code=400, headers=headers, reason=b"Bad Request")
        events: tuple[Any, ...] = (begin, h11.Data(data=body), h11.EndOfMessage())
        try:
            for event in events:
                self.transport.write(self.conn.send(event) or b"")
        except h11.LocalProtocolError:  # in the middle of an answer
            pass
        self.transport.close()

    def _is_answering(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _start_timeout(self) -> None:
        """Abort the connection unless the headers of a request arrive in time."""
        self._timeout = self.loop.call_later(self.limits.header_seconds, self.transport.abort)

    def _cancel_timeout(self) -> None:
        if self._timeout is not None:
            self._timeout.cancel()
            self._timeout = None
