import av
import numpy as np
import pytest
from material import sine_motion

from fd2talk.talking_head import Frames, TalkingHead
from shared.errors import UsageError
from shared.media import read_video


@pytest.fixture
def starts():
    """Grows by one whenever rendering starts."""
    return []


@pytest.fixture
def talk(speech, starts):
    """Ten grey frames."""

    def render():
        starts.append(1)
        return (np.full((16, 32, 3), 20 * i, np.uint8) for i in range(10))

    return TalkingHead(sine_motion(speech), Frames(render, 10), speech)


def test_frames_are_rendered_when_they_are_iterated_over_and_again(talk, starts):
    assert (len(talk), len(talk.frames), talk.fps, talk.audio.dtype) == (10, 10, 25.0, np.float32)
    assert not starts
    assert [frame.max() for frame in talk.frames] == [frame.max() for frame in talk.frames] == list(range(0, 200, 20))
    assert len(starts) == 2


def test_save_writes_a_tagged_video_with_sound(talk, tmp_path):
    path = tmp_path / "new" / "talk.mp4"
    talk.save(path)
    with av.open(str(path)) as container:
        assert container.metadata["synthetic_media"]
        assert container.streams.audio[0].rate == 16000 and container.streams.video[0].average_rate == 25
    assert len(list(read_video(path))) == 10


def test_save_keeps_existing_files_and_renders_nothing_for_them(talk, starts, tmp_path):
    path = tmp_path / "talk.mp4"
    path.write_bytes(b"precious")
    for wrong in (path, tmp_path / "talk.avi"):
        with pytest.raises(UsageError, match="cannot write"):
            talk.save(wrong)
    assert path.read_bytes() == b"precious" and not starts
    talk.save(path, overwrite=True)
    assert len(list(read_video(path))) == 10


def test_a_failure_in_the_middle_leaves_no_file(speech, tmp_path):
    closed = []

    def render():
        try:
            yield np.zeros((16, 16, 3), np.uint8)
            raise KeyboardInterrupt
        finally:
            closed.append(1)

    with pytest.raises(KeyboardInterrupt):
        TalkingHead(sine_motion(speech), Frames(render, 10), speech).save(tmp_path / "talk.mp4")
    assert closed and not list(tmp_path.iterdir())
