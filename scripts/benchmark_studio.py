"""How long a visitor of the studio waits, with Chromium on the same computer: for the first second, and for the video.

python scripts/benchmark_studio.py --seconds 3 --seconds 90   # needs the extras studio and apps, and Chromium
"""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from pathlib import Path

import click
import numpy as np
from make_screenshots import DEMO, server
from playwright.sync_api import sync_playwright
from scipy.io import wavfile

from shared.audio import SAMPLE_RATE, read_audio

SPEECH = DEMO / "sense_and_sensibility_01_austen_64kb-0880.wav"


@click.command(help=__doc__)
@click.option("--seconds", type=float, multiple=True, default=(3.0,), help="Length of the speech (repeatable).")
@click.option("--repeats", type=click.IntRange(1), default=3, show_default=True)
def main(seconds: tuple[float, ...], repeats: int) -> None:
    """Measure, and print a line for each video."""
    chromium = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    arguments = ["--disable-gpu"] + (["--no-sandbox"] if hasattr(os, "geteuid") and os.geteuid() == 0 else [])
    with tempfile.TemporaryDirectory() as folder, server() as address, sync_playwright() as playwright:
        page = playwright.chromium.launch(executable_path=chromium, args=arguments).new_page()
        page.goto(address)
        page.set_input_files("#photo input[type=file]", DEMO / "portrait_woman.jpg")
        page.wait_for_selector("#faces-said:has-text('One face')", timeout=60_000)
        time.sleep(10)  # the models are loaded
        for length in seconds:
            sound = Path(folder) / f"{length:g}.wav"
            wavfile.write(sound, SAMPLE_RATE, np.resize(read_audio(SPEECH), round(length * SAMPLE_RATE)))
            page.set_input_files("#speech input[type=file]", sound)
            page.wait_for_selector("#sound-said:has-text('seconds')", timeout=60_000)
            for _ in range(repeats):
                load, start = os.getloadavg()[0], time.perf_counter()
                page.get_by_role("button", name="Generate", exact=True).click()
                page.wait_for_function(
                    "document.querySelector('.studio-preview video')?.currentTime > 0", timeout=600_000
                )
                first = time.perf_counter() - start
                page.wait_for_selector("#stage:has-text('Done')", timeout=600_000)
                whole = time.perf_counter() - start
                print(
                    f"{length:g} s of speech: first second plays after {first:.1f} s, video after {whole:.1f} s", end=""
                )
                print(f" (load before: {load:.1f})")
            page.locator("#speech").get_by_role("button", name="Clear").click()
            page.wait_for_selector("#sound-said p", state="detached")


if __name__ == "__main__":
    main()
