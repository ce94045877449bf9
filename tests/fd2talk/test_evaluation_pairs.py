"""Which clips of which folders belong together, and what is said when none do."""

import numpy as np
import pytest
from scipy import stats

from fd2talk.evaluation.inputs.pairs import match, read_folder, read_manifest, read_repeats
from fd2talk.evaluation.inputs.protocol import load_protocol
from fd2talk.evaluation.inputs.rows import read_reference, read_rows
from fd2talk.evaluation.report.statistics import interval, score
from shared.errors import InputError, UsageError


def touch(root, *names):
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"")
    return root


def test_a_video_and_a_motion_of_one_name_are_one_clip(tmp_path):
    found = read_folder(touch(tmp_path, "anna/one.mp4", "anna__one.npz", "bob/two.mp4", "notes.txt", ".hidden.mp4"))
    assert list(found) == ["anna__one", "bob__two"]
    one, two = found.values()
    assert (one.person, one.video.name, one.motion.name) == ("anna", "one.mp4", "anna__one.npz")
    assert (two.person, two.motion) == ("bob", None)


def test_two_videos_of_one_name_are_refused(tmp_path):
    with pytest.raises(InputError, match="one video, one motion"):
        read_folder(touch(tmp_path, "a/b.mp4", "a__b.mp4"))


def test_the_manifest_says_person_split_and_which_sound_can_be_used(tmp_path):
    touch(tmp_path, "x/1.mp4", "x/2.mp4", "y/3.mp4", "z/4.mp4", "unlisted.mp4")
    lines = ["file,person,split,audio", "x/1.mp4,xenia,val,ok", "x/2.mp4,xenia,train,ok", "y/3.mp4,yuri,val,weak"]
    (tmp_path / "manifest.csv").write_text("\n".join([*lines, "z/4.mp4,zoe,val,ok"]))
    assert list(read_folder(tmp_path, "val")) == ["x__1", "z__4"]
    assert [item.person for item in read_folder(tmp_path).values()] == ["xenia", "xenia", "zoe"]
    with pytest.raises(InputError, match="split test"):
        read_folder(tmp_path, "test")


def test_folders_that_hold_nothing(tmp_path):
    with pytest.raises(UsageError, match="no such folder"):
        read_folder(tmp_path / "nowhere")
    with pytest.raises(InputError, match="neither videos nor motions"):
        read_folder(touch(tmp_path, "readme.md"))
    with pytest.raises(UsageError, match="no split val"):
        read_folder(touch(tmp_path, "a.mp4"), "val")


def test_repeats_lie_in_numbered_folders(tmp_path):
    touch(tmp_path, *(f"{n}/a.npz" for n in range(11)))
    assert [found["a"].motion.parent.name for found in read_repeats(tmp_path, None)] == [str(n) for n in range(11)]
    assert len(read_repeats(tmp_path, 3)) == 3
    with pytest.raises(InputError, match="0 to 11"):
        read_repeats(tmp_path, 12)
    with pytest.raises(InputError, match="subfolders 0 to 1"):
        read_repeats(touch(tmp_path / "plain", "a.npz"), 2)
    assert len(read_repeats(tmp_path / "plain", 1)) == 1


def test_people_who_are_called_by_numbers_are_no_repeats(tmp_path):
    (found,) = read_repeats(touch(tmp_path, "5535415699068794046/00001.mp4", "5535423430009926848/00001.mp4"), None)
    assert {item.person for item in found.values()} == {"5535415699068794046", "5535423430009926848"}


def test_names_are_compared_as_they_are_read(tmp_path):
    """One file system keeps an accented letter as one character, another as a letter and its accent."""
    (made,), (real,) = (
        read_folder(touch(tmp_path / side, f"zo{letter}.mp4")) for side, letter in (("m", "e\u0308"), ("r", "\u00eb"))
    )
    assert made == real


def test_hidden_folders_are_left_alone(tmp_path):
    assert list(read_folder(touch(tmp_path, ".trash/old.mp4", "new.mp4"))) == ["new"]


@pytest.mark.parametrize("name", ["../../elsewhere", ".", "a\\b", "two\nlines"])
def test_names_that_no_file_can_have(tmp_path, name):
    touch(tmp_path, "a.mp4")
    (tmp_path / "pairs.csv").write_text(f'generated,name\na.mp4,"{name}"\n')
    with pytest.raises(UsageError, match="cannot be the name of a clip"):
        read_manifest(tmp_path / "pairs.csv")


def test_a_path_may_hold_what_parts_a_name_from_it(tmp_path, monkeypatch):
    touch(tmp_path, "lr=3/v1.5/a.mp4", "here/a.mp4")
    monkeypatch.chdir(tmp_path / "here")
    folder = "../lr=3/v1.5"
    names = [row.name for row in read_rows([folder, f"ours={folder}", f"a=b={folder}", "."], None, None)]
    assert names == ["v1.5", "ours", "a=b", "here"]
    with pytest.raises(UsageError, match="cannot be the name of a row"):
        read_rows([f"../x={folder}"], None, None)


