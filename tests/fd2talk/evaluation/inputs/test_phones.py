import json

import pytest

from fd2talk.evaluation.inputs.phones import BILABIALS, read_phones, seconds_of
from shared.errors import InputError


def test_phones_of_each_clip_with_their_middles(tmp_path):
    lines = [
        {"file": "anna/1.mp4", "how": "state", "phones": [["SIL", 0.0, 0.5], ["B", 0.5, 0.6], ["AY", 0.6, 1.0]]},
        {"file": "../bert/2.mp4", "phones": [["M", 0, 1], ["P", 1, 2]]},
    ]
    path = tmp_path / "phones.jsonl"
    path.write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    spoken = read_phones(path)
    assert spoken["anna__1"] == [("SIL", 0.25), ("B", pytest.approx(0.55)), ("AY", 0.8)]
    assert {name: seconds_of(of, BILABIALS) for name, of in spoken.items()} == {
        "anna__1": (pytest.approx(0.55),),
        "bert__2": (0.5, 1.5),
    }


@pytest.mark.parametrize("line", ["{}", "[]", '{"file": "a.mp4", "phones": [["B", 0]]}', "B 0 1"])
def test_other_files_are_one_line_that_names_the_line(tmp_path, line):
    path = tmp_path / "phones.jsonl"
    path.write_text('{"file": "a.mp4", "phones": []}\n' + line, encoding="utf-8")
    with pytest.raises(InputError, match="line 2 is not an alignment"):
        read_phones(path)
