"""Conditioning maps: openings, movement and validity of a mesh."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from portraits import portrait, warp_of

from shared.face_model.mediapipe_mesh import INNER_LIPS, LEFT_EYE, OUTER_LIPS, RIGHT_EYE
from stage2_render.diffusion.conditioning_maps import MAPS, conditioning_maps, decode_maps, encode_maps
from stage2_render.diffusion.face_crop import FaceCrop
from stage2_render.warp.mesh_warp import MeshWarp


def animated() -> tuple[MeshWarp, np.ndarray]:
    return warp_of(size=384), portrait(size=384)[1]


def opened(vertices: np.ndarray, drop: float) -> np.ndarray:
    """The lower lip's rims and the chin `drop` pixels lower."""
    out = vertices.copy()
    lower = [*INNER_LIPS[11:], *OUTER_LIPS[11:], 152, 148, 377, 175, 200, 199]
    out[lower, 1] += drop
    return out


def maps_of(target: np.ndarray) -> dict[str, np.ndarray]:
    warp, source = animated()
    maps = conditioning_maps(warp.warp(target), target, source, FaceCrop.around(target), FaceCrop.around(source))
    assert maps.shape == (9, 64, 64) and maps.dtype == np.float32
    return dict(zip(MAPS, maps))


def test_the_warp_has_the_frame_of_a_call():
    warp, vertices = animated()
    target = opened(vertices, 12)
    warped = warp.warp(target)
    np.testing.assert_array_equal(warped.frame, warp(target))
    assert warped.validity.shape == warped.origin.shape[:2]


def test_the_grid_is_at_its_place():
    """Every cell of a face that does not move comes from its own place."""
    warp, vertices = animated()
    warped = warp.warp(vertices)
    cells = warped.origin @ warped.to_grid[:, :2].T + warped.to_grid[:, 2]
    rows, columns = np.mgrid[: cells.shape[0], : cells.shape[1]]
    np.testing.assert_allclose(cells, np.stack([columns, rows], -1), atol=0.02)


def test_a_still_face_moves_nowhere():
    _, vertices = animated()
    maps = maps_of(vertices)
    assert maps["valid"].min() > 0.99
    assert np.abs(maps["moved_x"]).max() < 0.01 and np.abs(maps["moved_y"]).max() < 0.01
    np.testing.assert_array_equal(maps["mouth"], maps["mouth_before"])
    np.testing.assert_array_equal(maps["lips"], maps["lips_before"])


def test_an_opened_mouth_grows_downwards_and_is_invalid_inside():
    _, vertices = animated()
    closed, wide = maps_of(vertices), maps_of(opened(vertices, 14))
    assert wide["mouth"].sum() > closed["mouth"].sum() + 10
    np.testing.assert_array_equal(wide["mouth_before"], closed["mouth"])
    np.testing.assert_array_equal(wide["eyes"], closed["eyes"])
    inside = wide["mouth"] > 0.99
    assert wide["valid"][inside].mean() < 0.3
    assert np.abs(wide["moved_y"][inside & (wide["valid"] == 0)]).max() == 0
    # The lower lip comes from further up.
    rows, columns = np.nonzero((wide["lips"] > 0.9) & (np.arange(64)[:, None] > np.nonzero(inside)[0].mean()))
    assert len(rows) and wide["moved_y"][rows, columns].mean() < -0.1


def test_movement_is_measured_in_the_face_crop():
    """The head moves in the image: in the crop, which follows it, the face is still and the background moves."""
    _, vertices = animated()
    target = vertices + np.array([12, 5, 0], np.float32)
    maps, crop = maps_of(target), FaceCrop.around(target)
    x, y = np.rint(crop.points(target[4]) / 4).astype(int)
    assert np.abs(maps["moved_x"][y - 4 : y + 4, x - 4 : x + 4]).max() < 0.01
    # What is still in the image was, relative to the face, so far to the right.
    expected = 12 * crop.scale / 32
    assert 0.3 * expected < maps["moved_x"].max() <= expected + 0.02


@pytest.mark.parametrize(("name", "rings"), [("mouth", [INNER_LIPS]), ("eyes", [RIGHT_EYE, LEFT_EYE])])
def test_openings_have_the_area_of_their_polygons(name, rings):
    _, vertices = animated()
    target = opened(vertices, 14)
    points = FaceCrop.around(target).points(target)
    area = sum(cv2.contourArea(points[list(ring)]) for ring in rings)
    # The rasteriser's rims and the smooth outline make it a little more.
    assert 0.95 * area < 16 * maps_of(target)[name].sum() < 1.35 * area


def test_irises_are_within_the_eyes():
    _, vertices = animated()
    maps = maps_of(vertices)
    assert (maps["irises"] <= maps["eyes"] + 1e-6).all()
    assert 0.15 * maps["eyes"].sum() < maps["irises"].sum() < 0.8 * maps["eyes"].sum()
    points = FaceCrop.around(vertices).points(vertices)
    for centre in points[[468, 473]]:
        x, y = np.rint((centre + 0.5) / 4 - 0.5).astype(int)
        assert maps["irises"][y, x] > 0.5


def test_shut_lids_leave_almost_no_opening():
    _, vertices = animated()
    shut = vertices.copy()
    for ring in (RIGHT_EYE, LEFT_EYE):
        upper, lower = list(ring[1:8]), list(ring[:8:-1])
        shut[upper, 1] = shut[lower, 1] + 1
    assert maps_of(shut)["eyes"].sum() < 0.25 * maps_of(vertices)["eyes"].sum()


def test_encoded_maps_are_decoded():
    random = np.random.default_rng(0)
    maps = random.uniform(0, 1, (3, 9, 64, 64)).astype(np.float32)
    maps[:, 5:7] = random.uniform(-2, 2, (3, 2, 64, 64))
    maps[0, :, 0, 0] = 0
    back = decode_maps(encode_maps(maps))
    assert np.abs(back - maps)[:, 5:7].max() <= 1 / 127 + 1e-6
    assert np.abs(back - maps)[:, [0, 1, 2, 3, 4, 7, 8]].max() <= 0.5 / 255 + 1e-6
    assert (back[0, :, 0, 0] == 0).all()
    extreme = np.full((9, 64, 64), -2, np.float32)
    assert decode_maps(encode_maps(extreme))[5:7].min() == -2
