"""Painted mouths have the tones and the tint of the photo."""

import cv2
import numpy as np
import pytest
from portraits import mask_of, opened, portrait

from shared.face_model.mediapipe_mesh import INNER_LIPS
from shared.faces.crop import Crop
from stage2_render.warp.mesh_warp import MeshWarp
from stage2_render.warp.tone import LUMA, Tone

SEPIA = np.array([[40, 25, 10], [250, 220, 170]], float)


def faded(photo, contrast, white=255):
    return np.rint(white - (white - photo.astype(float)) * contrast).astype(np.uint8)


def sepia(photo):
    return np.rint(SEPIA[0] + (photo @ LUMA)[..., None] / 255 * (SEPIA[1] - SEPIA[0])).astype(np.uint8)


def mouth_of(photo, vertices):
    """What is seen of the opened mouth, [n, 3]."""
    target = opened(vertices, 0.12)
    frame = MeshWarp(photo, vertices, Crop.around(vertices))(target)
    return frame[mask_of(target, INNER_LIPS, photo.shape) > 0].astype(float)


@pytest.mark.situation(
    "Faces", "a faded print, haze, low contrast", "the mouth is no darker than the photo's own darks"
)
@pytest.mark.parametrize("contrast, white", [(0.5, 255), (0.3, 255), (0.15, 255), (0.3, 200)])
def test_mouths_are_no_darker_than_the_darks_of_a_faded_photo(contrast, white):
    photo, vertices = portrait()
    pale = faded(photo, contrast, white)
    light = mouth_of(pale, vertices) @ LUMA
    darks = np.quantile(pale @ LUMA, 0.003)
    assert light.min() > darks - 3
    assert np.ptp(light) > 0.3 * contrast * 255  # and still a dark mouth with bright teeth


def test_ordinary_photos_keep_their_dark_mouths():
    photo, vertices = portrait()
    assert (mouth_of(photo, vertices) @ LUMA).min() < 60


@pytest.mark.situation("Faces", "a grey or sepia picture", "the mouth has its tint")
def test_mouths_of_sepia_photos_are_sepia():
    photo, vertices = portrait()
    for image in (sepia(photo), np.repeat(np.rint(photo @ LUMA).astype(np.uint8)[..., None], 3, -1)):
        colours = mouth_of(image, vertices)
        known = {round(float(light)): colour for light, colour in zip((image @ LUMA).ravel(), image.reshape(-1, 3))}
        levels = np.array(sorted(known))
        expected = np.array([known[levels[np.abs(levels - light).argmin()]] for light in colours @ LUMA])
        within = (colours @ LUMA > levels[0]) & (colours @ LUMA < levels[-1])
        assert np.abs(colours - expected)[within].max() < 6


def test_tones_of_a_photo_of_several_colours_are_left_alone():
    photo, _ = portrait()
    tone, colour = Tone(photo), np.array([[200.0, 40, 90], [10, 10, 10]])
    np.testing.assert_allclose(tone.applied(tone.clear(colour)), colour, atol=1e-3)
    pale = Tone(faded(photo, 0.4))
    np.testing.assert_allclose(pale.applied(pale.clear(colour[:1] * 0 + 210)), 210, atol=1e-2)
    assert (pale.applied(np.zeros(3)) > 140).all()


def test_stains_and_noise_leave_a_picture_its_tint():
    """Chroma of old photographs varies everywhere; a small coloured part is a second colour."""
    photo, _ = portrait()
    light = photo.astype(np.float32) @ LUMA
    sepia = light[..., None] * [1.0, 0.88, 0.7]
    stains = cv2.resize(np.random.default_rng(0).normal(size=(24, 24)).astype(np.float32), light.shape[::-1])
    stained = np.clip(sepia + 6 * stains[..., None] * [0.6, 0.1, -1], 0, 255).astype(np.uint8)
    assert Tone(stained).is_tinted
    painted = stained.copy()
    painted[: len(painted) // 6, : len(painted) // 4] = (40, 60, 160)
    assert not Tone(painted).is_tinted
