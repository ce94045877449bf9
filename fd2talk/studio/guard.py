"""ASGI middleware around every request: token, Host and Origin, allowed paths, sizes, and the owner of files."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Awaitable, Iterator
from http.cookies import CookieError, SimpleCookie
from typing import Any
from urllib.parse import parse_qs

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from fd2talk.serving import is_own_page, knows
from fd2talk.studio.login_page import login_page
from fd2talk.studio.studio import VISITOR_COOKIE, Studio
from fd2talk.studio.visitors import Visitor
from shared.errors import UsageError

TOKEN_COOKIE = "fd2talk_token"
UPLOAD = "/gradio_api/upload"
_HEARTBEAT = "/gradio_api/heartbeat/"
_EVENTS = ("/gradio_api/queue/join", "/gradio_api/cancel")
# The paths that the page needs, of gradio and of this package. Gradio's others (a proxy, calls past the queue,
# histories, monitoring) are answered with 404.
_ALLOWED_PATHS = re.compile(
    r"/|/config|/theme\.css|/favicon\.ico|/manifest\.json|/(assets|static|svelte|studio)/.*"
    r"|/gradio_api/(upload|upload_progress|file=.*|queue/(join|data)|heartbeat/[A-Za-z0-9]+|cancel|reset|app_id"
    r"|startup-events|theme\.css|info)/?"
)
# Of a request that is no upload.
_MAX_BYTES = 4_000_000
_FORM_BYTES = 64_000  # of an upload without its file
_HEADERS = {
    # No other host is contacted. Gradio needs unsafe-eval for the scripts of its components.
    "content-security-policy": (
        "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:; style-src 'self' 'unsafe-inline'; "
        "img-src 'self' data: blob:; media-src 'self' data: blob:; font-src 'self' data:; "
        "connect-src 'self' data: blob:; worker-src 'self' blob:; object-src 'none'; base-uri 'self'; "
        "form-action 'self'; frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(self), microphone=(self), geolocation=()",
}


class TooLarge(HTTPException):
    """The request is larger than allowed."""

    def __init__(self) -> None:
        super().__init__(413, "this is more than may be sent")


class Guard:
    """ASGI middleware around the whole application.

    Args:
        app: the application.
        studio: with the visitors and limits.
        token: which visitors must give, or None.
    """

    def __init__(self, app: ASGIApp, studio: Studio, token: str | None):
        self._app, self._studio, self._token = app, studio, token

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Check a request, and pass it on to the application."""
        if scope["type"] == "lifespan":
            return await self._app(scope, receive, send)
        if scope["type"] != "http":  # no websockets here
            return await send({"type": "websocket.close", "code": 1008})
        headers, path, method = Headers(scope=scope), scope["path"], scope["method"]
        cookies = _cookies(headers.get("cookie", ""))

        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start":
                of = MutableHeaders(scope=message)
                if message["status"] == 413:  # otherwise uvicorn would read the rest of the body
                    of["connection"] = "close"
                for name, value in _HEADERS.items():
                    of.setdefault(name, value)
                if not path.startswith(("/assets/", "/static/", "/svelte/")):
                    of.setdefault("cache-control", "no-store")
                if cookie := scope.get("fd2talk_cookie"):
                    of.append("set-cookie", cookie)
            await send(message)

        def refuse(sentence: str, status: int) -> Awaitable[None]:
            """Answer with an error: as text to uploads, else as JSON, as gradio's page expects."""
            if path == UPLOAD:
                return PlainTextResponse(sentence, status)(scope, receive, answer)
            body = json.dumps({"detail": sentence, "error": sentence})
            return Response(body, status, media_type="application/json")(scope, receive, answer)

        if not is_own_page(headers.get("host"), headers.get("origin"), self._token):
            return await refuse("this address or page may not use this studio", 403)
        if method not in ("GET", "HEAD", "POST"):
            return await refuse("there is no such method here", 405)
        if self._token is not None and not knows(self._token, cookies.get(TOKEN_COOKIE)):
            return await (await self._login(scope, receive))(scope, receive, answer)
        if path == "/login":
            return await RedirectResponse("/", 303)(scope, receive, answer)
        if not _ALLOWED_PATHS.fullmatch(path):
            return await refuse("there is no such page", 404)
        visitor = self._studio.visitors.find(cookies.get(VISITOR_COOKIE))
        if visitor is None and path == "/":
            try:
                visitor = self._studio.visitors.new()
            except UsageError as error:
                return await PlainTextResponse(f"{error}", 503)(scope, receive, answer)
            scope["fd2talk_cookie"] = _cookie(VISITOR_COOKIE, visitor.name, scope)
        if method == "POST":
            if visitor is None:
                return await refuse("you were away for long, and your files were removed: reload the page", 403)
            most = self._studio.limits.upload_bytes + _FORM_BYTES if path == UPLOAD else _MAX_BYTES
            sentence = f"the file is larger than {self._studio.limits.upload_bytes / 2**20:g} MB"
            if int(headers.get("content-length") or 0) > most:  # refused before the body is read
                return await refuse(sentence, 413)
            receive = _limited(receive, most)
            try:
                if path.rstrip("/") in _EVENTS:
                    body = await _body(receive)
                    request = json.loads(body)
                    self._studio.visitors.claim(visitor, request["session_hash"])
                    for file in _files(request):
                        visitor.workspace.owns(file)
                    receive = _replayed(body, receive)
            except TooLarge:
                return await refuse(sentence, 413)
            except UsageError as error:
                return await refuse(str(error), 403)
            except (ValueError, RecursionError, KeyError, TypeError):
                return await refuse("this is no request of the page", 400)
        elif path.startswith("/gradio_api/queue/data"):
            try:
                session = _field(scope["query_string"], "session_hash")
                self._studio.visitors.claim(visitor, session)
            except UsageError as error:
                return await refuse(str(error), 403)
        scope["fd2talk_visitor"] = visitor
        if path.startswith(_HEARTBEAT):
            return await self._serve_heartbeat(visitor, scope, receive, answer)
        await self._app(scope, receive, answer)

    async def _serve_heartbeat(self, visitor: Visitor | None, scope: Scope, receive: Receive, answer: Send) -> None:
        """Serve the heartbeat, a connection that a page keeps open until it is closed or left."""
        visitors, session = self._studio.visitors, scope["path"].removeprefix(_HEARTBEAT).strip("/")
        try:
            visitors.claim(visitor, session)
            opened = visitor is not None and visitors.opened(visitor, session)
        except UsageError:
            opened = False
        if visitor is None or not opened:
            return await PlainTextResponse("reload the page", 403)(scope, receive, answer)
        gone = asyncio.Event()

        async def watch() -> None:
            while (await receive())["type"] != "http.disconnect":
                pass
            gone.set()

        async def disconnected() -> Message:
            await gone.wait()
            return {"type": "http.disconnect"}

        async def served() -> None:
            await self._app(scope, disconnected, answer)

        tasks = [asyncio.create_task(watch()), asyncio.create_task(served())]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            visitors.lost(visitor, session)

    async def _login(self, scope: Scope, receive: Receive) -> Response:
        """The answer to a request without the token."""
        given = None
        if scope["method"] == "POST" and scope["path"] == "/login":
            try:
                given = _field(await _body(_limited(receive, 4096)), "token")
            except TooLarge:
                return PlainTextResponse("this is no token", 413)
        elif scope["method"] == "GET" and scope["path"] == "/":
            given = _field(scope["query_string"], "token")
        else:
            return PlainTextResponse("the token is missing: open the first page", 401)
        if self._token is not None and given and knows(self._token, given.strip()):
            scope["fd2talk_cookie"] = _cookie(TOKEN_COOKIE, self._token, scope)
            return RedirectResponse("/", 303)
        if given is not None:
            await asyncio.sleep(1)  # slows down guessing
        return HTMLResponse(login_page(wrong=given is not None), 401)


