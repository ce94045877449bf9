import pytest
from data_set_trees import touch

from fd2talk.datasets.layouts import read_layout
from shared.errors import InputError


@pytest.fixture
def tree(tmp_path):
    """The authors' script's output with sounds beside it, and their lists."""
    names = ["RD_Radio34_000", "RD_Radio34_001", "RD_Radio2_000", "WDA_AmyKlobuchar0_000", "WDA_AmyKlobuchar1_002"]
    names += ["WDA_WhipJimClyburn_000", "WDA_JamesClyburn1_000", "WRA_LucilleRoybal-Allard_000"]
    touch(tmp_path / "hdtf", *(f"clips/{name}.mp4" for name in names), "clips/_videos_raw/RD_Radio34.mp4")
    touch(tmp_path / "hdtf", "audios/RD_Radio34_001.wav", "clips/.hidden_000.mp4", "__MACOSX/clips/Radio9_000.mp4")
    lists = {
        "RD": "Radio34.mp4 00:02-00:30 00:40-00:50\nRadio2.mp4 00:22-01:45\n",
        "WRA": "TimScott.mp4 00:05-01:00 \n",
    }
    for subset, text in lists.items():
        touch(tmp_path / "hdtf", f"HDTF_dataset/{subset}_annotion_time.txt")
        (tmp_path / f"hdtf/HDTF_dataset/{subset}_annotion_time.txt").write_text(text)
    return tmp_path / "hdtf"


def test_clips_speakers_and_sounds(tree):
    reading = read_layout("hdtf", tree)
    clips = {clip.file.stem: clip for clip in reading.clips}
    assert len(reading.clips) == len(clips) == 8
    people = {name: clip.person for name, clip in clips.items()}
    # A number at the end counts the videos of a speaker; two names are the same speaker's.
    assert people["WDA_AmyKlobuchar0_000"] == people["WDA_AmyKlobuchar1_002"] == "AmyKlobuchar"
    assert people["WDA_WhipJimClyburn_000"] == people["WDA_JamesClyburn1_000"] == "JamesClyburn"
    assert people["RD_Radio34_001"] == people["RD_Radio2_000"] == "Radio"
    assert people["WRA_LucilleRoybal-Allard_000"] == "LucilleRoybal-Allard"
    assert {name for name, clip in clips.items() if clip.sound} == {"RD_Radio34_001"}
    assert clips["RD_Radio34_001"].sound == tree / "audios" / "RD_Radio34_001.wav"
    assert clips["RD_Radio34_001"].facts == {"subset": "RD"}
    assert reading.notes == [
        "1 clip that HDTF's lists name is not there (such as TimScott_0)",
        "5 clips are not in HDTF's lists; they are taken (such as AmyKlobuchar0_0)",
    ]


def test_names_of_the_instructions_and_clips_that_are_there_twice(tree):
    touch(tree, "clips/Radio34_0.mp4", "clips/holiday.mp4")
    reading = read_layout("hdtf", tree)
    assert len(reading.clips) == 8 and "RD_Radio34_000" in {clip.file.stem for clip in reading.clips}
    assert "clip is there twice; the second is left out (such as clips/Radio34_0.mp4" in reading.notes[0]
    assert "which is clips/RD_Radio34_000.mp4" in reading.notes[0]
    assert reading.notes[1].startswith("1 video is left out") and "clips/holiday.mp4" in reading.notes[1]


def test_a_list_that_is_no_text(tree):
    (tree / "HDTF_dataset" / "RD_annotion_time.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match="cannot read .*RD_annotion_time.txt"):
        read_layout("hdtf", tree)
