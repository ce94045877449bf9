"""The server of `fd2talk live`: the page, a visitor's call, and WebSockets for sound; protocol: docs/live.md."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from importlib.resources import files
from time import monotonic
from typing import Any

import numpy as np
from aiohttp import WSMsgType, web

from fd2talk.live.addresses import offer_addresses
from fd2talk.live.call import Call
from fd2talk.live.portrait import LivePortrait
from fd2talk.live.sources import Microphone, PcmReader, parsed_rate
from fd2talk.live.tracks import SOUND_RATE
from fd2talk.serving import check_address, is_own_page, knows
from shared.errors import Fd2TalkError, InputError
from shared.media import SAMPLE_RATE

BUSY = "Somebody else is talking with this portrait; try again when they have left."
NOBODY = "Nobody is watching: open the page and start first."
STRANGER = "This portrait needs the token that its server was started with."
ELSEWHERE = "This request comes from another site."
LEFT = "The visitor has left."
STOPPED = "The server has been stopped."

MOST_QUEUED = 300.0
"""Seconds of speech in the queue at most. Sound is accepted at once, so that an interruption behind it is seen."""

_MAX_MESSAGE = 2**20
"""Bytes of a message at most. Up to 16 times as many are received, so that the error can be reported."""

_RELOAD_SECONDS, _RELEASE_SECONDS = 0.5, 3.0
"""Seconds that a new call waits for the end of the last one, which a reload may not have closed yet, and then for its
release."""

_COOKIE = "fd2talk_token"
_PAGE = "index.html"
_TYPES = {
    _PAGE: "text/html",
    "live.js": "text/javascript",
    "microphone.js": "text/javascript",
    "live.css": "text/css",
}
_POLICY = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; media-src 'self' blob:; "
_POLICY += "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
_HEADERS = {
    "Content-Security-Policy": _POLICY,
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
}

MakePortrait = Callable[[Callable[[str], None]], LivePortrait]
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class LiveServer:
    """Serves one portrait to one visitor at a time.

    Args:
        make: makes the portrait for a visitor, with a `sound_rate` of `tracks.SOUND_RATE`; called with a function for
            notices, such as that the machine is too slow.
        poster: JPEG of the person, for the page before the call.
        host: address that the server is bound to.
        token: which visitors must give; required for other addresses than loopback ones.

    Raises:
        UsageError: as `fd2talk.serving.check_address`.
    """

    def __init__(self, make: MakePortrait, poster: bytes, *, host: str, token: str | None = None) -> None:
        check_address(host, token)
        offer_addresses(host)
        self._make, self._poster, self._token = make, poster, token
        self.call: Call | None = None
        self._stopped = False

    def app(self) -> web.Application:
        """The aiohttp application."""
        app = web.Application(middlewares=[self._guard], client_max_size=_MAX_MESSAGE)
        app.on_shutdown.append(self._stop)
        app.router.add_get("/", self._page)
        app.router.add_get("/poster.jpg", self._poster_image)
        app.router.add_get("/call", self._call)
        app.router.add_get("/speech", self._speech)
        app.router.add_get("/listen", self._listen)
        for name in _TYPES:
            app.router.add_get(f"/{name}", self._page)
        return app

    @web.middleware
    async def _guard(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Check the token, and refuse pages of other sites."""
        if not is_own_page(request.headers.get("Host"), request.headers.get("Origin"), self._token):
            return web.Response(status=403, text=ELSEWHERE)
        bearer = request.headers.get("Authorization", "").removeprefix("Bearer ") or None
        given = request.query.get("token") or bearer or request.cookies.get(_COOKIE)
        if not knows(self._token, given):
            return web.Response(status=401, text=STRANGER)
        return await handler(request)

    async def _page(self, request: web.Request) -> web.Response:
        name = request.path.strip("/") or _PAGE
        text = (files("fd2talk.live") / "static" / name).read_text(encoding="utf-8")
        response = web.Response(text=text, content_type=_TYPES[name], headers=_HEADERS)
        if self._token is not None:  # for the page's further requests, whose URLs do not have it
            response.set_cookie(_COOKIE, self._token, httponly=True, samesite="Strict")
        return response

    async def _poster_image(self, request: web.Request) -> web.Response:
        return web.Response(body=self._poster, content_type="image/jpeg", headers=_HEADERS)

    async def _call(self, request: web.Request) -> web.WebSocketResponse:
        """Serve a visitor's call until it ends."""
        socket = web.WebSocketResponse(timeout=2, heartbeat=10, max_msg_size=16 * _MAX_MESSAGE)
        await socket.prepare(request)
        if not await self._is_free():
            return await _refused(socket, STOPPED if self._stopped else BUSY)
        self.call = call = Call(socket, self._make)
        try:
            await call.open()
            await socket.send_json({"type": "ready"})
            async for message in socket:
                if call.ended.is_set():
                    break
                if message.type is not WSMsgType.TEXT:
                    return await _refused(socket, "calls take text, as JSON; sound goes to /speech and /listen")
                try:
                    await call.take(_parsed(_checked_size(message.data)))
                except InputError as error:
                    await socket.send_json({"type": "error", "message": str(error)})
        except Fd2TalkError as error:
            return await _refused(socket, str(error))
        finally:
            await self._leave(call)
        return socket

    async def _is_free(self) -> bool:
        """Whether there is no call; one that is ending is waited for."""
        begun = monotonic()
        while self.call is not None and monotonic() < begun + (
            _RELEASE_SECONDS if self.call.ended.is_set() else _RELOAD_SECONDS
        ):
            await asyncio.sleep(0.02)
        return self.call is None and not self._stopped

    async def _leave(self, call: Call) -> None:
        try:
            await call.close()
        finally:
            self.call = None

    async def _stop(self, app: web.Application) -> None:
        """End the call before the server stops."""
        self._stopped = True
        if self.call is not None:
            await self.call.dismiss(STOPPED)

    async def _speech(self, request: web.Request) -> web.WebSocketResponse:
        """Receive sound that the portrait speaks."""
        return await self._sound(request, SOUND_RATE, self._say)

    async def _listen(self, request: web.Request) -> web.WebSocketResponse:
        """Receive sound of another speaker, to which it listens."""
        return await self._sound(request, SAMPLE_RATE, self._hear)

    async def _sound(self, request: web.Request, target: int, take: Callable[..., Awaitable[None]]) -> Any:
        socket = web.WebSocketResponse(timeout=2, heartbeat=10, max_msg_size=16 * _MAX_MESSAGE)
        await socket.prepare(request)
        call = self.call
        if call is None or call.portrait is None or call.ended.is_set():
            return await _refused(socket, NOBODY)
        try:
            reader = PcmReader(parsed_rate(request.query.get("rate", str(SAMPLE_RATE))), target)
            portrait = call.portrait
            microphone = Microphone(lambda: portrait.queued) if request.query.get("live") == "1" else None
            call.others.add(socket.send_json)
            ending = asyncio.create_task(_end(socket, call))
            try:
                async for message in socket:
                    if call.ended.is_set():
                        break
                    if message.type is WSMsgType.BINARY:
                        await take(call, reader(_checked_size(message.data)), microphone)
                    elif message.type is WSMsgType.TEXT:
                        await self._command(call, _parsed(_checked_size(message.data)), reader, target)
                    else:
                        break
            finally:
                if call.ended.is_set():
                    await ending
                ending.cancel()
                call.others.discard(socket.send_json)
                if not call.ended.is_set() and target == SOUND_RATE:
                    portrait.end_of_speech()
        except Fd2TalkError as error:
            return await _refused(socket, str(error))
        return socket

    async def _say(self, call: Call, samples: np.ndarray, microphone: Microphone | None) -> None:
        assert call.portrait is not None
        if microphone is not None and not microphone.admits(samples):
            return
        if call.portrait.queued > MOST_QUEUED:
            raise InputError(f"more than {MOST_QUEUED:.0f} seconds of speech are waiting already")
        call.portrait.speak(samples)

    async def _hear(self, call: Call, samples: np.ndarray, microphone: Microphone | None) -> None:
        assert call.portrait is not None
        call.portrait.listen(samples)

    async def _command(self, call: Call, message: dict[str, Any], reader: PcmReader, target: int) -> None:
        """Handle a JSON message of a program that sends sound."""
        assert call.portrait is not None
        kind = message.get("type")
        if kind == "end" and target == SOUND_RATE:
            call.portrait.speak(reader.flush())
            call.end_of_speech()
        elif kind == "interrupt":
            reader.flush()
            await call.interrupt()
        else:
            raise InputError(f"a message of type {str(kind)[:40]!r} is not known here")


async def _end(socket: web.WebSocketResponse, call: Call) -> None:
    """Close a socket of sound when the call ends."""
    await call.ended.wait()
    await _refused(socket, call.farewell or LEFT)


async def _refused(socket: web.WebSocketResponse, sentence: str) -> web.WebSocketResponse:
    """Send an error, and close."""
    try:
        await socket.send_json({"type": "error", "message": sentence})
        await socket.close()
    except (ConnectionError, RuntimeError):  # gone already
        pass
    return socket


def _checked_size(data: Any) -> Any:
    """A message's data. Raises InputError: it is too large."""
    if len(data) > _MAX_MESSAGE:
        raise InputError(f"a message has at most {_MAX_MESSAGE} bytes, not {len(data)}: send several")
    return data


def _parsed(text: str) -> dict[str, Any]:
    """Parse a message. Raises InputError: it is no JSON object."""
    try:
        message = json.loads(text)
    except (ValueError, RecursionError):
        message = None
    if not isinstance(message, dict):
        raise InputError('messages are JSON objects, such as {"type": "interrupt"}')
    return message
