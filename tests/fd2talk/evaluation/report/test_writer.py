"""Files of a report: units, ranks, published values, missing values, and names that are not plain text."""

import json
import math
import re

import pytest

from fd2talk.evaluation.report import writer
from fd2talk.evaluation.report.writer import markdown, write_report


def rows(text):
    """Name -> cells of the Markdown table rows, the first of each name."""
    found = {}
    for line in text.splitlines():
        if line.startswith("|"):
            name, *cells = (cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1])
            found.setdefault(name, cells)
    return found


def test_units_of_the_papers(report, with_protocol):
    good = rows(markdown(*with_protocol(report)))["good"]
    assert "10.56 ± 0.04" in good[1]  # the preprint's 1e-5 m
    assert "0.1056 ± 0.0004" in good[8]  # the poster's 1e-3 m
    report["systems"]["good"]["scores"]["fdd_codetalker"] = report["systems"]["good"]["scores"]["fdd"]
    assert rows(markdown(*with_protocol(report)))["good"][7] == "0.01056 ± 0.00004"  # mm² in 1e-5 m²
    assert "10,560 ± 40" in rows(markdown(*with_protocol(report, "3dfacepolicy")))["good"][0]  # mm² in 1e-5 mm²


def test_layout_ranks_and_blanks(report, with_protocol):
    table = rows(markdown(*with_protocol(report)))
    lve = {name: cells[0] for name, cells in table.items() if cells}
    assert table["real"] == ["–"] * 9
    assert lve["good"] == "**4.00 ± 0.20**"
    assert lve[r"a\|b&lt;script&gt;alert(1)&lt;/script&gt;"] == "<u>5.0 (4.8..5.6)</u>"
    assert lve["poor"] == "9.000"
    assert lve["ground-truth"] == "0.1000"  # best, and not ranked
    assert table["poor"][2:6] == ["–"] * 4  # not measured is not 0
    blinks = {name: cells[0] for name, cells in rows(section(markdown(report, None), "Head motion and eyes")).items()}
    assert blinks["good"] == "**18.00**"  # nearest to the real clips' 20
    assert blinks["poor"] == "0.000"  # a real 0 stays one


def section(text, heading):
    return re.split(r"^#+ ", text.split(heading + "\n", 1)[1], maxsplit=1, flags=re.M)[0]


def test_published_rows_are_marked(report, with_protocol):
    text = markdown(*with_protocol(report))
    table = section(text, "## DiffPoseTalk, Tables 1, 2 and 4")
    ours, published = table.split("| *Published, not comparable: Table 1", 1)
    assert "good" in ours and "CodeTalker" not in ours
    assert "CodeTalker | 11.78 ± 0.043 | 15.19 ± 0.050 | 3.00 ± 0.031 | – |" in published
    assert "on HDTF and TFHP" in published and "on VOCASET" in published
    assert "other data" in published and "not comparable with ours" in published
    assert "Published" not in markdown(report, None)


def test_the_report_is_complete(report, with_protocol):
    text = markdown(*with_protocol(report))
    assert "good: 2 clips, 2 people, 20 s. A system." in text
    assert "* Protocol diffposetalk, split val: max shift 15" in text
    assert "* Measured at 25 frames per second\n" in text
    of_30 = markdown(*with_protocol(report, "3diface"))
    assert "* Measured at 25 frames per second; the paper's data has 30\n" in of_30
    assert "Weights some.pth: sha256 0123abcd" in text
    assert "LVE (mm), lower is better: Largest error of a lip vertex" in text
    assert "* MOD: needs the moon" in text
    assert "* LSE-C, LSE-D: needs X" in text
    assert "* LSE-C, real minus real-shuffled: 3.00 ± 0.20" in text
    assert "no face" in section(text, "## Clips that failed")
    assert rows(section(text, "## Cost"))["good"][:3] == ["0.250", "–", "900"]
    assert "Intervals: 95 %, over people" in text


def test_without_a_protocol_the_settings_are_listed(report):
    about = {"name": None, "title": None, "paper": None, "split": None, "settings": {"fps": 25, "motion": "file"}}
    text = markdown({**report, "protocol": about}, None)
    assert text.startswith("# Evaluation\n")
    assert "* No protocol, no split: motion file" in text
    assert "* Measured at 25 frames per second\n" in text  # a rate in the settings without a paper is our own


def test_a_network_alone_has_no_row_of_blanks(report):
    report["systems"]["alone"] = {**report["systems"]["good"], "kind": "network"}
    del report["systems"]["alone"]["scores"]["blink_rate"]
    text = markdown(report, None)
    assert "alone" in rows(section(text, "Mesh")) and "alone" not in rows(section(text, "Head motion and eyes"))


def test_json_has_no_nan(report, tmp_path):
    write_report(tmp_path, report, None)

    def refuse(name):
        raise AssertionError(name)

    read = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"), parse_constant=refuse)
    assert read["clips"][0]["values"] == {"lve": 3.0, "fdd": None, "blink_rate": None}
    assert math.isclose(read["systems"]["good"]["scores"]["fdd"]["mean"], 0.1056)


def test_an_empty_evaluation_is_a_report_too(report, tmp_path, with_protocol):
    for entry in report["systems"].values():
        entry["scores"] = {}
    report.update(clips=[], failed=[], skipped={}, metrics={})
    write_report(tmp_path, *with_protocol(report))
    assert rows((tmp_path / "report.md").read_text(encoding="utf-8"))["good"] == ["–"] * 9


def test_a_failure_leaves_the_old_report(report, tmp_path, monkeypatch):
    write_report(tmp_path, report, None)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert sorted(before) == ["report.html", "report.json", "report.md"]
    report["created"] = "2027-01-02"

    def fail(*_):
        raise RuntimeError

    with monkeypatch.context() as patch, pytest.raises(RuntimeError):
        patch.setattr(writer, "html", fail)
        write_report(tmp_path, report, None)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before

    def half(path, text, **_):
        path.write_bytes(text.encode()[:10])
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr("pathlib.Path.write_text", half)
        write_report(tmp_path, report, None)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
