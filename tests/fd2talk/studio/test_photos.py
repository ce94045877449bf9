import numpy as np
import pytest
from material import portrait
from PIL import Image

from fd2talk.studio.limits import Limits
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