def test_a_manifest_lists_files_wherever_they_are(tmp_path):
    touch(tmp_path, "filmed/one.mp4", "here/two.mp4")
    lines = ["\ufefffile,person", f"{tmp_path}/filmed/one.mp4,anna", "../filmed/one.mp4,bob", "two.mp4,"]
    (tmp_path / "here" / "manifest.csv").write_text("\n".join(lines), encoding="utf-8")
    found = read_folder(tmp_path / "here")
    assert [item.person for item in found.values()] == ["anna", "bob", "two"]
    assert list(found)[1:] == ["filmed__one", "two"] and not any("/" in name for name in found)
    (tmp_path / "here" / "manifest.csv").write_text("path,speaker\ntwo.mp4,anna\n")
    with pytest.raises(InputError, match="column `file`"):
        read_folder(tmp_path / "here")


def test_a_protocol_s_split_holds_where_a_manifest_has_splits(tmp_path):
    touch(tmp_path, "a.mp4", "b.mp4")
    protocol = load_protocol("fd2talk")
    assert read_reference(str(tmp_path), None, protocol, None, None)[1] is None
    (tmp_path / "manifest.csv").write_text("file,person\na.mp4,anna\nb.mp4,bob\n")
    assert [len(found or "") for found in read_reference(str(tmp_path), None, protocol, None, None)] == [2, 0]
    (tmp_path / "manifest.csv").write_text("file,split\na.mp4,val\nb.mp4,train\n")
    items, split = read_reference(str(tmp_path), None, protocol, None, None)
    assert (list(items), split) == (["a"], "val")


def test_names_decide_who_meets_whom(tmp_path):
    made = read_folder(touch(tmp_path / "made", "a__1.mp4", "c/1.mp4"))
    real = read_folder(touch(tmp_path / "real", "a/1.mp4", "b/1.mp4"))
    pairs, missing = match("ours", 0, made, real)
    assert [(p.name, p.person, p.made.video.name, p.real.video.name) for p in pairs] == [
        ("a__1", "a", "a__1.mp4", "1.mp4")
    ]
    assert missing == ["b__1"]
    alone, missing = match("ours", 0, made, None)
    assert [pair.real for pair in alone] == [None, None] and missing == []
    with pytest.raises(InputError, match="no clip has the name of a reference"):
        match("ours", 0, read_folder(touch(tmp_path / "other", "q.mp4")), real)


def test_two_single_clips_belong_together(tmp_path):
    touch(tmp_path, "made.mp4", "real.mp4", "notes.txt")
    (pair,), missing = match("ours", 0, *(read_folder(tmp_path / name) for name in ("made.mp4", "real.mp4")))
    assert (pair.name, pair.made.video.name, pair.real.video.name, missing) == ("real", "made.mp4", "real.mp4", [])
    with pytest.raises(UsageError, match="no such folder, video or motion"):
        read_folder(tmp_path / "notes.txt")


def test_a_manifest_of_pairs(tmp_path):
    touch(tmp_path, "g/x.mp4", "r/y.mp4", "s.wav")
    path = tmp_path / "pairs.csv"
    path.write_text("generated,reference,audio,repeat,person\ng/x.mp4,r/y.mp4,s.wav,3,anna\ng/x.mp4,,,,\n")
    (repeat, made, real), (again, alone, nobody) = read_manifest(path)
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())  # as spreadsheets begin a text
    assert read_manifest(path) == [(repeat, made, real), (again, alone, nobody)]
    assert (repeat, made.name, made.person, made.audio.name, real.video.name) == (3, "g__x", "anna", "s.wav", "y.mp4")
    assert (again, alone.person, nobody) == (0, "g__x", None)
    for text, saying in (
        ("generated,reference\ng/none.mp4,r/y.mp4\n", "g/none.mp4 is not there"),
        ("video\ng/x.mp4\n", "names no file"),
        ("generated,repeat\ng/x.mp4,two\n", "not the number of a repeat"),
        ("generated\n", "no rows"),
        ("generated,name\ng/x.mp4,one\nr/y.mp4,one\n", "lines 2 and 3 are both called one"),
    ):
        path.write_text(text)
        with pytest.raises(InputError, match=saying):
            read_manifest(path)


def test_an_interval_is_student_s():
    values = [9.1, 9.4, 9.6, 9.2, 9.5]
    low, high = stats.t.interval(0.95, 4, np.mean(values), stats.sem(values))
    assert interval(values) == pytest.approx((np.mean(values), low, high))
    assert interval([3.0]) == (3.0, None, None)


def test_people_count_alike_and_repeats_make_the_interval():
    clips = [(0, "a", 1.0), (0, "a", 3.0), (0, "b", 5.0), (0, "c", None), (0, "c", float("nan"))]
    over_people = score(clips)
    assert over_people["mean"] == pytest.approx(3.5) and over_people["over"] == "people" and over_people["count"] == 3
    again = score([*clips, (1, "a", 2.0), (1, "b", 6.0)])
    assert again["over"] == "repeats" and again["mean"] == pytest.approx((3.5 + 4.0) / 2)
    assert (again["low"], again["high"]) == pytest.approx(interval([3.5, 4.0])[1:])
    assert score([(0, "a", None)]) is None
    assert score([(0, "a", 2.0)])["over"] is None
