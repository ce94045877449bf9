import types

import numpy as np
import pytest
from material import write_wav
from PIL import Image

from fd2talk.media_checks import check_clip, check_pixels, read_speech
from fd2talk.output import write_video
from shared.errors import InputError


def limits(pixels=50_000_000, seconds=120.0):
    return types.SimpleNamespace(pixels=pixels, seconds=seconds)


def test_pixels_are_counted_before_they_are_decoded(tmp_path):
    Image.new("1", (3000, 1000)).save(tmp_path / "a.png")
    check_pixels(tmp_path / "a.png", limits(pixels=3_000_000))
    with pytest.raises(InputError, match=r"more than 2.99 million pixels"):
        check_pixels(tmp_path / "a.png", limits(pixels=2_990_000))
    Image.new("1", (30_000, 30_000)).save(tmp_path / "b.png")
    with pytest.raises(InputError, match="million pixels"):
        check_pixels(tmp_path / "b.png", limits())


def test_seconds_are_counted(tmp_path):
    path = write_wav(tmp_path / "s.wav", np.zeros(32000))
    assert len(read_speech(path, limits(seconds=2.0))) == 32000
    with pytest.raises(InputError, match=r"longer than 1.9 seconds"):
        read_speech(path, limits(seconds=1.9))


def test_clips_are_measured_without_decoding(tmp_path):
    path = tmp_path / "v.mp4"
    write_video(path, [np.full((32, 32, 3), 80, np.uint8)] * 50)
    check_clip(path, limits(seconds=2.0))
    with pytest.raises(InputError, match="the clip is longer than 1 seconds"):
        check_clip(path, limits(seconds=1.0))
    (tmp_path / "text.mp4").write_text("text")
    with pytest.raises(InputError, match=r"text\.mp4") as caught:
        check_clip(tmp_path / "text.mp4", limits())
    assert str(tmp_path) not in str(caught.value)
