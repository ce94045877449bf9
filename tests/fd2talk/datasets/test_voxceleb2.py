import pytest
from data_set_trees import touch

from fd2talk.datasets.layouts import assign_splits, read_layout
from shared.errors import InputError


@pytest.fixture
def tree(tmp_path):
    touch(tmp_path, "dev/mp4/id00012/21Uxsk56VDQ/00001.mp4", "dev/mp4/id00012/21Uxsk56VDQ/00002.mp4")
    touch(tmp_path, "test/mp4/id00017/01dfn2spqyE/00001.mp4", "dev/aac/id00012/21Uxsk56VDQ/00001.m4a")
    touch(tmp_path, "dev/txt/id00012/21Uxsk56VDQ/00001.txt", "dev/mp4/id00012/other.mp4")
    (tmp_path / "vox2_meta.csv").write_text(
        "VoxCeleb2 ID ,VGGFace2 ID ,Gender ,Set \nid00012 ,n000012 ,m ,dev \nid00017 ,n000017 ,f ,test \n"
    )
    return tmp_path


def test_clips_splits_and_genders(tree):
    clips = read_layout("voxceleb2", tree).clips
    assert [clip.file.relative_to(tree).as_posix() for clip in clips] == [
        "dev/mp4/id00012/21Uxsk56VDQ/00001.mp4",
        "dev/mp4/id00012/21Uxsk56VDQ/00002.mp4",
        "test/mp4/id00017/01dfn2spqyE/00001.mp4",
    ]
    assert [clip.person for clip in clips] == ["id00012", "id00012", "id00017"]
    assert [clip.facts["gender"] for clip in clips] == ["m", "m", "f"]
    assert assign_splits(clips, "published", 0) == (["train", "train", "test"], [])
    # One of the two parts alone; the table lies above it.
    part = read_layout("voxceleb2", tree / "test").clips
    assert [(clip.published, clip.facts["gender"]) for clip in part] == [("test", "f")]


def test_a_table_with_tabs_and_one_of_another_kind(tree):
    (tree / "vox2_meta.csv").write_text("VoxCeleb2 ID\tVGGFace2 ID\tGender\tSet\nid00012\tn000012\tf\tdev\n")
    assert read_layout("voxceleb2", tree).clips[0].facts == {"gender": "f"}
    (tree / "vox2_meta.csv").write_text("name,age\nid00012,30\n")
    with pytest.raises(InputError, match="lacks a column Gender"):
        read_layout("voxceleb2", tree)


def test_a_speaker_in_both_parts(tree):
    touch(tree, "test/mp4/id00012/zzzzzzzzzzz/00009.mp4", "dev/copy/mp4/id00012/21Uxsk56VDQ/00001.mp4")
    reading = read_layout("voxceleb2", tree)
    assert len(reading.clips) == 4  # by another video; the copy of a clip counts once
    assert (
        "1 clip is there twice" in reading.notes[0]
        and "dev/mp4/id00012/21Uxsk56VDQ/00001.mp4, which is" in reading.notes[0]
    )
    with pytest.raises(InputError, match="id00012 is in the published splits test and train"):
        assign_splits(reading.clips, "published", 0)
    splits, _ = assign_splits(reading.clips, "fd2talk", 0)
    assert len({split for clip, split in zip(reading.clips, splits) if clip.person == "id00012"}) == 1


def test_a_table_with_an_endless_field(tree):
    (tree / "vox2_meta.csv").write_text("id, Gender\nid00012," + "m" * 200_000 + "\n")
    with pytest.raises(InputError, match="vox2_meta.csv: not VoxCeleb2's table"):
        read_layout("voxceleb2", tree)
