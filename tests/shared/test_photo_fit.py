"""The face model on the bundled portraits."""

import warnings

import covered
import numpy as np
import pytest
from material import portrait

from shared.errors import InputError, UsageError
from shared.face_model import MorphableModel, load_bundled
from shared.images import read_image
from shared.photo_fit import PhotoFit
from shared.weights import bundled


@pytest.fixture(scope="module")
def model() -> MorphableModel:
    return load_bundled()


@pytest.mark.parametrize("name", ["portrait_man", "portrait_man_2", "portrait_woman", "portrait_woman_2"])
def test_lips_of_the_demo_portraits_are_met(model, name):
    photo = PhotoFit.fit(read_image(bundled(f"demo/{name}.jpg")), model)
    residual = np.linalg.norm(photo.residual[model.groups["lips"]], axis=-1)
    assert residual.mean() <= 0.2
    back = photo.vertices_px(photo.expression, photo.rotation, photo.translation)
    np.testing.assert_allclose(back[:, :2], photo.landmarks[:, :2], atol=0.05)  # the photo's own mesh, to the pixel
    assert np.abs(photo.identity).max() < 5 and np.abs(photo.expression).max() < 5


@pytest.mark.situation(
    "Faces", "a photo that is upside down", "the real mouth speaks; a note says that it is upside down"
)
@pytest.mark.parametrize("angle", [120, 180, 240])
def test_faces_of_any_angle_are_fitted_the_right_way_up(model, angle):
    photo = portrait(300)
    upright = PhotoFit.fit(np.asarray(photo), model)
    with pytest.warns(UserWarning, match="upside down"):
        turned = PhotoFit.fit(np.asarray(photo.rotate(angle, fillcolor="grey")), model)
    assert turned.misfit < 0.4
    middle, turn = np.array([150, 150]), np.radians(angle)
    back = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])  # y down: PIL turns the other way
    found = (turned.landmarks[:, :2] - middle) @ back.T + middle
    assert np.linalg.norm(found - upright.landmarks[:, :2], axis=1).mean() < 4


@pytest.mark.situation(
    "Faces", "a mask, a microphone or fingers before the mouth", "a note says that the mouth is covered"
)
def test_a_covered_mouth_is_noted_and_a_bare_one_is_not(model):
    photo = np.asarray(portrait(300))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        points = PhotoFit.fit(photo, model).landmarks
    with pytest.warns(UserWarning, match="covered"):
        PhotoFit.fit(covered.mask(photo, points), model)


@pytest.mark.situation("Faces", "several large faces in a photo", "the largest speaks; a note says so")
def test_a_photo_of_several_people_is_noted(model):
    two = np.concatenate([np.asarray(portrait(300)), np.asarray(portrait(300, "portrait_man"))], axis=1)
    with pytest.warns(UserWarning, match="several faces; the largest is used"):
        PhotoFit.fit(two, model)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        chosen = PhotoFit.fit(two, model, face_index=1)
        PhotoFit.fit(np.asarray(portrait(300)), model)
    assert chosen.landmarks[:, 0].mean() > 300


@pytest.mark.parametrize(("tracker", "kind"), [("face-alignment", UsageError), ("auto", InputError)])
def test_a_missing_package_is_an_error_whose_causes_end(model, monkeypatch, tracker, kind):
    def missing(*_, **__):
        raise UsageError("it needs face-alignment")

    monkeypatch.setattr("shared.photo_fit.is_installed", lambda: True)
    monkeypatch.setattr("shared.photo_fit.s3fd_faces", missing)
    with pytest.raises(kind, match="it needs face-alignment") as raised:
        PhotoFit.fit(np.zeros((64, 64, 3), np.uint8), model, tracker=tracker)
    assert raised.value.__cause__ is not raised.value
