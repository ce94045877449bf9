import io

import numpy as np
import pytest
from material import fitted_portrait
from PIL import Image

from fd2talk.export.textures import eye_texture, photo_texture
from shared.face_model.mediapipe_mesh import LEFT_EYE, LEFT_IRIS, RIGHT_EYE, RIGHT_IRIS
from shared.photo_fit import PhotoFit

EYES = [(LEFT_EYE, LEFT_IRIS), (RIGHT_EYE, RIGHT_IRIS)]


@pytest.fixture(scope="module")
def photo():
    return fitted_portrait(480)


def decoded(content):
    return np.array(Image.open(io.BytesIO(content)).convert("RGB")).astype(float)


def test_coordinates_point_at_the_pixels_of_the_photo(photo):
    uv, content = photo_texture(photo)
    texture = decoded(content)
    assert texture.shape[0] == texture.shape[1] and texture.shape[0] in (256, 512, 1024)
    for vertex in (1, 33, 263, 61, 291, 152, 13, 105):
        x, y = np.rint(photo.landmarks[vertex, :2]).astype(int)
        u, v = (uv[vertex] * texture.shape[0] - 0.5).round().astype(int)
        own = photo.image[y - 1 : y + 2, x - 1 : x + 2].reshape(-1, 3).mean(0)
        np.testing.assert_allclose(texture[v - 1 : v + 2, u - 1 : u + 2].reshape(-1, 3).mean(0), own, atol=25)


@pytest.mark.parametrize(("ring", "iris"), EYES)
def test_an_eye_is_the_photos_between_the_lids_and_white_where_they_cover_it(photo, ring, iris):
    mesh = photo.vertices(photo.expression)
    centre = np.append(mesh[[ring[0], ring[8]], :2].mean(0), mesh[list(ring), 2].mean() - 12)
    texture = decoded(eye_texture(photo, centre, ring, iris))
    at = (mesh[iris[0], :2] - centre[:2]) * [1, -1] / 24 + 0.5
    u, v = (at * 256).astype(int)
    x, y = photo.landmarks[iris[0], :2].astype(int)
    assert (
        np.abs(
            texture[v - 3 : v + 4, u - 3 : u + 4].mean((0, 1)) - photo.image[y - 1 : y + 2, x - 1 : x + 2].mean((0, 1))
        ).max()
        < 40
    )
    top, bottom = texture[:30].mean(), texture[-30:].mean()
    assert min(top, bottom) > 1.3 * texture[v - 5 : v + 5, u - 5 : u + 5].mean()
    assert np.ptp(texture[:30].mean(2)) < 40  # no lid, no lashes


def test_eyes_that_cannot_be_seen_are_painted(photo):
    plain = decoded(eye_texture(None, np.zeros(3), *EYES[0]))
    assert plain[128, 128].mean() < 40 < 100 > plain[128, 128 + 50].mean() and plain[20, 20].mean() > 200
    shut = PhotoFit.from_landmarks(photo.image, photo.landmarks.copy(), photo.model)
    ring = list(LEFT_EYE)
    shut.landmarks[ring[1:8], 1] = shut.landmarks[ring[:8:-1], 1]
    np.testing.assert_array_equal(decoded(eye_texture(shut, np.zeros(3), *EYES[0])), plain)
