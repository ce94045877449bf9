import csv
import os
import re

import pytest
from PIL import Image

from fd2talk.batches.job import Outcome
from fd2talk.batches.report import check_report, write_report
from shared.errors import UsageError

HOSTILE = "<script>alert(\"x\")</script> & 'quote', ü"


def outcomes():
    return [
        Outcome("1", "/p/a.jpg", "/s/one.wav", "a-one.mp4", "made", 4.0, 8.0, "here:1", notes=["reduced"], digest="d1"),
        Outcome("2", "/p/b.jpg", "/s/one.wav", "sub dir/b#1.mp4", "kept", 65.0, 130.0, "there:2", digest="d2"),
        Outcome("3", f"/p/{HOSTILE}.jpg", "/s/one.wav", "", "failed", error=HOSTILE),
        Outcome("4", "/p/c.jpg", "/s/one.wav", "c-one.mp4", "not made", digest="d4"),
        Outcome("5", "/p/d.jpg", "/s/one.wav", "d-one.mp4", "made", 6.0, 12.0, "here:1", digest="d5"),
    ]


def written(tmp_path):
    thumbnails = tmp_path / ".fd2talk-batch" / "thumbnails"
    thumbnails.mkdir(parents=True)
    Image.new("RGB", (40, 30), "red").save(thumbnails / "d1.jpg")
    summary = write_report(tmp_path, outcomes(), seconds=20.0, command="fd2talk batch 'm.csv' -o out")
    return summary, (tmp_path / "report.csv"), (tmp_path / "report.html").read_text(encoding="utf-8")


def test_summary(tmp_path):
    summary, *_ = written(tmp_path)
    assert (summary.made, summary.kept, summary.failed, summary.open, summary.video_seconds) == (2, 1, 1, 1, 10.0)
    assert summary.sentence == "2 videos made, 1 kept, 1 not made, 1 of 5 rows failed"


def test_the_table_has_a_line_a_row(tmp_path):
    _, path, _ = written(tmp_path)
    assert path.read_bytes().startswith(b"\xef\xbb\xbfrow,")  # by which a spreadsheet knows UTF-8
    with open(path, newline="", encoding="utf-8-sig") as file:
        rows = [*csv.DictReader(file)]
    assert [row["row"] for row in rows] == ["1", "2", "3", "4", "5"]
    assert rows[0] == {
        "row": "1", "photo": "/p/a.jpg", "audio": "/s/one.wav", "output": "a-one.mp4", "state": "made",
        "video_seconds": "4.00", "work_seconds": "8.00", "worker": "here:1", "error": "", "notes": "reduced",
    }  # fmt: skip
    assert rows[2]["error"] == HOSTILE and rows[2]["video_seconds"] == ""


def test_the_page_is_self_contained_and_shows_names_as_they_are(tmp_path):
    _, _, page = written(tmp_path)
    assert "<script" not in page and "&lt;script&gt;alert(&quot;x&quot;)&lt;/script&gt; &amp;" in page
    assert "default-src 'none'" in page
    assert not re.findall(r'(?:src|href)="(?!data:image/jpeg;base64,|a-one|sub%20dir/b%231|d-one)', page)
    assert page.count("<img") == 1 and page.count('<a href="') == 3  # no link to what is not there
    for text in ("<b>0:10</b><span>of video made", "<b>0.50 x</b>", "<td class=n>0.50 x</td>", "reduced", "1:05"):
        assert (text in page) == (text != "1:05"), text
    assert page.index("<h2>Failed") < page.index("<h2>Videos") < page.index("<h2>Workers")


def test_reports_replace_those_of_the_run_before(tmp_path):
    written(tmp_path)
    write_report(tmp_path, outcomes()[:1], seconds=1.0)
    assert len((tmp_path / "report.csv").read_text().splitlines()) == 2
    assert "Failed" not in (tmp_path / "report.html").read_text()


@pytest.mark.parametrize("name", ["report.csv", "report.html"])
def test_a_report_replaces_reports_and_nothing_else(tmp_path, name):
    check_report(tmp_path / "none", (), False)
    written(tmp_path)
    check_report(tmp_path, (), False)  # our own
    file = tmp_path / name
    file.write_text(file.read_text(encoding="utf-8-sig").replace(",", ";"), encoding="utf-8")  # saved by a spreadsheet
    check_report(tmp_path, (None, str(tmp_path / "none")), False)
    os.symlink(file, tmp_path / "m.csv")
    with pytest.raises(UsageError, match=f"{name}: the report would replace it; rename it"):
        check_report(tmp_path, (str(tmp_path / "m.csv"),), True)
    file.write_text("photo,audio\n")
    with pytest.raises(UsageError, match=f"{name}: no batch wrote it"):
        check_report(tmp_path, (), False)
    check_report(tmp_path, (), True)
    file.unlink()
    file.mkdir()
    with pytest.raises(UsageError, match=f"{name}: it is no file"):
        check_report(tmp_path, (), True)
