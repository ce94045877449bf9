import pytest
from data_set_trees import touch

from fd2talk.datasets.layouts import assign_splits, read_layout
from shared.errors import InputError


@pytest.fixture
def tree(tmp_path):
    touch(tmp_path, "data/TH_00000/000.mp4", "data/TH_00000/001.mp4", "data/TH_00001/000.mp4", "data/LICENSE")
    touch(tmp_path, "HDTF_TFHP-lmdb/data.mdb", "HDTF_TFHP-lmdb/keys.txt")
    lists = {
        "train": "TH_00000/000\nTH_00000/001\nRD_Somebody/000\n",
        "val": "TH_00001/000\n",
        "test": "TH_00002/000\nWDA_Somebody/001\n",
    }
    for name, text in lists.items():
        (tmp_path / f"HDTF_TFHP-lmdb/{name}.txt").write_text(text)
    return tmp_path


def test_videos_and_the_lists_of_the_release(tree):
    reading = read_layout("tfhp", tree)
    assert [(clip.person, clip.file.name) for clip in reading.clips] == [
        ("TH_00000", "000.mp4"),
        ("TH_00000", "001.mp4"),
        ("TH_00001", "000.mp4"),
    ]
    assert assign_splits(reading.clips, "published", 0)[0] == ["train", "train", "val"]
    # Clips of HDTF, which the lists name too, are not expected here.
    assert reading.notes == ["1 clip of TFHP's lists is not there (such as TH_00002/000)"]


def test_without_lists_nothing_is_published(tree):
    clips = read_layout("tfhp", tree / "data").clips
    assert len(clips) == 3
    with pytest.raises(InputError, match="no split is published"):
        assign_splits(clips, "published", 0)


def test_the_database_alone_is_not_enough(tree):
    with pytest.raises(InputError, match="coefficients of another face model .data.mdb., not the videos"):
        read_layout("tfhp", tree / "HDTF_TFHP-lmdb")


def test_a_video_that_the_lists_do_not_name(tree):
    touch(tree, "data/TH_00009/000.mp4")
    splits, notes = assign_splits(read_layout("tfhp", tree).clips, "published", 0)
    assert splits == ["train", "train", "val", None]
    assert notes == [f"1 clip is in no published split and left out (such as {tree}/data/TH_00009/000.mp4)"]
