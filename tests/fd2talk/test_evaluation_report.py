"""Reports from made-up figures: units, ranks, what is published, what is missing, and names that are not text."""

import json
import math
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image

from fd2talk.evaluation.inputs.protocol import load_protocol
from fd2talk.evaluation.metrics.catalogue import CATALOGUE
from fd2talk.evaluation.report import writer as report_module
from fd2talk.evaluation.report.model import columns, number
from fd2talk.evaluation.report.writer import markdown, write_report

EVIL = "a|b<script>alert(1)</script>"


def score(mean, half=None, above=None):
    if half is None:
        return {"mean": mean, "low": None, "high": None, "over": None, "count": 1}
    return {"mean": mean, "low": mean - half, "high": mean + (above or half), "over": "people", "count": 3}


def system(kind, **scores):
    return {
        "title": f"A {kind}.", "kind": kind, "clips": 2, "people": 2, "repeats": 1,
        "seconds": 20.0, "scores": scores, "cost": None,
    }  # fmt: skip


@pytest.fixture
def report():
    keys = ["fdd", "lve", "beat_align_real", "blink_rate", "lip_expert_offset"]
    systems = {
        "real": system("real", blink_rate=score(20.0, 2.0)),
        "ground-truth": system("system", fdd=score(0.0), lve=score(0.1)),
        "good": system("system", fdd=score(0.1056, 0.0004), lve=score(4.0, 0.2), blink_rate=score(18.0)),
        EVIL: system("folder", lve=score(5.0, 0.2, above=0.6), blink_rate=score(25.0)),
        "poor": system("folder", fdd=score(0.5), lve=score(9.0), blink_rate=score(0.0)),
    }
    systems["good"]["cost"] = {"seconds_stage1": 0.25, "memory": 900.0}
    curve = [0.1, 0.2, None, 0.1]
    clips = [
        {"system": name, "repeat": 0, "clip": f"{EVIL} {i}", "person": "p", "frames": 4, "still": "stills/one.jpg",
         "values": {"lve": 3.0 + i, "fdd": float("nan"), "blink_rate": None},
         "curves": {"aperture": curve, "aperture_real": curve}}
        for name in ("good", EVIL) for i in range(2)
    ]  # fmt: skip
    described = {
        key: {field: getattr(CATALOGUE[key], field) for field in ("label", "family", "unit", "direction", "definition")}
        for key in keys
    }
    for metric in described.values():
        metric.update(source="here", weights={})
    described["lve"]["weights"] = {"some.pth": "0123abcd"}
    return {
        "fd2talk": "0.1.0", "command": "fd2talk evaluate 'x``` <b>' -o out", "created": "2026-01-02", "protocol": None,
        "metrics": described, "systems": systems, "clips": clips,
        "contrasts": [{"metric": "lse_c", "of": "real", "less": "real-shuffled", "mean": 3.0, "low": 2.8, "high": 3.2}],
        "skipped": {"mod": "mod: needs the moon", "lse_c": "lse_c, lse_d: needs X", "lse_d": "lse_c, lse_d: needs X"},
        "failed": [{"system": "good", "repeat": 0, "clip": EVIL, "why": "no face"}],
    }  # fmt: skip


def with_protocol(report, name="diffposetalk"):
    protocol = load_protocol(name)
    fields = ("name", "title", "paper", "split", "settings")
    return {**report, "protocol": {key: getattr(protocol, key) for key in fields}}, protocol


def rows(text):
    """Name -> cells of the Markdown table rows, the first of each name."""
    found = {}
    for line in text.splitlines():
        if line.startswith("|"):
            name, *cells = (cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1])
            found.setdefault(name, cells)
    return found


@pytest.mark.parametrize(
    "given, factor, text",
    [
        (score(7.2931, 0.0412), 1, "7.29 ± 0.04"),
        (score(7.2931, 0.0123), 1, "7.293 ± 0.012"),
        (score(7.0, 0.2, above=0.6), 1, "7.0 (6.8..7.6)"),
        (score(12345.6, 120.0), 1, "12,346 ± 120"),
        (score(-0.0001, 0.1), 1, "0.00 ± 0.10"),
        (score(0.1056), 100, "10.56"),
        (score(0.1056), 1, "0.1056"),
        (score(0.0), 1, "0.000"),
        (score(float("nan")), 1, "–"),
        (score(None), 1, "–"),
        (None, 1, "–"),
    ],
)
def test_numbers(given, factor, text):
    assert number(given, factor) == text


def test_units_of_the_papers(report):
    good = rows(markdown(*with_protocol(report)))["good"]
    assert "10.56 ± 0.04" in good[1]  # the preprint's 1e-5 m
    assert "0.1056 ± 0.0004" in good[6]  # the poster's 1e-3 m
    fdd_in_1e5_mm = rows(markdown(*with_protocol(report, "3dfacepolicy")))["good"][0]
    assert "10,560 ± 40" in fdd_in_1e5_mm