def _cookies(header: str) -> dict[str, str]:
    try:
        return {name: morsel.value for name, morsel in SimpleCookie(header).items()}
    except CookieError:
        return {}


def _cookie(name: str, value: str, scope: Scope) -> str:
    """A session cookie that neither scripts nor other sites can use."""
    cookie: SimpleCookie = SimpleCookie()
    cookie[name] = value
    attributes = {"path": "/", "httponly": True, "samesite": "Strict", "secure": scope.get("scheme") == "https"}
    for key, attribute in attributes.items():
        cookie[name][key] = attribute
    return cookie[name].OutputString()


def _field(form: bytes, name: str) -> str | None:
    values = parse_qs(form.decode("utf-8", "replace")).get(name)
    return values[0] if values else None


def _limited(receive: Receive, most: int) -> Receive:
    """Limit the bytes of a body, whatever its Content-Length says. It raises TooLarge."""
    received = 0

    async def limited() -> Message:
        nonlocal received
        message = await receive()
        received += len(message.get("body", b""))
        if received > most:
            raise TooLarge
        return message

    return limited


async def _body(receive: Receive) -> bytes:
    parts, more = [], True
    while more:
        message = await receive()
        parts.append(message.get("body", b""))
        more = message.get("more_body", False)
    return b"".join(parts)


def _replayed(body: bytes, receive: Receive) -> Receive:
    """Replay a body that was read already; later messages (a disconnect) are received as before."""
    given = False

    async def again() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return again


def _files(value: Any) -> Iterator[str]:
    """Paths in a request that gradio would read as files, before any handler could check them."""
    if isinstance(value, dict):
        if isinstance(path := value.get("path"), str):
            yield path
        for part in value.values():
            yield from _files(part)
    elif isinstance(value, list):
        for part in value:
            yield from _files(part)
