r"""How well `fd2talk live` keeps up: frames a second, delay, lateness, sound against pictures, memory, what changes.

    python scripts/evaluate_live.py -o out/live.json                    # a minute each
    python scripts/evaluate_live.py -o out/live.json --minutes 30       # and half an hour without a break

The server runs as a process of its own, and a visitor gives it the bundled recordings in real time, as a microphone
does. Three measurements, each kept in the file; those that are there are not made again (`--anew` does).

* receiver: 512 pixels; the visitor does not decode the pictures. Delay: from when sound is sent until it arrives, where
  the two are most alike. Lateness: of pictures, after the earliest of a minute, by their time stamps. CPU: of the
  server, in cores. Apart: how much later sound arrives than the pictures of the same time.
* browser: 256 pixels, shown by Chromium on the same cores (extra: apps). Delay: as the page says, with what waits in
  the browser. Apart: of what it plays, as it estimates itself.
* soak: `--minutes`, 512 pixels; the visitor decodes for five seconds after each mark, or all the time (`--decode`).
  Identity: cosine of a face embedding (with `--identity`), else correlation of the aligned face with the photo.
  Sharpness: variance of the Laplacian of the face over the photo's. Colour: difference of the mean colours in grey
  levels.

Prints Markdown. Nothing else should run meanwhile.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
import cv2
import numpy as np
import psutil
from live_receiver import RATE, received
from markdown_tables import print_figures, print_head, print_row

from fd2talk.commands.benchmark import _processor
from shared.errors import FaceNotFoundError, InputError
from shared.faces.identity import IdentityEmbedder
from shared.faces.tracker import track_photo
from shared.media import read_audio, read_image
from shared.weights import bundled

_PHOTO = bundled("demo") / "portrait_woman.jpg"
_MARKS = (0, 1, 5, 10, 20, 30, 60)  # minutes
_CHROMIUM = ("chromium", "chromium-browser", "google-chrome")
_SWITCHES = ["--no-sandbox", "--disable-gpu", "--autoplay-policy=no-user-gesture-required", "--no-first-run"]
_SIDE = 96  # of the aligned face that is compared


@click.command(help=__doc__)
@click.option("-o", "--output", required=True, help="JSON file of all figures.")
@click.option("--seconds", default=60.0, show_default=True, help="Of the first two measurements.")
@click.option("--minutes", default=0.0, help="Of the third; 0: none.")
@click.option("--only", type=click.Choice(("receiver", "browser", "soak")), help="One of them.")
@click.option("--size", default=512, show_default=True, help="Of the first and the third, pixels.")
@click.option("--model", help="Motion model.")
@click.option("--identity", type=click.Path(exists=True), help="Face-recognition network (ONNX).")
@click.option("--decode", is_flag=True, help="Decode the pictures of the third all the time, on the same cores.")
@click.option("--anew", is_flag=True, help="Measure again what is in the file.")
def main(
    output: str,
    seconds: float,
    minutes: float,
    only: str | None,
    size: int,
    model: str | None,
    identity: str | None,
    decode: bool,
    anew: bool,
) -> None:
    path, found = Path(output), {}
    if path.exists():
        found = json.loads(path.read_text(encoding="utf-8"))
    options = ["--model", model] if model else []
    jobs: dict[str, Callable[[], Any]] = {
        "receiver": lambda: asyncio.run(_receiver(size, seconds, options)),
        "browser": lambda: _browser(256, seconds, options),
        "soak": lambda: asyncio.run(_soak(size, minutes, options, identity, decode)),
    }
    for name, job in jobs.items():
        if only not in (None, name) or (name == "soak" and not minutes) or (name in found and not anew):
            continue
        try:
            found[name] = job()
        except (InputError, RuntimeError) as error:
            click.echo(f"{name}: {error}", err=True)
            continue
        found |= {"processor": _processor(), "cores": os.cpu_count(), "model": model or "fd2talk"}
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(found, indent=2), encoding="utf-8")
    _print(found)


@contextmanager
def _server(size: int, options: list[str]) -> Iterator[tuple[str, psutil.Process]]:
    """`fd2talk live` with the bundled portrait: its address and process."""
    command = [sys.executable, "-m", "fd2talk", "live", _PHOTO, "--port", "0", "--size", str(size), *options]
    with subprocess.Popen(list(map(str, command)), stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            address = re.match(r"http://\S+", process.stdout.readline())
            if address is None:
                raise InputError("the server has not started")
            yield address[0].rstrip("/"), psutil.Process(process.pid)
        finally:
            process.terminate()
            process.wait(10)


def _speech() -> np.ndarray:
    """The bundled recordings with two seconds of silence after each, float32 at `RATE`."""
    parts = []
    for path in sorted(bundled("demo").glob("*.wav")):
        sound = read_audio(path)
        sound = np.interp(np.arange(len(sound) * RATE // 16000) * 16000 / RATE, np.arange(len(sound)), sound)
        parts += [sound.astype(np.float32), np.zeros(2 * RATE, np.float32)]
    return np.concatenate(parts)


async def _receiver(size: int, seconds: float, options: list[str]) -> dict[str, Any]:
    with _server(size, options) as (address, process):
        async with received(address, decode=False) as visitor:
            speaking = asyncio.ensure_future(visitor.speak(_speech(), seconds + 5))
            await asyncio.sleep(5)
            begun, used = time.monotonic(), sum(process.cpu_times()[:2])
            delays = []
            while time.monotonic() - begun < seconds:
                await asyncio.sleep(min(10, seconds))
                delays.append(visitor.delay())
            cores = (sum(process.cpu_times()[:2]) - used) / (time.monotonic() - begun)
            late = visitor.lateness()[-round(25 * seconds) :]
            speaking.cancel()
            return {
                "size": visitor.states[-1]["width"],
                "fps": visitor.fps(min(seconds, 50)),
                "delay": [np.nanmin(delays), float(np.nanmedian(delays)), np.nanmax(delays)],
                "late": np.percentile(late, [50, 95, 99, 100]).tolist(),
                "apart": visitor.apart(),
                "cores": cores,
                "memory": process.memory_info().rss / 2**20,
                "notes": visitor.notes,
            }


_STATS = """async () => {
  const found = {};
  for (const one of (await window.peer.getStats()).values())
    if (one.type === 'inbound-rtp') found[one.kind] = {
      playout: one.estimatedPlayoutTimestamp, frames: one.framesDecoded, dropped: one.framesDropped,
      freezes: one.freezeCount, concealed: one.concealedSamples, samples: one.totalSamplesReceived };
  return { ...found, delay: parseFloat(document.querySelector('#delay').textContent),
           size: document.querySelector('#shown').textContent };
}"""
_KEEP_PEER = """const Peer = RTCPeerConnection;
window.RTCPeerConnection = function (...settings) { return window.peer = new Peer(...settings); };"""


def _browser(size: int, seconds: float, options: list[str]) -> dict[str, Any]:
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        raise InputError("no Playwright: pip install 'fd2talk[apps]'") from None
    executable = next(filter(None, map(shutil.which, _CHROMIUM)), None)
    if executable is None:
        raise InputError("Chromium is not installed")
    with _server(size, options) as (address, process), sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=_SWITCHES)
        page = browser.new_page()
        page.add_init_script(_KEEP_PEER)
        page.goto(address)
        page.click("#start")
        while not page.evaluate("document.querySelector('#portrait').currentTime > 1"):
            page.wait_for_timeout(100)
        speaking = subprocess.Popen([sys.executable, __file__, "--speak", address, str(seconds + 5)])
        try:
            page.wait_for_timeout(5000)
            first, begun, used = page.evaluate(_STATS), time.monotonic(), sum(process.cpu_times()[:2])
            samples = []
            while time.monotonic() - begun < seconds:
                page.wait_for_timeout(1000)
                samples.append(page.evaluate(_STATS))
            passed, last = time.monotonic() - begun, samples[-1]
            cores = (sum(process.cpu_times()[:2]) - used) / passed
        finally:
            speaking.terminate()
            speaking.wait()
            browser.close()
    apart = [one["audio"]["playout"] - one["video"]["playout"] for one in samples if one["audio"].get("playout")]
    delays = [one["delay"] for one in samples if np.isfinite(one["delay"] or np.nan)]
    return {
        "size": last["size"],
        "fps": (last["video"]["frames"] - first["video"]["frames"]) / passed,
        "dropped": last["video"]["dropped"],
        "freezes": last["video"]["freezes"],
        "delay": [min(delays), float(np.median(delays)), max(delays)] if delays else None,
        "apart": [-value for value in np.percentile(apart, [5, 50, 95])] if apart else None,
        "cores": cores,
    }


async def _soak(
    size: int, minutes: float, options: list[str], identity: str | None, decode: bool
) -> list[dict[str, Any]]:
    compare, rows = _comparison(size, identity), []
    marks = [mark for mark in _MARKS if mark < minutes] + [minutes]
    with _server(size, options) as (address, process):
        async with received(address, decode=decode) as visitor:
            speaking = asyncio.ensure_future(visitor.speak(_speech(), 60 * minutes + 60))
            begun = time.monotonic()
            for mark in marks:
                await asyncio.sleep(max(15.0 if not mark else 0.0, begun + 60 * mark - time.monotonic()))
                used, since = sum(process.cpu_times()[:2]), time.monotonic()
                await asyncio.sleep(5)
                # Figures of the server are taken before the visitor takes from its time.
                cores = (sum(process.cpu_times()[:2]) - used) / (time.monotonic() - since)
                rows.append(
                    {
                        "minute": mark,
                        "delay": visitor.delay(),
                        "fps": visitor.fps(10),
                        "late": np.percentile(visitor.lateness(), [50, 95, 99, 100]).tolist(),
                        "apart": visitor.apart(),
                        "memory": process.memory_info().rss / 2**20,
                        "cores": cores,
                        "queued": visitor.states[-1]["queued"],
                        "size": visitor.states[-1]["width"],
                        "notes": list(visitor.notes),
                    }
                )
                click.echo(f"minute {mark:g}: {json.dumps(rows[-1])}", err=True)
                visitor.decoding.wanted = True
                await asyncio.sleep(5)
                visitor.decoding.wanted = decode
                rows[-1]["images"] = list(visitor.images)
            speaking.cancel()
    for row in rows:  # at the end, as it would take time from the server
        row |= compare(row.pop("images"))
    return rows


def _comparison(size: int, identity: str | None) -> Callable[[list[np.ndarray]], dict[str, float]]:
    """Frames -> how they compare with the photo."""
    from shared.photo_fit import PhotoFit
    from stage2_render.framing import framed

    photo = framed(PhotoFit.fit(read_image(_PHOTO)), False, size).image
    embed = IdentityEmbedder(identity) if identity else None
    wanted, known = _face(photo), embed(photo, track_photo(photo)) if embed else None

    def compare(frames: list[np.ndarray]) -> dict[str, float]:
        rows = []
        for frame in frames[::5]:
            if frame.shape != photo.shape:
                frame = cv2.resize(frame, photo.shape[1::-1], interpolation=cv2.INTER_CUBIC)
            try:
                face = _face(frame)
            except FaceNotFoundError:
                continue
            same = np.corrcoef(face.mean(2).ravel(), wanted.mean(2).ravel())[0, 1]
            if embed is not None and known is not None:
                same = float(embed(frame, track_photo(frame)) @ known)
            colour = np.abs(frame.mean((0, 1)) - photo.mean((0, 1))).mean()
            rows.append((same, _sharpness(frame) / _sharpness(photo), colour))
        means = np.mean(rows, axis=0) if rows else np.full(3, np.nan)
        return dict(zip(("identity", "sharpness", "colour"), map(float, means)))

    return compare


def _face(image: np.ndarray) -> np.ndarray:
    """The upper face, whatever the head's pose: float32 [_SIDE, _SIDE, 3] between the eyes' corners and the nose."""
    points = track_photo(image)[[33, 263, 2], :2].astype(np.float32)
    target = np.float32([[0.2, 0.3], [0.8, 0.3], [0.5, 0.75]]) * _SIDE
    return cv2.warpAffine(image, cv2.getAffineTransform(points, target), (_SIDE, _SIDE)).astype(np.float32)


def _sharpness(image: np.ndarray) -> float:
    """Variance of the Laplacian of the middle of a head crop."""
    height, width = image.shape[:2]
    middle = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)[height // 4 : -height // 4, width // 4 : -width // 4]
    return float(cv2.Laplacian(middle, cv2.CV_32F).var())


def _print(found: dict[str, Any]) -> None:
    if not found:
        return
    print(f"{found['processor']}, {found['cores']} cores; motion model {found['model']}.")
    if one := found.get("receiver"):
        print_figures(
            "receiver that does not decode",
            {
                "size, pixels": one["size"],
                "frames a second": f"{one['fps']:.1f}",
                "delay, s: least, median, most": _numbers(one["delay"], 2),
                "pictures late, ms: 50, 95, 99, 100 %": _numbers(one["late"], 0),
                "sound after pictures, ms": f"{one['apart']:.0f}",
                "server: cores, memory in MiB": f"{one['cores']:.2f}, {one['memory']:.0f}",
                "notes": "; ".join(one["notes"]) or "none",
            },
        )
    if one := found.get("browser"):
        print_figures(
            "Chromium on the same cores",
            {
                "size, pixels": one["size"],
                "frames a second; dropped; freezes": f"{one['fps']:.1f}; {one['dropped']}; {one['freezes']}",
                "delay, s: least, median, most": _numbers(one["delay"], 2),
                "sound after pictures, ms: 5, 50, 95 %": _numbers(one["apart"], 0),
                "server: cores": f"{one['cores']:.2f}",
            },
        )
    if rows := found.get("soak"):
        names = ("fps", "delay", "apart", "memory", "cores", "identity", "sharpness", "colour")
        heads = ("frames a second", "delay, s", "apart, ms", "MiB", "cores", "identity", "sharpness", "colour")
        digits = (1, 2, 0, 0, 2, 3, 2, 1)
        print_head(["minute", "size", *heads, "late, ms: 50, 95, 99, 100 %"])
        for row in rows:
            cells = [f"{row[name]:.{digit}f}" for name, digit in zip(names, digits)]
            print_row([f"{row['minute']:g}", row["size"], *cells, _numbers(row["late"], 0)])


def _numbers(values: list[float] | None, digits: int) -> str:
    return "" if values is None else ", ".join(f"{value:.{digits}f}" for value in values)


async def _speak(address: str, seconds: float) -> None:
    """Only speak, in a process of its own beside the browser."""
    import aiohttp
    from live_receiver import Decoding, Receiver

    async with aiohttp.ClientSession() as http:
        await Receiver(http, address, {}, Decoding(False)).speak(_speech(), seconds)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--speak"]:
        asyncio.run(_speak(sys.argv[2], float(sys.argv[3])))
    else:
        main()