def test_layout_ranks_and_blanks(report):
    table = rows(markdown(*with_protocol(report)))
    lve = {name: cells[0] for name, cells in table.items() if cells}
    assert table["real"] == ["–"] * 7
    assert lve["good"] == "**4.00 ± 0.20**"
    assert lve[r"a\|b&lt;script&gt;alert(1)&lt;/script&gt;"] == "<u>5.0 (4.8..5.6)</u>"
    assert lve["poor"] == "9.000"
    assert lve["ground-truth"] == "0.1000"  # best, and not competing
    assert table["poor"][2:6] == ["–"] * 4  # not measured is not 0
    blinks = {name: cells[0] for name, cells in rows(section(markdown(report, None), "Head motion and eyes")).items()}
    assert blinks["good"] == "**18.00**"  # nearest to the real clips' 20
    assert blinks["poor"] == "0.000"  # a real 0 stays one


def section(text, heading):
    return re.split(r"^#+ ", text.split(heading + "\n", 1)[1], maxsplit=1, flags=re.M)[0]


def test_published_rows_are_marked(report):
    text = markdown(*with_protocol(report))
    table = section(text, "## DiffPoseTalk, Tables 1 and 2")
    ours, published = table.split("| *Published, not comparable: Table 1", 1)
    assert "good" in ours and "CodeTalker" not in ours
    assert "CodeTalker | 11.78 ± 0.043 | 15.19 ± 0.050 | 3.00 ± 0.031 | – |" in published
    assert "on HDTF and TFHP" in published and "on VOCASET" in published
    assert "other data" in published and "not comparable with ours" in published
    assert "Published" not in markdown(report, None)


def test_everything_is_said(report):
    text = markdown(*with_protocol(report))
    assert "good: 2 clips, 2 people, 20 s. A system." in text
    assert "* Protocol diffposetalk, split val: fps 25, max shift 15" in text
    assert "Weights some.pth: sha256 0123abcd" in text
    assert "LVE (mm), lower is better: Largest error of a lip vertex" in text
    assert "* MOD: needs the moon" in text
    assert "* LSE-C, LSE-D: needs X" in text
    assert "* LSE-C, real less real-shuffled: 3.00 ± 0.20" in text
    assert "no face" in section(text, "## Clips that failed")
    assert rows(section(text, "## Cost"))["good"][:3] == ["0.250", "–", "900"]
    assert "Intervals: 95 %, over people" in text


def test_without_a_protocol_the_settings_are_said_all_the_same(report):
    about = {"name": None, "title": None, "paper": None, "split": None, "settings": {"fps": 25, "motion": "file"}}
    text = markdown({**report, "protocol": about}, None)
    assert text.startswith("# Evaluation\n")
    assert "* No protocol, no split: fps 25, motion file" in text


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


def test_the_page_loads_nothing_and_runs_nothing(report, tmp_path):
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


def test_plots_show_a_metric_once_as_the_protocol_has_it_first(report):
    shown = columns(*with_protocol(report))
    assert [column.header for column in shown][:3] == ["LVE (mm)", "FDD (×10⁻⁵ m)", "MOD (mm)"]
    assert len(shown) == 6
    assert [column.metric for column in columns(report, None)] == list(report["metrics"])


def test_stills_outside_the_report_stay_out(report, tmp_path):
    (tmp_path / "secret.jpg").write_bytes(b"secret")
    folder = tmp_path / "report"
    folder.mkdir()
    for clip in report["clips"]:
        clip["still"] = "../secret.jpg"
    write_report(folder, report, None)
    assert "<img" not in (folder / "report.html").read_text(encoding="utf-8")


def test_json_has_no_nan(report, tmp_path):
    write_report(tmp_path, report, None)

    def refuse(name):
        raise AssertionError(name)

    read = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"), parse_constant=refuse)
    assert read["clips"][0]["values"] == {"lve": 3.0, "fdd": None, "blink_rate": None}
    assert math.isclose(read["systems"]["good"]["scores"]["fdd"]["mean"], 0.1056)


def test_an_empty_evaluation_is_a_report_too(report, tmp_path):
    for entry in report["systems"].values():
        entry["scores"] = {}
    report.update(clips=[], failed=[], skipped={}, metrics={})
    write_report(tmp_path, *with_protocol(report))
    assert rows((tmp_path / "report.md").read_text(encoding="utf-8"))["good"] == ["–"] * 7


def test_a_failure_leaves_what_was_there(report, tmp_path, monkeypatch):
    write_report(tmp_path, report, None)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert sorted(before) == ["report.html", "report.json", "report.md"]
    report["created"] = "2027-01-02"

    def fail(*_):
        raise RuntimeError

    with monkeypatch.context() as patch, pytest.raises(RuntimeError):
        patch.setattr(report_module, "html", fail)
        write_report(tmp_path, report, None)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before

    def half(path, text, **_):
        path.write_bytes(text.encode()[:10])
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr("pathlib.Path.write_text", half)
        write_report(tmp_path, report, None)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
