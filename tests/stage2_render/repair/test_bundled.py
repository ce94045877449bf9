"""What the bundled repair networks do with the bundled portraits."""

from __future__ import annotations

import numpy as np
import pytest
from portraits import mask_of, opened, portrait

from shared.face_model import load_bundled
from shared.face_model.mediapipe_mesh import INNER_LIPS, OUTER_LIPS, RIGHT_EYE
from shared.metrics.image import sharpness
from shared.photo_fit import PhotoFit
from shared.weights import bundled
from stage2_render.repair.networks import RepairNetworks
from stage2_render.repair.renderer import RepairRenderer
from stage2_render.warp.mesh_warp import MeshWarp
from stage2_render.warp.tone import LUMA

SEPIA = np.array([[40, 25, 10], [250, 220, 170]], float)


@pytest.fixture(scope="module")
def networks():
    return RepairNetworks.load(bundled("repair"))


@pytest.fixture(scope="module")
def face():
    photo, mesh = portrait(size=512)
    moved = opened(mesh, 0.12)
    moved[list(RIGHT_EYE[1:8]), 1] += 6  # upper lid
    return photo, mesh, moved


def rendered(image, mesh, moved, networks):
    fit = PhotoFit.from_landmarks(image, mesh, load_bundled())
    return list(RepairRenderer(fit, networks).frames(moved))


def warped(image, mesh, moved):
    return MeshWarp(image, mesh, PhotoFit.from_landmarks(image, mesh, load_bundled()).crop)(moved)


def monochrome(photo: np.ndarray, tint: str) -> np.ndarray:
    light = photo @ LUMA
    if tint == "grey":
        return np.repeat(np.rint(light).astype(np.uint8)[..., None], 3, -1)
    return np.rint(SEPIA[0] + light[..., None] / 255 * (SEPIA[1] - SEPIA[0])).astype(np.uint8)


@pytest.mark.parametrize("tint", ["grey", "sepia"])
def test_what_is_painted_in_a_monochrome_picture_has_its_colours(networks, face, tint):
    """Within two levels of chroma of the photo's own colour at each luminance."""
    photo, mesh, moved = face
    image = monochrome(photo, tint)
    (frame,) = rendered(image, mesh, [moved], networks)
    assert np.abs(frame.astype(int) - warped(image, mesh, moved)).max() > 20
    for ring in (OUTER_LIPS, RIGHT_EYE):
        colours = frame[mask_of(moved, ring, photo.shape) > 0].astype(float)
        light = colours @ LUMA
        if tint == "grey":
            expected = np.repeat(light[:, None], 3, 1)
        else:
            share = (light - SEPIA[0] @ LUMA) / ((SEPIA[1] - SEPIA[0]) @ LUMA)
            expected = SEPIA[0] + share[:, None] * (SEPIA[1] - SEPIA[0])
        apart = colours - expected
        chroma = np.linalg.norm(apart - (apart @ LUMA)[:, None], axis=1)
        within = (light > SEPIA[0] @ LUMA) & (light < SEPIA[1] @ LUMA)
        assert np.sqrt(np.square(chroma[within]).mean()) < 2


def test_an_unchanging_motion_does_not_flicker(networks, face):
    photo, mesh, moved = face
    first, *rest = rendered(photo, mesh, [moved] * 6, networks)
    for frame in rest:
        np.testing.assert_array_equal(frame, first)


def test_lips_of_a_large_photo_stay_as_sharp_as_the_warp_s(networks):
    photo, mesh = portrait(size=900)
    moved = opened(mesh, 0.08)
    (frame,) = rendered(photo, mesh, [moved], networks)
    lips = (mask_of(moved, OUTER_LIPS, photo.shape) > 0) & (mask_of(moved, INNER_LIPS, photo.shape) == 0)
    assert sharpness(frame, lips) > 0.9 * sharpness(warped(photo, mesh, moved), lips)
