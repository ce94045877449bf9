"""The geometric renderer on the demo portraits: what it must keep and what it may move."""

from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
import pytest
from portraits import mask_of, opened, portrait, turned, warp_of

from shared.face_model.mediapipe_mesh import FACE_OVAL, INNER_LIPS
from shared.faces.crop import Crop
from stage2_render.warp.mesh_warp import MeshWarp


@pytest.mark.parametrize("name", ["portrait_woman", "portrait_man_2"])
def test_photo_itself_when_nothing_moves(name):
    photo, vertices = portrait(name)
    frame = MeshWarp(photo, vertices, Crop.around(vertices))(vertices)
    assert frame.dtype == np.uint8 and frame.shape == photo.shape
    assert np.abs(frame.astype(int) - photo).max() <= 1


def test_flow_is_exact_at_vertices():
    warp = warp_of()
    _, source = portrait()
    target = opened(turned(source, 4, 3), 0.04)
    where = warp.warp(target).origin
    assert where.dtype == np.float32 and where.shape == (*warp.warp(target).validity.shape, 2)
    crop = Crop.around(source)
    cell = warp.width / where.shape[1]
    for index in (1, 4, 6, 9, 50, 280, 151, 205, 425, 199, 61, 291, 105, 334):
        node = (target[index, :2] - [warp.left, warp.top] + 0.5) / cell - 0.5
        found = cv2.remap(where, node.astype(np.float32)[None, None], None, cv2.INTER_LINEAR)[0, 0]
        assert np.linalg.norm(found - source[index, :2]) < 0.006 * crop.side, index


def test_constant_motion_gives_constant_frames():
    warp = warp_of()
    _, vertices = portrait()
    target = opened(turned(vertices, -5), 0.05)
    first = warp(target)
    warp(vertices)
    assert (warp(target) == first).all()


def test_two_threads_give_what_one_gives():
    warp = warp_of()
    _, vertices = portrait()
    targets = [opened(turned(vertices, yaw), 0.03) for yaw in (-6, -2, 2, 6)]
    alone = [warp(target) for target in targets]
    with ThreadPoolExecutor(2) as pool:
        together = list(pool.map(warp, targets))
    assert all((a == b).all() for a, b in zip(alone, together))


def test_flow_moves_smoothly_with_subpixel_steps():
    warp = warp_of()
    _, vertices = portrait()
    target = opened(turned(vertices, 3), 0.03)
    step = np.array([0.05, 0.03, 0], np.float32)
    flows = [warp.warp(target + k * step).origin for k in range(3)]
    change = np.linalg.norm(flows[1] - flows[0], axis=-1)
    jerk = np.linalg.norm(flows[2] - 2 * flows[1] + flows[0], axis=-1)
    inside = mask_of(target, FACE_OVAL, portrait()[0].shape)
    inside[mask_of(target, INNER_LIPS, inside.shape) > 0] = 0
    inside = cv2.erode(inside, np.ones((15, 15)))[warp.top : warp.bottom, warp.left : warp.right]
    inside = cv2.resize(inside, change.shape[::-1], interpolation=cv2.INTER_NEAREST) > 0
    assert np.percentile(change[inside], 99) < 0.25
    assert np.percentile(jerk[inside], 99) < 0.05


def test_frames_follow_subpixel_steps():
    warp = warp_of()
    _, vertices = portrait()
    target = opened(vertices, 0.05)
    frames = [warp(target + np.array([0.1 * k, 0, 0], np.float32)).astype(float) for k in range(2)]
    assert 0 < np.abs(frames[1] - frames[0]).mean() < 0.5
    assert np.abs(frames[1] - frames[0]).max() < 40


def test_moved_pixels_are_as_sharp_as_by_cubic_interpolation():
    warp = warp_of()
    photo, vertices = portrait()
    face = cv2.erode(mask_of(vertices, FACE_OVAL, photo.shape), np.ones((61, 61))) > 0

    def detail(image):
        return np.abs(image.astype(float) - cv2.GaussianBlur(image, (0, 0), 1).astype(float))[face].mean()

    for x, y in ((0.5, 0.5), (0.25, 0.75), (0.5, 0)):
        frame = warp(vertices + np.array([x, y, 0], np.float32))
        move = np.array([[1, 0, x], [0, 1, y]])
        cubic = cv2.warpAffine(photo, move, photo.shape[1::-1], flags=cv2.INTER_CUBIC)
        assert np.abs(frame.astype(int) - cubic)[face].mean() < 0.6
        assert 0.93 < detail(frame) / detail(cubic) < 1.1


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


def test_wrong_input_is_refused():
    warp = warp_of()
    photo, vertices = portrait()
    with pytest.raises(ValueError, match="uint8"):
        MeshWarp(photo.astype(np.float32), vertices, Crop.around(vertices))
    with pytest.raises(ValueError, match="hardly overlaps"):
        MeshWarp(photo, vertices, Crop(5000, 5000, 100))
    with pytest.raises(ValueError, match="finite"):
        warp(np.full((478, 3), np.nan, np.float32))
    with pytest.raises(ValueError, match=r"\[478, 3\]"):
        warp(vertices[:468])
