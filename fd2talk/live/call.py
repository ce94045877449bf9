"""A visitor's call: messages, portrait and WebRTC connection, and their release when the visitor leaves."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from aiohttp import WSCloseCode, web
from aiortc import RTCPeerConnection, RTCSessionDescription

from fd2talk.live.addresses import peer_connection, without_names
from fd2talk.live.portrait import LiveFrame, LivePortrait
from fd2talk.live.size_control import SIZES
from fd2talk.live.tracks import Player
from shared.errors import InputError

_STATE_SECONDS = 0.5
"""Between two reports of the figures."""

Send = Callable[[dict[str, Any]], Awaitable[None]]
log = logging.getLogger(__name__)


class Call:
    """One visitor: a WebSocket of messages, and a WebRTC connection.

    Args:
        socket: to the page.
        make: makes the portrait; called in a thread with a function for notices, such as that the machine is too slow.
    """

    def __init__(self, socket: web.WebSocketResponse, make: Callable[[Callable[[str], None]], LivePortrait]) -> None:
        self._socket, self._make, self._loop = socket, make, asyncio.get_running_loop()
        self.portrait: LivePortrait | None = None
        self.ended = asyncio.Event()
        self._peer: RTCPeerConnection | None = None
        self.player: Player | None = None
        self._tasks: set[asyncio.Task] = set()
        self._speaking = False
        self._ends: list[int] = []  # numbers of samples after which utterances end; not reported yet
        self._making: asyncio.Future[LivePortrait] | None = None
        self._closing: asyncio.Task[None] | None = None
        self.others: set[Send] = set()
        """Further receivers of messages beside the page: programs that send speech."""
        self.farewell: str | None = None
        """Why the server has ended the call, or None."""

    async def open(self) -> None:
        """Make the portrait."""
        self._making = asyncio.ensure_future(asyncio.to_thread(self._make, self._notify))
        self.portrait = await asyncio.shield(self._making)  # `close` waits for it, if the visitor leaves meanwhile
        self.player = Player(self.portrait, self._on_frame)
        self._start(self._report())

    async def close(self) -> None:
        """Release everything, even if the awaiting task is cancelled."""
        self.ended.set()
        if self._closing is None:
            self._closing = self._loop.create_task(self._close())
        await asyncio.shield(self._closing)

    async def dismiss(self, sentence: str) -> None:
        """End the call, and say why."""
        self.farewell = sentence
        self.ended.set()
        try:
            await asyncio.wait_for(self._dismiss(sentence), 1)
        except (ConnectionError, RuntimeError, asyncio.TimeoutError):  # does not answer
            pass
        await self.close()

    async def _dismiss(self, sentence: str) -> None:
        await self._socket.send_json({"type": "error", "message": sentence})
        await self._socket.close(code=WSCloseCode.GOING_AWAY)

    async def _close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self.player is not None:
            self.player.stop()
        if self._peer is not None:
            await self._peer.close()
        if self._making is not None:
            (made,) = await asyncio.gather(self._making, return_exceptions=True)
            if isinstance(made, LivePortrait):
                await asyncio.to_thread(made.close)

    async def take(self, message: dict[str, Any]) -> None:
        """Handle a message of the page.

        Raises:
            InputError: an unknown or incomplete message.
        """
        kind = message.get("type")
        assert self.portrait is not None
        if kind == "offer" and isinstance(message.get("sdp"), str):
            await self._answer(message["sdp"])
        elif kind == "interrupt":
            await self.interrupt()
        elif kind == "size" and type(message.get("size")) is int and message["size"] in SIZES:
            await asyncio.to_thread(self.portrait.resize, message["size"])
        else:
            raise InputError(f"a message of type {str(kind)[:40]!r} is not known, or lacks something")

    async def interrupt(self) -> None:
        """Stop speaking, and report it if there was speech to stop."""
        assert self.portrait is not None
        if self.portrait.interrupt():
            self._ends = self._ends and [0]  # with the next silent frame
            await self.tell({"type": "interrupted"})

    def end_of_speech(self) -> None:
        """The utterance is complete; its end is reported when it has been spoken, also if it was silent."""
        assert self.portrait is not None
        self._ends.append(self.portrait.end_of_speech())

    async def tell(self, message: dict[str, Any]) -> None:
        """Send a message to the page and the programs that send speech."""
        for tell in (self._socket.send_json, *self.others):
            try:
                await tell(message)
            except (ConnectionError, RuntimeError):  # has just disconnected, which its own handler notices
                pass

    # -- connection and playback --------------------------------------------------------------------------------------

    async def _answer(self, sdp: str) -> None:
        if self._peer is not None:
            raise InputError("this call has its connection already")
        assert self.player is not None
        peer, player = peer_connection(), self.player

        @peer.on("connectionstatechange")
        async def changed() -> None:
            if self.ended.is_set() or self._peer is not peer:
                return
            if peer.connectionState == "connected":
                self._start(self._play())
            elif peer.connectionState in ("failed", "closed"):
                await self._socket.close()

        try:
            await peer.setRemoteDescription(RTCSessionDescription(without_names(sdp), "offer"))
            for track in (player.pictures, player.sound):
                peer.addTrack(track)
            await peer.setLocalDescription(await peer.createAnswer())
        except Exception as error:  # aiortc raises many kinds
            log.debug("offer", exc_info=error)
            await peer.close()
            raise InputError("this is no offer of a connection that receives sound and pictures") from error
        self._peer = peer
        await self._socket.send_json({"type": "answer", "sdp": peer.localDescription.sdp})

    async def _play(self) -> None:
        """Play; an error is reported and ends the call."""
        assert self.player is not None
        try:
            await self.player.run()
        except Exception as error:
            log.exception("playing")
            await self.tell({"type": "error", "message": f"the portrait has stopped: {error}"})
            await self._socket.close()

    async def _report(self) -> None:
        """Send figures to the page, until it disconnects."""
        assert self.portrait is not None and self.player is not None
        while not self._socket.closed:
            figures = vars(self.portrait.figures) | {"fps": self.player.fps}
            try:
                await self._socket.send_json({"type": "state", **figures})
            except (ConnectionError, RuntimeError):
                return
            await asyncio.sleep(_STATE_SECONDS)

    def _on_frame(self, frame: LiveFrame) -> None:
        over = bool(self._ends) and not frame.speaking and frame.spoken >= self._ends[0]
        if over:
            self._ends = [end for end in self._ends if end > frame.spoken]
        if over or frame.speaking != self._speaking:
            self._speaking = frame.speaking
            self._start(self.tell({"type": "speaking", "speaking": frame.speaking}))

    def _notify(self, sentence: str) -> None:
        """Send a notice; called in a thread of the portrait."""
        note = {"type": "note", "message": sentence}
        self._loop.call_soon_threadsafe(lambda: self._start(self.tell(note)))

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        if self.ended.is_set():
            work.close()
            return
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
