from data_set_trees import touch

from fd2talk.datasets.layouts import read_layout


def test_front_views_with_the_sounds_of_the_other_tree(tmp_path):
    touch(tmp_path, "M003/video/front/angry/level_1/001.mp4", "M003/video/front/angry/level_1/002.mp4")
    touch(tmp_path, "M003/audio/angry/level_1/001.m4a", "M003/audio/angry/level_1/._001.m4a")
    touch(tmp_path, "M003/video/left_30/angry/level_1/001.mp4", "M003/video/top/angry/level_1/001.mp4")
    touch(tmp_path, "more/W009/video/front/neutral/level_1/040.mp4", "M003/video/front/angry/level_1/._001.mp4")
    reading = read_layout("mead", tmp_path)
    first, second, woman = reading.clips
    assert (first.person, first.facts) == ("M003", {"emotion": "angry", "level": "1", "gender": "m"})
    assert first.sound == tmp_path / "M003/audio/angry/level_1/001.m4a" and second.sound is None
    assert (woman.person, woman.facts) == ("W009", {"emotion": "neutral", "level": "1", "gender": "f"})
    assert reading.notes == [
        "2 clips of other views than the front are left out (such as M003/video/left_30/angry/level_1/001.mp4)"
    ]
    # An actor's folder alone.
    assert len(read_layout("mead", tmp_path / "M003").clips) == 2
