"""Record an edit on the studio's timeline for docs/studio.md, as an animated picture: bundled portrait and speech only.

python scripts/record_timeline.py        # docs/studio/timeline.webp; needs the extras studio and apps, and Chromium
"""

from __future__ import annotations

import argparse
import io
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import Image
from playwright.sync_api import Page, sync_playwright

ROOT = Path(__file__).parent.parent
OUT = ROOT / "docs" / "studio" / "timeline.webp"
DEMO = ROOT / "assets" / "demo"
SPEECH = DEMO / "sense_and_sensibility_01_austen_64kb-0880.wav"
SIZE = {"width": 1040, "height": 1080}
_SHOWN, _QUALITY = (832, 864), 62
_STEP, _REST = 90, 1100  # milliseconds of a picture while something moves, and where there is something to see
# A mouse that is seen, as screenshots have none.
_MOUSE = """() => {
  const dot = document.createElement("div");
  dot.style = "position:fixed;z-index:9999;width:18px;height:18px;margin:-9px;border-radius:50%;pointer-events:none;" +
    "background:#f59e0bcc;border:2px solid #fff;box-shadow:0 1px 4px #0008;left:-40px;top:0";
  document.body.append(dot);
  const set = event => { dot.style.left = event.clientX + "px"; dot.style.top = event.clientY + "px"; };
  for (const name of ["mousemove", "pointermove"]) window.addEventListener(name, set, true);
}"""
_PLACE = """([name, frame, value]) => {
  const t = document.querySelector(".tl").timeline, k = t.state.lanes.findIndex(lane => lane.name === name);
  const lane = t.state.lanes[k], box = t.layout.boxes[k], canvas = document.querySelector(".tl canvas");
  const share = ((value ?? lane.values[frame]) - lane.low) / (lane.high - lane.low);
  const at = canvas.getBoundingClientRect();
  return [at.left + (frame + 0.5) / 25 * t.view.pps - t.view.scroll,
          at.top + box.top + box.above + (1 - share) * (box.height - box.above - box.below)];
}"""
_DRAWN = """() => {
  const t = document.querySelector(".tl").timeline;
  return t.state.drawn && !t.state.busy && !t.waiting && !t.dragged;
}"""


class Film:
    """Pictures of a page, and how long each is shown."""

    def __init__(self, page: Page) -> None:
        self.page, self.pictures, self.times = page, list[Image.Image](), list[int]()
        self._at = (600.0, 300.0)

    def take(self, milliseconds: int = _STEP) -> None:
        """One picture more."""
        shot = Image.open(io.BytesIO(self.page.screenshot())).convert("RGB")
        picture = shot.resize(_SHOWN, Image.Resampling.LANCZOS)
        if self.pictures and np.array_equal(np.asarray(self.pictures[-1]), np.asarray(picture)):
            self.times[-1] += milliseconds
            return
        self.pictures.append(picture)
        self.times.append(milliseconds)

    def move(self, x: float, y: float, steps: int = 7) -> None:
        """Move the mouse, gently."""
        for share in np.linspace(0, np.pi, steps + 1)[1:]:
            part = (1 - np.cos(share)) / 2
            self.page.mouse.move(self._at[0] + part * (x - self._at[0]), self._at[1] + part * (y - self._at[1]))
            self.take()
        self._at = (x, y)

    def place(self, name: str, frame: int, value: float | None = None) -> tuple[float, float]:
        """Where a value of a curve is on the page."""
        x, y = self.page.evaluate(_PLACE, [name, frame, value])
        return x, y

    def drag(self, start: tuple[float, float], stop: tuple[float, float]) -> None:
        """From here to there."""
        self.move(*start)
        self.page.mouse.down()
        self.move(*stop, steps=10)
        self.page.mouse.up()

    def click(self, selector: str) -> None:
        """A button."""
        box = self.page.locator(selector).bounding_box()
        assert box is not None
        self.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
        self.page.mouse.down()
        self.page.mouse.up()
        self.take(250)

    def wait(self, seconds: int = 120) -> None:
        """Until the video shows the edit."""
        end = time.monotonic() + seconds
        time.sleep(0.3)
        while not self.page.evaluate(_DRAWN):
            if time.monotonic() > end:
                raise TimeoutError("the studio has not rendered the edit")
            self.take()
            time.sleep(0.8)
        self.page.wait_for_timeout(700)
        self.take(_REST)

    def save(self, path: Path) -> None:
        """As an animated WebP."""
        path.parent.mkdir(parents=True, exist_ok=True)
        first, *others = self.pictures
        first.save(path, save_all=True, append_images=others, duration=self.times, loop=0, quality=_QUALITY, method=5)


