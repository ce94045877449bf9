"""The picture of a batch's report in docs/batch.md: the bundled portraits and recordings, a row that fails, one kept.

python scripts/make_batch_report.py            # docs/batch-report.jpg; needs the extra apps, and Chromium
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from playwright.sync_api import sync_playwright

ROOT = Path(__file__).parent.parent
OUT = ROOT / "docs" / "batch-report.jpg"
_RECORDINGS = {"hello.wav": "0880", "goodbye.wav": "0930"}


def main() -> None:
    demo = ROOT / "assets" / "demo"
    with tempfile.TemporaryDirectory(prefix="portraits-") as name:
        folder = Path(name)
        for path in demo.glob("*.jpg"):
            (folder / path.name).symlink_to(path)
        for sound, number in _RECORDINGS.items():
            (folder / sound).symlink_to(demo / f"sense_and_sensibility_01_austen_64kb-{number}.wav")
        (folder / "landscape.png").write_bytes(_landscape())
        first = ["portrait_woman.jpg,hello.wav,welcome.mp4,7,"]
        rest = ["landscape.png,hello.wav,,,", "portrait_*.jpg,goodbye.wav,,3,", "portrait_man.jpg,hello.wav,,many,"]
        rest += ["portrait_man_2.jpg,hello.wav,,,true"]
        _run(folder, first)
        _run(folder, first + rest)
        _picture(folder / "videos" / "report.html")


def _run(folder: Path, rows: list[str]) -> None:
    (folder / "table.csv").write_text("\n".join(["photo,audio,output,seed,still", *rows]) + "\n", encoding="utf-8")
    command = [sys.executable, "-m", "fd2talk", "batch", "table.csv", "-o", "videos"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    if subprocess.run(command, cwd=folder, env=environment).returncode not in (0, 1):
        sys.exit("the batch failed")


def _landscape() -> bytes:
    """A photo without a face."""
    import cv2
    import numpy as np

    picture = np.linspace((220, 180, 120), (60, 120, 60), 300).astype(np.uint8)[:, None].repeat(400, 1)
    return cv2.imencode(".png", picture)[1].tobytes()


def _picture(page: Path) -> None:
    with sync_playwright() as playwright:
        chromium = shutil.which("chromium") or shutil.which("chromium-browser")
        arguments = ["--no-sandbox", "--disable-gpu"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []
        browser = playwright.chromium.launch(executable_path=chromium, args=arguments)
        view = browser.new_page(viewport={"width": 1100, "height": 600}, color_scheme="light")
        view.goto(page.as_uri())
        view.screenshot(path=OUT, full_page=True, type="jpeg", quality=80)
        browser.close()
    print(f"{OUT}: {OUT.stat().st_size} bytes")


if __name__ == "__main__":
    main()
