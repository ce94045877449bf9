"""A visitor of `fd2talk live` that measures: when packets arrive, how late the sound is, and what the frames look like.

Pictures are decoded only where and while they are asked for; arrival is noted before any buffer.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import aiohttp
import numpy as np
from aiortc import RTCSessionDescription, rtcrtpreceiver
from aiortc.mediastreams import MediaStreamError

from fd2talk.live.addresses import offer_addresses, peer_connection

RATE = 48_000
_VIDEO_RATE = 90_000
_PIECE = RATE // 50
_KEPT = 60 * 50  # packets and pieces of sound: a minute's
_ALIKE = 0.5  # correlation, at least, of what was sent and what arrived
_GRID = 1000  # Hz, of the envelopes that are compared


class Decoding:
    """Whether pictures are decoded, now: begun in mid-call, the first that fails asks the server for a whole one."""

    def __init__(self, wanted: bool) -> None:
        self.wanted = wanted

    def decoder(self, codec: Any, make: Callable[[Any], Any]) -> Any:
        """Return a decoder of pictures that rests while none is wanted; `make` makes those of aiortc."""
        decoding = self

        class _Decoder:
            real: Any = None

            def decode(self, encoded: object) -> list:
                if not decoding.wanted:
                    self.real = None  # what it knows of earlier pictures would be wrong after a gap
                    return []
                self.real = self.real or make(codec)
                return self.real.decode(encoded)

        return _Decoder()


@contextmanager
def noted_arrivals(decoding: Decoding, arrivals: dict[str, deque]) -> Iterator[None]:
    """In all connections of the block: arrivals of video and audio, as (timestamp, seconds), of each first packet.

    Args:
        decoding: of the pictures.
        arrivals: filled, by kind.
    """
    receiver = rtcrtpreceiver.RTCRtpReceiver
    handle, make = receiver._handle_rtp_packet, rtcrtpreceiver.get_decoder

    async def noted(self: Any, packet: Any, arrival_time_ms: int) -> None:
        kind = self.track.kind
        if packet.payload and (not arrivals[kind] or arrivals[kind][-1][0] != packet.timestamp):
            arrivals[kind].append((packet.timestamp, time.monotonic()))
        await handle(self, packet, arrival_time_ms)

    def decoder(codec: Any) -> Any:
        return make(codec) if codec.mimeType.startswith("audio") else decoding.decoder(codec, make)

    receiver._handle_rtp_packet, rtcrtpreceiver.get_decoder = noted, decoder
    try:
        yield
    finally:
        receiver._handle_rtp_packet, rtcrtpreceiver.get_decoder = handle, make


class Receiver:
    """One call.

    Args:
        http: the client's session.
        address: of the server.
        arrivals: see `noted_arrivals`.
        decoding: of the pictures; it may be switched at any time.
    """

    def __init__(
        self, http: aiohttp.ClientSession, address: str, arrivals: dict[str, deque], decoding: Decoding
    ) -> None:
        self._http, self.address, self.arrivals, self.decoding = http, address, arrivals, decoding
        self.sound: deque[tuple[int, np.ndarray]] = deque(maxlen=_KEPT)  # samples since the first, int16 [960]
        self.sent: deque[tuple[float, np.ndarray]] = deque(maxlen=_KEPT)  # time, float32 [960]
        self.images: deque[np.ndarray] = deque(maxlen=25)
        self.states: deque[dict] = deque(maxlen=120)
        self.notes: list[str] = []
        self._tasks: list[asyncio.Task] = []

    async def open(self) -> None:
        """Call; returns when sound and pictures arrive."""
        self._socket = await self._http.ws_connect(f"{self.address}/call")
        while (await self._socket.receive_json())["type"] != "ready":
            pass
        self._peer = peer_connection()
        for kind in ("video", "audio"):
            self._peer.addTransceiver(kind, direction="recvonly")
        self._peer.on("track", lambda track: self._start(self._take(track)))
        await self._peer.setLocalDescription(await self._peer.createOffer())
        await self._socket.send_json({"type": "offer", "sdp": self._peer.localDescription.sdp})
        self._start(self._messages())
        while not all(self.arrivals.values()):
            await asyncio.sleep(0.05)
        self._firsts = {kind: stamps[0][0] for kind, stamps in self.arrivals.items()}

    async def close(self) -> None:
        await self._peer.close()
        await self._socket.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _start(self, work: Any) -> None:
        self._tasks.append(asyncio.ensure_future(work))

    async def _messages(self) -> None:
        async for message in self._socket:
            told = json.loads(message.data)
            if told["type"] == "answer":
                await self._peer.setRemoteDescription(RTCSessionDescription(told["sdp"], "answer"))
            elif told["type"] == "state":
                self.states.append(told)
            elif told["type"] in ("note", "error"):
                self.notes.append(told["message"])

    async def _take(self, track: Any) -> None:
        while True:
            try:
                frame = await track.recv()
            except MediaStreamError:
                return
            if track.kind == "audio":
                self.sound.append((frame.pts, frame.to_ndarray().reshape(-1, 2)[:, 0]))
            else:
                self.images.append(frame.to_ndarray(format="rgb24"))

    async def speak(self, speech: np.ndarray, seconds: float) -> None:
        """Say float32 [n] at `RATE`, again and again with a pause between, in real time, as a microphone does."""
        socket = await self._http.ws_connect(f"{self.address}/speech?rate={RATE}&live=1")
        begun = time.monotonic()
        for number in range(round(seconds * 50)):
            at = begun + number / 50
            await asyncio.sleep(max(0.0, at - time.monotonic()))
            piece = np.take(speech, range(number * _PIECE, (number + 1) * _PIECE), mode="wrap")
            self.sent.append((at, piece))
            await socket.send_bytes(np.rint(piece * 32767).astype("<i2").tobytes())
        await socket.close()

    # -- figures ------------------------------------------------------------------------------------------------------

    def fps(self, seconds: float) -> float:
        """Pictures a second, lately."""
        now = time.monotonic()
        return sum(now - arrival <= seconds for _, arrival in self.arrivals["video"]) / seconds

    def lateness(self) -> np.ndarray:
        """Milliseconds after the earliest (of those that are kept) at which pictures arrive, by their time stamps."""
        stamps, arrival = np.array(self.arrivals["video"]).T
        late = arrival - _unwrapped(stamps) / _VIDEO_RATE
        return 1000 * (late - late.min())

    def apart(self, seconds: float = 10) -> float:
        """Milliseconds by which sound arrives after the pictures with the same time stamp, lately.

        Both begin with the first frame of the call.
        """
        now, medians = time.monotonic(), []
        for kind, rate in (("audio", RATE), ("video", _VIDEO_RATE)):
            stamps, arrival = np.array(self.arrivals[kind]).T
            late = arrival - (_unwrapped(stamps) - self._first(kind)) / rate
            medians.append(np.median(late[now - arrival < seconds]))
        return float(1000 * (medians[0] - medians[1]))

    def _first(self, kind: str) -> float:
        """The first time stamp of the call, in the count of those that are kept."""
        first, kept = self._firsts[kind], self.arrivals[kind][0][0]
        return kept - (kept - first) % 2**32

    def delay(self, seconds: float = 8) -> float:
        """Seconds from when sound was sent until it arrived, lately: where both are most alike; nan: they are not."""
        stamps, arrival = np.array(self.arrivals["audio"]).T
        offset = np.median(arrival - (_unwrapped(stamps) - self._first("audio")) / RATE)
        kept = list(self.sound)
        start = time.monotonic() - seconds - 2
        sent, got = (np.zeros(round((seconds + 2) * _GRID)) for _ in range(2))
        for at, piece in self.sent:
            _add(sent, at - start, np.abs(piece))
        for stamp, piece in kept:
            _add(got, stamp / RATE + offset - start, np.abs(piece))
        size = round(seconds * _GRID)
        window = sent[:size] - sent[:size].mean()
        scores = []
        for lag in range(2 * _GRID):
            other = got[lag : lag + size]
            length = np.linalg.norm(other - other.mean()) * np.linalg.norm(window)
            scores.append(window @ (other - other.mean()) / (length + 1e-9))
        return int(np.argmax(scores)) / _GRID if max(scores) > _ALIKE else float("nan")


def _add(envelope: np.ndarray, at: float, loud: np.ndarray) -> None:
    """Add the loudness of 20 ms, sample by sample, to an envelope, from a second on."""
    cells = loud.reshape(-1, RATE // _GRID).mean(1)
    start = round(at * _GRID)
    if 0 <= start and start + len(cells) <= len(envelope):
        envelope[start : start + len(cells)] += cells


def _unwrapped(stamps: np.ndarray) -> np.ndarray:
    """Time stamps of 32 bits as numbers that only grow."""
    steps = (np.diff(stamps) + 2**31) % 2**32 - 2**31
    return stamps[0] + np.concatenate([[0], np.cumsum(steps)])


@asynccontextmanager
async def received(address: str, *, decode: bool) -> AsyncIterator[Receiver]:
    """A call with a local server; `decode`: whether pictures are decoded from the start."""
    offer_addresses("127.0.0.1")
    arrivals = {kind: deque(maxlen=_KEPT) for kind in ("video", "audio")}
    decoding = Decoding(decode)
    with noted_arrivals(decoding, arrivals):
        async with aiohttp.ClientSession() as http:
            receiver = Receiver(http, address, arrivals, decoding)
            await receiver.open()
            try:
                yield receiver
            finally:
                await receiver.close()