def edit(film: Film) -> None:
    """What is shown: a key, dragged; a smile; a lock; new motion between; undo."""
    page = film.page
    film.take(_REST)
    film.move(*film.place("gap", 42, 14))
    page.mouse.dblclick(*film.place("gap", 42, 14))
    film.take(400)
    film.wait()
    film.drag(film.place("gap", 42, 14), film.place("gap", 46, 19))
    film.wait()
    film.move(*film.place("smile", 58, 0.75))
    page.mouse.dblclick(*film.place("smile", 58, 0.75))
    film.wait()
    film.move(*film.place("yaw", 30, 8))
    page.mouse.dblclick(*film.place("yaw", 30, 8))
    film.wait()
    top = film.page.locator(".tl canvas").bounding_box()
    assert top is not None
    for start, stop, button in ((2, 14, "lock"), (20, 66, "regenerate")):
        left, right = (film.place("gap", frame)[0] - 2 for frame in (start, stop))
        film.drag((left, top["y"] + 50), (right, top["y"] + 50))
        film.click(f"[data-do={button}]")
        film.wait()
    film.click("[data-do=undo]")
    film.wait()
    film.click("[data-do=redo]")
    film.wait()


@contextmanager
def studio() -> Iterator[str]:
    """A studio of its own: its address."""
    command = [sys.executable, "-m", "fd2talk", "studio", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as server:
        try:
            assert server.stdout is not None
            yield server.stdout.readline().strip()
        finally:
            server.terminate()


def main() -> None:
    """See above."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-o", "--output", type=Path, default=OUT)
    output = parser.parse_args().output
    arguments = ["--disable-gpu", "--disable-background-networking", "--disable-component-update", "--disable-sync"]
    arguments += ["--no-first-run", *(["--no-sandbox"] if hasattr(os, "geteuid") and os.geteuid() == 0 else [])]
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    with studio() as address, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=arguments)
        page = browser.new_page(viewport=SIZE)  # type: ignore[arg-type]
        page.set_default_timeout(180_000)
        page.goto(address)
        page.wait_for_selector("#generate")
        page.wait_for_timeout(500)
        page.set_input_files("#photo input[type=file]", DEMO / "portrait_woman.jpg")
        page.wait_for_selector("#faces-said:has-text('found')")
        page.set_input_files("#speech input[type=file]", SPEECH)
        page.wait_for_selector("#sound-said:has-text('seconds')")
        page.get_by_role("button", name="Generate", exact=True).click()
        page.wait_for_selector("#stage:has-text('Done')")
        page.get_by_role("tab", name="Edit").click()
        page.wait_for_selector(".tl:not([data-empty])")
        page.wait_for_function(_DRAWN)
        page.evaluate("document.querySelector('.tl').scrollIntoView()")
        page.evaluate(_MOUSE)
        page.wait_for_timeout(500)
        film = Film(page)
        edit(film)
        film.save(output)
        browser.close()
    print(
        f"{output}: {len(film.pictures)} pictures, {sum(film.times) / 1000:.0f} s, {output.stat().st_size / 1e6:.2f} MB"
    )


if __name__ == "__main__":
    main()
