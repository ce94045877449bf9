"""Screenshots of the studio for docs/studio.md: every state of the page, with the bundled portraits only.

python scripts/make_screenshots.py            # all, into docs/studio; needs the extras studio and apps, and Chromium
python scripts/make_screenshots.py dark phone # some of them
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright

ROOT = Path(__file__).parent.parent
DEMO, OUT = ROOT / "assets" / "demo", ROOT / "docs" / "studio"
SPEECH = DEMO / "sense_and_sensibility_01_austen_64kb-0890.wav"
_MOST_BYTES = 150_000


def start(page: Page) -> None:
    """Nothing was given yet."""


def faces(page: Page) -> None:
    """A photo of several people."""
    with tempfile.TemporaryDirectory() as folder:
        group = Path(folder) / "group.jpg"
        compose_group(group)
        page.set_input_files("#photo input[type=file]", group)
        page.wait_for_selector("#numbered img", timeout=60_000)
        page.get_by_label("Face 0").check()
        page.wait_for_selector("#faces-said:has-text('Face 0')", timeout=30_000)
        page.wait_for_timeout(700)


def generating(page: Page) -> None:
    """The first second is shown while the rest is rendered."""
    give(page, "portrait_woman.jpg")
    page.get_by_role("button", name="Generate", exact=True).click()
    page.wait_for_function("document.querySelector('.studio-preview video')?.currentTime > 0", timeout=120_000)
    page.wait_for_timeout(1200)


def result(page: Page) -> None:
    """A video with its downloads."""
    give(page, "portrait_woman.jpg")
    generate(page, 1)


def comparison(page: Page) -> None:
    """Two models side by side."""
    give(page, "portrait_man_2.jpg")
    page.get_by_label("Two models").check()
    page.get_by_label("Second model").wait_for()
    generate(page, 2)


def settings(page: Page) -> None:
    """All settings, with a model that takes styles."""
    page.get_by_role("combobox", name="Motion model").click()
    page.get_by_role("option", name="DiffPoseTalk").click()
    page.wait_for_function("!document.querySelector('#style input').disabled")
    page.get_by_role("button", name="More settings").click()
    page.wait_for_timeout(400)
    page.get_by_role("combobox", name="Speaking style").click()
    page.wait_for_timeout(400)


def error(page: Page) -> None:
    """A photo without a face, and a click too early."""
    with tempfile.TemporaryDirectory() as folder:
        grey = Path(folder) / "landscape.jpg"
        Image.linear_gradient("L").resize((640, 480)).save(grey)
        page.set_input_files("#photo input[type=file]", grey)
        page.wait_for_selector("#faces-said [role=alert]", timeout=60_000)
    page.get_by_role("button", name="Generate", exact=True).click()
    page.wait_for_selector("#failed [role=alert]")


def phone(page: Page) -> None:
    """On a phone."""
    give(page, "portrait_woman_2.jpg")
    generate(page, 1)


def dark(page: Page) -> None:
    """In the dark."""
    give(page, "portrait_man.jpg")
    generate(page, 1)


def closing(page: Page) -> None:
    """An edit is closed that was not downloaded."""
    give(page, "portrait_woman.jpg")
    generate(page, 1)
    page.get_by_role("tab", name="Edit").click()
    page.wait_for_function("document.querySelector('.tl')?.timeline?.state.drawn", timeout=120_000)
    page.locator(".tl canvas").focus()
    for key in ("Home", *["."] * 30, "Enter", *["Shift+ArrowUp"] * 12):
        page.keyboard.press(key)
    page.wait_for_timeout(1500)
    page.wait_for_function("document.querySelector('.tl').timeline.state.drawn", timeout=120_000)
    page.get_by_role("button", name="Close edit").click()
    page.wait_for_timeout(700)


_ALL = (start, faces, generating, result, comparison, settings, error, phone, dark, closing)
SHOTS = {shot.__name__: shot for shot in _ALL}


def compose_group(path: Path) -> None:
    """A photo of three bundled portraits beside each other, people who do not exist."""
    names = ("portrait_man", "portrait_woman_2", "portrait_man_2")
    picture = Image.new("RGB", (480 * len(names), 480))
    for place, name in enumerate(names):
        with Image.open(DEMO / f"{name}.jpg") as portrait:
            picture.paste(portrait.resize((480, 480), Image.Resampling.LANCZOS), (480 * place, 0))
    picture.save(path, quality=92)


def give(page: Page, portrait: str) -> None:
    """Give a bundled portrait and a bundled recording."""
    page.set_input_files("#photo input[type=file]", DEMO / portrait)
    page.wait_for_selector("#faces-said:has-text('One face')", timeout=60_000)
    page.set_input_files("#speech input[type=file]", SPEECH)
    page.wait_for_selector("#sound-said:has-text('seconds')", timeout=60_000)


def generate(page: Page, videos: int) -> None:
    """Generate, and stop the videos in the middle of a word."""
    page.get_by_role("button", name="Generate", exact=True).click()
    page.wait_for_selector("#stage:has-text('Done')", timeout=300_000)
    assert page.locator("#results video").count() == videos
    page.evaluate("document.querySelectorAll('#results video').forEach(video => { video.currentTime = 1.3 })")
    page.wait_for_timeout(1500)


@contextmanager
def server() -> Iterator[str]:
    """A studio at a free port; its address."""
    command = [sys.executable, "-m", "fd2talk", "studio", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().strip()
        finally:
            process.terminate()


def take(browser: Browser, address: str, name: str) -> None:
    """Bring the page into a state, and write a picture of it."""
    narrow, scheme = name == "phone", "dark" if name == "dark" else "light"
    context = browser.new_context(
        viewport={"width": 360 if narrow else 1180, "height": 740}, color_scheme=scheme, device_scale_factor=1
    )
    page = context.new_page()
    page.goto(address)
    page.wait_for_selector("#generate")
    page.wait_for_timeout(1500)
    SHOTS[name](page)
    page.mouse.move(2, 2)
    OUT.mkdir(parents=True, exist_ok=True)
    for quality in (85, 75, 65, 55):
        page.screenshot(path=OUT / f"{name}.jpg", type="jpeg", quality=quality, full_page=name != "closing")
        if (OUT / f"{name}.jpg").stat().st_size < _MOST_BYTES:
            break
    print(OUT / f"{name}.jpg", (OUT / f"{name}.jpg").stat().st_size)
    context.close()


def main() -> None:
    """Take them."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(SHOTS)} (default: all)")
    names = parser.parse_args().names or list(SHOTS)
    chromium = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    arguments = ["--disable-gpu"] + (["--no-sandbox"] if hasattr(os, "geteuid") and os.geteuid() == 0 else [])
    with server() as address, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=arguments)
        for name in names:
            take(browser, address, name)
        browser.close()


if __name__ == "__main__":
    main()
