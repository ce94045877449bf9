"""Motion of another face counts from its own rest and stays within what can be rendered."""

from dataclasses import replace

import numpy as np
import pytest
from material import fitted_portrait, sine_motion
from scipy.spatial.transform import Rotation

from shared.face_model import load_bundled
from shared.face_model.measures import gaze, lid_gap, lip_gap
from shared.motion import Motion
from shared.retarget import (
    is_of,
    is_still,
    moved_pose,
    note_limited_turns,
    onto_photo,
    pose_onto_photo,
    with_still_eyes,
)


@pytest.fixture(scope="module")
def fitted():
    return fitted_portrait()


def turning(yaw, translation=(0.0, -0.2, -0.3)):
    """A motion whose head turns by these angles in degrees, with the sine's mouth."""
    model = load_bundled()
    speaking = sine_motion(np.zeros(16000 * len(yaw) // 25, np.float32))
    rotation = np.radians(yaw)[:, None] * np.array([0.0, 1.0, 0.0])
    translation = np.broadcast_to(np.asarray(translation, np.float32), (len(yaw), 3))
    return replace(
        speaking, rotation=rotation, translation=translation, identity=np.ones(model.num_identity), audio=None
    )


def turn_from(photo, rotation):
    """Angles in degrees, [T], about the vertical axis from the photo's pose."""
    return np.degrees((Rotation.from_rotvec(rotation) * Rotation.from_rotvec(photo.rotation).inv()).as_rotvec())[:, 1]


def test_foreign_motion_counts_from_its_own_rest(fitted):
    model = load_bundled()
    yaw = np.array([*[-12.0] * 8, *np.linspace(-12, 10, 5), *[10.0] * 12])
    foreign = turning(yaw)
    foreign.expression += 0.5
    assert not is_of(foreign, fitted) and is_of(sine_motion(np.zeros(16000, np.float32), fitted), fitted)
    moved = onto_photo(foreign, fitted)
    expected = yaw - np.median(yaw)
    kept = np.abs(expected) < 15
    np.testing.assert_allclose(turn_from(fitted, moved.rotation)[kept], expected[kept], atol=0.05)
    np.testing.assert_allclose(moved.translation, np.broadcast_to(fitted.translation, (25, 3)), atol=1e-6)
    resting = np.argmin(foreign.expression @ model.extra["open"])
    np.testing.assert_allclose(moved.expression[resting], fitted.expression, atol=0.3)
    assert is_of(moved, fitted)


@pytest.mark.situation(
    "Drivers",
    "a driver that begins turned, or looks aside",
    "the head counts from its median pose, so that the portrait looks at us",
)
def test_a_driver_that_begins_turned_leaves_the_portrait_looking_at_us(fitted):
    yaw = np.array([*[-20.0] * 10, *[5.0] * 15])
    rotation, _ = pose_onto_photo(turning(yaw), fitted)
    np.testing.assert_allclose(turn_from(fitted, rotation)[10:], 0, atol=0.01)


def test_frames_without_a_face_do_not_count_as_rest(fitted):
    motion = turning(np.array([*[20.0] * 15, *[0.0] * 10]))
    motion.confidence = np.array([*[0.0] * 15, *[1.0] * 10], np.float32)
    motion.expression[15:] += np.linspace(0, 3, 10)[:, None] * load_bundled().extra["open"]  # or it would be a still
    rotation, _ = pose_onto_photo(motion, fitted)
    np.testing.assert_allclose(turn_from(fitted, rotation)[15:], 0, atol=0.01)


@pytest.mark.situation(
    "Drivers",
    "a driver that turns or moves further than can be rendered",
    "limited softly to less than 27 degrees; a note says in how many frames",
)
def test_turns_are_limited_softly_and_in_one_line(fitted):
    yaw = np.linspace(-46, 46, 47)
    with pytest.warns(UserWarning, match=r"turns by up to 46 degrees, .* in 2\d of 47 frames") as warned:
        rotation, _ = pose_onto_photo(turning(yaw), fitted)
    assert len(warned) == 1
    got = turn_from(fitted, rotation)
    small = np.abs(yaw) <= 15
    np.testing.assert_allclose(got[small], yaw[small], atol=0.05)
    assert np.abs(got).max() < 27 and np.all(np.diff(got) > 0)
    assert np.abs(got[-1] - (15 + 12 * np.tanh((46 - 15) / 12))) < 0.05


def test_shifts_and_sizes_are_limited(fitted):
    moving = turning(np.zeros(25), (0, 0, 0))
    away = np.linspace(-1, 1, 25)
    moving.translation = np.stack([0.6 * away, 0.05 * away, 0.5 * away], axis=1).astype(np.float32)
    with pytest.warns(UserWarning, match="the head shifts or grows too much"):
        _, translation = pose_onto_photo(moving, fitted)
    moved = translation - fitted.translation
    assert 0.2 < np.abs(moved[:, 0]).max() < 0.22 and 0.24 < np.abs(moved[:, 2]).max() < 0.25
    inner = slice(11, 14)
    np.testing.assert_allclose(moved[inner], moving.translation[inner], atol=1e-5)


def test_scale_acts_about_the_rest(fitted):
    yaw = np.array([*np.linspace(-4, 4, 25)])
    rotation, _ = pose_onto_photo(turning(yaw), fitted, scale=2.0)
    np.testing.assert_allclose(turn_from(fitted, rotation), 2 * yaw, atol=0.05)


@pytest.mark.parametrize("frames", [1, 10])
def test_a_still_gives_its_expression_and_its_angle_to_the_camera(fitted, frames):
    model = load_bundled()
    smile = np.zeros((frames, model.num_expression), np.float32)
    smile[:, :3] = 2.0, -1.0, 1.5
    rotation = np.tile(np.radians([0.0, 12.0, 0.0]), (frames, 1))
    still = Motion(smile, rotation, np.full((frames, 3), 0.4), model.fingerprint, identity=np.ones(model.num_identity))
    assert is_still(still, model) and not is_still(turning(np.linspace(-3, 3, 25)), model)
    assert not is_still(turning(np.zeros(25)), model)  # its mouth moves
    moved = onto_photo(still, fitted)
    np.testing.assert_allclose(moved.expression, smile, atol=1e-6)
    np.testing.assert_allclose(moved.rotation, rotation, atol=1e-4)
    np.testing.assert_allclose(moved.translation, np.tile(fitted.translation, (frames, 1)), atol=1e-6)


def test_still_eyes_neither_blink_nor_look_aside_while_the_mouth_moves(fitted):
    model = load_bundled()
    moves = 4 * model.extra["blink"], model.extra["gaze"][0], 2 * model.extra["gaze"][1], 6 * model.extra["open"]
    motion = Motion(
        expression=fitted.expression + np.stack([*moves, sum(moves)]),
        rotation=np.zeros((5, 3)), translation=np.zeros((5, 3)), face_model=model.fingerprint,
    )  # fmt: skip
    still = fitted.vertices(with_still_eyes(motion, fitted).expression)
    photo = fitted.vertices(fitted.expression)
    np.testing.assert_allclose(lid_gap(still), np.repeat(lid_gap(photo), 5), atol=1e-3)
    np.testing.assert_allclose(gaze(still), np.tile(gaze(photo), (5, 1)), atol=1e-3)
    opened = lip_gap(still) - lip_gap(photo)
    assert opened[3:].min() > 4 and np.abs(opened[:3]).max() < 1


def test_the_head_of_a_frame_moves_as_the_edit_moves_it(fitted):
    """The photo's crop is larger than that of the video, so that the head is smaller in it; far turns are limited."""
    before = Motion(np.zeros((2, 64)), [[0.1, 0.2, -0.1], [0, 0, 0]], [[0.1, 0.2, -0.5], [0, 0, 0]], "face")
    turn, move = Rotation.from_rotvec([0.05, -0.1, 0.02]), np.array([0.03, -0.02, 0.05])
    rotation = (turn * Rotation.from_rotvec(before.rotation[0])).as_rotvec()
    after = Motion(np.zeros((1, 64)), rotation[None], (before.translation[0] + move)[None], "face")
    smaller = replace(fitted, translation=np.array([0.0, 0.1, -0.8], np.float32))
    got, place = moved_pose(after, 0, before, 0, smaller)
    np.testing.assert_allclose(got, (turn * Rotation.from_rotvec(fitted.rotation)).as_rotvec(), atol=1e-5)
    expected = [0.03 * np.exp(-0.3), 0.1 - 0.02 * np.exp(-0.3), -0.75]
    np.testing.assert_allclose(place, expected, atol=1e-5)
    far = replace(after, rotation=np.array([[0, 1.5, 0]], np.float32))
    got, _ = moved_pose(far, 0, before, 1, fitted)
    assert 20 < np.degrees((Rotation.from_rotvec(got) * Rotation.from_rotvec(fitted.rotation).inv()).magnitude()) < 27


@pytest.mark.parametrize("side", [-1, 1])
def test_a_filmed_head_that_is_turned_aside_turns_back_only_as_far_as_the_frame_shows_it(fitted, side):
    filmed = np.linspace(0, 30, 31)
    before, ahead = (turning(side * yaw) for yaw in (filmed, 0 * filmed))
    turns = [turn_from(fitted, moved_pose(ahead, i, before, i, fitted)[0][None])[0] for i in range(31)]
    back = -side * np.array(turns)
    np.testing.assert_allclose(back[:6], filmed[:6], atol=0.05)
    assert back[15] < 8.01 and back[20] < 5.01 and 1 < back[30] < 2.01
    assert np.abs(np.diff(back)).max() < 1.5  # degrees, for one of the filmed angle
    further = turning(side * (filmed + 10))
    turns = [turn_from(fitted, moved_pose(further, i, before, i, fitted)[0][None])[0] for i in range(31)]
    np.testing.assert_allclose(turns, np.full(31, side * 10), atol=0.05)
    with pytest.warns(UserWarning, match=r"turns by up to 30 degrees.* in 1\d of 31 frames"):
        note_limited_turns(ahead.rotation, before.rotation)
