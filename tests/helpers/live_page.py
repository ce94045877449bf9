"""The page of `fd2talk live` in Chromium, driven by Playwright."""

import contextlib
import time
from pathlib import Path

import numpy as np

CLICK_AT = 15
"""Milliseconds, see `flashing.clicks`."""

SWITCHES = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--autoplay-policy=no-user-gesture-required",
    "--use-fake-ui-for-media-stream",
    "--use-fake-device-for-media-stream",
]


@contextlib.contextmanager
def chromium_page(executable, *, width=1000, height=860, scheme="light", switches=()):
    """A page of a new browser; `page.problems` holds what its console complains about."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=[*SWITCHES, *switches])
        try:
            context = browser.new_context(viewport={"width": width, "height": height}, color_scheme=scheme)
            context.set_default_timeout(120_000)
            page = context.new_page()
            page.problems = []
            page.on("console", lambda one: one.type == "error" and page.problems.append(one.text))
            page.on("pageerror", lambda one: page.problems.append(str(one)))
            yield page
        finally:
            browser.close()


def start(page, address):
    """Open the page and begin a call."""
    page.goto(address)
    page.click("#start")
    wait_for(page, "document.querySelector('#portrait').currentTime > 0.5")


def wait_for(page, condition, seconds=60):
    """Until an expression is true in the page, or a function is of ours, however busy the machine is."""
    until = time.monotonic() + seconds
    # The page's policy forbids what `wait_for_function` does.
    while not (condition() if callable(condition) else page.evaluate(condition)):
        assert time.monotonic() < until, condition
        page.wait_for_timeout(50)


def watch(page):
    """Begin to note clicks and flashes, see `click_and_flash.js`."""
    page.evaluate(Path(__file__).with_name("click_and_flash.js").read_text(encoding="utf-8"))


def offsets(page):
    """By how many milliseconds the click of each flash that was seen is late, and what was noted.

    A click begins in the middle of its frame, `CLICK_AT` after the flash.
    """
    found = page.evaluate("window.found")
    late = np.array(found["clicks"]) - CLICK_AT
    return np.array([(late - flash)[np.abs(late - flash).argmin()] for flash in found["flashes"]]), found
