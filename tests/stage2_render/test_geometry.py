"""The geometric renderer on the bundled portraits: what it must keep, what it may move, what it paints."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np
import pytest

from shared.face_model.mediapipe_mesh import FACE_OVAL, INNER_LIPS, LEFT_EYE, RIGHT_EYE
from shared.faces.crop import Crop
from shared.faces.tracker import track_photo
from shared.media import read_image
from stage2_render.warp.mesh_warp import MeshWarp

DEMO = Path(__file__).parents[2] / "assets" / "demo"
UPPER_LIP, LOWER_LIP = list(INNER_LIPS[1:10]), list(INNER_LIPS[:10:-1])


@lru_cache(maxsize=2)
def portrait(name: str = "portrait_woman", size: int = 450) -> tuple[np.ndarray, np.ndarray]:
    photo = cv2.resize(read_image(DEMO / f"{name}.jpg"), (size, size), interpolation=cv2.INTER_AREA)
    return photo, track_photo(photo)


@pytest.fixture(scope="module")
def warp() -> MeshWarp:
    photo, vertices = portrait()
    return MeshWarp(photo, vertices, Crop.around(vertices))


def opened(vertices: np.ndarray, amount: float) -> np.ndarray:
    """The lower half of the face swung down, the lips parted by `amount` of the face's height."""
    out = vertices.copy()
    drop = amount * np.ptp(vertices[:468, 1])
    lip_line, chin = vertices[13, 1], vertices[152, 1]
    middle, half = vertices[13, 0], np.ptp(vertices[list(INNER_LIPS), 0]) / 2
    across = np.clip(1 - ((vertices[:, 0] - middle) / (2.2 * half)) ** 2, 0, 1)
    below = np.clip((vertices[:, 1] - lip_line) / (0.15 * (chin - lip_line)) + 0.5, 0, 1)
    below[UPPER_LIP], below[LOWER_LIP] = 0, 1
    across[list(INNER_LIPS)] = np.clip(1 - ((vertices[list(INNER_LIPS), 0] - middle) / half) ** 2, 0, 1)
    out[:, 1] += drop * across * below
    return out


def turned(vertices: np.ndarray, yaw: float, roll: float = 0.0) -> np.ndarray:
    y, r = np.deg2rad([yaw, roll])
    about_y = np.array([[np.cos(y), 0, np.sin(y)], [0, 1, 0], [-np.sin(y), 0, np.cos(y)]])
    about_z = np.array([[np.cos(r), -np.sin(r), 0], [np.sin(r), np.cos(r), 0], [0, 0, 1]])
    center = vertices[[234, 454, 152, 10]].mean(0)
    return ((vertices - center) @ (about_z @ about_y).T + center).astype(np.float32)


def mask_of(vertices: np.ndarray, ring, shape) -> np.ndarray:
    mask = np.zeros(shape[:2], np.uint8)
    cv2.fillPoly(mask, [np.rint(vertices[list(ring), :2]).astype(np.int32)], 1)
    return mask


@pytest.mark.parametrize("name", ["portrait_woman", "portrait_man_2"])
def test_photo_itself_when_nothing_moves(name):
    photo, vertices = portrait(name)
    frame = MeshWarp(photo, vertices, Crop.around(vertices))(vertices)
    assert frame.dtype == np.uint8 and frame.shape == photo.shape
    assert np.abs(frame.astype(int) - photo).max() <= 1


def test_flow_is_exact_at_vertices(warp):
    _, source = portrait()
    target = opened(turned(source, 4, 3), 0.04)
    where, valid = warp.flow(target)
    assert where.dtype == np.float32 and where.shape == (*valid.shape, 2)
    crop = Crop.around(source)
    cell = warp.width / where.shape[1]
    for index in (1, 4, 6, 9, 50, 280, 151, 205, 425, 199, 61, 291, 105, 334):
        node = (target[index, :2] - [warp.left, warp.top] + 0.5) / cell - 0.5
        found = cv2.remap(where, node.astype(np.float32)[None, None], None, cv2.INTER_LINEAR)[0, 0]
        assert np.linalg.norm(found - source[index, :2]) < 0.006 * crop.side, index


