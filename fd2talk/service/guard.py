"""ASGI middleware around every request: authorisation, timeouts, the shape of errors, and the access log."""

from __future__ import annotations

import asyncio
import logging
import time
from urllib.parse import quote, unquote

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from fd2talk.service.clients import Clients
from fd2talk.service.errors import Refused, error_body, refusal
from fd2talk.service.limits import Limits
from fd2talk.service.metrics import Metrics
from fd2talk.serving import is_own_page

LOG = logging.getLogger("fd2talk.service")

_PUBLIC_PATHS = ("/", "/docs", "/openapi.json", "/health")
"""Paths that need no token."""

_HEADERS = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "content-security-policy": "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
}
# How much of a request is still read after it was refused: clients read an answer only when they have sent all.
_DRAINED_BYTES, _DRAINED_SECONDS = 8 * 2**20, 2.0
_LONGEST_PATH = 200


CLIENT = "fd2talk.client"
"""Key of the client's name in the scope of a request."""


class Stalled(Exception):
    """A client does not read the response."""


class Guard:
    """ASGI middleware around the whole application.

    Args:
        app: the application.
        limits: of clients.
        clients: with their tokens.
        metrics: which count the requests.
    """

    def __init__(self, app: ASGIApp, limits: Limits, clients: Clients, metrics: Metrics) -> None:
        self._app, self._limits, self._clients, self._metrics = app, limits, clients, metrics
        self._open = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Check a request and pass it on to the application."""
        if scope["type"] != "http":
            if scope["type"] == "websocket":
                await send({"type": "websocket.close", "code": 1008})
            return
        begun, exchange = time.monotonic(), Exchange(scope, receive, send, self._limits)
        self._open += 1
        try:
            self._check(scope)
            await self._app(scope, exchange.receive, exchange.send)
        except Refused as error:
            await exchange.refuse(error)
        except (ClientDisconnect, Stalled, ConnectionError):
            exchange.gone()
        except Exception:
            LOG.exception("a bug, in the answer to a request")
            await exchange.refuse(refusal(500))
        finally:
            self._open -= 1
            route, seconds = getattr(scope.get("route"), "path", "other"), time.monotonic() - begun
            self._metrics.answered(scope["method"], route, exchange.status, seconds)
            client = (scope.get("client") or ("-",))[0]
            LOG.info("%s %s %d %.3fs", client, self._log_line(scope), exchange.status, seconds)

    def _check(self, scope: Scope) -> None:
        """Raises Refused: the request is not allowed, or too many are being answered."""
        headers = Headers(scope=scope)
        tokens = self._clients.tokens
        if not is_own_page(headers.get("host"), headers.get("origin"), tokens[0] if tokens else None):
            raise refusal(403)
        if self._open > self._limits.requests:
            raise Refused(503, "busy", "too many requests at the same time; try again", {"Retry-After": "1"})
        if tokens and scope["path"] in _PUBLIC_PATHS and scope["method"] in ("GET", "HEAD"):
            return
        kind, _, given = headers.get("authorization", "").partition(" ")
        name = self._clients.named(given.strip() if kind.lower() == "bearer" else "")
        if name is None:
            error = refusal(401)
            raise Refused(error.status, error.code, error.message, {"WWW-Authenticate": "Bearer"})
        scope[CLIENT] = name

    def _log_line(self, scope: Scope) -> str:
        """Method and path for the log: without query and line breaks, and never with the token."""
        text = f"{scope['method']} {scope['path']}"
        for token in self._clients.tokens:
            for form in {token, unquote(token), quote(token, safe="")}:
                text = text.replace(form, "***")
        return quote(text[:_LONGEST_PATH], safe=" /-_.~:*{}")


class Exchange:
    """One request and its response.

    Args:
        scope: of ASGI, as are the next two.
        receive: likewise.
        send: likewise.
        limits: with the timeouts.
    """

    def __init__(self, scope: Scope, receive: Receive, send: Send, limits: Limits) -> None:
        self._scope, self._receive, self._send, self._limits = scope, receive, send, limits
        headers = Headers(scope=scope)
        length = headers.get("content-length")
        has_body = "transfer-encoding" in headers or (length is not None and length != "0")
        self._received, self._client_waits = not has_body, "expect" in headers
        self._deadline = time.monotonic() + limits.body_seconds
        self._foreign_error: Message | None = None
        self.status = 499  # the client left before there was an answer
        self._started = self._ended = self._closes_connection = self._disconnected = False

    async def receive(self) -> Message:
        """Receive a message of the request. Raises Refused: the client is too slow."""
        if self._received:
            return await self._receive()
        left = min(self._limits.idle_seconds, self._deadline - time.monotonic())
        try:
            message = await asyncio.wait_for(self._receive(), max(left, 0))
        except asyncio.TimeoutError:
            self._client_waits = True  # for nothing more
            raise Refused(408, "timeout", "the request arrives too slowly") from None
        self._disconnected = message["type"] == "http.disconnect"
        self._received = self._disconnected or not message.get("more_body", False)
        return message

    async def send(self, message: Message) -> None:
        """Send a message of the response; errors that are not JSON are replaced by the service's own."""
        if self._disconnected:  # the client left before it had sent the request
            return
        if message["type"] == "http.response.start":
            if message["status"] >= 400 and not _is_json(message):
                self._foreign_error = message
                return
            await self._start(message)
        elif self._foreign_error is not None:
            if not message.get("more_body", False):
                headers = Headers(raw=self._foreign_error["headers"])
                kept = {name: value for name, value in headers.items() if name in _KEPT_HEADERS}
                error = refusal(self._foreign_error["status"])
                self._foreign_error = None
                await self.refuse(Refused(error.status, error.code, error.message, kept))
        else:
            await self._body(message)

    async def refuse(self, error: Refused) -> None:
        """Answer with an error; a response that has begun is aborted."""
        if self._ended:  # with the same error
            return
        if self._started or self._disconnected:
            return self.gone()
        body = error_body(error.code, error.message)
        headers = {"content-type": "application/json", "content-length": str(len(body)), **error.headers}
        raw = [(name.lower().encode(), value.encode("latin-1", "replace")) for name, value in headers.items()]
        try:
            await self._start({"type": "http.response.start", "status": error.status, "headers": raw})
            await self._body({"type": "http.response.body", "body": body})
        except Stalled:
            self.gone()

    def gone(self) -> None:
        """Abort the connection: the client cannot use a response any more."""
        if abort := self._scope.get("state", {}).get("abort"):
            abort()

    async def _start(self, message: Message) -> None:
        self._started, self.status = True, message["status"]
        headers = MutableHeaders(raw=message["headers"])
        for name, value in _HEADERS.items():
            headers.setdefault(name, value)
        if not self._received:
            headers["connection"] = "close"
            self._closes_connection = True
        await self._send_in_time({**message, "headers": headers.raw})

    async def _body(self, message: Message) -> None:
        self._ended = ends = not message.get("more_body", False)
        if not (ends and self._closes_connection) or self._client_waits:
            return await self._send_in_time(message)
        await self._send_in_time({**message, "more_body": True})
        await self._drain()
        await self._send_in_time({"type": "http.response.body", "body": b"", "more_body": False})

    async def _drain(self) -> None:
        """Read on for a while: a client whose connection is closed while it sends never sees the response."""
        until, left = time.monotonic() + _DRAINED_SECONDS, _DRAINED_BYTES
        while not self._received and left > 0 and (seconds := until - time.monotonic()) > 0:
            try:
                message = await asyncio.wait_for(self._receive(), seconds)
            except asyncio.TimeoutError:
                return
            left -= len(message.get("body", b""))
            self._received = message["type"] != "http.request" or not message.get("more_body", False)

    async def _send_in_time(self, message: Message) -> None:
        try:
            await asyncio.wait_for(self._send(message), self._limits.idle_seconds)
        except asyncio.TimeoutError:
            raise Stalled from None


_KEPT_HEADERS = ("allow", "content-range", "retry-after")


def _is_json(message: Message) -> bool:
    return Headers(raw=list(message["headers"])).get("content-type", "").startswith("application/json")
