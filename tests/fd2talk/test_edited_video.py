import numpy as np
import pytest
from media_files import grey_frames, tone, write_video

from fd2talk.edited_video import edited_sound, watched


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    """Two seconds with sound, and without."""
    folder = tmp_path_factory.mktemp("video")
    with_sound = write_video(folder / "v.mp4", grey_frames(50), audio=tone(2, 16000))
    return str(with_sound), str(write_video(folder / "silent.mp4", grey_frames(50)))


def parts(sound):
    return [(part.path, round(part.start, 6), round(part.seconds, 6)) for part in sound._parts]


@pytest.fixture
def new(tmp_path):
    from material import write_wav

    return [str(write_wav(tmp_path / f"{name}.wav", tone(3, 16000))) for name in ("new", "one", "two")]


def test_kept_frames_sound_as_in_the_video_and_others_as_in_the_recording(video, new):
    changed = np.ones(60, bool)
    changed[0:20] = changed[40:50] = changed[25:27] = False  # too few to be heard
    sound = edited_sound(video[0], new[0], [], heard=np.arange(60), changed=changed, seconds=2.39)
    assert parts(sound) == [
        (video[0], 0, 0.8), (new[0], 0.8, 0.8), (video[0], 1.6, 0.4), (new[0], 2.0, 0.39),
    ]  # fmt: skip
    silent = edited_sound(video[1], new[0], [], heard=np.arange(60), changed=changed, seconds=2.39)
    assert parts(silent) == [(new[0], 0, 2.39)]


def test_what_is_cut_is_not_heard_and_what_is_inserted_is(video, new):
    """Frames 10 to 19 are cut, and 5 and 8 frames of two recordings inserted at one place."""
    heard = np.concatenate([np.arange(10), np.arange(20, 30), np.full(13, -1), np.arange(30, 50)])
    sound = edited_sound(
        video[0], None, [(new[1], 5), (new[2], 8)], heard=heard, changed=np.ones(53, bool), seconds=53 / 25
    )
    assert parts(sound) == [
        (video[0], 0, 0.4), (video[0], 0.8, 0.4), (new[1], 0, 0.2), (new[2], 0, 0.32), (video[0], 1.2, 0.8),
    ]  # fmt: skip


def test_a_video_without_sound_stays_silent(video):
    assert edited_sound(video[1], None, [], heard=np.arange(50), changed=np.ones(50, bool), seconds=2) is None


def test_frames_are_watched_as_they_pass():
    seen = {}
    frames = grey_frames(5, lambda i: i)
    assert list(watched(iter(frames), [1, 4], seen)) == frames
    assert {number: frame[0, 0, 0] for number, frame in seen.items()} == {1: 1, 4: 4}