def test_everything_outside_the_crop_stays():
    photo, vertices = portrait()
    crop = Crop.around(vertices)
    wide = cv2.copyMakeBorder(photo, 60, 90, 70, 50, cv2.BORDER_REFLECT)
    shifted = vertices + np.array([70, 60, 0], np.float32)
    warp = MeshWarp(wide, shifted, Crop(crop.center_x + 70, crop.center_y + 60, 0.9 * crop.side))
    frame = warp(turned(opened(shifted, 0.05), 6, -4))
    inside = np.zeros(wide.shape[:2], bool)
    inside[warp.top : warp.bottom, warp.left : warp.right] = True
    assert not inside.all() and (frame[~inside] == wide[~inside]).all()
    assert (frame[inside] != wide[inside]).any()
    # The movement fades out: no step at the crop's edge.
    rim = np.abs(frame.astype(int) - wide)[warp.top : warp.top + 2, warp.left : warp.right]
    assert rim.mean() < 1.0


def test_small_moves_leave_the_far_background_alone(warp):
    photo, vertices = portrait()
    frame = warp(vertices + np.array([2.0, 1.0, 0], np.float32))
    assert np.abs(frame[:60, :60].astype(int) - photo[:60, :60]).max() <= 1
    cheek = vertices[50, :2].astype(int)
    moved = frame[cheek[1] + 1 - 8 : cheek[1] + 1 + 8, cheek[0] + 2 - 8 : cheek[0] + 2 + 8].astype(int)
    assert np.abs(moved - photo[cheek[1] - 8 : cheek[1] + 8, cheek[0] - 8 : cheek[0] + 8]).mean() < 1.5


def test_constant_motion_gives_constant_frames(warp):
    _, vertices = portrait()
    target = opened(turned(vertices, -5), 0.05)
    first = warp(target)
    warp(vertices)
    assert (warp(target) == first).all()


def test_two_threads_give_what_one_gives(warp):
    _, vertices = portrait()
    targets = [opened(turned(vertices, yaw), 0.03) for yaw in (-6, -2, 2, 6)]
    alone = [warp(target) for target in targets]
    with ThreadPoolExecutor(2) as pool:
        together = list(pool.map(warp, targets))
    assert all((a == b).all() for a, b in zip(alone, together))


def test_flow_moves_smoothly_with_subpixel_steps(warp):
    _, vertices = portrait()
    target = opened(turned(vertices, 3), 0.03)
    step = np.array([0.05, 0.03, 0], np.float32)
    flows = [warp.flow(target + k * step)[0] for k in range(3)]
    change = np.linalg.norm(flows[1] - flows[0], axis=-1)
    jerk = np.linalg.norm(flows[2] - 2 * flows[1] + flows[0], axis=-1)
    inside = mask_of(target, FACE_OVAL, portrait()[0].shape)
    inside[mask_of(target, INNER_LIPS, inside.shape) > 0] = 0
    inside = cv2.erode(inside, np.ones((15, 15)))[warp.top : warp.bottom, warp.left : warp.right]
    inside = cv2.resize(inside, change.shape[::-1], interpolation=cv2.INTER_NEAREST) > 0
    assert np.percentile(change[inside], 99) < 0.25
    assert np.percentile(jerk[inside], 99) < 0.05


def test_frames_follow_subpixel_steps(warp):
    _, vertices = portrait()
    target = opened(vertices, 0.05)
    frames = [warp(target + np.array([0.1 * k, 0, 0], np.float32)).astype(float) for k in range(2)]
    assert 0 < np.abs(frames[1] - frames[0]).mean() < 0.5
    assert np.abs(frames[1] - frames[0]).max() < 40


