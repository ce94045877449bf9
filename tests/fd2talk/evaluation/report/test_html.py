"""The HTML page of a report."""

from html.parser import HTMLParser

import numpy as np
from PIL import Image

from fd2talk.evaluation.report.writer import write_report

EVIL = "a|b<script>alert(1)</script>"


class Page(HTMLParser):
    """Tags with attributes, and the page's text."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.text = [], ""
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))

    def handle_data(self, data):
        self.text += data


def test_the_page_loads_nothing_and_runs_nothing(report, tmp_path, with_protocol):
    (tmp_path / "stills").mkdir()
    Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(tmp_path / "stills/one.jpg")
    write_report(tmp_path, *with_protocol(report))
    page = Page((tmp_path / "report.html").read_text(encoding="utf-8"))
    assert not {"script", "link", "iframe", "b"} & {tag for tag, _ in page.tags}
    sources = [v for _, attributes in page.tags for k, v in attributes.items() if k in ("src", "href", "xlink:href")]
    assert len(sources) == 4
    assert all(source.startswith("data:image/jpeg;base64,") for source in sources)
    assert EVIL in page.text
    assert "Published, not comparable" in page.text
    circles = sum(tag == "circle" for tag, _ in page.tags)
    assert circles == 4  # two systems, two clips, LVE; NaN and None are no dots
    assert sum(tag == "path" for tag, _ in page.tags) == 8


def test_stills_outside_the_report_stay_out(report, tmp_path):
    (tmp_path / "secret.jpg").write_bytes(b"secret")
    folder = tmp_path / "report"
    folder.mkdir()
    for clip in report["clips"]:
        clip["still"] = "../secret.jpg"
    write_report(folder, report, None)
    assert "<img" not in (folder / "report.html").read_text(encoding="utf-8")
