from pathlib import Path

import pytest
from data_set_trees import touch, write_voca_arrays

from fd2talk.datasets.found import Found
from fd2talk.datasets.layouts import assign_splits, read_layout
from fd2talk.datasets.names import LAYOUTS
from shared.errors import InputError, UsageError

TREES = {
    "hdtf": lambda folder: touch(folder, "RD_Radio1_000.mp4"),
    "mead": lambda folder: touch(folder, "M003/video/front/angry/level_1/001.mp4"),
    "tfhp": lambda folder: touch(folder, "data/TH_00000/000.mp4"),
    "vfhq": lambda folder: touch(folder, "Clip+XCHmk9jOypY+P1+C2+F10-12.mp4"),
    "vocaset": write_voca_arrays,
    "voxceleb2": lambda folder: touch(folder, "dev/mp4/id00012/21Uxsk56VDQ/00001.mp4"),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_each_reader_takes_its_own_data_set_alone(layout, tmp_path):
    for other, write in TREES.items():
        write(tmp_path / other)
        if other == layout:
            assert read_layout(layout, tmp_path / other).clips
        else:
            with pytest.raises(InputError, match=f"no clips of {LAYOUTS[layout]}; it looks like {LAYOUTS[other]}"):
                read_layout(layout, tmp_path / other)


def test_an_empty_folder_and_none(tmp_path):
    with pytest.raises(InputError, match=r"no clips of MEAD \(expected M003/video/front/angry/level_1/001.mp4\)"):
        read_layout("mead", tmp_path)
    with pytest.raises(UsageError, match="there is no such folder"):
        read_layout("mead", tmp_path / "none")


def test_splits_are_of_people_and_say_what_they_cannot_do():
    clips = [Found(f"{person}/{i}.mp4", person) for person in "abcdefghijkl" for i in range(3)]
    splits, notes = assign_splits(clips, "vocaset", 0)
    people = {}
    for clip, split in zip(clips, splits):
        assert people.setdefault(clip.person, split) == split
    assert sorted(people.values()) == ["test"] * 2 + ["train"] * 8 + ["val"] * 2 and not notes
    _, notes = assign_splits(clips, "diffposetalk", 0)
    assert notes == ["12 people instead of 588: split in the proportions 460/64/64"]
    _, notes = assign_splits(clips[:3], "fd2talk", 0)
    assert notes == ["1 person is too few: nobody is in val or test"]
    assert assign_splits(clips, None, 0) == ([""] * 36, [])


def test_names_that_are_not_utf_8(tmp_path):
    touch(tmp_path, "RD_Radio1_000.mp4", "b\udcff/RD_Radio2_000.mp4")
    reading = read_layout("hdtf", tmp_path)
    assert [clip.file.name for clip in reading.clips] == ["RD_Radio1_000.mp4"]
    assert reading.notes == ["1 clip is left out, because its name is not UTF-8 (such as b\udcff/RD_Radio2_000.mp4)"]


def test_another_reader_that_fails_does_not_hide_what_is_wrong(tmp_path, monkeypatch):
    def fail(_):
        raise TypeError("a damaged file of another data set")

    monkeypatch.setattr("fd2talk.datasets.hdtf.read", fail)
    with pytest.raises(InputError, match="no clips of MEAD"):
        read_layout("mead", tmp_path)


@pytest.mark.parametrize("file", ["/tmp/a/b.mp4", "../a.mp4", "a/../b.mp4", "b.mp4", "a/b/c.mp4", "a/.."])
def test_no_name_of_a_clip_leads_out_of_the_folder(file):
    with pytest.raises(InputError, match="not a name of a person and a clip"):
        Found(Path(file), "a", make=print)