@pytest.mark.parametrize("name", ["portrait_woman", "portrait_man"])
def test_opened_lips_show_a_dark_mouth_with_teeth(name):
    photo, vertices = portrait(name)
    warp = MeshWarp(photo, vertices, Crop.around(vertices))
    target = opened(vertices, 0.12)
    frame = cv2.cvtColor(warp(target), cv2.COLOR_RGB2GRAY).astype(float)
    inside = cv2.erode(mask_of(target, INNER_LIPS, photo.shape), np.ones((3, 3))) > 0
    lips = cv2.cvtColor(photo, cv2.COLOR_RGB2GRAY)[vertices[17, 1].astype(int) - 6, vertices[17, 0].astype(int)]
    x = int(vertices[13, 0])
    upper, lower = target[13, 1], target[14, 1]
    teeth = frame[int(upper + 0.12 * (lower - upper)), x - 4 : x + 5].max()
    cavity = frame[int(upper + 0.6 * (lower - upper)), x - 4 : x + 5].mean()
    assert cavity < 0.55 * lips and teeth > 1.3 * cavity
    assert frame[inside].mean() < 0.9 * lips
    # The lower lip has come along whole: below the opening lies what lay below the closed lips' line.
    drop = target[17, 1] - vertices[17, 1]
    row = int(vertices[17, 1]) - 2
    before = cv2.cvtColor(photo, cv2.COLOR_RGB2GRAY)[row - 3 : row + 3, x - 10 : x + 10]
    after = frame[row + round(drop) - 3 : row + round(drop) + 3, x - 10 : x + 10]
    assert np.abs(before - after).mean() < 8


def test_inside_of_a_mouth_the_photo_shows_closed_is_invalid(warp):
    _, vertices = portrait()
    _, valid = warp.flow(vertices)
    assert valid.min() > 0.99
    target = opened(vertices, 0.1)
    _, valid = warp.flow(target)
    x, y = (target[13, :2] + target[14, :2]) / 2 - [warp.left, warp.top]
    cell = warp.width / valid.shape[1]
    assert valid[int(y / cell), int(x / cell)] < 0.1
    assert valid.mean() > 0.97


def test_closed_lids_cover_the_eyeball(warp):
    photo, vertices = portrait()
    target = vertices.copy()
    for ring in (RIGHT_EYE, LEFT_EYE):
        upper, lower = list(ring[1:8]), list(ring[:8:-1])
        target[upper] = target[lower]
    frame = warp(target)
    for ring, iris in ((RIGHT_EYE, 468), (LEFT_EYE, 473)):
        x, y = vertices[iris, :2].astype(int)
        patch = np.s_[y - 3 : y + 4, x - 3 : x + 4]
        lid = photo[int(vertices[ring[4], 1]) - 6, x].mean()
        assert photo[patch].mean() < 0.65 * lid < 0.95 * frame[patch].mean()


def test_iris_moves_and_keeps_its_shape(warp):
    photo, vertices = portrait()
    shift = 5
    target = vertices.copy()
    target[468:, 0] += shift
    frame = warp(target)
    for iris in (468, 473):
        x, y = np.rint(vertices[iris, :2]).astype(int)
        before = photo[y - 3 : y + 4, x - 5 : x + 6].astype(int)
        after = frame[y - 3 : y + 4, x + shift - 5 : x + shift + 6].astype(int)
        assert np.abs(before - after).mean() < 6


@pytest.mark.parametrize("yaw, roll", [(0, 8), (8, 0), (-8, 4), (0, -8)])
def test_no_folds_at_the_oval(warp, yaw, roll):
    _, vertices = portrait()
    target = turned(vertices, yaw, roll)
    where, _ = warp.flow(target)
    cell = warp.width / where.shape[1]
    dx, dy = np.diff(where, axis=1)[:-1] / cell, np.diff(where, axis=0)[:, :-1] / cell
    area = dx[..., 0] * dy[..., 1] - dx[..., 1] * dy[..., 0]
    hull = cv2.convexHull(target[:468, :2].astype(np.float32))[:, 0]
    face = np.zeros(portrait()[0].shape[:2], np.uint8)
    cv2.fillPoly(face, [np.rint(hull).astype(np.int32)], 1)
    # Outside the silhouette and on a band across it, except where a cheek turns in front of what lies behind it.
    face = cv2.erode(face, np.ones((5, 5)))[warp.top : warp.bottom, warp.left : warp.right]
    outside = cv2.resize(face, area.shape[::-1], interpolation=cv2.INTER_NEAREST) == 0
    assert (area[outside] <= 0).mean() < 0.0005
    assert np.percentile(area[outside], 99.9) < 5


