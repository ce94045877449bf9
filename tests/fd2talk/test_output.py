import cv2
import numpy as np
import pytest

from fd2talk.output import require_output, write_video
from shared.errors import UsageError
from shared.media import read_video, video_info

FRAMES = [np.full((16, 16, 3), value, np.uint8) for value in (0, 100, 200)]


def test_frames_come_from_any_iterable(tmp_path):
    write_video(tmp_path / "list.mp4", FRAMES)
    write_video(tmp_path / "generator.mp4", (frame for frame in FRAMES), fps=50)
    assert len(list(read_video(tmp_path / "list.mp4"))) == 3
    assert video_info(tmp_path / "generator.mp4").duration == pytest.approx(3 / 50, abs=0.01)


def test_no_frames_and_a_wrong_name_leave_no_file(tmp_path):
    with pytest.raises(ValueError, match="no frames"):
        write_video(tmp_path / "new" / "o.mp4", [])
    with pytest.raises(UsageError, match=".mp4"):
        write_video(tmp_path / "o.avi", FRAMES)
    assert not list(tmp_path.iterdir())


def test_frames_that_fail_leave_no_folder(tmp_path):
    def frames():
        yield FRAMES[0]
        raise UsageError("no more")

    with pytest.raises(UsageError, match="no more"):
        write_video(tmp_path / "new" / "deep" / "o.mp4", frames())
    assert not list(tmp_path.iterdir())


def test_the_threads_of_opencv_are_restored(tmp_path):
    before = cv2.getNumThreads()
    during = []

    def frames():
        for frame in FRAMES:
            during.append(cv2.getNumThreads())
            yield frame

    write_video(tmp_path / "o.mp4", frames())
    assert set(during) == {1} and cv2.getNumThreads() == before


def test_an_output_that_is_an_input_is_refused(tmp_path):
    (tmp_path / "a.mp4").touch()
    with pytest.raises(UsageError, match="one of the inputs"):
        require_output(tmp_path / "a.mp4", suffixes=(".mp4",), overwrite=True, inputs=(str(tmp_path / "a.mp4"),))
