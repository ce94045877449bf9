"""The face model on the bundled portraits."""

import numpy as np
import pytest

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
