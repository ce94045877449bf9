"""Screenshots of the page of `fd2talk live` in its states, with the bundled portrait: docs/live*.jpg.

python scripts/make_live_screenshots.py docs
"""

from __future__ import annotations

import asyncio
import io
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
from aiohttp import web
from PIL import Image
from playwright.sync_api import sync_playwright

from fd2talk.live.portrait import LivePortrait
from fd2talk.live.server import LiveServer
from fd2talk.live.tracks import SOUND_RATE
from shared.media import read_image
from shared.photo_fit import PhotoFit
from shared.weights import bundled
from stage1_motion.pipeline import MotionPipeline
from stage2_render.pipeline import RenderPipeline

_SPEECH = bundled("demo") / "sense_and_sensibility_01_austen_64kb-0880.wav"
_SWITCHES = ["--no-sandbox", "--disable-gpu", "--autoplay-policy=no-user-gesture-required", "--no-first-run"]


@click.command(help=__doc__)
@click.argument("folder", type=click.Path(file_okay=False))
def main(folder: str) -> None:
    photo = PhotoFit.fit(read_image(bundled("demo/portrait_woman.jpg")))
    motion, render = MotionPipeline.from_pretrained(), RenderPipeline.from_pretrained()
    poster = io.BytesIO()
    Image.fromarray(render.live(photo, full=False, max_size=512).still).save(poster, "JPEG", quality=90)

    def make(notify: Callable[[str], None]) -> LivePortrait:
        return LivePortrait(photo, motion, render, size=512, sound_rate=SOUND_RATE, notify=lambda note: None)

    server = LiveServer(make, poster.getvalue(), host="127.0.0.1")
    with _serving(server) as (address, loop), sync_playwright() as playwright:
        found = shutil.which("chromium") or shutil.which("google-chrome")
        browser = playwright.chromium.launch(executable_path=found, args=_SWITCHES)
        page = browser.new_page(viewport={"width": 1000, "height": 720})
        _begin(page, address)
        _say(page)
        _save(page, Path(folder) / "live.jpg")
        second = browser.new_page(viewport={"width": 390, "height": 844})
        second.goto(address)
        second.click("#start")
        _wait(second, "document.querySelector('#status').classList.contains('alarm')")
        _save(second, Path(folder) / "live-busy.jpg")
        page.close()
        time.sleep(2)
        phone = browser.new_page(viewport={"width": 390, "height": 844}, color_scheme="dark")
        _begin(phone, address)
        _say(phone)
        _save(phone, Path(folder) / "live-phone.jpg")
        assert server.call is not None
        sentence = "this machine is too slow for 512 pixels: frames are 384 pixels large from now on"
        server.call.portrait.resize(384)  # type: ignore[union-attr]
        told = server.call.tell({"type": "note", "message": sentence})
        asyncio.run_coroutine_threadsafe(told, loop).result(5)
        _wait(phone, "document.querySelector('#shown').textContent.startsWith('384')")
        phone.emulate_media(color_scheme="light")
        _save(phone, Path(folder) / "live-slow.jpg")
        browser.close()


@contextmanager
def _serving(server: LiveServer) -> Iterator[tuple[str, asyncio.AbstractEventLoop]]:
    """Serve in a thread: the address and the loop."""
    loop, runner = asyncio.new_event_loop(), web.AppRunner(server.app(), shutdown_timeout=1)

    async def begin() -> str:
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        return f"http://127.0.0.1:{runner.addresses[0][1]}"

    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    try:
        yield asyncio.run_coroutine_threadsafe(begin(), loop).result(10), loop
    finally:
        asyncio.run_coroutine_threadsafe(runner.cleanup(), loop).result(20)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()


def _begin(page: Any, address: str) -> None:
    page.goto(address)
    page.click("#start")
    _wait(page, "document.querySelector('#portrait').currentTime > 2")


def _say(page: Any) -> None:
    page.set_input_files("#speech input[type=file]", _SPEECH)
    _wait(page, "!document.querySelector('#badge').hidden")
    page.wait_for_timeout(1600)


def _wait(page: Any, condition: str) -> None:
    while not page.evaluate(condition):
        page.wait_for_timeout(100)


def _save(page: Any, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    picture = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
    picture.save(path, quality=82, optimize=True)
    print(path)


if __name__ == "__main__":
    main()
