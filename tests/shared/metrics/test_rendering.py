"""Comparison of rendered frames: boxes, masks, mouth changes."""

import cv2
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from shared.errors import InputError
from shared.face_model.mediapipe_mesh import FACE_OVAL, INNER_LIPS, OUTER_LIPS
from shared.metrics.rendering import face_mask, head_distance, head_move, is_turned, mouth_change, part_boxes
from shared.weights import bundled

PHOTO = cv2.imread(str(bundled("demo/portrait_woman.jpg")))[200:456, 300:544, ::-1]
SOFT = cv2.GaussianBlur(PHOTO, (0, 0), 1.5)


def landmarks(gap: float) -> np.ndarray:
    """Eyes 100 px apart, lips 60 px wide and `gap` px open, a round face."""
    points = np.full((478, 3), 128.0)
    points[33, 0], points[263, 0] = 78, 178
    points[61, 0], points[291, 0] = 98, 158
    points[13, 1], points[14, 1] = 180 - gap / 2, 180 + gap / 2
    points[0, 1], points[17, 1] = 170, 200
    return points


def test_boxes_of_mouth_and_eyes():
    points = landmarks(0)
    for index in OUTER_LIPS:
        points[index, 1] = np.clip(points[index, 1], 170, 200)
    boxes = part_boxes(points, (256, 256))
    assert boxes["mouth"] == [(83, 155, 173, 215)] and len(boxes["eyes"]) == 2
    at_edge = part_boxes(points + [140, 60, 0], (256, 256))["mouth"][0]
    assert at_edge == (223, 215, 256, 256)
    assert part_boxes(points + 500, (256, 256))["mouth"][0] == (248, 248, 256, 256)  # gone, yet a box


@pytest.mark.parametrize("gap,change", [(16, "opened"), (14, "unchanged"), (6, "unchanged"), (4, "closed")])
def test_mouth_change(gap, change):
    assert mouth_change(landmarks(gap), landmarks(10)) == change


def test_the_head_moves_as_its_rigid_points_do():
    photo = np.random.default_rng(0).normal(size=(478, 3))
    moved = photo + [3.0, 4.0, 50.0]  # depth does not count
    moved[list(INNER_LIPS)] += 100  # nor does the mouth
    assert head_distance(np.stack([photo, moved]), photo) == pytest.approx([0, 5])
    assert [head_move(x) for x in (0, 5.99, 6, 14.99, 15, 900)] == [
        "under_6px", "under_6px", "6_to_15px", "6_to_15px", "15px_or_more", "15px_or_more",
    ]  # fmt: skip


def test_the_face_mask_fills_the_oval():
    points = np.zeros((478, 3))
    turn = np.linspace(0, 2 * np.pi, len(FACE_OVAL), endpoint=False)
    points[list(FACE_OVAL), :2] = np.stack([100 + 50 * np.sin(turn), 90 - 60 * np.cos(turn)], 1)
    mask = face_mask(points, (200, 220))
    assert mask.shape == (200, 220) and mask[90, 100] and not mask[90, 160]
    assert mask.sum() == pytest.approx(np.pi * 50 * 60, rel=0.03)
    with pytest.raises(InputError, match="outside the frame"):
        face_mask(points + 300, (200, 220))


@pytest.mark.parametrize("axis", ["x", "y", "z"])
@pytest.mark.parametrize(("degrees", "turned"), [(0, False), (14, False), (16, True), (-29, True), (31, False)])
def test_a_head_that_has_turned(axis, degrees, turned):
    photo = np.random.default_rng(0).normal(0, 40, (478, 3))
    rotation = Rotation.from_euler(axis, degrees, degrees=True)
    assert is_turned(1.2 * rotation.apply(photo) + [30, -20, 5], photo) == turned
