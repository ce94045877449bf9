"""What stands before every request: the token, the Host and Origin, sizes, which addresses exist, whose files."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from http.cookies import CookieError, SimpleCookie
from typing import Any
from urllib.parse import parse_qs

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response

from fd2talk.serving import is_own_page, knows
from fd2talk.studio.login_page import login_page
from fd2talk.studio.studio import VISITOR_COOKIE, Studio
from fd2talk.studio.visitors import Visitor
from shared.errors import UsageError

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

TOKEN_COOKIE = "fd2talk_token"
UPLOAD = "/gradio_api/upload"
_HEARTBEAT = "/gradio_api/heartbeat/"
_EVENTS = ("/gradio_api/queue/join", "/gradio_api/cancel")
# What the page needs of gradio's addresses, and ours; whatever else gradio serves (a proxy, direct calls past the
# queue, histories, monitoring) does not exist here.
_KNOWN = re.compile(
    r"/|/config|/theme\.css|/favicon\.ico|/manifest\.json|/(assets|static|svelte|studio)/.*"
    r"|/gradio_api/(upload|upload_progress|file=.*|queue/(join|data)|heartbeat/[A-Za-z0-9]+|cancel|reset|app_id"
    r"|startup-events|theme\.css|info)/?"
)
# Pictures and recordings are uploaded; anything else that is sent is small.
_MOST_BYTES = 4_000_000
_FORM_BYTES = 64_000  # of an upload, around the file
_HEADERS = {
    # Nothing is loaded from, or sent to, any other host. Gradio evaluates the scripts of its components.
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
    """More was sent than may be."""

    def __init__(self) -> None:
        super().__init__(413, "this is more than may be sent")


class Guard:
    """Middleware of ASGI around the whole application.

    Args:
        app: what it guards.
        studio: whose visitors and limits count.
        token: that visitors must know, or None.
    """

    def __init__(self, app: Callable[[Scope, Receive, Send], Awaitable[None]], studio: Studio, token: str | None):
        self._app, self._studio, self._token = app, studio, token

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request pass, or answer it."""
        if scope["type"] == "lifespan":
            return await self._app(scope, receive, send)
        if scope["type"] != "http":  # no websockets here
            return await send({"type": "websocket.close", "code": 1008})
        headers, path, method = Headers(scope=scope), scope["path"], scope["method"]
        cookies = _cookies(headers.get("cookie", ""))

        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start":
                of = MutableHeaders(scope=message)
                if message["status"] == 413:  # otherwise all the rest would be read, and thrown away
                    of["connection"] = "close"
                for name, value in _HEADERS.items():
                    of.setdefault(name, value)
                if not path.startswith(("/assets/", "/static/", "/svelte/")):
                    of.setdefault("cache-control", "no-store")
                if cookie := scope.get("fd2talk_cookie"):
                    of.append("set-cookie", cookie)
            await send(message)

        def refuse(sentence: str, status: int) -> Awaitable[None]:
            """Say no: as text, or as gradio's page expects it."""
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
        if not _KNOWN.fullmatch(path):
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
            most = self._studio.limits.upload_bytes + _FORM_BYTES if path == UPLOAD else _MOST_BYTES
            sentence = f"the file is larger than {self._studio.limits.upload_bytes / 2**20:g} MB"
            if int(headers.get("content-length") or 0) > most:  # refused before a byte of it is read
                return await refuse(sentence, 413)
            receive = _limited(receive, most)
            try:
                if path.rstrip("/") in _EVENTS:
                    body = await _body(receive)
                    request = json.loads(body)
                    self._studio.visitors.claim(visitor, request["session_hash"])
                    for file in _files(request):
                        visitor.workspace.owns(file)
                    receive = _again(body, receive)
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
            return await self._while_open(visitor, scope, receive, answer)
        await self._app(scope, receive, answer)

    async def _while_open(self, visitor: Visitor | None, scope: Scope, receive: Receive, answer: Send) -> None:
        """The connection that a page keeps as long as it is open: when it ends, the page has gone."""
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
        """The answer to somebody who has not shown the token yet."""
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
            await asyncio.sleep(1)  # guessing takes time
        return HTMLResponse(login_page(wrong=given is not None), 401)


def _cookies(header: str) -> dict[str, str]:
    try:
        return {name: morsel.value for name, morsel in SimpleCookie(header).items()}
    except CookieError:
        return {}


def _cookie(name: str, value: str, scope: Scope) -> str:
    """A cookie that no script and no other site can use, for this session of the browser."""
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
    """Receive no more than so many bytes, whatever was announced."""
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


def _again(body: bytes, receive: Receive) -> Receive:
    """Receive a body that was read already; afterwards what comes, which is that the other side is gone."""
    given = False

    async def again() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return again


def _files(value: Any) -> Iterator[str]:
    """Whatever gradio would take for a file: gradio reads it before any function of ours sees it."""
    if isinstance(value, dict):
        if isinstance(path := value.get("path"), str):
            yield path
        for part in value.values():
            yield from _files(part)
    elif isinstance(value, list):
        for part in value:
            yield from _files(part)
