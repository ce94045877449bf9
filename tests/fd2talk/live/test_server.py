"""A visitor's whole call over a real connection, and everything that must not be possible."""

import asyncio
import gc
import json
import re
import socket
import threading
import time
from contextlib import asynccontextmanager
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("aiortc", reason="the extra live is not installed")

import aiohttp
from aiortc import RTCSessionDescription
from aiortc.mediastreams import MediaStreamError
from flashing import FlashRender, clicks, flashing, serving, wait_for

from fd2talk.live.addresses import peer_connection
from fd2talk.live.server import BUSY, ELSEWHERE, NOBODY, STOPPED, STRANGER, LiveServer
from fd2talk.live.tracks import SOUND_RATE
from shared.errors import UsageError

TOKEN = "a-token-that-is-long-enough"


def server_of(render=None, **options):
    """A server of flashing portraits; `made` holds them."""

    def make(notify):
        server.made.append(flashing(render or FlashRender(), size=64, sound_rate=SOUND_RATE, notify=notify))
        return server.made[-1]

    server = LiveServer(make, b"a picture", **{"host": "127.0.0.1", **options})
    server.made = []
    return server


async def until(condition, seconds=60):
    """Wait until something is true, however busy the machine is."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "this did not happen"
        await asyncio.sleep(0.02)


class Visitor:
    """A client as the page is one."""

    def __init__(self, http, address, socket):
        self.http, self.address, self.socket = http, address, socket
        self.peer, self.messages, self.sounds, self.pictures = peer_connection(), [], [], []
        self._tasks = []

    async def connect(self):
        for kind in ("video", "audio"):
            self.peer.addTransceiver(kind, direction="recvonly")
        self.peer.on("track", lambda track: self._tasks.append(asyncio.ensure_future(self._receive(track))))
        await self.peer.setLocalDescription(await self.peer.createOffer())
        await self.socket.send_json({"type": "offer", "sdp": self.peer.localDescription.sdp})
        answer = await self.message("answer")
        await self.peer.setRemoteDescription(RTCSessionDescription(answer["sdp"], "answer"))
        await until(lambda: self.sounds)

    async def message(self, kind, seconds=30):
        """The next message of that kind."""
        async with asyncio.timeout(seconds) if hasattr(asyncio, "timeout") else _no_limit():
            while True:
                message = json.loads((await self.socket.receive()).data)
                self.messages.append(message)
                if message["type"] == kind:
                    return message

    async def _receive(self, track):
        into = self.sounds if track.kind == "audio" else self.pictures
        while True:
            try:
                frame = await track.recv()
            except MediaStreamError:
                return
            into.append((time.monotonic(), float(frame.pts * frame.time_base), frame))

    async def sound(self, path="speech", rate=48000, **query):
        query = "".join(f"&{name}={value}" for name, value in query.items())
        return await self.http.ws_connect(f"{self.address}/{path}?rate={rate}{query}")

    async def close(self):
        await self.peer.close()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.socket.close()


@asynccontextmanager
async def _no_limit():
    yield


@asynccontextmanager
async def visit(address, **options):
    async with aiohttp.ClientSession() as http:
        visitor = Visitor(http, address, await http.ws_connect(f"{address}/call", **options))
        try:
            await visitor.message("ready")
            yield visitor
        finally:
            await visitor.close()


def pcm(samples):
    return np.rint(samples * 32767).astype("<i2").tobytes()


def loud(sounds):
    return [(when, pts) for when, pts, frame in sounds if np.abs(frame.to_ndarray()).max() > 10000]


def white(pictures):
    return [(when, pts) for when, pts, frame in pictures if frame.to_ndarray(format="gray").mean() > 200]


def test_a_click_is_heard_when_the_flash_is_seen():
    """Most are, at least: while another program keeps the processor, pictures are late, and arrivals are noted late."""

    async def talk(address):
        async with visit(address) as visitor:
            await visitor.connect()
            speech = await visitor.sound()
            await speech.send_bytes(pcm(clicks(10, 0.4, 48000)))
            await speech.send_str('{"type": "end"}')
            await visitor.message("speaking")
            await until(lambda: len(onsets(white(visitor.pictures))) >= 8 and len(onsets(loud(visitor.sounds))) >= 8)
            return onsets(loud(visitor.sounds)), onsets(white(visitor.pictures))

    with serving(server_of()) as address:
        heard, seen = (np.array(found) for found in asyncio.run(talk(address)))
    # Times of arrival, and those that the packets carry, which begin at zero with the first packet of each kind.
    # aiortc's receiver holds back some packets of sound, always as many; Chromium: tests/apps.
    for column, most_apart, most_spread in ((0, 0.2, 0.2), (1, 0.2, 0.01)):
        apart = np.array([min(heard[:, column] - moment, key=abs) for moment in seen[:, column]])
        assert abs(np.median(apart)) < most_apart
        assert np.median(np.abs(apart - np.median(apart))) < most_spread


def onsets(found):
    """The first of each group of (when, pts)."""
    return [one for number, one in enumerate(found) if not number or one[1] - found[number - 1][1] > 0.2]


def test_an_interruption_over_the_network_silences_the_next_frame_but_one():
    async def talk(address):
        async with visit(address) as visitor:
            await visitor.connect()
            (portrait,) = server.made
            interrupt, interrupted = portrait.interrupt, []
            portrait.interrupt = lambda: (interrupt(), interrupted.append(portrait.figures.frames / 25))[0]
            speech = await visitor.sound()
            tone = 0.8 * np.sin(2 * np.pi * 300 * np.arange(48000 * 10) / 48000)
            await speech.send_bytes(pcm(tone))
            await until(lambda: len(loud(visitor.sounds[-50:])) >= 30)
            await speech.send_str('{"type": "interrupt"}')
            await visitor.message("interrupted")
            await until(lambda: visitor.sounds[-1][1] > interrupted[0] + 0.5)
            return interrupted[0], visitor.sounds

    server = server_of()
    with serving(server) as address:
        at, sounds = asyncio.run(talk(address))
    # By the time that sound carries, which begins with the first packet that arrives: nothing waits on its way.
    assert -0.5 < max(pts for _, pts in loud(sounds)) - at < 0.08


def test_everything_is_released_when_the_visitor_leaves():
    async def talk(address, connect):
        async with visit(address) as visitor:
            if connect:
                await visitor.connect()
                await asyncio.sleep(0.5)

    server = server_of()
    with serving(server) as address:
        for connect in (True, True, False, True):
            asyncio.run(talk(address, connect))
            wait_for(lambda: server.call is None)
            live = [one.name for one in threading.enumerate() if one.name.startswith("live")]
            assert live == []
    assert len(server.made) == 4
    for portrait in server.made:
        with pytest.raises(UsageError, match="closed"):
            portrait.speak(np.zeros(1, np.float32))
    gc.collect()


def test_a_second_visitor_gets_one_sentence_and_the_first_goes_on():
    async def talk(address):
        async with visit(address) as visitor, aiohttp.ClientSession() as http:
            await visitor.connect()
            second = await http.ws_connect(f"{address}/call")
            refused = await second.receive_json()
            assert (await second.receive()).type is aiohttp.WSMsgType.CLOSE
            before = len(visitor.sounds)
            await until(lambda: len(visitor.sounds) > before + 10)
            return refused

    with serving(server_of()) as address:
        assert asyncio.run(talk(address)) == {"type": "error", "message": BUSY}


def test_programs_are_told_what_happens_and_what_is_wrong():
    async def errors(visitor, path, rate, send):
        socket = await visitor.sound(path, rate)
        await send(socket)
        return [json.loads(m.data)["message"] async for m in socket if json.loads(m.data)["type"] == "error"]

    async def talk(address):
        async with aiohttp.ClientSession() as http:
            early = await (await http.ws_connect(f"{address}/speech")).receive_json()
        async with visit(address) as visitor:
            await visitor.connect()
            good = await visitor.sound()
            await good.send_bytes(pcm(np.full(4800, 0.5)))
            await good.send_str('{"type": "end"}')
            told = [(await good.receive_json(timeout=30)) for _ in range(2)]
            found = [
                await errors(visitor, "speech", 16000, lambda one: one.send_bytes(b"abc")),
                await errors(visitor, "speech", 7000, lambda one: one.send_bytes(b"ab")),
                await errors(visitor, "listen", "x", lambda one: one.send_bytes(b"ab")),
                await errors(visitor, "speech", 16000, lambda one: one.send_str("hello")),
                await errors(visitor, "speech", 16000, lambda one: one.send_str('{"type": "sing"}')),
            ]
            await visitor.socket.send_json({"type": "offer", "sdp": "nonsense"})
            again = await visitor.message("error")
            await visitor.socket.send_str("[]")
            no_object = await visitor.message("error")
            listening = await visitor.sound("listen", 16000)
            await listening.send_bytes(pcm(np.full(1600, 0.5)))
            heard_by = server.made[0]._maker._stream
            await until(lambda: sum(map(len, heard_by.heard)) >= 1600)
            held = await visitor.sound()
            heard = sum(map(len, heard_by.heard))
            await visitor.socket.close()
            left = await held.receive_json(timeout=30)
        return early, told, found, again, no_object, heard, left

    server = server_of()
    with serving(server) as address:
        early, told, found, again, no_object, heard, left = asyncio.run(talk(address))
    assert early["message"] == NOBODY
    assert told == [{"type": "speaking", "speaking": True}, {"type": "speaking", "speaking": False}]
    said = ["3 bytes", "not 7000", "not x", "JSON objects", "'sing' is not known"]
    assert all(len(one) == 1 and words in one[0] for one, words in zip(found, said, strict=True))
    assert "its connection already" in again["message"] and "JSON objects" in no_object["message"]
    assert heard == 1600
    assert left["message"] == "The visitor has left."


def test_the_page_of_another_site_and_strangers_are_kept_out():
    async def ask(address):
        async with aiohttp.ClientSession() as http:

            async def get(path, **headers):
                async with http.get(f"{address}{path}", headers=headers) as response:
                    return response.status, await response.text(), response

            host = address.removeprefix("http://")
            assert (await get("/", Host="evil.example"))[:2] == (403, ELSEWHERE)
            assert (await get("/", Origin="https://evil.example"))[:2] == (403, ELSEWHERE)
            assert (await get("/", Origin=f"http://{host}"))[0] == 200
            for path in ("/../portrait.py", "/static/live.js", "/live.jsx", "/..%2fportrait.py"):
                assert (await get(path))[0] == 404
            with pytest.raises(aiohttp.WSServerHandshakeError):
                await http.ws_connect(f"{address}/call", origin="https://evil.example")
            _, text, response = await get("/")
            assert "fd2talk live" in text and "default-src 'none'" in response.headers["Content-Security-Policy"]
            assert (await get("/poster.jpg"))[1] == "a picture"

    with serving(server_of()) as address:
        asyncio.run(ask(address))


def test_a_token_opens_the_page_and_its_sockets():
    async def ask(address):
        async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as http:
            for path in ("/", "/?token=wrong-token-wrong-token", "/live.js", "/poster.jpg"):
                async with http.get(f"{address}{path}") as response:
                    assert (response.status, await response.text()) == (401, STRANGER)
            with pytest.raises(aiohttp.WSServerHandshakeError):
                await http.ws_connect(f"{address}/call")
            async with http.get(f"{address}/?token={TOKEN}") as response:
                assert response.status == 200
            async with http.get(f"{address}/live.js") as response:  # by the cookie
                assert response.status == 200
            await (await http.ws_connect(f"{address}/call")).close()
        async with aiohttp.ClientSession() as http:
            with pytest.raises(aiohttp.WSServerHandshakeError):
                await http.ws_connect(f"{address}/speech")
            bearer = {"Authorization": f"Bearer {TOKEN}"}
            await (await http.ws_connect(f"{address}/speech", headers=bearer)).close()

    with serving(server_of(token=TOKEN)) as address:
        asyncio.run(ask(address))


def test_the_visitor_is_told_when_the_server_stops_and_nothing_is_left():
    async def call(address, stop):
        async with visit(address) as visitor:
            await visitor.connect()
            speech = await visitor.sound()
            await speech.send_bytes(pcm(np.full(48000, 0.5)))
            await visitor.message("speaking")
            stopping = asyncio.get_running_loop().run_in_executor(None, stop)
            left = await visitor.message("error")
            told = [json.loads(one.data)["message"] async for one in speech if '"error"' in one.data]
            await stopping
            return left, told, visitor.socket.close_code

    server = server_of()
    running = serving(server)
    address = running.__enter__()
    left, told, _ = asyncio.run(call(address, lambda: running.__exit__(None, None, None)))
    assert left["message"] == STOPPED and told == [STOPPED]
    assert server.call is None
    assert [one.name for one in threading.enumerate() if one.name.startswith("live")] == []


def test_a_portrait_that_is_still_being_made_is_released_when_the_server_stops():
    def make(notify):
        making.set()
        time.sleep(0.7)
        made.append(flashing(FlashRender(), size=64, sound_rate=SOUND_RATE, notify=notify))
        return made[-1]

    async def call(address):
        async with aiohttp.ClientSession() as http:
            await http.ws_connect(f"{address}/call")
            await asyncio.to_thread(making.wait, 30)

    making, made = threading.Event(), []
    with serving(LiveServer(make, b"", host="127.0.0.1")) as address:
        asyncio.run(call(address))
    assert len(made) == 1
    with pytest.raises(UsageError, match="closed"):
        made[0].interrupt()


def test_who_hangs_up_and_calls_again_is_not_somebody_else(monkeypatch):
    monkeypatch.setattr("fd2talk.live.server._NOTICE", 30.0)
    monkeypatch.setattr("fd2talk.live.server._LEAVE", 30.0)

    async def talk(address):
        async with aiohttp.ClientSession() as http:
            for _ in range(3):
                async with visit(address) as visitor:
                    await visitor.connect()
                    leaving = asyncio.ensure_future(visitor.socket.close())
                    await asyncio.sleep(0)
                    again = await http.ws_connect(f"{address}/call")
                    first = await again.receive_json()
                    await leaving
                    await again.close()
                    assert first["type"] in ("ready", "state"), first

    server = server_of()
    close = LivePortraitClosing(server)
    with close, serving(server) as address:
        asyncio.run(talk(address))


class LivePortraitClosing:
    """Portraits of a server take a second to close."""

    def __init__(self, server):
        self.server, self.make = server, server._make

    def __enter__(self):
        def make(notify):
            portrait = self.make(notify)
            close = portrait.close
            portrait.close = lambda: (time.sleep(1), close())
            return portrait

        self.server._make = make

    def __exit__(self, *exception):
        pass


def test_a_bad_offer_does_not_spoil_the_call():
    async def talk(address):
        async with visit(address) as visitor:
            await visitor.socket.send_json({"type": "offer", "sdp": "nonsense"})
            bad = await visitor.message("error")
            await visitor.connect()
            return bad, len(visitor.sounds)

    with serving(server_of()) as address:
        bad, sounds = asyncio.run(talk(address))
    assert "no offer" in bad["message"] and sounds > 0


def test_after_every_end_it_is_told_when_speech_is_over():
    """Also if nothing was said, or it was interrupted before anything was heard; interruptions are told once."""

    async def told(socket):
        found = []
        while not found or found[-1] != {"type": "speaking", "speaking": False}:
            found.append(await socket.receive_json(timeout=30))
        return found

    async def talk(address):
        async with visit(address) as visitor:
            await visitor.connect()
            socket = await visitor.sound()
            await socket.send_str('{"type": "end"}')
            nothing = await told(socket)
            (portrait,) = server.made
            frame, go = portrait.frame, threading.Event()
            portrait.frame = lambda *patience: (go.wait(60), frame(*patience))[1]  # nothing is heard until then
            await socket.send_bytes(pcm(np.full(48000 * 2, 0.5)))
            await socket.send_str('{"type": "end"}')
            for _ in range(5):
                await socket.send_str('{"type": "interrupt"}')
            before = [await socket.receive_json(timeout=30)]
            go.set()
            before += await told(socket)
            await socket.send_bytes(pcm(np.full(48000 * 3, 0.5)))
            await socket.send_str('{"type": "end"}')
            assert await socket.receive_json(timeout=30) == {"type": "speaking", "speaking": True}
            await asyncio.sleep(0.3)
            for _ in range(5):
                await socket.send_str('{"type": "interrupt"}')
            within = await told(socket)
            with pytest.raises(asyncio.TimeoutError):
                await socket.receive_json(timeout=1)
            return nothing, before, within

    server = server_of()
    with serving(server) as address:
        nothing, before, within = asyncio.run(talk(address))
    over, interrupted = {"type": "speaking", "speaking": False}, {"type": "interrupted"}
    assert nothing == [over] and before == [interrupted, over] and within == [interrupted, over]


def test_large_and_deep_messages_get_a_sentence():
    async def answer(visitor, path, send):
        socket = await visitor.sound(path, 48000)
        await send(socket)
        await socket.send_str('{"type": "sing"}')
        return (await socket.receive_json(timeout=30))["message"]

    async def talk(address):
        async with visit(address) as visitor:
            mebibyte = bytes(2**20)
            found = [
                await answer(visitor, "speech", lambda one: one.send_bytes(mebibyte)),
                await answer(visitor, "speech", lambda one: one.send_bytes(mebibyte + b"ab")),
                await answer(visitor, "speech", lambda one: one.send_str("[" * 100_000)),
            ]
            await visitor.socket.send_str("[" * 100_000)
            found.append((await visitor.message("error"))["message"])
            for size in ("[1]", "256.0", "true"):
                await visitor.socket.send_str(f'{{"type": "size", "size": {size}}}')
                found.append((await visitor.message("error"))["message"])
            return found

    with serving(server_of()) as address:
        found = asyncio.run(talk(address))
    said = ["'sing' is not", "at most 1048576 bytes, not 1048578", "JSON objects", "JSON objects", *["'size'"] * 3]
    assert all(words in one for one, words in zip(found, said, strict=True)), found


@pytest.mark.parametrize(
    "headers", ["Host: [", "Host: {host}\r\nOrigin: http://[", "Host: {host}\r\nOrigin: http://\xff"]
)
def test_headers_that_are_no_addresses_are_refused(headers):
    with serving(server_of()) as address:
        host = address.removeprefix("http://")
        name, port = host.split(":")
        with socket.create_connection((name, int(port)), 30) as raw:
            raw.sendall(f"GET / HTTP/1.1\r\n{headers.format(host=host)}\r\n\r\n".encode("latin-1"))
            assert raw.recv(100).split()[1][:1] == b"4"


def test_the_client_of_the_documentation_speaks():
    text = (Path(__file__).parents[3] / "docs" / "live.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"```python\n(import asyncio.*?)```", text, re.S)

    async def talk(address):
        async with visit(address) as visitor:
            await visitor.connect()
            client = code.replace("http://127.0.0.1:8780", address)
            pieces = [pcm(0.8 * np.sin(np.arange(2400) * 0.1))] * 5
            await asyncio.to_thread(exec, client, {"synthesise": lambda text: pieces})
            await until(lambda: len(loud(visitor.sounds)) >= 24)
            await asyncio.sleep(0.3)
            return visitor.sounds

    with serving(server_of()) as address:
        sounds = asyncio.run(talk(address))
    assert 24 <= len(loud(sounds)) <= 28  # half a second


def test_other_addresses_need_a_token():
    with pytest.raises(UsageError, match="give a --token"):
        server_of(host="0.0.0.0")
    with pytest.raises(UsageError, match="can be guessed"):
        server_of(host="0.0.0.0", token="short")
    server_of(host="0.0.0.0", token=TOKEN)
    server_of()  # the addresses of a connection are those of the server made last


def test_a_machine_that_is_too_slow_is_told_to_the_page():
    async def talk(address):
        async with visit(address) as visitor:
            await visitor.connect()
            return await visitor.message("note", 60)

    def slow(notify):
        return flashing(FlashRender(seconds=0.3), size=512, sound_rate=SOUND_RATE, notify=notify)

    with serving(LiveServer(slow, b"", host="127.0.0.1")) as address:
        assert "too slow for 512 pixels: frames are 384" in asyncio.run(talk(address))["message"]
