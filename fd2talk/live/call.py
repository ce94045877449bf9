"""A visitor's call: his messages, the portrait that he sees and hears, and what becomes of all that when he leaves."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web
from aiortc import RTCPeerConnection, RTCSessionDescription

from fd2talk.live.addresses import peer_connection, without_names
from fd2talk.live.portrait import SIZES, LiveFrame, LivePortrait
from fd2talk.live.tracks import Player
from shared.errors import InputError

_STATE_EVERY = 0.5
"""Seconds from one report of the figures to the next."""

Tell = Callable[[dict[str, Any]], Awaitable[None]]
log = logging.getLogger(__name__)


class Call:
    """One visitor: a WebSocket of messages, and a WebRTC connection.

    Args:
        socket: to the page.
        make: makes the portrait; called in a thread, as it takes a moment, with whom to tell that the machine is slow.
    """

    def __init__(self, socket: web.WebSocketResponse, make: Callable[[Callable[[str], None]], LivePortrait]) -> None:
        self._socket, self._make, self._loop = socket, make, asyncio.get_running_loop()
        self.portrait: LivePortrait | None = None
        self.ended = asyncio.Event()
        self._peer: RTCPeerConnection | None = None
        self.player: Player | None = None
        self._tasks: set[asyncio.Task] = set()
        self._speaking = False
        self.others: set[Tell] = set()
        """Told what happens, beside the page: programs that send speech."""

    async def open(self) -> None:
        """Make the portrait."""
        self.portrait = await asyncio.to_thread(self._make, self._notify)
        self.player = Player(self.portrait, self._on_frame)
        self._start(self._report())

    async def close(self) -> None:
        """Release everything."""
        self.ended.set()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self.player is not None:
            self.player.stop()
        if self._peer is not None:
            await self._peer.close()
        if self.portrait is not None:
            await asyncio.to_thread(self.portrait.close)

    async def take(self, message: dict[str, Any]) -> None:
        """Do what a message of the page asks for.

        Raises:
            InputError: it is none.
        """
        kind = message.get("type")
        assert self.portrait is not None
        if kind == "offer" and isinstance(message.get("sdp"), str):
            await self._answer(message["sdp"])
        elif kind == "interrupt":
            await self.interrupt()
        elif kind == "size" and message.get("size") in SIZES:
            await asyncio.to_thread(self.portrait.resize, message["size"])
        else:
            raise InputError(f"a message of type {str(kind)[:40]!r} is not known, or lacks something")

    async def interrupt(self) -> None:
        """The portrait stops speaking."""
        assert self.portrait is not None
        self.portrait.interrupt()
        await self.tell({"type": "interrupted"})

    async def tell(self, message: dict[str, Any]) -> None:
        """Tell the page and the programs that send speech."""
        for tell in (self._socket.send_json, *self.others):
            try:
                await tell(message)
            except (ConnectionError, RuntimeError):  # has just left, which its own handler notices
                pass

    # -- what happens by itself ---------------------------------------------------------------------------------------

    async def _answer(self, sdp: str) -> None:
        if self._peer is not None:
            raise InputError("this call has its connection already")
        assert self.player is not None
        self._peer = peer = peer_connection()
        player = self.player

        @peer.on("connectionstatechange")
        async def changed() -> None:
            if peer.connectionState == "connected":
                self._start(self._play())
            elif peer.connectionState in ("failed", "closed"):
                await self._socket.close()

        try:
            await peer.setRemoteDescription(RTCSessionDescription(without_names(sdp), "offer"))
            for track in (player.pictures, player.sound):
                peer.addTrack(track)
            await peer.setLocalDescription(await peer.createAnswer())
        except Exception as error:  # aiortc's own of many kinds
            log.debug("offer", exc_info=error)
            raise InputError("this is no offer of a connection that receives sound and pictures") from error
        await self._socket.send_json({"type": "answer", "sdp": peer.localDescription.sdp})

    async def _play(self) -> None:
        """Play; when that fails, say so and end the call."""
        assert self.player is not None
        try:
            await self.player.run()
        except Exception as error:
            log.exception("playing")
            await self.tell({"type": "error", "message": f"the portrait has stopped: {error}"})
            await self._socket.close()

    async def _report(self) -> None:
        """Figures for the page."""
        assert self.portrait is not None and self.player is not None
        while not self._socket.closed:
            figures = vars(self.portrait.figures) | {"fps": self.player.fps}
            try:
                await self._socket.send_json({"type": "state", **figures})
            except (ConnectionError, RuntimeError):
                return
            await asyncio.sleep(_STATE_EVERY)

    def _on_frame(self, frame: LiveFrame) -> None:
        if frame.speaking != self._speaking:
            self._speaking = frame.speaking
            self._start(self.tell({"type": "speaking", "speaking": frame.speaking}))

    def _notify(self, sentence: str) -> None:
        """From a thread of the portrait."""
        asyncio.run_coroutine_threadsafe(self.tell({"type": "note", "message": sentence}), self._loop)

    def _start(self, work: Any) -> None:
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
