"""The contact sheet on stills of one colour each."""

import numpy as np
from PIL import Image

from fd2talk.evaluation.report.contact_sheet import LABEL_HEIGHT, MAX_CLIPS, write_sheet


def test_a_row_for_each_clip_and_black_for_what_is_missing(tmp_path):
    def clip(system, name, level, width, repeat=0):
        file = tmp_path / f"{system}_{name}_{repeat}.png"
        Image.fromarray(np.full((4, width, 3), level, np.uint8)).save(file)
        return {"system": system, "clip": name, "repeat": repeat, "still": file.name}

    systems = {
        "real": {"kind": "real"},
        "real-shuffled": {"kind": "real"},
        "a": {"kind": "system"},
        "a-network": {"kind": "network"},
        "b": {"kind": "folder"},
    }
    clips = [clip("b", "one", 200, 12), clip("a", "one", 100, 12), clip("real", "one", 50, 16)]
    clips += [clip("real", "two", 60, 16), clip("b", "two", 210, 12), clip("b", "two", 0, 12, repeat=1)]
    clips += [clip("real-shuffled", "one", 255, 16)]
    write_sheet(tmp_path, {"systems": systems, "clips": clips})
    labels, sheet = np.split(np.asarray(Image.open(tmp_path / "sheet.jpg")).astype(int), [LABEL_HEIGHT])
    assert sheet.shape == (8, 40, 3)
    assert (labels[:, 16:28].min(), labels[:, 16:28].max()) < (80, 256) and labels.max() > 240  # names on white
    for rows, columns, level in (
        (slice(1, 3), slice(2, 14), 50), (slice(1, 3), slice(18, 26), 100), (slice(1, 3), slice(30, 38), 200),
        (slice(5, 7), slice(2, 14), 60), (slice(5, 7), slice(18, 26), 0), (slice(5, 7), slice(30, 38), 210),
    ):  # fmt: skip
        assert abs(sheet[rows, columns].mean() - level) < 12
    many = [clips[2] | {"clip": str(i)} for i in range(MAX_CLIPS + 5)]
    write_sheet(tmp_path, {"systems": systems, "clips": many})
    assert Image.open(tmp_path / "sheet.jpg").height == LABEL_HEIGHT + 4 * MAX_CLIPS
    write_sheet(tmp_path, {"systems": systems, "clips": []})
    assert not (tmp_path / "sheet.jpg").exists()
