"""What a visitor does in the studio with a browser, and what they see there."""

import time
from pathlib import Path

import numpy as np

AXE = Path(__file__).parents[1] / "apps" / "node_modules" / "axe-core" / "axe.min.js"


def give(page, photo=None, sound=None):
    """Choose files as if in the dialogs, and wait until something was said about each."""
    for path, where, said in ((photo, "#photo", "#faces-said"), (sound, "#speech", "#sound-said")):
        if path is not None:
            page.set_input_files(f"{where} input[type=file]", path)
            page.wait_for_selector(
                f"{said} :is([role=alert], p:has-text('found'), p:has-text('seconds'))", timeout=60_000
            )


def smaller(page):
    """Small frames, that are made quickly."""
    page.get_by_role("button", name="More settings").click()
    page.get_by_label("number input for Longest side of the video in pixels").fill("256")
    page.keyboard.press("Tab")


def generate(page, videos=1):
    page.get_by_role("button", name="Generate", exact=True).click()
    page.wait_for_selector(f".studio-downloads >> nth={videos - 1}", timeout=120_000)
    page.wait_for_selector("#stage:has-text('Done')", timeout=120_000)


def violations(page, part="document"):
    """What axe finds that not everybody could use in a part (a selector) of a page whose policy was bypassed.

    Nothing, where axe is not installed: `make test-apps`, which CI runs, installs it.
    """
    if not AXE.exists():
        return []
    page.add_script_tag(path=AXE)
    found = page.evaluate(f"axe.run({part if part == 'document' else repr(part)})")["violations"]
    return [(one["id"], [node["html"][:200] for node in one["nodes"]]) for one in found]


class Timeline:
    """The editor on a page, by what a visitor sees and does."""

    def __init__(self, page):
        self.page, self.canvas = page, page.locator(".tl canvas")

    def shown(self, expression):
        return self.page.evaluate(
            f"(() => {{ const t = document.querySelector('.tl').timeline; return {expression}; }})()"
        )

    def drawn(self):
        """Wait until the video shows the edit."""
        time.sleep(0.2)
        self.page.wait_for_function(
            "(() => { const t = document.querySelector('.tl').timeline;"
            "return t.state.drawn && !t.state.busy && !t.waiting && !t.dragged; })()", timeout=120_000,
        )  # fmt: skip

    def keys(self, name):
        return self.shown(f"t.state.lanes.find(lane => lane.name === '{name}').keys")

    def values(self, name):
        return np.array(self.shown(f"t.state.lanes.find(lane => lane.name === '{name}').values"))

    def place(self, name, frame, value=None):
        """Pixels of a frame and a value, or of what the curve is there."""
        x, y = self.shown(
            f"""(() => {{ const k = t.state.lanes.findIndex(lane => lane.name === '{name}'), lane = t.state.lanes[k];
            const box = t.layout.boxes[k], value = {"null" if value is None else value} ?? lane.values[{frame}];
            const share = (value - lane.low) / (lane.high - lane.low);
            return [({frame} + 0.5) / 25 * t.view.pps - t.view.scroll,
                    box.top + box.above + (1 - share) * (box.height - box.above - box.below)]; }})()"""
        )
        box = self.box()
        return box["x"] + x, box["y"] + y

    def box(self):
        """Where the curves are, after they have been brought into view."""
        block = "end" if self.page.viewport_size["width"] < 720 else "center"
        self.canvas.evaluate(f"canvas => canvas.scrollIntoView({{block: '{block}'}})")
        return self.canvas.bounding_box()

    def drag(self, start, stop):
        mouse = self.page.mouse
        mouse.move(*start)
        mouse.down()
        mouse.move(*stop, steps=8)
        mouse.up()

    def select(self, start, stop):
        """Drag across the waveform."""
        pps, box = self.shown("t.view.pps"), self.box()
        ends = [(box["x"] + frame / 25 * pps, box["y"] + 50) for frame in (start, stop)]
        self.drag(*ends)

    def press(self, *names):
        self.canvas.focus()
        for name in names:
            self.page.keyboard.press(name)

    def download(self, kind, folder):
        with self.page.expect_download() as coming:
            self.page.locator(f".tl-files a[data-kind={kind}]").click()
        path = folder / coming.value.suggested_filename
        coming.value.save_as(path)
        return path

    @property
    def status(self):
        return self.page.locator(".tl-status").inner_text()

    @property
    def error(self):
        return self.page.locator(".tl-error").inner_text()
