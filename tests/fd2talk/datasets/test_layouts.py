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
    assert notes == ["1 people are too few: nobody is in val or test"]
    assert assign_splits(clips, None, 0) == ([""] * 36, [])
