import numpy as np
import pytest
from material import portrait, write_wav
from PIL import Image

from fd2talk.output import write_video
from fd2talk.studio.limits import Limits
from fd2talk.studio.media import check_clip, check_pixels, read_speech
from fd2talk.studio.photos import Photo
from shared.errors import InputError


@pytest.fixture
def group(tmp_path):
    """A large face on the left, a smaller one on the right."""
    picture = Image.new("RGB", (700, 480), "grey")
    picture.paste(portrait(440, "portrait_man"), (0, 20))
    picture.paste(portrait(240), (450, 120))
    picture.save(tmp_path / "group.png")
    return tmp_path / "group.png"


def test_faces_are_numbered_and_another_can_be_chosen(group):
    photo = Photo.read(group, Limits())
    assert len(photo.faces) == 2 and photo.chosen == 0
    left = photo.fit.crop.center_x
    photo.choose(1)
    assert photo.chosen == 1 and photo.fit.crop.center_x > 450 > left
    with pytest.raises(InputError):
        photo.choose(7)
    assert photo.chosen == 1


def test_a_face_that_can_be_used_is_chosen_where_the_largest_cannot(group, monkeypatch):
    from shared.photo_fit import PhotoFit

    fit = PhotoFit.fit

    def picky(image, model=None, *, face_index=None, **_):
        if face_index == 0:
            raise InputError("the face is turned to the side")
        return fit(image, face_index=face_index)

    monkeypatch.setattr(PhotoFit, "fit", picky)
    assert Photo.read(group, Limits()).chosen == 1


def test_the_picture_shows_the_numbers(group):
    photo = Photo.read(group, Limits())
    shown = np.asarray(photo.numbered())
    yellow = (shown == (255, 213, 74)).all(-1)
    assert yellow[:, :320].sum() > 300 and not yellow[:, 450:].any()


def test_pixels_are_counted_before_they_are_decoded(tmp_path):
    Image.new("1", (3000, 1000)).save(tmp_path / "a.png")
    check_pixels(tmp_path / "a.png", Limits(pixels=3_000_000))
    with pytest.raises(InputError, match=r"more than 2.99 million pixels"):
        check_pixels(tmp_path / "a.png", Limits(pixels=2_990_000))
    Image.new("1", (30_000, 30_000)).save(tmp_path / "b.png")
    with pytest.raises(InputError, match="million pixels"):
        check_pixels(tmp_path / "b.png", Limits())


def test_seconds_are_counted(tmp_path):
    path = write_wav(tmp_path / "s.wav", np.zeros(32000))
    assert len(read_speech(path, Limits(seconds=2.0))) == 32000
    with pytest.raises(InputError, match=r"longer than 1.9 seconds"):
        read_speech(path, Limits(seconds=1.9))


def test_clips_are_measured_without_decoding(tmp_path):
    path = tmp_path / "v.mp4"
    write_video(path, [np.full((32, 32, 3), 80, np.uint8)] * 50)
    check_clip(path, Limits(seconds=2.0))
    with pytest.raises(InputError, match="the clip is longer than 1 seconds"):
        check_clip(path, Limits(seconds=1.0))
    (tmp_path / "text.mp4").write_text("text")
    with pytest.raises(InputError, match=r"text\.mp4") as caught:
        check_clip(tmp_path / "text.mp4", Limits())
    assert str(tmp_path) not in str(caught.value)