def test_grey_photo_stays_grey():
    photo, vertices = portrait()
    grey = np.repeat(cv2.cvtColor(photo, cv2.COLOR_RGB2GRAY)[..., None], 3, axis=2)
    frame = MeshWarp(grey, vertices, Crop.around(vertices))(opened(vertices, 0.1)).astype(int)
    assert np.ptp(frame, axis=2).max() <= 2


@pytest.mark.parametrize("width, height", [(64, 64), (301, 257), (129, 200)])
def test_tiny_and_odd_sizes(width, height):
    photo, vertices = portrait()
    scale = np.array([width, height, width], np.float32) / photo.shape[0]
    small = cv2.resize(photo, (width, height), interpolation=cv2.INTER_AREA)
    points = vertices * scale
    warp = MeshWarp(small, points, Crop.around(points))
    assert np.abs(warp(points).astype(int) - small).max() <= 1
    frame = warp(opened(turned(points, 5), 0.08))
    assert frame.shape == small.shape and (frame != small).any()


def test_face_cut_by_the_photo_edge():
    photo, vertices = portrait()
    x0, y0 = int(vertices[127, 0]) + 8, int(vertices[10, 1]) + 5
    cut = np.ascontiguousarray(photo[y0:, x0:])
    points = vertices - np.array([x0, y0, 0], np.float32)
    warp = MeshWarp(cut, points, Crop.around(points))
    assert np.abs(warp(points).astype(int) - cut).max() <= 1
    assert warp(turned(points, 6)).shape == cut.shape


def test_wrong_input_is_refused(warp):
    photo, vertices = portrait()
    with pytest.raises(ValueError, match="uint8"):
        MeshWarp(photo.astype(np.float32), vertices, Crop.around(vertices))
    with pytest.raises(ValueError, match="hardly meets"):
        MeshWarp(photo, vertices, Crop(5000, 5000, 100))
    with pytest.raises(ValueError, match="finite"):
        warp(np.full((478, 3), np.nan, np.float32))
    with pytest.raises(ValueError, match=r"\[478, 3\]"):
        warp(vertices[:468])


@pytest.mark.parametrize("name", ["portrait_woman", "portrait_man_2"])
def test_lids_that_meet_cover_the_eyes_and_go_no_further(name):
    photo, vertices = portrait(name)
    warp = MeshWarp(photo, vertices, Crop.around(vertices))

    def falling(share: float) -> np.ndarray:
        target = vertices.copy()
        for ring in (RIGHT_EYE, LEFT_EYE):
            upper, lower = (np.array(ring)[places] for places in (np.arange(9, 16), np.arange(7, 0, -1)))
            if vertices[upper, 1].mean() > vertices[lower, 1].mean():
                upper, lower = lower, upper
            target[upper, :2] += share * (vertices[lower, :2] - vertices[upper, :2])
        return target

    eyes = mask_of(vertices, RIGHT_EYE, photo.shape) | mask_of(vertices, LEFT_EYE, photo.shape)
    around = cv2.dilate(eyes, np.ones((15, 15), np.uint8)) > 0
    skin = np.percentile(photo[around & (eyes == 0)].mean(-1), 90)
    shut, further = (warp(falling(share)) for share in (1.0, 1.15))
    assert (photo[eyes > 0].mean(-1) > skin).mean() > 0.1
    assert (shut[eyes > 0].mean(-1) > skin).mean() < 0.02
    assert np.abs(shut.astype(int) - further)[around].mean() < 2
